"""When a run ends, the flows that are to run next start: each once, whatever else happens."""

import pytest
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.flow import Flow
from millrace.domain.ports import Replace
from millrace.domain.run import Run, RunOutcome, RunStatus
from millrace.usecases.deploy import undeploy_version
from millrace.usecases.flow_changes import delete_flow
from millrace.usecases.flows import get_flow, latest_version
from millrace.usecases.lifecycle import cancel_run, on_execution_end
from millrace.usecases.payloads import load_payload
from millrace.usecases.run_ends import Failure
from millrace.usecases.runs import list_runs
from millrace.usecases.sweeper import sweep

MAP = process_step("map")
CRASHED = Failure(error="Lambda.Unknown")


@pytest.fixture
def world() -> World:
    """Nothing yet."""
    return World()


def runs_of(world: World, flow: Flow) -> tuple[Run, ...]:
    """The runs of a flow, newest first."""
    return list_runs(world.context, ALICE, flow.id, 100, None).items


def succeed(world: World, run: Run) -> Run:
    """Bring a run to its end."""
    world.step(run, "map")
    world.tell(run, "attemptSucceeded")
    return world.now(run)


def remove(world: World, flow: Flow) -> None:
    """Delete a flow that is deployed."""
    version = latest_version(world.context, get_flow(world.context, ALICE, flow.id))
    undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)
    revision = get_flow(world.context, ALICE, flow.id).revision
    delete_flow(world.context, ALICE, flow.id, revision)


def test_flows_start_when_a_run_ends(world: World) -> None:
    """Each says what started it, and the first run what it started."""
    following = [world.deployed(MAP, name=name) for name in ("Stock", "Mail")]
    flow = world.deployed(MAP, run_next_flow_ids=tuple(each.id for each in following))
    first = world.start(flow, {"id": 1})
    assert [runs_of(world, each) for each in following] == [(), ()]
    first = succeed(world, first)
    started = [runs_of(world, each)[0] for each in following]
    assert [(each.flow_id, each.run_id, each.reason) for each in first.next_runs] == [
        (run.flow_id, run.id, None) for run in started
    ]
    for run in started:
        assert (run.trigger.source, run.trigger.run_id) == ("flow", first.id)
        payload = {"flowId": flow.id, "runId": first.id, "status": "succeeded"}
        assert load_payload(world.context, run) == payload
        assert world.machines.outcome(run.machine_arn, run.id) == "RUNNING"


def test_flows_start_after_a_failure_too(world: World) -> None:
    """But not before the last attempt."""
    following = world.deployed(MAP, name="Mail")
    flow = world.deployed(MAP, run_next_flow_ids=(following.id,), retry_max_attempts=1)
    run = world.start(flow)
    world.tell(run, "attemptFailed", failure=CRASHED)
    assert runs_of(world, following) == ()
    world.tell(run, "attemptStarted", attempt=2)
    world.tell(run, "attemptFailed", attempt=2, failure=CRASHED)
    (started,) = runs_of(world, following)
    assert load_payload(world.context, started)["status"] == "failed"


def test_nothing_starts_after_a_cancelled_run(world: World) -> None:
    """Nor when its machine ends later."""
    following = world.deployed(MAP, name="Mail")
    run = world.start(world.deployed(MAP, run_next_flow_ids=(following.id,)))
    cancel_run(world.context, run)
    on_execution_end(world.context, run.key, "ABORTED")
    assert runs_of(world, following) == ()
    assert world.now(run).next_runs == ()


def test_nothing_starts_after_a_superseded_run(world: World) -> None:
    """What the newer one does is followed instead."""
    following = world.deployed(MAP, name="Mail")
    settings = {"retry_max_attempts": 1, "retry_unique_request_id_field": "id"}
    flow = world.deployed(MAP, run_next_flow_ids=(following.id,), **settings)
    older = world.start(flow, {"id": 7})
    world.tell(older, "attemptFailed", failure=CRASHED)
    world.start(flow, {"id": 7})
    assert world.now(older).status is RunStatus.SUPERSEDED
    assert runs_of(world, following) == ()


def test_an_end_told_again_starts_nothing_again(world: World) -> None:
    """By the machine, by Step Functions or by the sweeper, at any time."""
    following = world.deployed(MAP, name="Mail")
    run = world.start(world.deployed(MAP, run_next_flow_ids=(following.id,)))
    succeed(world, run)
    world.tell(run, "attemptSucceeded")
    on_execution_end(world.context, run.key, "SUCCEEDED")
    world.clock.forward(hours=1)
    sweep(world.context)
    assert len([each for each in runs_of(world, following) if each.trigger.run_id == run.id]) == 1


