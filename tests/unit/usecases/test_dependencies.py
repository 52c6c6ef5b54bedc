"""What a flow says that it needs."""

import pytest
from tests.support.samples import ALICE, MALLORY, export_step, import_step
from tests.support.world import World

from millrace.domain.action import ActionInput, ExportAction, HttpExport
from millrace.domain.errors import NotFoundError
from millrace.domain.flow import Flow, Step
from millrace.domain.label import LabelInput
from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.dependencies import Dependency, dependencies_of, descendants_of
from millrace.usecases.plain import LABELS


def busy_flow(world: World) -> Flow:
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


def test_what_was_deleted_is_missing() -> None:
    """It is told rather than left out: that is what the reader looks for."""
    world = World()
    flow = busy_flow(world)
    desk = dependencies_of(world.context, ALICE, flow.id).connections[1]
    CONNECTIONS.delete(world.context, ALICE, desk.id, 1)
    told = dependencies_of(world.context, ALICE, flow.id).connections[1]
    assert (told.id, told.name, told.missing) == (desk.id, None, True)


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
