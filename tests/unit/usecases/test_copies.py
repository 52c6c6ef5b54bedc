"""Clones, duplicates, and flows over another connection."""

import pytest
from tests.support.samples import ALICE, MALLORY
from tests.support.world import World

from millrace.domain.action import (
    Action,
    ActionInput,
    ExportAction,
    HttpExport,
    ImportAction,
)
from millrace.domain.base import Json
from millrace.domain.connection import Connection
from millrace.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PreconditionRequiredError,
    RuleViolationError,
    UnavailableError,
)
from millrace.domain.flow import Flow
from millrace.domain.imports import HttpImport
from millrace.domain.run import RunStatus
from millrace.domain.step import Step
from millrace.storage.memory import MemoryMachines
from millrace.usecases.actions import ACTIONS
from millrace.usecases.audit import list_audit
from millrace.usecases.copies import (
    CloneRequest,
    Copied,
    DuplicateRequest,
    clone_flow,
    copy_name,
    duplicate_flow,
)
from millrace.usecases.flows import get_flow, get_flow_with_steps
from millrace.usecases.replace_connection import ConnectionReplacement, replace_connection
from millrace.usecases.versions import create_draft


def reading(connection: Connection) -> ExportAction:
    """Reads from a connection."""
    return ExportAction(type="Export", connection_id=connection.id, http=HttpExport(path="/orders"))


def writing(connection: Connection) -> ImportAction:
    """Writes to a connection."""
    return ImportAction(type="Import", connection_id=connection.id, http=HttpImport(path="/orders"))


class Shop:
    """A flow from shop to desk: it reads by a shared action and writes by an inline one."""

    def __init__(self, **settings: Json) -> None:
        self.world = World()
        self.context = self.world.context
        self.shop = self.world.connection("shop")
        self.desk = self.world.connection("desk")
        self.other = self.world.connection("other")
        given = ActionInput(name="Read", stable_key="read", work=reading(self.shop))
        self.action = ACTIONS.create(self.context, ALICE, given)
        self.steps = (
            Step(id="read", type="Export", referrer=self.action.id),
            Step(id="write", type="Import", action=writing(self.desk), depends_on=("read",)),
        )
        self.flow = self.world.flow(*self.steps, stable_key="orders", **settings)

    def clone(self, **given: Json) -> Copied:
        """Clone the flow."""
        return clone_flow(self.context, ALICE, self.flow.id, CloneRequest(**given))

    def replace(self, old: Connection, new: Connection) -> Flow:
        """Replace a connection over the present revision."""
        revision = get_flow(self.context, ALICE, self.flow.id).revision
        given = ConnectionReplacement(connection_id=old.id, new_connection_id=new.id)
        return replace_connection(self.context, ALICE, self.flow.id, given, revision)

    def connections(self, flow_id: str) -> list[str]:
        """The connections of a flow's two steps."""
        _, (read, write) = get_flow_with_steps(self.context, ALICE, flow_id)
        action = ACTIONS.get(self.context, ALICE, read.referrer or "")
        assert isinstance(action.work, ExportAction)
        assert isinstance(write.action, ImportAction)
        return [action.work.connection_id or "", write.action.connection_id or ""]


def test_a_clone_works_over_the_connections_that_it_is_given() -> None:
    """Steps and actions name the new connection, the original's stay as they were."""
    world = Shop()
    map_ = {world.shop.id: world.other.id, world.desk.id: world.desk.id}
    copied = world.clone(name="Orders of Paris", connectionMap=map_)
    flow = get_flow(world.context, ALICE, copied.created[0].id)
    assert (flow.name, flow.source_id, flow.stable_key) == (
        "Orders of Paris",
        world.flow.id,
        None,
    )
    assert not flow.is_enabled
    assert (flow.latest_version_number, flow.deployed_version_id) == (1, None)
    assert world.connections(flow.id) == [world.other.id, world.desk.id]
    assert world.connections(world.flow.id) == [world.shop.id, world.desk.id]
    assert [(each.type, each.source_id) for each in copied.created] == [
        ("flow", world.flow.id),
        ("action", world.action.id),
    ]
    assert copied.reused == ()
    assert list_audit(world.context, ALICE, flow.id, 10, None).items[0].event == "cloned"


