"""One step ahead: what is needed next is fetched while what is here is dealt with."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice


def one_ahead[T](items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order, each fetched while the one before it is dealt with.

    There is never more than one that waits. What is raised on the way is raised in its place; who
    stops early leaves the last one to be fetched for nothing.
    """
    fetcher = ThreadPoolExecutor(1, "one-ahead")
    try:
        coming = fetcher.submit(_some, items)
        while found := coming.result():
            coming = fetcher.submit(_some, items)
            yield from found
    finally:
        fetcher.shutdown(wait=False, cancel_futures=True)


def _some[T](items: Iterator[T]) -> tuple[T, ...]:
    return tuple(islice(items, 1))
