"""Drafts are edited, versions are frozen, and deploying switches in one step or not at all."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.samples import ALICE, MALLORY, export_step, import_step, process_step, unstamped
from tests.support.world import World

from millrace.domain.action import ActionInput, ProcessAction
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
    UnavailableError,
)
from millrace.domain.flow import Flow, FlowInput, MachineKind, Version
from millrace.domain.operations import MapOperation
from millrace.domain.ports import Schedule
from millrace.domain.token import Caller
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.storage.memory import MemoryMachines, MemorySchedules
from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.deploy import deploy_version, undeploy_version
from millrace.usecases.flow_changes import create_flow, delete_flow, replace_flow
from millrace.usecases.flow_lists import list_flows
from millrace.usecases.flows import get_flow, get_version, latest_version, list_versions
from millrace.usecases.lists import Asked
from millrace.usecases.trigger_sync import resync_triggers
from millrace.usecases.webhooks import WEBHOOKS

READ = process_step("read")
WRITE = process_step("write", depends_on=("read",))


def versions(world: World, flow: Flow) -> tuple[Version, ...]:
    """All versions of a flow."""
    _, listing = list_versions(world.context, ALICE, flow.id, 100, None)
    return listing.items


def listed(context: Context, caller: Caller, **filters: list[str]) -> tuple[Flow, ...]:
    """The flows that a caller sees."""
    return list_flows(context, Asked(Flow, caller.workspace_id), filters).items


def draft_of(world: World, flow: Flow) -> Version:
    """The version that edits go to."""
    now = get_flow(world.context, ALICE, flow.id)
    assert now.draft_version_id is not None
    return get_version(world.context, ALICE, flow.id, now.draft_version_id)


def test_a_new_flow_is_a_draft(world: World) -> None:
    """It is enabled but not deployed, so nothing can start it yet."""
    flow = world.flow(READ, WRITE)
    assert (flow.is_enabled, flow.deployed_version_id, flow.steps_count) == (True, None, 2)
    (only,) = versions(world, flow)
    assert (only.number, only.state, only.id) == (1, "draft", flow.draft_version_id)
    assert unstamped(only.steps) == (READ, WRITE)


def test_a_draft_is_edited_in_place(world: World) -> None:
    """Edits before the first deploy make no new versions."""
    flow = world.flow(READ)
    changed = world.change(flow, READ, WRITE)
    assert changed.latest_version_id == flow.latest_version_id
    assert changed.steps_count == 2
    assert len(versions(world, flow)) == 1
    assert unstamped(draft_of(world, flow).steps) == (READ, WRITE)


def test_a_change_that_changes_nothing_leaves_the_revision(world: World) -> None:
    """Sending back what one read is no change."""
    flow = world.flow(READ)
    assert world.change(flow, READ) == flow


def test_a_version_is_frozen_by_its_deploy(world: World) -> None:
    """Edits after a deploy begin a new draft; the live version's steps stay as they are."""
    flow = world.deployed(READ)
    changed = world.change(flow, READ, WRITE)
    assert changed.latest_version_number == 2
    first, second = versions(world, flow)
    assert (first.state, unstamped(first.steps)) == ("deployed", (READ,))
    assert (second.state, unstamped(second.steps)) == ("draft", (READ, WRITE))
    assert changed.deployed_version_id == first.id


def test_settings_change_without_a_new_version(world: World) -> None:
    """A flow's name or retries belong to the flow, not to its versions."""
    flow = world.deployed(READ)
    changed = world.change(flow, READ, name="Invoices", retryMaxAttempts=3)
    assert (changed.name, changed.retry_max_attempts) == ("Invoices", 3)
    assert len(versions(world, flow)) == 1


def test_enabling_keeps_the_time_it_happened_first(world: World) -> None:
    """The time since when a flow is enabled does not move with other changes."""
    flow = world.flow(READ)
    world.clock.forward(hours=1)
    assert world.change(flow, READ, name="Invoices").enabled_at == flow.enabled_at
    assert world.change(flow, READ, enabled=False).enabled_at is None
    assert world.change(flow, READ, enabled=True).enabled_at == world.clock.now


def test_deploying_creates_one_machine_and_makes_the_version_live(world: World) -> None:
    """The flow points at the version, which points at its machine."""
    flow = world.deployed(READ)
    (version,) = versions(world, flow)
    assert flow.deployed_version_id == version.id
    assert flow.draft_version_id is None
    assert (version.state, version.deployed_at) == ("deployed", world.clock.now)
    assert list(world.machines.deployed) == [version.machine_arn] == [f"{flow.id}-v1"]


def test_deploying_again_changes_nothing(world: World) -> None:
    """A version that is live already stays as it is."""
    flow = world.deployed(READ)
    (version,) = versions(world, flow)
    assert deploy_version(world.context, ALICE, flow.id, version.id, version.revision) == version
    assert get_flow(world.context, ALICE, flow.id) == flow


