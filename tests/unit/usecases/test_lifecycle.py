"""Runs end once and truly, whichever way the end comes: told, overheard, or found out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.samples import ALICE, export_step, import_step, process_step
from tests.support.time_and_ids import NOON
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    StepError,
    StepFailed,
    StepTransient,
    UnavailableError,
)
from millrace.domain.flow import Flow
from millrace.domain.run import Counts, Run, RunError, RunKey, RunStatus, StepRecord, StepStatus
from millrace.domain.step import Step
from millrace.storage.memory import MemoryMachines, MemoryRuns
from millrace.usecases.deploy import undeploy_version
from millrace.usecases.flow_changes import delete_flow
from millrace.usecases.flows import get_flow, latest_version
from millrace.usecases.lifecycle import cancel_run, on_execution_end
from millrace.usecases.run_ends import Failure
from millrace.usecases.runs import get_run
from millrace.usecases.sweeper import sweep

MAP = process_step("map")
CONTINUES = ({"type": "failure", "strategy": "continue"},)
CRASHED = Failure(error="Lambda.Unknown", cause="Runtime exited")


def fail(world: World, run: Run, step_id: str) -> None:
    """Have the worker run a step that does not succeed."""
    with pytest.raises(StepError):
        world.step(run, step_id)


@pytest.fixture
def world() -> World:
    """A shop whose orders can be read once."""
    world = World()
    world.connectors.pages = [[{"id": 1}, {"id": 2}, {"id": 3}]]
    world.connection()
    return world


def export(**changes: object) -> Step:
    """A step that reads the shop's orders."""
    return export_step("read", "con_000001", **changes)


def test_a_run_begins_running_on_its_first_attempt(world: World) -> None:
    """What is recorded before anything happens."""
    run = world.start(world.deployed(MAP))
    assert (run.status, run.attempt) == (RunStatus.RUNNING, 1)
    assert [attempt.number for attempt in run.attempts] == [1]
    told = world.machines.started[run.machine_arn, run.id]
    assert told == {"workspaceId": ALICE.workspace_id, "runId": run.id, "attempt": 1}


def test_success_counts_what_came_in_and_what_went_out(world: World) -> None:
    """First steps count in, last steps count out; what was dropped on the way is summed."""
    steps = (
        export(),
        process_step("some", depends_on=("read",), filter="id > 1"),
        import_step("write", "con_000001", depends_on=("some",)),
        import_step("alert", "con_000001", depends_on=("some",), filter="id > 2"),
    )
    run = world.start(world.deployed(*steps))
    for step in steps:
        world.step(run, step.id)
    world.clock.forward(seconds=5)
    assert world.tell(run, "attemptSucceeded") == {}
    ended = world.now(run)
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, None)
    assert ended.ended_at == NOON + timedelta(seconds=5)
    assert ended.counts == Counts(records_in=3, records_out=3, records_ignored=2)
    assert ended.attempts[0].status is RunStatus.SUCCEEDED


def test_records_that_failed_make_a_partial_success(world: World) -> None:
    """The flow went through, but not with every record."""
    world.connectors.refused = [{"id": 2}]
    run = world.start(world.deployed(import_step("write", "con_000001")), [{"id": 1}, {"id": 2}])
    world.step(run, "write")
    world.tell(run, "attemptSucceeded")
    ended = world.now(run)
    assert ended.status is RunStatus.PARTIALLY_SUCCEEDED
    assert ended.counts == Counts(records_in=2, records_out=1, records_failed=1)


def test_a_step_that_failed_and_continued_makes_a_partial_success(world: World) -> None:
    """The machine succeeded, the step did not; nobody is told that all is well."""
    world.connectors.read_trouble = {0: [StepFailed("http401", "wrong token")]}
    run = world.start(world.deployed(export(exception_behavior=CONTINUES)))
    fail(world, run, "read")
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.PARTIALLY_SUCCEEDED