def test_a_clone_shares_the_actions_whose_connection_stays() -> None:
    """A copy of what is the same would only be one more thing to keep in step."""
    world = Shop()
    map_ = {world.shop.id: world.shop.id, world.desk.id: world.other.id}
    copied = world.clone(connectionMap=map_)
    _, (read, _) = get_flow_with_steps(world.context, ALICE, copied.created[0].id)
    assert read.referrer == world.action.id
    assert [each.type for each in copied.created] == ["flow"]
    assert copied.created[0].name == "Orders (copy)"
    assert [(each.type, each.id, each.name) for each in copied.reused] == [
        ("action", world.action.id, "Read")
    ]


def test_a_map_with_gaps_is_refused_whole() -> None:
    """Every connection that is missing, unused or unknown is named, and nothing is stored."""
    world = Shop()
    map_ = {world.desk.id: "con_nowhere", world.other.id: world.other.id}
    with pytest.raises(InvalidRequestError) as refused:
        world.clone(connectionMap=map_)
    assert [(each.code, each.pointer) for each in refused.value.violations] == [
        ("connectionNotMapped", f"/connectionMap/{world.shop.id}"),
        ("unknownConnection", f"/connectionMap/{world.desk.id}"),
        ("connectionNotUsed", f"/connectionMap/{world.other.id}"),
    ]
    assert len(world.context.resources.page(Flow, ALICE.workspace_id).items) == 1
    assert len(world.context.resources.page(Action, ALICE.workspace_id).items) == 1


def test_a_clone_has_no_keys_of_the_original() -> None:
    """Secrets are not copied; the answer says what is missing, and the endpoint stays closed."""
    keys = ["key-of-the-original"]
    world = Shop(endpoint_security_type="organization", organization_api_keys=keys)
    map_ = {world.shop.id: world.shop.id, world.desk.id: world.desk.id}
    copied = world.clone(connectionMap=map_)
    flow = get_flow(world.context, ALICE, copied.created[0].id)
    assert (flow.secrets_key, flow.organization_api_keys_count) == (None, 0)
    assert [each.field for each in copied.needs_configuring] == ["organizationApiKeys"]


def test_a_sandbox_clone_is_not_for_production() -> None:
    """Whatever the original is for."""
    world = Shop(prod_flag=True)
    map_ = {world.shop.id: world.shop.id, world.desk.id: world.desk.id}
    flags = [
        get_flow(world.context, ALICE, copied.created[0].id).prod_flag
        for copied in (
            world.clone(connectionMap=map_),
            world.clone(connectionMap=map_, sandbox=True),
        )
    ]
    assert flags == [True, False]


def test_a_duplicate_has_the_steps_of_the_version_that_is_named() -> None:
    """Over the same connections and actions."""
    world = Shop()
    first = world.world.deploy(world.flow)
    world.world.change(world.flow, world.steps[0], stable_key="orders")
    for version_id, count in ((None, 1), (first.id, 2)):
        given = DuplicateRequest(version_id=version_id)
        copied = duplicate_flow(world.context, ALICE, world.flow.id, given)
        flow, steps = get_flow_with_steps(world.context, ALICE, copied.created[0].id)
        assert (len(steps), flow.name, flow.source_id) == (count, "Orders (copy)", world.flow.id)
        assert steps[0].referrer == world.action.id
        assert [each.id for each in copied.reused] == [world.action.id]
    with pytest.raises(NotFoundError):
        duplicate_flow(
            world.context, ALICE, world.flow.id, DuplicateRequest(version_id="ver_nowhere")
        )


