"""Runs as a caller wants them: a version, some steps, other connections, and waiting."""

import pytest
from tests.support.samples import ALICE, export_step, import_step, process_step
from tests.support.world import World

from millrace.domain.errors import ConflictError, RuleViolationError
from millrace.domain.ports import Delete
from millrace.domain.run import RunStatus, StepStatus
from millrace.domain.virtual_environment import Replacements, VirtualEnvironmentInput
from millrace.usecases.flows import latest_version
from millrace.usecases.run_flow import RunRequest, run_flow
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS
from millrace.usecases.waiting import wait_for

STEPS = (
    process_step("a", "$merge([$, {'a': 1}])"),
    process_step("b", "$merge([$, {'b': 1}])", depends_on=("a",)),
    process_step("c", "$merge([$, {'c': 1}])", depends_on=("b",)),
)


def test_only_the_chosen_steps_run(world: World) -> None:
    """What a step that is left out would have read goes past it; nothing is recorded of it."""
    flow = world.deployed(*STEPS)
    asked = RunRequest(payload=[{"n": 1}], steps_to_run=("a", "c"))
    run = run_flow(world.context, ALICE, flow.id, asked)
    statuses = [world.step(run, step.id).status for step in STEPS]
    assert statuses == [StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.SUCCEEDED]
    world.tell(run, "attemptSucceeded")
    assert [record.step_id for record in world.runs.steps(run.key, 1)] == ["a", "c"]
    ended = world.now(run)
    assert (ended.status, ended.counts.records_in, ended.counts.records_out) == (
        RunStatus.SUCCEEDED,
        1,
        1,
    )


def test_only_the_chosen_exports_begin_a_flow(world: World) -> None:
    """The other exports that begin it are left out, the steps after them are not."""
    shop = world.connection().id
    write = import_step("write", shop, depends_on=("first", "second"))
    flow = world.deployed(export_step("first", shop), export_step("second", shop), write)
    run = run_flow(world.context, ALICE, flow.id, RunRequest(export_ids=("second",)))
    assert run.steps_to_run == ("second", "write")


def test_a_version_deployed_before_can_run(world: World) -> None:
    """By its id; one that never was deployed has no machine."""
    flow = world.deployed(STEPS[0])
    first = flow.latest_version_id
    changed = world.change(flow, *STEPS)
    draft = RunRequest(version_id=latest_version(world.context, changed).id)
    with pytest.raises(ConflictError, match="never deployed"):
        run_flow(world.context, ALICE, flow.id, draft)
    world.deploy(flow)
    run = run_flow(world.context, ALICE, flow.id, RunRequest(version_id=first))
    assert (run.version_id, run.version_number) == (first, 1)


def test_a_virtual_environment_takes_other_connections(world: World) -> None:
    """The run reads from the connection that takes the place of the flow's."""
    live, sandbox = world.connection("live"), world.connection("sandbox")
    given = VirtualEnvironmentInput(
        name="sandbox", replacements=Replacements(connections={live.id: sandbox.id})
    )
    environment = VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given)
    flow = world.deployed(export_step("read", live.id))
    asked = RunRequest(virtual_environment_id=environment.id)
    run = run_flow(world.context, ALICE, flow.id, asked)
    world.resources.commit(Delete(live))
    assert world.step(run, "read").status is StepStatus.SUCCEEDED


def test_everything_unknown_is_told_at_once(world: World) -> None:
    """Each place is named, and nothing runs."""
    flow = world.deployed(*STEPS)
    asked = RunRequest(
        steps_to_run=("a", "x"), export_ids=("exp_9",), virtual_environment_id="venv_9"
    )
    with pytest.raises(RuleViolationError) as caught:
        run_flow(world.context, ALICE, flow.id, asked)
    assert {each.pointer for each in caught.value.violations} == {
        "/stepsToRun/1",
        "/exportIds/0",
        "/virtualEnvironmentId",
    }
    with pytest.raises(RuleViolationError, match="one rule"):
        run_flow(world.context, ALICE, flow.id, RunRequest(version_id="ver_9"))
    assert world.machines.started == {}


def test_waiting_ends_with_the_run_or_at_the_deadline(world: World) -> None:
    """The run is asked for ever less often, and no longer than the caller wants."""
    run = world.start(world.deployed(STEPS[0]))
    slept: list[float] = []
    assert wait_for(world.context, run, 5, slept.append).status is RunStatus.RUNNING
    assert slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, pytest.approx(0.45)]

    def end(_: float) -> None:
        world.step(run, "a")
        world.tell(run, "attemptSucceeded")

    assert wait_for(world.context, run, 5, end).status is RunStatus.SUCCEEDED
