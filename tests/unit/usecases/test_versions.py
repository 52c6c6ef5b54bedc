"""Drafts begin from any version, older versions come back, and what is gone leaves no trace."""

import pytest
from tests.support.samples import ALICE, MALLORY, process_step, unstamped
from tests.support.world import World

from millrace.domain.errors import ConflictError, NotFoundError, PreconditionRequiredError
from millrace.domain.flow import Flow, Version
from millrace.domain.run import RunStatus
from millrace.usecases.audit import list_audit
from millrace.usecases.deploy import undeploy_version
from millrace.usecases.flows import get_flow, get_version, latest_version
from millrace.usecases.versions import create_draft, delete_version, roll_back

READ = process_step("read")
WRITE = process_step("write", depends_on=("read",))


def two_versions(world: World) -> tuple[Flow, Version, Version]:
    """A flow whose second version took over from its first."""
    flow = world.deployed(READ)
    world.change(flow, READ, WRITE)
    second = world.deploy(flow)
    first = get_version(world.context, ALICE, flow.id, str(flow.deployed_version_id))
    return get_flow(world.context, ALICE, flow.id), first, second


def test_a_draft_begins_from_the_latest_or_a_given_version(world: World) -> None:
    """With its steps and a number of its own; there is one draft at most."""
    flow, first, _ = two_versions(world)
    draft = create_draft(world.context, ALICE, flow.id, first.id)
    assert (draft.number, draft.state, unstamped(draft.steps)) == (3, "draft", (READ,))
    now = get_flow(world.context, ALICE, flow.id)
    assert (now.draft_version_id, now.latest_version_id, now.steps_count) == (draft.id, draft.id, 1)
    assert now.deployed_version_id == flow.deployed_version_id
    with pytest.raises(ConflictError, match=draft.id):
        create_draft(world.context, ALICE, flow.id)
    delete_version(world.context, ALICE, flow.id, draft.id, draft.revision)
    draft = create_draft(world.context, ALICE, flow.id)
    assert unstamped(draft.steps) == (READ, WRITE)


def test_a_rollback_makes_an_older_version_live(world: World) -> None:
    """And says so in the trail; a draft cannot be rolled back to."""
    flow, first, second = two_versions(world)
    draft = create_draft(world.context, ALICE, flow.id)
    live = roll_back(world.context, ALICE, flow.id, first.id)
    now = get_flow(world.context, ALICE, flow.id)
    assert (live.state, now.deployed_version_id, now.draft_version_id) == (
        "deployed",
        first.id,
        draft.id,
    )
    assert get_version(world.context, ALICE, flow.id, second.id).state == "inactive"
    assert list_audit(world.context, ALICE, flow.id, 1, None).items[0].event == "rolledBack"
    with pytest.raises(ConflictError, match="never deployed"):
        roll_back(world.context, ALICE, flow.id, draft.id)


def test_r15_a_hundred_runs_end_on_the_versions_that_they_began_with(world: World) -> None:
    """Another version is deployed and rolled back while they are in flight."""
    flow = world.deployed(READ)
    runs = [world.start(flow) for _ in range(40)]
    for run in runs[:20]:
        world.step(run, "read")
    world.change(flow, READ, WRITE)
    second = world.deploy(flow)
    runs += [world.start(get_flow(world.context, ALICE, flow.id)) for _ in range(30)]
    roll_back(world.context, ALICE, flow.id, runs[0].version_id)
    runs += [world.start(get_flow(world.context, ALICE, flow.id)) for _ in range(30)]
    for run in runs:
        for step in ("read", "write") if run.version_id == second.id else ("read",):
            world.step(run, step)
        world.tell(run, "attemptSucceeded")
    ended = [world.now(run) for run in runs]
    assert {run.status for run in ended} == {RunStatus.SUCCEEDED}
    assert [run.version_number for run in ended] == [1] * 40 + [2] * 30 + [1] * 30
    assert len({run.machine_arn for run in ended}) == 2
    counts = [len(world.runs.steps(run.key, 1)) for run in ended]
    assert counts == [1] * 40 + [2] * 30 + [1] * 30


def test_a_version_goes_with_its_machine(world: World) -> None:
    """An inactive one; the deployed one stays until another is live."""
    flow, first, second = two_versions(world)
    with pytest.raises(ConflictError, match="deployed"):
        delete_version(world.context, ALICE, flow.id, second.id, second.revision)
    delete_version(world.context, ALICE, flow.id, first.id, first.revision)
    with pytest.raises(NotFoundError):
        get_version(world.context, ALICE, flow.id, first.id)
    assert list(world.machines.deployed) == [second.machine_arn]


def test_a_flow_knows_which_version_was_deployed_last(world: World) -> None:
    """Also when it is not deployed any more, until it is deleted."""
    flow, _, second = two_versions(world)
    retired = undeploy_version(world.context, ALICE, flow.id, second.id, second.revision)
    now = get_flow(world.context, ALICE, flow.id)
    assert (now.deployed_version_id, now.latest_deployed_version_id) == (None, second.id)
    delete_version(world.context, ALICE, flow.id, second.id, retired.revision)
    assert get_flow(world.context, ALICE, flow.id).latest_deployed_version_id is None


def test_a_number_is_never_given_twice(world: World) -> None:
    """Machines and runs are named by it, also after the latest version is deleted."""
    flow = world.deployed(READ)
    draft = create_draft(world.context, ALICE, flow.id)
    delete_version(world.context, ALICE, flow.id, draft.id, draft.revision)
    now = get_flow(world.context, ALICE, flow.id)
    assert (now.latest_version_number, now.draft_version_id) == (1, None)
    world.change(flow, READ, WRITE)
    assert latest_version(world.context, get_flow(world.context, ALICE, flow.id)).number == 3


def test_a_version_with_runs_at_work_stays(world: World) -> None:
    """They are pinned to it and would lose their steps."""
    flow, first, _ = two_versions(world)
    roll_back(world.context, ALICE, flow.id, first.id)
    run = world.start(get_flow(world.context, ALICE, flow.id))
    second = latest_version(world.context, flow)
    roll_back(world.context, ALICE, flow.id, second.id)
    old = get_version(world.context, ALICE, flow.id, first.id)
    with pytest.raises(ConflictError, match="not over"):
        delete_version(world.context, ALICE, flow.id, old.id, old.revision)
    world.step(run, "read")
    world.tell(run, "attemptSucceeded")
    delete_version(world.context, ALICE, flow.id, old.id, old.revision)


def test_the_only_version_stays(world: World) -> None:
    """A flow without a version would have no steps to edit."""
    flow = world.flow(READ)
    draft = latest_version(world.context, flow)
    with pytest.raises(ConflictError, match="only version"):
        delete_version(world.context, ALICE, flow.id, draft.id, draft.revision)
    with pytest.raises(PreconditionRequiredError):
        delete_version(world.context, ALICE, flow.id, draft.id, None)


def test_versions_are_the_workspaces_own(world: World) -> None:
    """To another workspace the flow is not there."""
    flow = world.deployed(READ)
    version = latest_version(world.context, flow)
    with pytest.raises(NotFoundError):
        create_draft(world.context, MALLORY, flow.id)
    with pytest.raises(NotFoundError):
        roll_back(world.context, MALLORY, flow.id, version.id)
    with pytest.raises(NotFoundError):
        delete_version(world.context, MALLORY, flow.id, version.id, version.revision)
