"""Steps of type Flow: a run waits for a run of another flow, and each hears of the other's end."""

import pytest
from tests.support.samples import ALICE, filter_step, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepError, StepFailed, StepPartialSuccess, UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.run import Run, RunKey, RunOutcome, RunStatus, StepRecord, StepStatus
from millrace.domain.step import ExceptionBehavior, Step
from millrace.domain.virtual_environment import Replacements, VirtualEnvironmentInput
from millrace.storage.memory import MemoryMachines, MemoryRuns
from millrace.usecases.deploy import undeploy_version
from millrace.usecases.flows import get_flow, latest_version
from millrace.usecases.lifecycle import cancel_run
from millrace.usecases.pages import read_records
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_ends import Failure
from millrace.usecases.run_flow import RunRequest, run_flow
from millrace.usecases.runs import list_runs
from millrace.usecases.sweeper import sweep
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS

DOUBLE = process_step("double", '{"n": n * 2}')
FAILED = Failure(error="StepFailed")
ORDERS: list[Record] = [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.fixture
def world() -> World:
    """Nothing yet."""
    return World()


def calling(flow: Flow, **changes: Json) -> Step:
    """A step that waits for a flow."""
    return Step(**{"id": "call", "type": "Flow", "flow_id": flow.id, **changes})


def runs_of(world: World, flow: Flow) -> tuple[Run, ...]:
    """The runs of a flow, newest first."""
    return list_runs(world.context, ALICE, flow.id, 100, None).items


def called(world: World, record: StepRecord) -> Run:
    """The run that a step waits for, as it is now."""
    return world.runs.get(RunKey(ALICE.workspace_id, record.child_run_id or ""))


def record_of(world: World, run: Run, step_id: str = "call") -> StepRecord:
    """A step's record in the present attempt."""
    record = world.runs.step(run.key, world.now(run).attempt, step_id)
    assert record is not None
    return record


def handed_on(world: World, record: StepRecord) -> list[Record]:
    """The records that a step handed on."""
    return [each for page in read_records(world.blobs, record.output) for each in page]


def succeed(world: World, run: Run, *step_ids: str) -> None:
    """Bring a run to its end."""
    for step_id in step_ids:
        world.step(run, step_id)
    world.tell(run, "attemptSucceeded")


def fail(world: World, run: Run, step_id: str) -> None:
    """Have a step fail for good, and the run with it."""
    record = world.runs.claim_step(world.runs.get(run.key), step_id, world.clock())
    error = {"code": "http401", "message": "wrong token"}
    ended = {"status": "failed", "error": error, "endedAt": world.clock()}
    world.runs.save_step(run.key, StepRecord.model_validate({**record.to_json(), **ended}))
    world.tell(run, "attemptFailed", failure=FAILED)


def told(world: World) -> tuple[str, str]:
    """What the waiting machine was told: the name and code of an error."""
    error = world.machines.ended_tasks["token-1"]
    assert isinstance(error, StepError)
    return type(error).__name__, error.code


def test_a_step_waits_for_another_flow_and_hands_on_what_that_hands_on(world: World) -> None:
    """The records go in as its payload; each run names the other; nothing runs meanwhile."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    after = process_step("after", depends_on=("call",))
    run = world.start(world.deployed(calling(child_flow), after), ORDERS)
    waiting = world.step(run, "call", token="token-1")
    child = called(world, waiting)
    assert waiting.status is StepStatus.RUNNING
    assert world.machines.ended_tasks == {}
    assert world.machines.outcome(child.machine_arn, child.id) == "RUNNING"
    trigger = child.trigger
    assert (trigger.source, trigger.run_id, trigger.step_id) == ("flow", run.id, "call")
    succeed(world, child, "double")
    assert world.machines.ended_tasks == {"token-1": None}
    record = record_of(world, run)
    assert (record.status, record.child_run_id) == (StepStatus.SUCCEEDED, child.id)
    assert handed_on(world, record) == [{"n": 2}, {"n": 4}, {"n": 6}]
    assert (record.counts.records_in, record.counts.records_out) == (3, 3)
    assert handed_on(world, world.step(run, "after")) == [{"n": 2}, {"n": 4}, {"n": 6}]


def test_what_passes_a_step_by_goes_on_beside_what_the_other_flow_hands_on(world: World) -> None:
    """And what the filter drops, or fails on, the other flow does not get."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    step = calling(child_flow, filter="n > 1", on_not_matching="pass")
    run = world.start(world.deployed(step), ORDERS)
    child = called(world, world.step(run, "call", token="token-1"))
    succeed(world, child, "double")
    assert handed_on(world, record_of(world, run)) == [{"n": 4}, {"n": 6}, {"n": 1}]
    assert world.now(child).counts.records_in == 2


def test_many_records_go_by_reference(world: World) -> None:
    """Nothing is copied: the pages of the step before are what the other run reads."""
    child_flow = world.deployed(process_step("count", "{}"), name="Counting")
    text = "".join(chr(33 + number * 7919 % 90) for number in range(2_000))
    records: Json = [
        {"n": number, "text": f"{number}{text[number % 999 :]}"} for number in range(3_000)
    ]
    run = world.start(
        world.deployed(process_step("map"), calling(child_flow, depends_on=("map",))), records
    )
    first = world.step(run, "map")
    child = called(world, world.step(run, "call", token="token-1"))
    assert child.payload.inline is child.payload.key is None
    assert {page.key for page in child.payload.pages} <= {page.key for page in first.output}
    assert sum(page.records for page in child.payload.pages) == 3_000
    world.step(child, "count")
    assert world.runs.steps(child.key, 1)[0].counts.records_in == 3_000


def test_outputs_that_no_record_holds_are_kept_in_the_bucket(world: World) -> None:
    """A flow may have many last steps, each with a small page of its own."""
    text = "".join(chr(33 + number * 7919 % 90) for number in range(9_000))
    steps = [
        process_step(f"s{number}", f'{{"n": {number}, "text": text}}') for number in range(120)
    ]
    child_flow = world.deployed(*steps, name="Wide")
    run = world.start(world.deployed(calling(child_flow)), [{"text": text}])
    child = called(world, world.step(run, "call", token="token-1"))
    succeed(world, child, *(step.id for step in steps))
    record = record_of(world, run)
    assert [each["n"] for each in handed_on(world, record)] == list(range(120))
    assert len(record.to_json()["output"]) == 1


def test_however_often_the_worker_comes_back_there_is_one_run(world: World) -> None:
    """The latest token is the one that counts."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    run = world.start(world.deployed(calling(child_flow)), ORDERS)
    world.step(run, "call", token="token-1")
    child = called(world, world.step(run, "call", token="token-2"))
    assert runs_of(world, child_flow) == (child,)
    succeed(world, child, "double")
    assert world.machines.ended_tasks == {"token-2": None}
    world.step(run, "call", token="token-3")
    assert world.machines.ended_tasks == {"token-2": None, "token-3": None}


def test_a_worker_that_dies_after_the_start_finds_the_run_again(world: World) -> None:
    """Before it could note it; the run may even be over by then."""

    class Forgetful(MemoryRuns):
        def save_step(self, key: RunKey, record: StepRecord) -> StepRecord:
            if record.child_run_id is not None:
                raise MemoryError
            return super().save_step(key, record)

    world.runs.__class__ = Forgetful
    child_flow = world.deployed(DOUBLE, name="Doubling")
    run = world.start(world.deployed(calling(child_flow)), ORDERS)
    with pytest.raises(MemoryError):
        world.step(run, "call", token="token-1")
    (child,) = runs_of(world, child_flow)
    succeed(world, child, "double")
    world.runs.__class__ = MemoryRuns
    record = world.step(run, "call", token="token-2")
    assert (record.status, record.child_run_id) == (StepStatus.SUCCEEDED, child.id)
    assert world.machines.ended_tasks == {"token-2": None}
    assert len(runs_of(world, child_flow)) == 1


def test_an_end_of_which_the_machine_could_not_be_told_is_told_later(world: World) -> None:
    """By the sweeper, if nobody else."""

    class Busy(MemoryMachines):
        def end_task(self, token: str, error: StepError | None = None) -> None:
            raise UnavailableError(token) from error

    child_flow = world.deployed(DOUBLE, name="Doubling")
    run = world.start(world.deployed(calling(child_flow)), ORDERS)
    child = called(world, world.step(run, "call", token="token-1"))
    world.machines.__class__ = Busy
    with pytest.raises(UnavailableError):
        succeed(world, child, "double")
    world.machines.__class__ = MemoryMachines
    assert (world.now(child).status, world.machines.ended_tasks) == (RunStatus.SUCCEEDED, {})
    world.clock.forward(minutes=5)
    sweep(world.context)
    assert world.machines.ended_tasks == {"token-1": None}
    assert not world.now(child).is_followed


def test_r18_a_flow_that_fails_after_a_wait_fails_the_step(world: World) -> None:
    """With the other run, its step and its error."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    run = world.start(world.deployed(calling(child_flow)), ORDERS)
    child = called(world, world.step(run, "call", token="token-1"))
    world.clock.forward(hours=3)
    fail(world, child, "double")
    assert told(world) == ("StepFailed", "subflowFailed")
    world.tell(run, "attemptFailed", failure=FAILED)
    error = world.now(run).error
    assert error is not None
    assert (error.code, error.step_id) == ("subflowFailed", "call")
    for part in (child.id, child_flow.id, "'double'", "http401", "wrong token"):
        assert part in error.message


def test_r18_a_run_that_is_cancelled_cancels_the_run_that_it_waits_for(world: World) -> None:
    """And those that that one waits for."""
    inner_flow = world.deployed(DOUBLE, name="Inner")
    middle_flow = world.deployed(calling(inner_flow), name="Middle")
    run = world.start(world.deployed(calling(middle_flow)), ORDERS)
    middle = called(world, world.step(run, "call", token="token-1"))
    inner = called(world, world.step(middle, "call", token="token-2"))
    cancel_run(world.context, run)
    for each in (run, middle, inner):
        assert world.now(each).status is RunStatus.CANCELLED
        assert world.machines.outcome(each.machine_arn, each.id) == "ABORTED"
    with pytest.raises(StepFailed):
        world.step(inner, "double")
    assert world.machines.ended_tasks == {}


def test_a_run_that_is_cancelled_fails_the_step_that_waits_for_it(world: World) -> None:
    """Which says so."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    run = world.start(world.deployed(calling(child_flow)), ORDERS)
    child = called(world, world.step(run, "call", token="token-1"))
    cancel_run(world.context, child)
    assert told(world) == ("StepFailed", "subflowCancelled")
    error = record_of(world, run).error
    assert error is not None
    assert error.message == f"run {child.id} of flow {child_flow.id} was cancelled"


def test_a_run_that_starts_while_its_caller_is_cancelled_is_cancelled(world: World) -> None:
    """Whichever of them is seen first."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    run = world.start(world.deployed(calling(child_flow)), ORDERS)

    class Meddling(MemoryRuns):
        def save_step(self, key: RunKey, record: StepRecord) -> StepRecord:
            if record.child_run_id is not None and not world.now(run).status.is_terminal:
                cancel_run(world.context, world.now(run))
            return super().save_step(key, record)

    world.runs.__class__ = Meddling
    world.step(run, "call", token="token-1")
    (child,) = runs_of(world, child_flow)
    assert child.status is RunStatus.CANCELLED


@pytest.mark.parametrize("retries", [0, 1], ids=["run", "attempt"])
def test_what_an_attempt_that_failed_waited_for_is_cancelled(world: World, retries: int) -> None:
    """A neighbour failed meanwhile; the next attempt, if there is one, has a run of its own."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    flow = world.deployed(calling(child_flow), process_step("other"), retry_max_attempts=retries)
    run = world.start(flow, ORDERS)
    child = called(world, world.step(run, "call", token="token-1"))
    world.tell(run, "attemptFailed", failure=FAILED)
    assert world.now(child).status is RunStatus.CANCELLED
    if retries:
        world.tell(run, "attemptStarted", attempt=2)
        again = called(world, world.step(run, "call", token="token-2"))
        assert (again.id != child.id, again.trigger.attempt) == (True, 2)


def test_the_sweeper_cancels_what_nobody_waits_for_any_more(world: World) -> None:
    """If whoever ended the waiting run died before."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    run = world.start(world.deployed(calling(child_flow)), ORDERS)
    child = called(world, world.step(run, "call", token="token-1"))
    world.clock.forward(minutes=5)
    sweep(world.context)
    assert world.now(child).status is RunStatus.RUNNING
    world.runs.finish(run.key, RunOutcome(status=RunStatus.FAILED), world.clock())
    sweep(world.context)
    assert world.now(child).status is RunStatus.CANCELLED


@pytest.mark.parametrize("strategy", ["continue", "stop"])
def test_a_flow_that_succeeds_in_part_does_so_for_the_step(world: World, strategy: str) -> None:
    """The machine stops where the step says so."""
    child_flow = world.deployed(
        process_step("half", '{"n": 1 / n, "x": $error("no")}'), name="Half"
    )
    behavior = ExceptionBehavior.model_validate({"type": "partial_success", "strategy": strategy})
    run = world.start(world.deployed(calling(child_flow, exception_behavior=(behavior,))), ORDERS)
    child = called(world, world.step(run, "call", token="token-1"))
    succeed(world, child, "half")
    record = record_of(world, run)
    assert (record.status, record.counts.records_failed) == (StepStatus.PARTIALLY_SUCCEEDED, 3)
    if strategy == "stop":
        assert told(world) == (StepPartialSuccess.__name__, "subflowPartiallySucceeded")
    else:
        assert world.machines.ended_tasks == {"token-1": None}


def test_a_flow_that_cannot_run_fails_the_step(world: World) -> None:
    """Disabled, or not deployed any more."""
    disabled = world.deployed(DOUBLE, name="Disabled")
    gone = world.deployed(DOUBLE, name="Undeployed")
    flow = world.deployed(calling(disabled), calling(gone, id="other"))
    world.change(disabled, DOUBLE, name="Disabled", enabled=False)
    version = latest_version(world.context, get_flow(world.context, ALICE, gone.id))
    undeploy_version(world.context, ALICE, gone.id, version.id, version.revision)
    run = world.start(flow, ORDERS)
    for step_id, code in (("call", "subflowDisabled"), ("other", "subflowNotStarted")):
        with pytest.raises(StepFailed) as caught:
            world.step(run, step_id, token=f"token of {step_id}")
        assert caught.value.code == code
    assert world.machines.ended_tasks == {}


def test_flows_wait_for_each_other_only_so_deep(world: World) -> None:
    """A chain of flows that no deployment could see to be a circle ends."""
    flows = [world.deployed(DOUBLE, name="Last")]
    for number in range(limits.SUBFLOW_DEPTH + 1):
        flows.append(world.deployed(calling(flows[-1]), name=f"Flow {number}"))
    run = world.start(flows[-1], ORDERS)
    for depth in range(limits.SUBFLOW_DEPTH):
        run = called(world, world.step(run, "call", token=f"token-{depth}"))
    assert run.trigger.depth == limits.SUBFLOW_DEPTH
    with pytest.raises(StepFailed) as caught:
        world.step(run, "call", token="token-last")
    assert caught.value.code == "subflowTooDeep"


def test_the_other_run_is_given_what_the_waiting_one_was_given(world: World) -> None:
    """Its virtual environment, variables, parameters and window of time."""
    child_flow = world.deployed(
        process_step("who", '{"sku": $parameters.sku, "v": $variables.v}'), name="Who"
    )
    flow = world.deployed(calling(child_flow))
    given = VirtualEnvironmentInput(name="Test", replacements=Replacements(connections={}))
    environment = VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given)
    asked = RunRequest.model_validate(
        {
            "payload": [{"n": 1}],
            "virtualEnvironmentId": environment.id,
            "parameters": {"sku": "A-1"},
            "flowVariables": {"v": 7},
            "startDate": world.clock(),
        }
    )
    run = run_flow(world.context, ALICE, flow.id, asked)
    child = called(world, world.step(run, "call", token="token-1"))
    assert (child.virtual_environment_id, child.start_date) == (environment.id, world.clock())
    succeed(world, child, "who")
    assert handed_on(world, record_of(world, run)) == [{"sku": "A-1", "v": 7}]