def test_the_name_of_a_copy_keeps_to_the_limit() -> None:
    """However long the original's is."""
    assert copy_name("é" * 128) == "é" * 121 + " (copy)"
    assert copy_name("Orders") == "Orders (copy)"


def test_another_workspace_cannot_copy_a_flow() -> None:
    """Its id is that of nothing."""
    world = Shop()
    with pytest.raises(NotFoundError):
        clone_flow(world.context, MALLORY, world.flow.id, CloneRequest())
    with pytest.raises(NotFoundError):
        duplicate_flow(world.context, MALLORY, world.flow.id, DuplicateRequest())


def test_a_replaced_connection_takes_effect_at_once() -> None:
    """The new version is deployed, and runs over the old connection are cancelled."""
    world = Shop()
    old = world.world.deploy(world.flow)
    run = world.world.start(get_flow(world.context, ALICE, world.flow.id))
    bystander = world.world.deployed(world.steps[0], name="Other")
    others_run = world.world.start(bystander)
    flow = world.replace(world.shop, world.other)
    assert flow.deployed_version_id == flow.latest_version_id != old.id
    assert world.connections(flow.id) == [world.other.id, world.desk.id]
    assert world.world.now(run).status is RunStatus.CANCELLED
    assert world.world.machines.outcome(run.machine_arn, run.id) == "ABORTED"
    assert world.world.now(others_run).status is RunStatus.RUNNING
    action = ACTIONS.get(world.context, ALICE, world.action.id)
    assert action.work == reading(world.shop)


def test_a_replaced_connection_changes_the_draft_of_a_flow_that_is_not_deployed() -> None:
    """Nothing is deployed that was not."""
    world = Shop()
    flow = world.replace(world.desk, world.other)
    assert (flow.versions_count, flow.deployed_version_id) == (1, None)
    assert world.connections(flow.id) == [world.shop.id, world.other.id]


def test_a_draft_is_not_deployed_by_the_way() -> None:
    """What nobody published stays unpublished."""
    world = Shop()
    world.world.deploy(world.flow)
    create_draft(world.context, ALICE, world.flow.id)
    with pytest.raises(ConflictError, match="draft"):
        world.replace(world.shop, world.other)


def test_a_connection_that_is_not_used_or_not_there_is_refused() -> None:
    """Both faults at once."""
    world = Shop()
    given = ConnectionReplacement(connection_id=world.other.id, new_connection_id="con_nowhere")
    with pytest.raises(RuleViolationError) as refused:
        replace_connection(world.context, ALICE, world.flow.id, given, 1)
    assert [each.pointer for each in refused.value.violations] == [
        "/connectionId",
        "/newConnectionId",
    ]
    with pytest.raises(PreconditionRequiredError):
        replace_connection(world.context, ALICE, world.flow.id, given, None)


def test_a_connection_is_not_replaced_by_halves() -> None:
    """What cannot be deployed is refused before anything is stored."""
    world = Shop()
    world.world.deploy(world.flow)
    world.world.change(
        world.flow, *world.steps, stable_key="orders", endpoint_security_type="customerRequired"
    )
    before = get_flow(world.context, ALICE, world.flow.id)
    with pytest.raises(RuleViolationError, match="one rule"):
        world.replace(world.shop, world.other)
    assert get_flow(world.context, ALICE, world.flow.id) == before


def test_every_run_over_the_old_connection_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when Step Functions does not stop their machines just now."""
    world = Shop()
    world.world.deploy(world.flow)
    flow = get_flow(world.context, ALICE, world.flow.id)
    runs = [world.world.start(flow) for _ in range(3)]

    def refuse(_: MemoryMachines, machine_arn: str, name: str) -> None:
        raise UnavailableError(f"{machine_arn} {name}")

    monkeypatch.setattr(MemoryMachines, "stop", refuse)
    world.replace(world.shop, world.other)
    assert {world.world.now(run).status for run in runs} == {RunStatus.CANCELLED}
