"""Lanes and the runs in them, in memory and on DynamoDB alike."""

from datetime import timedelta

import pytest
from tests.support.samples import ALICE, MALLORY, run
from tests.support.time_and_ids import NOON

from millrace import limits
from millrace.domain.errors import NotFoundError
from millrace.domain.lane import Lane, LaneChange, LaneChangedError, Waiting
from millrace.domain.ports import Runs
from millrace.domain.run import Attempt, LaneKey, Place, RunOutcome, RunStatus

LATER = NOON + timedelta(minutes=1)
WS = ALICE.workspace_id
KEY = LaneKey(WS, "flow_1", "runs")
PLACE = Place(lane="runs", limit=1, on_conflict="queue", priority=2, uses_queued_time=False)
FIRST = Lane(
    revision=1,
    key="a",
    limit=2,
    slots={"run_1": 1_769_860_800},
    waiting={"run_2": Waiting(priority=1, until=1_769_860_801)},
)
SECOND = FIRST.left(["run_2"]).revised()


def test_a_lane_is_read_as_it_was_stored(runs: Runs) -> None:
    """Each field; other flows, keys and workspaces have lanes of their own."""
    assert runs.lane(KEY) is None
    assert runs.swap_lane(LaneChange(KEY, None, FIRST))
    assert runs.lane(KEY) == FIRST
    for other in (KEY._replace(name="key#1"), KEY._replace(flow_id="flow_2")):
        assert runs.lane(other) is None
    assert runs.lane(KEY._replace(workspace_id=MALLORY.workspace_id)) is None


def test_nobody_overwrites_a_lane_that_he_has_not_seen(runs: Runs) -> None:
    """One who read it before a change is told so."""
    assert runs.swap_lane(LaneChange(KEY, None, FIRST))
    assert not runs.swap_lane(LaneChange(KEY, None, SECOND))
    assert runs.swap_lane(LaneChange(KEY, FIRST, SECOND))
    assert not runs.swap_lane(LaneChange(KEY, FIRST, SECOND.revised()))
    assert runs.lane(KEY) == SECOND


def test_a_run_and_its_lane_are_stored_together(runs: Runs) -> None:
    """The run comes back with its place in the lane."""
    placed = run(place=PLACE, status=RunStatus.QUEUED, started_at=None, attempts=())
    assert runs.create(placed, lane=LaneChange(KEY, None, FIRST)) == (placed, True)
    assert runs.get(placed.key) == placed
    assert runs.lane(KEY) == FIRST


def test_a_run_is_not_stored_without_its_lane(runs: Runs) -> None:
    """If the lane changed meanwhile there is no run, and no delivery is remembered."""
    runs.swap_lane(LaneChange(KEY, None, FIRST))
    late = run(place=PLACE)
    with pytest.raises(LaneChangedError):
        runs.create(late, dedupe_key="same", lane=LaneChange(KEY, None, SECOND))
    with pytest.raises(NotFoundError):
        runs.get(late.key)
    assert runs.delivered(late, "same") is None
    assert runs.lane(KEY) == FIRST


def test_the_same_delivery_changes_no_lane(runs: Runs) -> None:
    """It gives the run that is there, whatever became of the lane."""
    first = run("run_1", place=PLACE)
    runs.create(first, dedupe_key="same", lane=LaneChange(KEY, None, FIRST))
    again = run("run_2", place=PLACE)
    known = runs.create(again, dedupe_key="same", lane=LaneChange(KEY, FIRST, SECOND))
    assert known == (first, False)
    assert runs.delivered(again, "same") == first
    assert runs.delivered(again, None) is None
    assert runs.lane(KEY) == FIRST


def test_a_run_begins_once_when_it_has_waited(runs: Runs) -> None:
    """Of two that begin it one is told that it did."""
    waiting = run(place=PLACE, status=RunStatus.QUEUED, started_at=None, attempts=())
    runs.create(waiting)
    begun, is_ours = runs.dequeue(waiting.key, LATER)
    assert is_ours
    assert (begun.status, begun.started_at) == (RunStatus.RUNNING, LATER)
    assert begun.attempts == (Attempt(number=1, status=RunStatus.RUNNING, started_at=LATER),)
    assert runs.dequeue(waiting.key, LATER + timedelta(minutes=1)) == (begun, False)
    assert runs.get(waiting.key) == begun


def test_a_run_that_is_over_does_not_begin(runs: Runs) -> None:
    """It was cancelled while it waited."""
    waiting = run(place=PLACE, status=RunStatus.QUEUED, started_at=None, attempts=())
    runs.create(waiting)
    ended = runs.finish(waiting.key, RunOutcome(status=RunStatus.CANCELLED), NOON)
    assert runs.dequeue(waiting.key, LATER) == (ended, False)


def test_lanes_in_use_are_listed(runs: Runs) -> None:
    """Of a workspace or a flow, as many as are asked for; not those that are empty."""
    second, other = KEY._replace(name="key#1"), KEY._replace(flow_id="flow_2")
    foreign = KEY._replace(workspace_id=MALLORY.workspace_id)
    for key in (KEY, second, other, foreign):
        runs.swap_lane(LaneChange(key, None, FIRST))
    empty = Lane(revision=2)
    runs.swap_lane(LaneChange(KEY, FIRST, empty))
    assert runs.lanes(WS, limit=9) == ((second, FIRST), (other, FIRST))
    assert runs.lanes(WS, limit=1) == ((second, FIRST),)
    assert runs.lanes(WS, "flow_1", limit=9) == ((second, FIRST),)
    assert runs.lanes(WS, "flow_3", limit=9) == ()
    assert runs.lanes(WS, "f" * 3_000, limit=9) == ()
    runs.swap_lane(LaneChange(KEY, empty, FIRST.revised().revised()))
    assert len(runs.lanes(WS, "flow_1", limit=9)) == 2


def test_the_longest_line_fits(runs: Runs) -> None:
    """As many runs as may wait and be at work, with ids as long as ULIDs, are one item."""
    ids = [f"run_{number:026d}" for number in range(limits.CONCURRENCY_MAX + limits.QUEUE_DEPTH)]
    lane = Lane(
        revision=1,
        slots={id_: 1_769_860_800 + place for place, id_ in enumerate(ids)},
        waiting={
            id_.replace("run_0", "run_1"): Waiting(priority=place % 5 + 1, until=place)
            for place, id_ in enumerate(ids[: limits.QUEUE_DEPTH])
        },
    )
    assert runs.swap_lane(LaneChange(KEY, None, lane))
    assert runs.lane(KEY) == lane