def test_a_step_that_crashed_and_continued_is_failed_at_the_end(world: World) -> None:
    """A worker that died leaves a step running; the end of the run ends it."""
    world.connectors.read_trouble = {0: [ConnectionAbortedError()]}
    run = world.start(world.deployed(export(exception_behavior=CONTINUES)))
    with pytest.raises(ConnectionAbortedError):
        world.step(run, "read")
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.PARTIALLY_SUCCEEDED
    (record,) = world.runs.steps(run.key, 1)
    assert (record.status, record.ended_at) == (StepStatus.FAILED, NOON)
    assert record.error is not None
    assert record.error.code == "crashed"


def test_a_step_that_died_before_it_began_and_continued_is_failed_at_the_end(world: World) -> None:
    """What never came as far as its record is not passed over: the run is no plain success."""
    write = import_step("write", "con_000001", depends_on=("read",))
    run = world.start(world.deployed(export(exception_behavior=CONTINUES), write))
    world.step(run, "write")
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.PARTIALLY_SUCCEEDED
    read = world.runs.step(run.key, 1, "read")
    assert read is not None
    assert (read.status, read.error and read.error.code) == (StepStatus.FAILED, "crashed")


def test_a_failure_names_the_step_and_its_reason(world: World) -> None:
    """The run's error is that of the step, not the machine's words for it."""
    world.connectors.read_trouble = {0: [StepFailed("http401", "wrong token")]}
    run = world.start(world.deployed(export()))
    fail(world, run, "read")
    answer = world.tell(run, "attemptFailed", failure=Failure(error="StepFailed", cause="{}"))
    assert answer == {"retry": False}
    ended = world.now(run)
    assert ended.status is RunStatus.FAILED
    assert ended.error == RunError(code="http401", message="wrong token", step_id="read")
    assert ended.attempts[0].error == ended.error


def test_retries_that_ran_out_leave_the_last_error(world: World) -> None:
    """A step that was to be tried again, and was not, is what failed."""
    world.connectors.read_trouble = {0: [StepTransient("http503", "down")]}
    run = world.start(world.deployed(export()))
    fail(world, run, "read")
    world.tell(run, "attemptFailed", failure=Failure(error="StepTransient", cause="{}"))
    assert world.now(run).error == RunError(code="http503", message="down", step_id="read")
    (record,) = world.runs.steps(run.key, 1)
    assert record.status is StepStatus.FAILED


def test_a_crash_without_a_result_is_told_as_one(world: World) -> None:
    """No step could say why; what the machine saw is all there is."""
    world.connectors.read_trouble = {0: [ConnectionAbortedError()]}
    run = world.start(world.deployed(export()))
    with pytest.raises(ConnectionAbortedError):
        world.step(run, "read")
    world.tell(run, "attemptFailed", failure=CRASHED)
    error = world.now(run).error
    assert error is not None
    assert (error.code, error.step_id) == ("crashed", "read")
    assert "Lambda.Unknown" in error.message


def test_a_failure_before_any_step_is_told_too(world: World) -> None:
    """Even a machine that could call no worker ends its run."""
    run = world.start(world.deployed(MAP))
    world.tell(run, "attemptFailed", failure=CRASHED)
    ended = world.now(run)
    assert ended.status is RunStatus.FAILED
    assert ended.error is not None
    assert ended.error.step_id is None


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        ({}, []),
        ({"retryMaxAttempts": 2}, [0, 0]),
        ({"retryMaxAttempts": 3, "retryDelayMinutes": 5}, [300, 300, 300]),
        (
            {
                "retryMaxAttempts": 10,
                "retryDelayMinutes": 60,
                "retryUsesExponentialBackoff": True,
            },
            [3_600, 7_200, 14_400, 28_800, 57_600] + [86_400] * 5,
        ),
    ],
    ids=["none", "at once", "constant", "doubling, capped at a day"],
)
def test_failed_attempts_are_followed_by_others(
    world: World, settings: dict[str, Json], waits: list[int]
) -> None:
    """As many as the flow says, after the waits that it says, and then no more."""
    run = world.start(world.deployed(MAP, **settings))
    for attempt, wait in enumerate(waits, 1):
        answer = world.tell(run, "attemptFailed", attempt)
        assert answer == {"retry": True, "waitSeconds": wait, "attempt": attempt + 1}
        assert world.now(run).status is RunStatus.RETRYING
        assert world.tell(run, "attemptStarted", attempt + 1) == {}
        assert (world.now(run).status, world.now(run).attempt) == (RunStatus.RUNNING, attempt + 1)
    assert world.tell(run, "attemptFailed", len(waits) + 1) == {"retry": False}
    ended = world.now(run)
    assert ended.status is RunStatus.FAILED
    assert len(ended.attempts) == len(waits) + 1
    assert all(attempt.status is RunStatus.FAILED for attempt in ended.attempts)


