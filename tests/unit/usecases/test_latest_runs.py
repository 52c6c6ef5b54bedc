"""Flows and versions tell of their latest run, and no run suffers for it."""

from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace.domain.errors import UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.run import LatestRun, RunStatus
from millrace.storage.memory import MemoryResources
from millrace.usecases.flows import get_flow
from millrace.usecases.latest_runs import latest_runs

MAP = process_step("map")


def flow_now(world: World, flow: Flow) -> Flow:
    """The flow as it is stored now."""
    return get_flow(world.context, ALICE, flow.id)


def test_a_flow_shows_its_run_from_the_start_to_the_end(world: World) -> None:
    """While it runs it has no end and no success; afterwards both."""
    flow = world.deployed(MAP)
    run = world.start(flow)
    begun = flow_now(world, flow).latest_run
    assert begun is not None
    assert (begun.run_id, begun.status, begun.success) == (run.id, RunStatus.RUNNING, None)
    assert (begun.trigger_source, begun.start_date, begun.end_date) == (
        "manual",
        run.started_at,
        None,
    )
    world.clock.forward(seconds=5)
    world.tell(run, "attemptFailed")
    ended = flow_now(world, flow).latest_run
    assert ended is not None
    assert (ended.success, ended.execution_error_code) == (False, "crashed")
    assert ended.message is not None
    assert ended.end_date == world.clock()


def test_each_version_has_a_latest_run_of_its_own(world: World) -> None:
    """The version that ran before keeps its run when another one runs."""
    flow = world.deployed(MAP)
    first_version = flow.latest_version_id
    first = world.start(flow)
    world.change(flow, MAP, process_step("more", depends_on=("map",)))
    world.clock.forward(seconds=1)
    second_version = world.deploy(flow).id
    second = world.start(flow_now(world, flow))
    world.step(first, "map")
    world.tell(first, "attemptSucceeded")
    flow = flow_now(world, flow)
    asked = [(flow, first_version), (flow, second_version), (flow, "ver_9")]
    found = latest_runs(world.context, ALICE.workspace_id, asked)
    assert {id_: (each.run_id, each.status) for id_, each in found.items()} == {
        first_version: (first.id, RunStatus.SUCCEEDED),
        second_version: (second.id, RunStatus.RUNNING),
    }


class BusyResources(MemoryResources):
    """A store that cannot write latest runs just now."""

    def record_run(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
        """See Resources."""
        raise UnavailableError(f"busy: {workspace_id} {flow_id} {run.run_id}")


def test_a_run_goes_on_when_its_flow_cannot_be_told() -> None:
    """What a flow shows is worth no run."""
    world = World(resources=BusyResources())
    run = world.start(world.deployed(MAP))
    world.step(run, "map")
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.SUCCEEDED