def finish_and_die(world: World, run: Run) -> None:
    """Write the end of a run as the function does that then dies."""
    outcome = RunOutcome(status=RunStatus.FAILED, is_followed=True)
    world.runs.finish(run.key, outcome, world.clock())


@pytest.mark.parametrize("told_by", ["machine", "failed machine", "Step Functions", "sweeper"])
def test_a_crash_after_the_end_is_made_up_for(world: World, told_by: str) -> None:
    """The end was written and nothing that follows it: the next who hears of it starts that."""
    following = world.deployed(MAP, name="Mail")
    run = world.start(world.deployed(MAP, run_next_flow_ids=(following.id,)))
    finish_and_die(world, run)
    assert world.now(run).status is RunStatus.FAILED
    assert runs_of(world, following) == ()
    world.clock.forward(minutes=10)
    match told_by:
        case "machine":
            world.tell(run, "attemptSucceeded")
        case "failed machine":
            assert world.tell(run, "attemptFailed", failure=CRASHED) == {"retry": False}
        case "Step Functions":
            on_execution_end(world.context, run.key, "FAILED")
        case _:
            assert sweep(world.context) == 1
    assert [each.trigger.run_id for each in runs_of(world, following)] == [run.id]
    assert world.now(run).status is RunStatus.FAILED
    assert run not in world.runs.unfinished(world.clock())


def test_what_cannot_start_is_noted(world: World) -> None:
    """A flow that is disabled, not deployed or gone does not fail the first, nor stop others."""
    disabled = world.deployed(MAP, name="Disabled", enabled=False)
    draft = world.flow(MAP, name="Draft")
    gone = world.deployed(MAP, name="Gone")
    fine = world.deployed(MAP, name="Fine")
    ids = tuple(each.id for each in (disabled, draft, gone, fine))
    flow = world.deployed(MAP, run_next_flow_ids=ids)
    remove(world, gone)
    run = succeed(world, world.start(flow))
    assert run.status is RunStatus.SUCCEEDED
    assert [each.flow_id for each in run.next_runs] == [*ids]
    reasons = [each.reason or "" for each in run.next_runs]
    assert "disabled" in reasons[0]
    assert "no deployed version" in reasons[1]
    assert gone.id in reasons[2]
    assert (reasons[3], len(runs_of(world, fine))) == ("", 1)


def test_a_circle_that_came_about_ends(world: World) -> None:
    """No flow may name a circle; one that is there all the same does not run for ever."""
    flow = world.deployed(MAP)
    stored = get_flow(world.context, ALICE, flow.id)
    circle = stored.model_copy(
        update={"run_next_flow_ids": (flow.id,), "revision": stored.revision + 1}
    )
    world.resources.commit(Replace(stored, circle))
    run = succeed(world, world.start(flow))
    while run.next_runs[0].run_id is not None:
        following = next(r for r in runs_of(world, flow) if r.id == run.next_runs[0].run_id)
        run = succeed(world, following)
    assert "20 flows in a row" in (run.next_runs[0].reason or "")
    assert len(runs_of(world, flow)) == limits.FLOWS_IN_A_ROW


def test_a_run_whose_flow_is_gone_has_no_followers(world: World) -> None:
    """Nobody can say any more what was to follow."""
    following = world.deployed(MAP, name="Mail")
    flow = world.deployed(MAP, run_next_flow_ids=(following.id,))
    run = world.start(flow)
    finish_and_die(world, run)
    world.machines.outcomes[run.machine_arn, run.id] = "FAILED"
    remove(world, flow)
    world.clock.forward(minutes=10)
    sweep(world.context)
    assert world.runs.unfinished(world.clock()) == ()


def test_who_may_start_nothing_leaves_it_to_the_sweeper(world: World) -> None:
    """The public function ends a synchronous run that could not tell of itself, and no more."""
    following = world.deployed(MAP, name="Mail")
    run = world.start(world.deployed(MAP, run_next_flow_ids=(following.id,)))
    on_execution_end(world.context, run.key, "FAILED", follows=False)
    assert world.now(run).status is RunStatus.FAILED
    assert runs_of(world, following) == ()
    world.clock.forward(minutes=10)
    sweep(world.context)
    assert len(runs_of(world, following)) == 1