def test_a_second_attempt_starts_from_nothing(world: World) -> None:
    """The whole graph again: no step of the first attempt counts."""
    world.connectors.read_trouble = {0: [StepFailed("http401", "wrong token")]}
    run = world.start(world.deployed(export(), retryMaxAttempts=1))
    fail(world, run, "read")
    world.tell(run, "attemptFailed")
    world.tell(run, "attemptStarted", 2)
    assert world.step(run, "read").status is StepStatus.SUCCEEDED
    world.tell(run, "attemptSucceeded", 2)
    ended = world.now(run)
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, None)
    assert [attempt.status.value for attempt in ended.attempts] == ["failed", "succeeded"]


def test_what_is_told_twice_counts_once(world: World) -> None:
    """Step Functions repeats a call whose answer was lost, and gets the same answer."""
    run = world.start(world.deployed(MAP, retryMaxAttempts=2, retryDelayMinutes=1))
    first = world.tell(run, "attemptFailed", 1)
    assert world.tell(run, "attemptFailed", 1) == first
    world.tell(run, "attemptStarted", 2)
    world.tell(run, "attemptStarted", 2)
    assert [attempt.number for attempt in world.now(run).attempts] == [1, 2]


def test_news_of_an_earlier_attempt_does_not_end_a_later_one(world: World) -> None:
    """A call that hung since the first attempt comes back during the last one."""
    run = world.start(world.deployed(MAP, retryMaxAttempts=1, retryDelayMinutes=1))
    first = world.tell(run, "attemptFailed", 1)
    world.tell(run, "attemptStarted", 2)
    assert world.tell(run, "attemptFailed", 1) == first
    assert (world.now(run).status, world.now(run).attempt) == (RunStatus.RUNNING, 2)


def test_the_first_end_stands(world: World) -> None:
    """Whatever is heard afterwards, from whom ever, changes nothing."""
    run = world.start(world.deployed(MAP, retryMaxAttempts=3))
    world.step(run, "map")
    world.tell(run, "attemptSucceeded")
    ended = world.now(run)
    world.clock.forward(hours=1)
    assert world.tell(run, "attemptFailed") == {"retry": False}
    on_execution_end(world.context, run.key, "ABORTED")
    world.tell(run, "attemptStarted", 2)
    assert world.now(run) == ended


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        ("FAILED", "machineFailed", "failed"),
        ("TIMED_OUT", "machineTimedOut", "longer than its limit"),
        ("ABORTED", "machineAborted", "was stopped"),
    ],
)
def test_an_execution_that_ended_on_its_own_ends_its_run(
    world: World, outcome: str, code: str, words: str
) -> None:
    """A machine that was stopped or timed out had no chance to tell."""
    run = world.start(world.deployed(MAP))
    ended = on_execution_end(world.context, run.key, outcome)
    assert ended is not None
    assert ended.status is RunStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == code
    assert words in ended.error.message


def test_an_execution_of_nobodys_run_is_ignored(world: World) -> None:
    """Events of other machines, or of runs that are gone, are no errors."""
    assert on_execution_end(world.context, RunKey("ws_alice", "run_9"), "FAILED") is None