def test_a_retry_from_the_failed_step_keeps_flows_that_succeeded(world: World) -> None:
    """Their output is taken over, and they do not run again."""
    good, bad = (world.deployed(DOUBLE, name=name) for name in ("Good", "Bad"))
    flow = world.deployed(calling(good), calling(bad, id="next", depends_on=("call",)))
    run = world.start(flow, ORDERS)
    first = called(world, world.step(run, "call", token="token-1"))
    succeed(world, first, "double")
    fail(world, called(world, world.step(run, "next", token="token-2")), "double")
    world.tell(run, "attemptFailed", failure=FAILED)
    again = retry_run(
        world.context, ALICE, run.id, RetryRequest.model_validate({"from": "failedStep"})
    )
    record = world.step(again, "call", token="token-3")
    assert (record.status, record.child_run_id) == (StepStatus.SUCCEEDED, first.id)
    assert world.machines.ended_tasks["token-3"] is None
    assert runs_of(world, good) == (world.now(first),)


def test_a_retry_from_the_failed_step_goes_on_within_the_flow_that_failed(world: World) -> None:
    """A new run of it repeats the one that failed, and keeps what succeeded there."""
    child_flow = world.deployed(
        DOUBLE, filter_step("last", "n > 2", depends_on=("double",)), name="Child"
    )
    run = world.start(world.deployed(calling(child_flow)), ORDERS)
    child = called(world, world.step(run, "call", token="token-1"))
    world.step(child, "double")
    fail(world, child, "last")
    world.tell(run, "attemptFailed", failure=FAILED)
    again = retry_run(
        world.context, ALICE, run.id, RetryRequest.model_validate({"from": "failedStep"})
    )
    second = called(world, world.step(again, "call", token="token-2"))
    assert (second.retry_of, second.carried_over) == (child.id, ("double",))
    assert second.trigger.run_id == again.id
    succeed(world, second, "double", "last")
    assert handed_on(world, record_of(world, again)) == [{"n": 4}, {"n": 6}]


def test_a_step_that_a_run_leaves_out_does_not_keep_the_machine_waiting(world: World) -> None:
    """The machine is told at once."""
    child_flow = world.deployed(DOUBLE, name="Doubling")
    flow = world.deployed(process_step("map"), calling(child_flow))
    asked = RunRequest(payload=[{"n": 1}], steps_to_run=("map",))
    run = run_flow(world.context, ALICE, flow.id, asked)
    assert world.step(run, "call", token="token-1").status is StepStatus.SKIPPED
    assert world.machines.ended_tasks == {"token-1": None}
    assert runs_of(world, child_flow) == ()