def test_the_next_version_takes_over(world: World) -> None:
    """The switch retires the old version, whose machine stays for the runs that are on it."""
    flow = world.deployed(READ)
    world.change(flow, READ, WRITE)
    world.deploy(flow)
    first, second = versions(world, flow)
    assert (first.state, second.state) == ("inactive", "deployed")
    assert get_flow(world.context, ALICE, flow.id).deployed_version_id == second.id
    assert len(world.machines.deployed) == 2


def test_an_older_version_can_be_made_live_again(world: World) -> None:
    """Rolling back is a deploy; the draft that was begun stays."""
    flow = world.deployed(READ)
    world.change(flow, READ, WRITE)
    world.deploy(flow)
    world.change(flow, WRITE.model_copy(update={"depends_on": ()}))
    first = versions(world, flow)[0]
    deploy_version(world.context, ALICE, flow.id, first.id, first.revision)
    assert [version.state for version in versions(world, flow)] == ["deployed", "inactive", "draft"]
    assert draft_of(world, flow).number == 3


class BrokenMachines(MemoryMachines):
    """Step Functions on a bad day."""

    def deploy(self, name: str, asl: str, kind: MachineKind) -> str:
        """Fail."""
        raise UnavailableError(f"cannot create {name} ({kind}, {len(asl)} bytes)")


def test_a_machine_that_cannot_be_made_leaves_the_old_version_live(world: World) -> None:
    """Everything that can fail comes before the switch; a later try succeeds."""
    flow = world.deployed(READ)
    world.change(flow, READ, WRITE)
    draft = draft_of(world, flow)
    broken = replace(world.context, machines=BrokenMachines())
    before = (get_flow(world.context, ALICE, flow.id), versions(world, flow))
    with pytest.raises(UnavailableError):
        deploy_version(broken, ALICE, flow.id, draft.id, draft.revision)
    assert (get_flow(world.context, ALICE, flow.id), versions(world, flow)) == before
    world.deploy(flow)
    assert versions(world, flow)[1].state == "deployed"


def test_a_draft_that_went_bad_is_not_deployed(world: World) -> None:
    """What it refers to may be gone since it was saved; the old version stays live."""
    connection = world.connection()
    given = ActionInput(
        name="map",
        work=ProcessAction(type="Process", operations=(MapOperation(type="map", expression="$"),)),
    )
    action = ACTIONS.create(world.context, ALICE, given)
    flow = world.deployed(READ)
    world.change(
        flow,
        export_step(connection_id=connection.id),
        process_step("map", action=None, referrer=action.id, depends_on=("read",)),
    )
    CONNECTIONS.delete(world.context, ALICE, connection.id, 1)
    ACTIONS.delete(world.context, ALICE, action.id, 1)
    with pytest.raises(RuleViolationError) as raised:
        world.deploy(flow)
    found = {(violation.code, violation.pointer) for violation in raised.value.violations}
    assert found == {
        ("unknownConnection", "/steps/0/action/connectionId"),
        ("unknownAction", "/steps/1/referrer"),
    }
    assert get_flow(world.context, ALICE, flow.id).deployed_version_id == flow.deployed_version_id


def test_a_flow_without_steps_is_saved_but_not_deployed(world: World) -> None:
    """A draft may be empty while it is in the making."""
    flow = world.flow()
    with pytest.raises(RuleViolationError) as raised:
        world.deploy(flow)
    assert [violation.code for violation in raised.value.violations] == ["noEnabledStep"]
    assert world.machines.deployed == {}


def test_undeploying_stops_new_runs_only(world: World) -> None:
    """The version becomes inactive; its machine stays for the runs that are on it."""
    flow = world.deployed(READ)
    (version,) = versions(world, flow)
    retired = undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)
    assert retired.state == "inactive"
    now = get_flow(world.context, ALICE, flow.id)
    assert now.deployed_version_id is None
    assert list(world.machines.deployed) == [version.machine_arn]
    with pytest.raises(ConflictError, match="deploy one first"):
        world.start(now)
    again = undeploy_version(world.context, ALICE, flow.id, version.id, retired.revision)
    assert again == retired


def test_deploy_and_undeploy_need_the_revision_that_is_there(world: World) -> None:
    """Nobody deploys a version that somebody else has just changed."""
    flow = world.flow(READ)
    for act in (deploy_version, undeploy_version):
        with pytest.raises(PreconditionRequiredError):
            act(world.context, ALICE, flow.id, flow.latest_version_id, None)
        with pytest.raises(RevisionMismatchError):
            act(world.context, ALICE, flow.id, flow.latest_version_id, 7)


def test_the_schedule_is_there_while_the_flow_wants_it(world: World) -> None:
    """It comes with the deploy, goes with disabling or undeploying, and follows changes."""
    hourly: dict[str, Any] = {"schedule": "rate(1 hour)", "timezone": "Europe/Paris"}
    flow = world.flow(READ, **hourly)
    assert world.schedules.schedules == {}
    version = world.deploy(flow)
    schedule = world.schedules.schedules[flow.id]
    assert (schedule.expression, schedule.timezone) == ("rate(1 hour)", "Europe/Paris")
    assert schedule.data == {"workspaceId": ALICE.workspace_id, "flowId": flow.id}

    resync_triggers(world.context, world.change(flow, READ, schedule="0 2 * * *"))
    assert world.schedules.schedules[flow.id].expression == "cron(0 2 * * ? *)"
    resync_triggers(world.context, world.change(flow, READ, **hourly, enabled=False))
    assert world.schedules.schedules == {}
    resync_triggers(world.context, world.change(flow, READ, **hourly))
    assert flow.id in world.schedules.schedules
    undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)
    assert world.schedules.schedules == {}