def test_the_sweeper_starts_what_never_started(world: World) -> None:
    """A run that was recorded, and then Step Functions did not take the call."""
    run = world.start(world.deployed(MAP))
    world.machines.started.clear()
    world.machines.outcomes.clear()
    assert sweep(world.context) == 0
    world.clock.forward(minutes=3)
    assert sweep(world.context) == 1
    assert (run.machine_arn, run.id) in world.machines.started
    assert sweep(world.context) == 0
    assert world.now(run).status is RunStatus.RUNNING


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("SUCCEEDED", RunStatus.SUCCEEDED),
        ("FAILED", RunStatus.FAILED),
        ("ABORTED", RunStatus.FAILED),
        ("TIMED_OUT", RunStatus.FAILED),
        ("RUNNING", RunStatus.RUNNING),
    ],
)
def test_the_sweeper_ends_what_has_ended(world: World, outcome: str, status: RunStatus) -> None:
    """Runs of which nothing was heard get the end that their machine had."""
    run = world.start(world.deployed(MAP))
    world.step(run, "map")
    world.machines.outcomes[run.machine_arn, run.id] = outcome
    world.clock.forward(minutes=3)
    assert sweep(world.context) == (outcome != "RUNNING")
    assert world.now(run).status is status


def test_the_sweeper_ends_a_run_whose_machine_is_gone(world: World) -> None:
    """There is nothing left to start."""
    run = world.start(world.deployed(MAP))
    world.machines.outcomes.clear()
    world.machines.deployed.clear()
    world.clock.forward(minutes=3)
    assert sweep(world.context) == 1
    error = world.now(run).error
    assert error is not None
    assert error.code == "machineMissing"


def removed(world: World, flow: Flow) -> None:
    """Delete a flow as by someone who looked for its runs just before one began."""
    version = latest_version(world.context, flow)
    undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)
    now = get_flow(world.context, ALICE, flow.id)
    before = replace(world.context, runs=MemoryRuns(), machines=MemoryMachines())
    delete_flow(before, ALICE, flow.id, now.revision)


def test_a_run_outlives_its_flow(world: World) -> None:
    """A flow that is deleted under a running run does not keep it from ending."""
    flow = world.deployed(export(), process_step("map", depends_on=("read",)))
    run = world.start(flow)
    world.step(run, "read")
    removed(world, flow)
    with pytest.raises(NotFoundError):
        get_flow(world.context, ALICE, flow.id)
    fail(world, run, "map")
    assert world.tell(run, "attemptFailed", failure=CRASHED) == {"retry": False}
    assert world.now(run).status is RunStatus.FAILED


def test_one_lost_run_does_not_hide_the_others(world: World) -> None:
    """The sweeper repairs every run that it can."""
    flow = world.deployed(MAP)
    orphan = world.start(flow)
    removed(world, flow)
    other = world.start(world.deployed(MAP))
    world.machines.outcomes[orphan.machine_arn, orphan.id] = "ABORTED"
    world.machines.outcomes[other.machine_arn, other.id] = "ABORTED"
    world.clock.forward(minutes=3)
    assert sweep(world.context) == 2
    assert {world.now(each).status for each in (orphan, other)} == {RunStatus.FAILED}


class BusyMachines(MemoryMachines):
    """Step Functions that takes no calls."""

    def start(self, machine_arn: str, name: str, data: dict[str, Json]) -> None:
        """Refuse."""
        raise UnavailableError(f"cannot start {name} of {machine_arn} with {data}")


def test_a_start_that_fails_again_is_left_to_the_next_sweep(world: World) -> None:
    """The others are not kept waiting for it."""
    flow = world.deployed(MAP)
    first, second = world.start(flow), world.start(flow)
    world.machines.outcomes[second.machine_arn, second.id] = "ABORTED"
    del world.machines.outcomes[first.machine_arn, first.id]
    world.clock.forward(minutes=3)
    busy = BusyMachines()
    busy.outcomes = world.machines.outcomes
    assert sweep(replace(world.context, machines=busy)) == 1
    assert world.now(first).status is RunStatus.RUNNING
    assert world.now(second).status is RunStatus.FAILED


