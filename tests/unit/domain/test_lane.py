"""What a lane makes of the runs that come to it."""

from datetime import datetime, timedelta

import pytest
from tests.support.time_and_ids import NOON

from millrace import limits
from millrace.domain.lane import Entry, Lane, Waiting
from millrace.domain.run import OnConflict, Place

LATER = NOON + timedelta(hours=1)
LEASE = timedelta(minutes=limits.SLOT_LEASE_MINUTES)
EMPTY = Lane()


def place(
    limit: int = 1,
    on_conflict: OnConflict = "queue",
    priority: int = 3,
    *,
    goes_past: bool = False,
) -> Place:
    """How a run comes."""
    return Place(
        lane="runs", limit=limit, on_conflict=on_conflict, priority=priority, goes_past=goes_past
    )


def after(lane: Lane, run_id: str, how: Place, now: datetime = NOON) -> Lane:
    """The lane after a run came."""
    return lane.entered(run_id, how, LATER, now).lane


def test_runs_take_slots_until_there_are_none() -> None:
    """The limit is what it says, and the next one waits."""
    lane = after(after(EMPTY, "run_1", place(limit=2)), "run_2", place(limit=2))
    assert lane.taken(NOON) == ["run_1", "run_2"]
    assert after(lane, "run_3", place(limit=2)).line == ["run_3"]


def test_those_that_wait_go_by_priority_and_then_as_they_came() -> None:
    """Priority 1 goes first; of one priority, who came first."""
    lane = after(EMPTY, "run_1", place())
    for run_id, priority in (("run_2", 3), ("run_3", 1), ("run_5", 3), ("run_4", 1)):
        lane = after(lane, run_id, place(priority=priority))
    assert lane.line == ["run_3", "run_4", "run_2", "run_5"]
    lane, turn = lane.left(["run_1"]).advanced(2, NOON)
    assert turn == ("run_3", "run_4")
    assert lane.line == ["run_2", "run_5"]


@pytest.mark.parametrize("on_conflict", ["reject", "skip", "cancelPrevious"])
def test_only_a_queue_lets_wait(on_conflict: OnConflict) -> None:
    """All other rules find the lane busy, also for a run that would go past those that wait."""
    lane = after(EMPTY, "run_1", place(on_conflict=on_conflict))
    for how in (place(on_conflict=on_conflict), place(on_conflict=on_conflict, goes_past=True)):
        assert lane.entered("run_2", how, LATER, NOON) == (lane, Entry.BUSY)


def test_a_run_may_go_past_those_that_wait() -> None:
    """It counts all the same: nobody else begins before there is one less than the limit."""
    lane = after(after(EMPTY, "run_1", place()), "run_2", place())
    lane = after(lane, "run_3", place(goes_past=True))
    assert (lane.taken(NOON), lane.line) == (["run_1", "run_3"], ["run_2"])
    assert lane.left(["run_1"]).advanced(1, NOON).run_ids == ()
    assert lane.left(["run_1", "run_3"]).advanced(1, NOON).run_ids == ("run_2",)


def test_a_run_that_comes_does_not_overtake() -> None:
    """A slot that is free is for who waits, once somebody gives it out."""
    lane = after(after(EMPTY, "run_1", place()), "run_2", place()).left(["run_1"])
    assert lane.entered("run_3", place(), LATER, NOON).entry is Entry.WAITS


def test_only_so_many_wait() -> None:
    """One more is told that the line is full, and nothing changes."""
    waiting = {f"run_{n}": Waiting(priority=3, until=0) for n in range(limits.QUEUE_DEPTH)}
    lane = Lane(slots={"run_a": int(LATER.timestamp())}, waiting=waiting)
    assert lane.entered("run_b", place(), LATER, NOON) == (lane, Entry.FULL)
    past = lane.entered("run_b", place(goes_past=True), LATER, NOON)
    assert past.entry is Entry.SLOT


def test_a_lease_that_nobody_renews_runs_out() -> None:
    """A slot of a run that vanished is given to the next one."""
    lane = after(after(EMPTY, "run_1", place()), "run_2", place())
    assert lane.advanced(1, NOON + LEASE - timedelta(seconds=1)).run_ids == ()
    assert lane.advanced(1, NOON + LEASE).run_ids == ("run_2",)
    assert after(Lane(slots=lane.slots), "run_3", place(), NOON + LEASE).taken(NOON + LEASE) == [
        "run_3"
    ]


def test_a_lease_that_is_renewed_holds_on() -> None:
    """Even one that had run out, as long as nobody else has the slot."""
    lane = after(after(EMPTY, "run_1", place()), "run_2", place())
    lane = lane.renewed(["run_1"], NOON + LEASE)
    assert lane.advanced(1, NOON + LEASE).run_ids == ()


def test_a_slot_that_was_given_back_is_not_renewed() -> None:
    """The run ended while the sweeper thought that it was at work."""
    lane = after(EMPTY, "run_1", place()).left(["run_1"])
    assert lane.renewed(["run_1"], NOON) == lane
    assert lane.readmitted(["run_1"], NOON).taken(NOON) == ["run_1"]


def test_a_run_that_waited_too_long_gets_no_slot() -> None:
    """Nobody counts on it any more; the one behind it begins."""
    lane = after(EMPTY, "run_1", place()).entered("run_2", place(), NOON, NOON).lane
    lane = after(lane, "run_3", place()).left(["run_1"])
    assert lane.advanced(1, NOON).run_ids == ("run_3",)


def test_more_begin_when_the_limit_was_raised() -> None:
    """Those that wait need not wait for the end of one that is at work."""
    lane = EMPTY
    for run_id in ("run_1", "run_2", "run_3", "run_4"):
        lane = after(lane, run_id, place())
    raised, turn = lane.advanced(3, NOON)
    assert turn == ("run_2", "run_3")
    assert raised.limit == 3


def test_the_oldest_make_way() -> None:
    """As many as must, and all that wait."""
    lane = Lane(slots={"run_2": int(LATER.timestamp()), "run_1": int(LATER.timestamp())})
    assert lane.previous(2, NOON) == ["run_1"]
    assert lane.previous(1, NOON) == ["run_1", "run_2"]
