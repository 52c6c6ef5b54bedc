"""Fetching one ahead changes neither what comes nor what is raised, only when."""

from collections.abc import Iterator

import pytest

from millrace.usecases.ahead import one_ahead


def test_items_come_in_their_order_and_trouble_in_its_place() -> None:
    """Those before the trouble are dealt with first."""

    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("gone")

    came = one_ahead(items())
    assert [next(came), next(came), next(came)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(came)


def test_nothing_is_fetched_beyond_the_next_one() -> None:
    """Memory holds two items, and a system is asked for one too many at most."""
    fetched: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            fetched.append(number)
            yield number

    came = one_ahead(items())
    assert fetched == []
    for number in range(4):
        assert next(came) == number
        assert fetched[number] == number
        assert len(fetched) <= number + 2
    assert list(came) == list(range(4, 10))
    assert list(one_ahead(iter(()))) == []