def test_a_synchronous_run_is_over_after_five_minutes(world: World) -> None:
    """Step Functions tells nothing of it, so the sweeper neither asks nor starts it twice."""
    run = world.start(world.deployed(MAP, isSynchronous=True))
    world.runs.claim_step(world.runs.get(run.key), "map", NOON)
    world.machines.outcomes.clear()
    world.clock.forward(minutes=4)
    assert sweep(world.context) == 0
    world.clock.forward(minutes=2)
    assert sweep(world.context) == 1
    error = world.now(run).error
    assert error is not None
    assert error.code == "machineTimedOut"
    assert len(world.machines.started) == 1


def test_a_synchronous_run_that_never_started_is_started(world: World) -> None:
    """Its start was refused: no step has begun; after an hour nobody wants it any more."""
    run = world.start(world.deployed(MAP, isSynchronous=True))
    world.machines.started.clear()
    world.clock.forward(minutes=6)
    assert sweep(world.context) == 1
    assert (run.machine_arn, run.id) in world.machines.started
    assert world.now(run).status is RunStatus.RUNNING
    world.clock.forward(minutes=60)
    assert sweep(world.context) == 1
    assert world.now(run).status is RunStatus.FAILED


def test_a_synchronous_run_has_one_attempt_whatever_becomes_of_its_flow(world: World) -> None:
    """Its machine cannot run again, so the run must not wait for that."""
    flow = world.deployed(MAP, isSynchronous=True)
    run = world.start(flow)
    world.change(flow, MAP, retryMaxAttempts=3)
    assert world.tell(run, "attemptFailed", failure=CRASHED) == {"retry": False}
    assert world.now(run).status is RunStatus.FAILED


def test_a_cancelled_run_does_nothing_any_more(world: World) -> None:
    """Its machine is stopped, no step begins, a late result is ignored; twice is as once."""
    run = world.start(world.deployed(export(), process_step("map", depends_on=("read",))))
    begun = world.runs.claim_step(world.runs.get(run.key), "read", NOON)
    for _ in range(2):
        ended = cancel_run(world.context, world.now(run))
        assert (ended.status, ended.ended_at) == (RunStatus.CANCELLED, NOON)
        assert world.machines.outcome(run.machine_arn, run.id) == "ABORTED"
    late = begun.model_copy(update={"status": StepStatus.SUCCEEDED})
    assert world.runs.save_step(run.key, late).status is StepStatus.CANCELLED
    with pytest.raises(ConflictError, match="over"):
        world.runs.claim_step(world.runs.get(run.key), "map", NOON)
    assert world.tell(run, "attemptFailed", failure=CRASHED) == {"retry": False}
    assert on_execution_end(world.context, run.key, "ABORTED") == world.now(run)
    assert world.now(run).status is RunStatus.CANCELLED


def queued(world: World, run: Run) -> None:
    """It was recorded and not started."""
    waiting = run.model_copy(update={"id": run.id, "status": RunStatus.QUEUED, "started_at": None})
    world.runs = MemoryRuns()
    world.machines.outcomes.clear()
    world.runs.create(waiting)


def at_work(world: World, run: Run) -> None:
    """A step has begun."""
    world.runs.claim_step(world.runs.get(run.key), "map", NOON)


def between_steps(world: World, run: Run) -> None:
    """A step is over, and the machine has not told of it."""
    world.step(run, "map")


def waits_in_a_step(world: World, run: Run) -> None:
    """The other system asked for patience: the machine waits, no function does."""
    record = world.runs.claim_step(world.runs.get(run.key), "map", NOON)
    world.runs.save_step(run.key, record.model_copy(update={"status": StepStatus.RETRYING}))


