"""The rate that all workers of a connection share falls fast and comes back slowly."""

import pytest

from millrace import limits
from millrace.domain.pace import MICROS, RATE_MIN, RECOVERY_SECONDS, Pace

FOREVER = 10**18


def test_permits_come_evenly_behind_each_other() -> None:
    """Whoever comes next gets what comes after; the first ones after a pause come at once."""
    pace, first = Pace().take(10, 3, 5, 0, FOREVER)
    pace, second = pace.take(10, 3, 2, 0, FOREVER)
    times = []
    for permits in (first, second):
        left = permits
        while left.count:
            times.append(left.next_at / MICROS)
            left = left.used()
    assert times == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3, 0.4])


def test_permits_make_up_a_second_but_one_is_always_given() -> None:
    """A worker cannot take an hour of a slow connection, nor be left without."""
    assert Pace().take(50, 1, 10_000, 0, FOREVER)[1].count == 50
    assert Pace().take(0.001, 1, 10_000, 0, FOREVER)[1].count == 1
    assert Pace().take(1e-9, 1, 1, 0, FOREVER)[0].next_at == 86_400 * MICROS


def test_permits_that_would_come_too_late_are_left_to_others() -> None:
    """Nothing is taken, and the time to come back is told."""
    pace, _ = Pace().take(0.1, 1, 1, 0, FOREVER)
    same, none = pace.take(0.1, 1, 1, 0, 5 * MICROS)
    assert (same, none.count, none.next_at) == (pace, 0, 10 * MICROS)


@pytest.mark.parametrize("dawdled", [0, 900_000, 1_000_000, 1_100_001, 1_500_000, 2_000_000, 10**9])
def test_permits_are_void_a_second_after_their_time(dawdled: int) -> None:
    """Those that are left are the later ones."""
    _, permits = Pace().take(10, 1, 10, 0, FOREVER)
    left = permits.without_void(dawdled)
    void = [number for number in range(10) if number * 100_000 + MICROS < dawdled]
    assert left.count == 10 - len(void)
    assert left.next_at == 100_000 * len(void)


def test_a_slowed_rate_grows_back() -> None:
    """Half at once, then by the same amount each second, up to what it was."""
    pace = Pace().slowed(100.0, 5.0, 0)
    assert pace.rate(100.0, 0) == 50
    assert pace.rate(100.0, RECOVERY_SECONDS * MICROS // 4) == pytest.approx(75)
    assert pace.rate(100.0, RECOVERY_SECONDS * MICROS // 2) == 100
    assert pace.rate(20.0, 0) == 20


def test_requests_that_were_under_way_together_slow_it_once() -> None:
    """Those later slow it again, however often, but never to nothing."""
    pace = Pace().slowed(100.0, 5.0, 0)
    assert pace.slowed(100.0, 5.0, MICROS - 1) is pace
    rates = [50.0]
    for second in range(1, 30):
        pace = pace.slowed(100.0, 5.0, second * MICROS)
        rates.append(pace.rate(100.0, second * MICROS) or 0)
    assert sorted(rates, reverse=True) == rates
    assert RATE_MIN <= rates[-1] < 1


def test_without_a_configured_rate_what_was_observed_is_halved() -> None:
    """And once that is reached again, any number of requests may go out."""
    pace = Pace().slowed(None, 40.0, 0)
    assert pace.rate(None, 0) == 20
    later = pace.slowed(None, 1.0, 2 * MICROS)
    assert later.rate(None, 2 * MICROS) == pytest.approx(10 + 1 / 3)
    assert later.rate(None, (2 + RECOVERY_SECONDS) * MICROS) is None


def test_the_longest_block_holds() -> None:
    """A shorter one that is told later changes nothing."""
    pace = Pace().blocked(7)
    assert pace.blocked(5) is pace
    assert pace.blocked(9).blocked_until == 9


def test_seats_are_given_in_turn() -> None:
    """Who holds one and asks again makes room for who waits, and gets it back after him."""
    until = limits.SEAT_SECONDS * MICROS
    pace = Pace().seated("a", 0, until, 1).seated("b", 1, until, 1).seated("c", 2, until, 1)
    assert (list(pace.seats), list(pace.queue)) == (["a"], ["b", "c"])
    pace = pace.seated("a", 3, until, 1)
    assert (list(pace.seats), list(pace.queue)) == ([], ["b", "c", "a"])
    pace = pace.seated("c", 4, until, 1)
    assert list(pace.seats) == []
    pace = pace.seated("b", 5, until, 1)
    assert (list(pace.seats), list(pace.queue)) == (["b"], ["c", "a"])
    assert pace.left("b").seated("c", 6, until, 1).seats == {"c": until}


def test_who_died_is_forgotten() -> None:
    """Neither a seat nor a place in the queue lasts longer than was said."""
    pace = Pace().seated("a", 0, 10 * MICROS, 1).seated("b", 1, 10 * MICROS, 1)
    assert list(pace.seated("c", 5 * MICROS, 0, 1).queue) == ["c"]
    assert list(pace.seated("c", 10 * MICROS, 11 * MICROS, 1).seats) == ["c"]


def test_who_holds_a_seat_keeps_it_if_nobody_waits() -> None:
    """Asking again only makes it last longer."""
    pace = Pace().seated("a", 0, 5, 2).seated("b", 0, 5, 2).seated("a", 1, 6, 2)
    assert pace.seats == {"b": 5, "a": 6}