def test_a_change_asks_nothing_of_schedules_while_no_version_is_deployed() -> None:
    """It would be a call for each change, and there is nothing to change."""
    world = World(schedules=_NoSchedules())
    flow = world.flow(READ, schedule="rate(1 hour)")
    resync_triggers(world.context, world.change(flow, READ, schedule="rate(2 hours)"))
    resync_triggers(world.context, world.change(flow, READ))


class _NoSchedules(MemorySchedules):
    """The scheduler is out of reach."""

    def put(self, schedule: Schedule) -> None:
        raise UnavailableError(schedule.name)

    def delete(self, name: str) -> None:
        raise UnavailableError(name)


def test_a_deployed_flow_is_not_deleted(world: World) -> None:
    """Undeploying first stops the triggers."""
    flow = world.deployed(READ)
    with pytest.raises(ConflictError, match="undeploy"):
        delete_flow(world.context, ALICE, flow.id, flow.revision)
    assert get_flow(world.context, ALICE, flow.id) == flow


def test_a_deleted_flow_leaves_nothing_behind(world: World) -> None:
    """Versions, machines, webhooks and their secrets go with it."""
    flow = world.deployed(READ)
    given = WebhookInput.model_validate({"hmacAlgorithm": "sha256", "hmacSecretKey": "s3cret"})
    hook = WEBHOOKS.create(world.context, ALICE, given, flow_id=flow.id)
    (version,) = versions(world, flow)
    undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)
    delete_flow(world.context, ALICE, flow.id, flow.revision + 1)
    with pytest.raises(NotFoundError):
        get_flow(world.context, ALICE, flow.id)
    with pytest.raises(NotFoundError):
        get_version(world.context, ALICE, flow.id, version.id)
    assert world.resources.find_public(Webhook, hook.id) is None
    assert (world.machines.deployed, world.secrets.values) == ({}, {})


def test_faults_of_a_flow_are_named_all_at_once(world: World) -> None:
    """Graph, references and expressions are checked together, and nothing is stored."""
    steps = (
        process_step("a", depends_on=("c",)),
        import_step("b", connection_id="con_9", depends_on=("a", "nowhere")),
        process_step("c", expression="$(", depends_on=("b",)),
        process_step("a", action=None),
        process_step("e", referrer="act_9", filter="((("),
        export_step("f", type="Import"),
    )
    with pytest.raises(RuleViolationError) as raised:
        world.flow(*steps)
    found = {(violation.code, violation.pointer) for violation in raised.value.violations}
    assert found >= {
        ("unknownDependency", "/steps/1/dependsOn/1"),
        ("unknownConnection", "/steps/1/action/connectionId"),
        ("badExpression", "/steps/2/action/operations/0/expression"),
        ("duplicateId", "/steps/3/id"),
        ("actionMissing", "/steps/3"),
        ("actionTwice", "/steps/4/referrer"),
        ("unknownAction", "/steps/4/referrer"),
        ("badExpression", "/steps/4/filter"),
        ("actionType", "/steps/5/type"),
        ("unknownConnection", "/steps/5/action/connectionId"),
    }
    assert any("cycle" in code for code, _ in found)
    assert listed(world.context, ALICE) == ()


def test_another_workspaces_connection_is_unknown(world: World) -> None:
    """Steps reach only what their own workspace has."""
    connection = world.connection()
    given = FlowInput(name="theirs", steps=(export_step(connection_id=connection.id),))
    with pytest.raises(RuleViolationError, match="one rule is broken"):
        create_flow(world.context, MALLORY, given)


def test_nobody_reaches_into_another_workspace(world: World) -> None:
    """Every use case of flows answers as if the flow were not there."""
    flow = world.deployed(READ)
    ids = (flow.id, flow.latest_version_id)
    context = world.context
    for act in (
        lambda: get_flow(context, MALLORY, flow.id),
        lambda: replace_flow(context, MALLORY, flow.id, FlowInput(name="mine"), flow.revision),
        lambda: delete_flow(context, MALLORY, flow.id, flow.revision),
        lambda: get_version(context, MALLORY, *ids),
        lambda: list_versions(context, MALLORY, flow.id, 10, None),
        lambda: deploy_version(context, MALLORY, *ids, 2),
        lambda: undeploy_version(context, MALLORY, *ids, 2),
    ):
        with pytest.raises(NotFoundError):
            act()
    assert listed(context, MALLORY) == ()


def test_a_flow_is_found_by_its_stable_key(world: World) -> None:
    """Files and scripts know flows by the author's key."""
    flow = world.flow(READ, stableKey="orders")
    assert listed(world.context, ALICE, stableKey=["orders"]) == (flow,)
    assert listed(world.context, ALICE, stableKey=["other"]) == ()
    assert latest_version(world.context, flow).number == 1