def waits_for_a_retry(world: World, run: Run) -> None:
    """The attempt failed, the next one is planned."""
    assert world.tell(run, "attemptFailed", failure=CRASHED)["retry"]


def on_its_second_attempt(world: World, run: Run) -> None:
    """Which is at work."""
    waits_for_a_retry(world, run)
    world.tell(run, "attemptStarted", attempt=2)
    world.runs.claim_step(world.runs.get(run.key), "map", NOON)


@pytest.mark.parametrize(
    "state",
    [queued, at_work, between_steps, waits_in_a_step, waits_for_a_retry, on_its_second_attempt],
    ids=lambda state: state.__name__,
)
def test_r14_a_run_is_cancelled_from_every_state_once_and_for_all(
    world: World, state: Callable[[World, Run], None]
) -> None:
    """Twice is as once; no later step starts, and whatever is told later is ignored."""
    run = world.start(world.deployed(MAP, retry_max_attempts=3, retry_delay_minutes=1))
    state(world, run)
    attempt = world.now(run).attempt
    ended = [cancel_run(world.context, world.now(run)) for _ in range(2)]
    assert ended[0] == ended[1] == world.now(run)
    assert (ended[0].status, ended[0].ended_at) == (RunStatus.CANCELLED, NOON)
    assert all(record.status.is_terminal for record in world.runs.steps(run.key, None))
    assert world.machines.outcome(run.machine_arn, run.id) in {"ABORTED", None}
    for told in ("attemptStarted", "attemptSucceeded", "attemptFailed"):
        later = attempt + (told == "attemptStarted")
        answer = world.tell(run, told, attempt=later, failure=CRASHED)
        assert not answer.get("retry")
        with pytest.raises(StepFailed, match="over"):
            world.step(run, "map")
    on_execution_end(world.context, run.key, "ABORTED")
    world.clock.forward(hours=1)
    assert sweep(world.context) == 0
    assert world.now(run) == ended[0]


def test_a_step_that_begins_as_its_run_ends_is_over_with_it(world: World) -> None:
    """A worker that saw the run at work and then took its time leaves no step that runs."""
    seen = world.start(world.deployed(MAP))
    cancel_run(world.context, seen)
    world.runs.claim_step(seen, "map", world.clock())
    (step,) = get_run(world.context, ALICE, seen.id).steps
    assert (step.status, step.ended_at) == (StepStatus.CANCELLED, NOON)
    assert step.error is not None
    assert step.error.code == "runOver"


class NoResults(MemoryRuns):
    """A table that takes no steps."""

    def save_step(self, key: RunKey, record: StepRecord) -> StepRecord:
        """Refuse."""
        raise ConnectionError(key, record)


def test_a_cancellation_that_ends_half_way_is_whole() -> None:
    """No step is cancelled in a run that goes on, which would pass it with its records unread."""
    world = World(runs=NoResults())
    run = world.start(world.deployed(MAP))
    world.runs.claim_step(run, "map", world.clock())
    with pytest.raises(ConnectionError):
        cancel_run(world.context, run)
    assert world.now(run).status is RunStatus.CANCELLED


def test_a_run_that_is_over_stays_as_it_ended(world: World) -> None:
    """Cancelling it changes nothing and stops nothing."""
    run = world.start(world.deployed(MAP))
    world.step(run, "map")
    world.tell(run, "attemptSucceeded")
    ended = world.now(run)
    assert cancel_run(world.context, ended) == ended
    assert world.machines.outcome(run.machine_arn, run.id) == "RUNNING"


def test_a_synchronous_run_is_cancelled_without_its_machine(world: World) -> None:
    """Step Functions cannot stop an EXPRESS execution."""
    run = world.start(world.deployed(MAP, is_synchronous=True))
    assert cancel_run(world.context, run).status is RunStatus.CANCELLED
    assert world.machines.outcome(run.machine_arn, run.id) == "RUNNING"
