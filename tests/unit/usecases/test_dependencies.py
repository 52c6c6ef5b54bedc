"""What a flow says that it needs."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from tests.support.samples import ALICE, MALLORY, export_step, import_step, process_step
from tests.support.world import World

from millrace.domain.action import ActionInput, ExportAction, HttpExport, ProcessAction
from millrace.domain.base import Json
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool, DataPoolInput
from millrace.domain.errors import NotFoundError, RuleViolationError
from millrace.domain.flow import Flow
from millrace.domain.integration import IntegrationInput
from millrace.domain.label import LabelInput
from millrace.domain.notification_group import EmailTarget, NotificationGroupInput
from millrace.domain.patch import Patch
from millrace.domain.ports import Found, Ref
from millrace.domain.resource import Resource
from millrace.domain.step import Step
from millrace.domain.virtual_environment import VirtualEnvironmentInput
from millrace.storage.memory import MemoryResources
from millrace.usecases.actions import ACTIONS
from millrace.usecases.apply import apply
from millrace.usecases.apply_document import ApplyDocument, ApplyResult
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.crud import Crud
from millrace.usecases.dependencies import Dependency, dependencies_of, descendants_of
from millrace.usecases.flow_changes import delete_flow
from millrace.usecases.import_request import ImportRequest, import_request
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.patch import patch_flow
from millrace.usecases.plain import DATA_POOLS, LABELS, NOTIFICATION_GROUPS
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS


def busy_flow(world: World, **settings: Json) -> Flow:
    """A flow with an inline import, a shared export, a label, and a flow that it starts."""
    shop, desk = world.connection("shop"), world.connection("desk")
    work = ExportAction(type="Export", connection_id=shop.id, http=HttpExport(path="/orders"))
    action = ACTIONS.create(world.context, ALICE, ActionInput(name="Read", work=work))
    label = LABELS.create(world.context, ALICE, LabelInput(name="urgent"))
    following = world.flow(name="Invoices")
    return world.flow(
        Step(id="read", type="Export", referrer=action.id),
        export_step("more", shop.id),
        import_step("write", desk.id, depends_on=("read", "more")),
        labels=(label.id,),
        run_next_flow_ids=(following.id,),
        **settings,
    )


def named(dependencies: tuple[Dependency, ...]) -> dict[str | None, tuple[str, ...]]:
    """Names, and where they are needed."""
    return {each.name: each.paths for each in dependencies}


def test_a_flow_tells_what_it_needs_and_where() -> None:
    """Each resource once, with every place; also what the shared actions need."""
    world = World()
    found = dependencies_of(world.context, ALICE, busy_flow(world).id)
    assert named(found.connections) == {
        "shop": ("/steps/0/referrer", "/steps/1/action/connectionId"),
        "desk": ("/steps/2/action/connectionId",),
    }
    assert named(found.actions) == {"Read": ("/steps/0/referrer",)}
    assert named(found.labels) == {"urgent": ("/labels/0",)}
    assert named(found.flows) == {"Invoices": ("/runNextFlowIds/0",)}
    assert (found.integrations, found.notification_groups) == ((), ())
    everything = (*found.connections, *found.actions, *found.labels, *found.flows)
    assert not any(each.missing for each in everything)


def test_a_flow_tells_its_data_pools() -> None:
    """Where its own operations name them, and whose action does so; each place once."""
    world = World()
    pool = DATA_POOLS.create(world.context, ALICE, DataPoolInput(name="Seen"))
    dedupe = {"type": "dedupe", "key": "id", "dataPoolId": pool.id}
    work = ProcessAction.model_validate({"type": "Process", "operations": [dedupe, dedupe]})
    action = ACTIONS.create(world.context, ALICE, ActionInput(name="Seen", work=work))
    flow = world.flow(
        process_step("own", action=work),
        process_step("shared", action=None, referrer=action.id),
    )
    places = ("action/operations/0/dataPoolId", "action/operations/1/dataPoolId")
    expected = (*(f"/steps/0/{place}" for place in places), "/steps/1/referrer")
    assert named(dependencies_of(world.context, ALICE, flow.id).data_pools) == {"Seen": expected}
    DATA_POOLS.delete(world.context, ALICE, pool.id, 1)
    (gone,) = dependencies_of(world.context, ALICE, flow.id).data_pools
    assert (gone.id, gone.missing) == (pool.id, True)


def delete(world: World, kind: str, id_: str) -> None:
    """Delete a resource, whoever uses it."""
    if kind == "flows":
        delete_flow(world.context, ALICE, id_, 1)
    else:
        DELETABLE[kind].delete(world.context, ALICE, id_, 1)


DELETABLE: dict[str, Crud[Any, Any]] = {
    "integrations": INTEGRATIONS,
    "connections": CONNECTIONS,
    "actions": ACTIONS,
    "labels": LABELS,
    "notification_groups": NOTIFICATION_GROUPS,
}


@pytest.mark.parametrize("kind", [*DELETABLE, "flows"])
def test_what_is_in_use_may_be_deleted_and_is_missing(kind: str) -> None:
    """It is told rather than left out; the flow is there, and can be changed in other ways."""
    world = World()
    place = INTEGRATIONS.create(world.context, ALICE, IntegrationInput(name="ERP"))
    mail = EmailTarget(type="email", address="ops@shop.example")
    given = NotificationGroupInput(name="On call", targets=(mail,))
    group = NOTIFICATION_GROUPS.create(world.context, ALICE, given)
    flow = busy_flow(world, integration_id=place.id, notification_groups=(group.id,))
    (*_, used) = getattr(dependencies_of(world.context, ALICE, flow.id), kind)
    delete(world, kind, used.id)
    (*_, told) = getattr(dependencies_of(world.context, ALICE, flow.id), kind)
    assert told == Dependency(id=used.id, name=None, paths=used.paths, missing=True)

    rename = Patch.model_validate([{"op": "replace", "path": "/name", "value": "New"}])
    after, steps = patch_flow(world.context, ALICE, flow.id, rename.root, flow.revision)
    assert (after.name, after.latest_version_id, len(steps)) == ("New", flow.latest_version_id, 3)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("connections", ("unknownConnection", "/steps/2/action/connectionId")),
        ("actions", ("unknownAction", "/steps/0/referrer")),
    ],
)
def test_what_needs_what_is_gone_is_not_deployed(kind: str, fault: tuple[str, str]) -> None:
    """Nor may another step come to need it."""
    world = World()
    flow = busy_flow(world)
    (*_, used) = getattr(dependencies_of(world.context, ALICE, flow.id), kind)
    delete(world, kind, used.id)
    with pytest.raises(RuleViolationError) as raised:
        world.deploy(flow)
    assert [(each.code, each.pointer) for each in raised.value.violations] == [fault]


def test_an_environment_outlives_what_it_names() -> None:
    """Connections and data pools that it replaces may go; it is there, as it was."""
    world = World()
    shop, desk = world.connection("shop"), world.connection("desk")
    pool = DATA_POOLS.create(world.context, ALICE, DataPoolInput(name="Seen"))
    replaced = {"connections": {shop.id: desk.id}, "dataPools": {pool.id: pool.id}}
    given = VirtualEnvironmentInput.model_validate({"name": "Test", "replacements": replaced})
    made = VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given)
    CONNECTIONS.delete(world.context, ALICE, desk.id, 1)
    DATA_POOLS.delete(world.context, ALICE, pool.id, 1)
    assert VIRTUAL_ENVIRONMENTS.get(world.context, ALICE, made.id) == made
    renamed = given.model_copy(update={"name": "Staging"})
    after = VIRTUAL_ENVIRONMENTS.replace(world.context, ALICE, made.id, renamed, 1)
    assert (after.name, after.replacements) == ("Staging", made.replacements)
    with pytest.raises(RuleViolationError):
        VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given)


class CountingResources(MemoryResources):
    """Counts how often it is read."""

    reads = 0

    def get_many(self, workspace_id: str, refs: Iterable[Ref[Any]]) -> Found:
        """What is there."""
        self.reads += 1
        return super().get_many(workspace_id, refs)

    def get[R: Resource](
        self, kind: type[R], workspace_id: str, id_: str, *, parent_id: str | None = None
    ) -> R:
        """The resource."""
        self.reads += 1
        return super().get(kind, workspace_id, id_, parent_id=parent_id)


def test_all_that_an_environment_names_is_looked_for_at_once() -> None:
    """However much it is; what is unknown is told with its place, whichever side it stands on."""
    resources = CountingResources()
    world = World(resources=resources)
    connections = [world.connection(f"c{number}").id for number in range(20)]
    pool = DATA_POOLS.create(world.context, ALICE, DataPoolInput(name="Seen"))
    replaced: dict[str, dict[str, str]] = {
        "connections": dict(pairwise(connections)),
        "dataPools": {pool.id: pool.id},
    }
    given = {"name": "Test", "replacements": replaced}
    resources.reads = 0
    VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, VirtualEnvironmentInput.model_validate(given))
    assert resources.reads == 1
    replaced["connections"] |= {"con_x": connections[0], connections[1]: "con_y"}
    replaced["dataPools"] |= {connections[0]: pool.id}
    with pytest.raises(RuleViolationError) as raised:
        VIRTUAL_ENVIRONMENTS.create(
            world.context, ALICE, VirtualEnvironmentInput.model_validate(given)
        )
    assert {(each.code, each.pointer) for each in raised.value.violations} == {
        ("unknownConnection", "/replacements/connections/con_x"),
        ("unknownConnection", f"/replacements/connections/{connections[1]}"),
        ("unknownDataPool", f"/replacements/dataPools/{connections[0]}"),
    }


def test_an_action_outlives_its_connection() -> None:
    """It can be renamed, and moved to another connection, but not to one that is not there."""
    world = World()
    shop, desk = world.connection("shop"), world.connection("desk")
    work = ExportAction(type="Export", connection_id=shop.id, http=HttpExport(path="/orders"))
    action = ACTIONS.create(world.context, ALICE, ActionInput(name="Read", work=work))
    CONNECTIONS.delete(world.context, ALICE, shop.id, 1)
    given = ActionInput(name="Read all", work=work)
    action = ACTIONS.replace(world.context, ALICE, action.id, given, action.revision)
    assert action.name == "Read all"
    moved = given.model_copy(update={"work": work.model_copy(update={"connection_id": desk.id})})
    action = ACTIONS.replace(world.context, ALICE, action.id, moved, action.revision)
    with pytest.raises(RuleViolationError):
        ACTIONS.replace(world.context, ALICE, action.id, given, action.revision)


def naming(world: World) -> tuple[Connection, DataPool, dict[str, Any], dict[str, Any]]:
    """A connection and a pool, an action and a flow in their wire form that name them by id."""
    shop = world.connection("shop")
    pool = DATA_POOLS.create(world.context, ALICE, DataPoolInput(name="Seen"))
    read = {"type": "Export", "connectionId": shop.id, "http": {"path": "/orders"}}
    dedupe = {"type": "dedupe", "key": "id", "dataPoolId": pool.id}
    seen = {"type": "Process", "operations": [dedupe]}
    steps = [
        {"id": "read", "type": "Export", "action": read},
        {"id": "seen", "type": "Process", "action": seen, "dependsOn": ["read"]},
        {"id": "more", "type": "Process", "referrer": "seen", "dependsOn": ["seen"]},
    ]
    action = {"name": "Seen", "stableKey": "seen", "work": seen}
    return shop, pool, action, {"name": "Orders", "stableKey": "orders", "steps": steps}


def test_a_file_may_name_what_is_gone_as_the_flow_does() -> None:
    """As a PUT may; but a version that is deployed anew needs all of it, and is refused first."""
    world = World()
    shop, pool, action, flow = naming(world)

    def put(**changes: Json) -> ApplyResult:
        document = {"actions": [action], "flows": [flow | changes]}
        return apply(world.context, ALICE, ApplyDocument.model_validate(document))

    first = put().flows[0]
    CONNECTIONS.delete(world.context, ALICE, shop.id, 1)
    DATA_POOLS.delete(world.context, ALICE, pool.id, 1)
    again = put()
    assert [each.change for each in (*again.actions, *again.flows)] == ["unchanged"] * 2
    renamed = put(name="All orders").flows[0]
    assert (renamed.change, renamed.version_id) == ("updated", first.version_id)
    fewer = flow["steps"][:2]
    with pytest.raises(RuleViolationError) as raised:
        put(steps=fewer)
    assert [(each.code, each.pointer) for each in raised.value.violations] == [
        ("unknownConnection", "/flows/0/steps/0/action/connectionId"),
        ("unknownDataPool", "/flows/0/steps/1/action/operations/0/dataPoolId"),
    ]
    draft = put(steps=fewer, deploy=False).flows[0]
    assert (draft.change, draft.version_number) == ("updated", 2)


def test_a_document_may_name_what_is_gone_as_the_flow_does() -> None:
    """By the ids of the workspace that it comes into again."""
    world = World()
    shop, pool, action, flow = naming(world)
    document = {"flow": flow, "dependencies": {"actions": {"seen": action}}}
    asked = ImportRequest.model_validate(document)
    import_request(world.context, ALICE, asked)
    CONNECTIONS.delete(world.context, ALICE, shop.id, 1)
    DATA_POOLS.delete(world.context, ALICE, pool.id, 1)
    again = import_request(world.context, ALICE, asked)
    assert {each.change for each in again.resources} == {"unchanged"}


def test_a_flow_tells_what_it_reads_and_writes_by() -> None:
    """Its exports and imports, inline or shared, and the flows that it starts."""
    world = World()
    found = descendants_of(world.context, ALICE, busy_flow(world).id)
    assert [(each.step_id, each.name, each.path) for each in found.exports] == [
        ("read", "Read", "/steps/0"),
        ("more", "more", "/steps/1"),
    ]
    assert [each.step_id for each in found.imports] == ["write"]
    assert found.exports[0].connection_id == found.exports[1].connection_id is not None
    assert named(found.flows) == {"Invoices": ("/runNextFlowIds/0",)}


def test_another_workspaces_flow_tells_nothing() -> None:
    """Its id is that of nothing."""
    world = World()
    flow = busy_flow(world)
    for tell in (dependencies_of, descendants_of):
        with pytest.raises(NotFoundError):
            tell(world.context, MALLORY, flow.id)
