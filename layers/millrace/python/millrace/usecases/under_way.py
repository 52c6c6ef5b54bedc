"""Several requests of a step under way at once, whose answers come in the order of the requests."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple


class Answered[T, R](NamedTuple):
    """A request and what came of it."""

    request: T
    answer: R
    behind: int
    """How many requests are under way behind it."""


def in_order[T, R](
    requests: Iterable[T], send: Callable[[T], R], limit: int, must_stop: Callable[[], bool]
) -> Generator[Answered[T, R]]:
    """What comes of each request, in turn, while up to `limit` of them are under way.

        limit 3     request 1 2 3     4   5
                    answer        1     2   3

    As many as that are ahead of what was given out, so whoever remembers what is given out has to
    send no more than that again after a crash. Once it must stop, no new one is sent and what is
    under way is given out; the last has none behind it. What is raised for a request is raised in
    its place. To close it waits for what is under way: nothing is sent by anybody afterwards.
    """
    if limit == 1:
        for request in requests:
            yield Answered(request, send(request), 0)
        return
    under_way: deque[tuple[T, Future[R]]] = deque()

    def first() -> Answered[T, R]:
        request, coming = under_way[0]
        answer = coming.result()
        under_way.popleft()
        return Answered(request, answer, len(under_way))

    with ThreadPoolExecutor(limit, "request") as senders:
        for request in requests:
            under_way.append((request, senders.submit(send, request)))
            while under_way and (len(under_way) == limit or under_way[0][1].done() or must_stop()):
                yield first()
        while under_way:
            yield first()
