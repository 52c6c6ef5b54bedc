"""Work that is waited for so long and no longer."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread


def within[T](seconds: float, work: Callable[[], T], otherwise: T) -> T:
    """What the work gives in time; else something else, and the thread is left behind.

    For what has no time-out of its own, such as the lookup of a name, or several exchanges that
    follow each other.
    """
    results: SimpleQueue[T | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            results.put(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            results.put(error)

    Thread(target=run, daemon=True).start()
    try:
        result = results.get(timeout=seconds)
    except Empty:
        return otherwise
    if isinstance(result, BaseException):
        raise result
    return result
