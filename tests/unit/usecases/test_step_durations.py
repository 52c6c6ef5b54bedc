"""The compiler plans with what steps took in past runs."""

from tests.support.samples import process_step
from tests.support.world import World

from millrace.domain.flow import Flow
from millrace.domain.run import Run, RunOutcome, RunStatus, StepStatus
from millrace.usecases.step_durations import RUNS, past_durations


def finish(
    world: World, flow: Flow, seconds: float, status: RunStatus = RunStatus.SUCCEEDED
) -> Run:
    """A run of the flow whose step `a` took this long."""
    run = world.start(flow)
    record = world.runs.claim_step(world.runs.get(run.key), "a", world.clock())
    world.clock.forward(seconds=seconds)
    done = {"status": StepStatus.SUCCEEDED, "ended_at": world.clock()}
    world.runs.save_step(run.key, record.model_copy(update=done))
    return world.runs.finish(run.key, RunOutcome(status=status), world.clock())


def test_a_step_takes_the_mean_of_the_last_successful_runs(world: World) -> None:
    """Runs that failed and runs long ago do not count; steps that never ran are left out."""
    flow = world.deployed(process_step("a"), process_step("b"))
    finish(world, flow, seconds=1_000)
    for seconds in range(1, RUNS + 1):
        finish(world, flow, seconds=seconds)
    finish(world, flow, seconds=500, status=RunStatus.FAILED)
    assert past_durations(world.context, flow) == {"a": (RUNS + 1) / 2}


def test_a_flow_that_never_ran_has_no_durations(world: World) -> None:
    """The compiler then goes by the types of the steps."""
    assert past_durations(world.context, world.deployed(process_step("a"))) == {}
