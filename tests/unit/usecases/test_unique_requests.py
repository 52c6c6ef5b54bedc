"""A newer request with the same id cancels what an older one would do again, and only that."""

import pytest
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.errors import StepFailed
from millrace.domain.run import RunStatus
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_ends import Failure
from millrace.usecases.sweeper import sweep

MAP = process_step("map")
CRASHED = Failure(error="Lambda.Unknown")
RETRIES = {
    "retry_max_attempts": 2,
    "retry_delay_minutes": 30,
    "retry_unique_request_id_field": "body.orderId",
}


def order(id_: Json) -> Json:
    """A delivery about an order."""
    return {"body": {"orderId": id_}}


@pytest.fixture
def world() -> World:
    """Nothing yet."""
    return World()


def test_a_newer_request_supersedes_a_run_that_waits(world: World) -> None:
    """Its retries are cancelled, its machine is stopped, and each names the other."""
    flow = world.deployed(MAP, **RETRIES)
    older = world.start(flow, order("A-7"))
    assert world.tell(older, "attemptFailed", failure=CRASHED)["retry"]
    newer = world.start(flow, order("A-7"))
    superseded = world.now(older)
    assert (superseded.status, superseded.superseded_by) == (RunStatus.SUPERSEDED, newer.id)
    assert superseded.error is not None
    assert superseded.error.code == "superseded"
    assert world.machines.outcome(older.machine_arn, older.id) == "ABORTED"
    assert world.now(newer).supersedes == (older.id,)
    assert world.now(newer).status is RunStatus.RUNNING


def test_a_superseded_run_begins_no_attempt(world: World) -> None:
    """Its machine may be just waking up: no step begins, and what is told later is ignored."""
    flow = world.deployed(MAP, **RETRIES)
    older = world.start(flow, order("A-7"))
    world.tell(older, "attemptFailed", failure=CRASHED)
    world.start(flow, order("A-7"))
    world.tell(older, "attemptStarted", attempt=2)
    with pytest.raises(StepFailed, match="over"):
        world.step(older, "map")
    assert world.tell(older, "attemptFailed", attempt=2, failure=CRASHED) == {"retry": False}
    world.tell(older, "attemptSucceeded", attempt=2)
    assert world.now(older).status is RunStatus.SUPERSEDED


def test_a_run_at_work_goes_on_but_does_not_start_again(world: World) -> None:
    """A newer request came while it worked: if it fails then, it is not repeated."""
    flow = world.deployed(MAP, **RETRIES)
    fails, succeeds = (world.start(flow, order(id_)) for id_ in ("A-7", "A-8"))
    newer = world.start(flow, order("A-7"))
    world.start(flow, order("A-8"))
    assert world.now(fails).status is RunStatus.RUNNING
    assert world.tell(fails, "attemptFailed", failure=CRASHED) == {"retry": False}
    assert world.now(fails).superseded_by == newer.id
    world.step(succeeds, "map")
    world.tell(succeeds, "attemptSucceeded")
    assert world.now(succeeds).status is RunStatus.SUCCEEDED


def test_its_last_attempt_fails_as_it_is(world: World) -> None:
    """Where there is nothing left to repeat, nothing is superseded."""
    flow = world.deployed(MAP, retry_unique_request_id_field="body.orderId")
    older = world.start(flow, order("A-7"))
    world.start(flow, order("A-7"))
    world.tell(older, "attemptFailed", failure=CRASHED)
    assert world.now(older).status is RunStatus.FAILED


@pytest.mark.parametrize(
    "payload",
    [order("A-8"), order(None), order(""), order(["A-7"]), order("x" * 2_000), {}, [1], None],
    ids=["another", "null", "empty", "array", "too long", "missing", "no object", "nothing"],
)
def test_other_requests_supersede_nothing(world: World, payload: Json) -> None:
    """One with another id, or without one, leaves the retries of others alone."""
    flow = world.deployed(MAP, **RETRIES)
    older = world.start(flow, order("A-7"))
    nameless = world.start(flow, payload)
    for run in (older, nameless):
        world.tell(run, "attemptFailed", failure=CRASHED)
    world.start(flow, payload if payload != order("A-8") else {})
    assert world.now(older).status is RunStatus.RETRYING
    assert world.now(nameless).status is RunStatus.RETRYING


def test_an_expression_that_fails_gives_no_id(world: World) -> None:
    """The run takes place all the same."""
    flow = world.deployed(MAP, **RETRIES | {"retry_unique_request_id_field": "$number(id)"})
    run = world.start(flow, {"id": "seven"})
    assert run.unique_request_id is None
    assert run.status is RunStatus.RUNNING


def test_numbers_are_ids_too(world: World) -> None:
    """As they are written."""
    flow = world.deployed(MAP, **RETRIES)
    assert world.start(flow, order(7)).unique_request_id == "7"


def test_a_run_by_hand_does_not_pass_for_a_newer_request(world: World) -> None:
    """It repeats an old request: it supersedes nothing newer, and makes way for what is newer."""
    flow = world.deployed(MAP, **RETRIES)
    first = world.start(flow, order("A-7"))
    newer = world.start(flow, order("A-7"))
    world.tell(newer, "attemptFailed", failure=CRASHED)
    world.step(first, "map")
    world.tell(first, "attemptSucceeded")
    again = retry_run(world.context, ALICE, first.id, RetryRequest())
    assert world.now(newer).status is RunStatus.RETRYING
    assert world.tell(again, "attemptFailed", failure=CRASHED) == {"retry": False}
    assert world.now(again).superseded_by == newer.id


def test_a_repeated_request_is_superseded_as_its_first_run_was(world: World) -> None:
    """A run by hand of the latest request is the latest from then on."""
    flow = world.deployed(MAP, **RETRIES)
    first = world.start(flow, order("A-7"))
    world.step(first, "map")
    world.tell(first, "attemptSucceeded")
    again = retry_run(world.context, ALICE, first.id, RetryRequest())
    assert world.tell(again, "attemptFailed", failure=CRASHED)["retry"]
    newer = world.start(flow, order("A-7"))
    assert world.now(again).superseded_by == newer.id
    assert world.now(first).status is RunStatus.SUCCEEDED


def test_a_newer_request_that_was_recorded_only_still_counts(world: World) -> None:
    """Its start is made up for by the sweeper, and what it supersedes with it."""
    flow = world.deployed(MAP, **RETRIES)
    older = world.start(flow, order("A-7"))
    world.tell(older, "attemptFailed", failure=CRASHED)
    world.clock.forward(minutes=5)
    newer = older.model_copy(
        update={"id": world.new_id("run"), "created_at": world.clock(), "status": RunStatus.RUNNING}
    )
    world.runs.create(newer)
    world.clock.forward(minutes=5)
    sweep(world.context)
    assert world.now(older).superseded_by == newer.id
    assert world.machines.outcome(newer.machine_arn, newer.id) == "RUNNING"
