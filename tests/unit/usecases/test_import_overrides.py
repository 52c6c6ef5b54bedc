"""What `metadata` of an import says instead of the document: each field checked where it is."""

from typing import Any

import pytest
from tests.support.samples import ALICE, MALLORY, export_step, process_step
from tests.support.world import World
from tests.unit.usecases.test_export_import import exported, rich_flow

from millrace.domain.action import Action
from millrace.domain.base import Json
from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.errors import RuleViolationError
from millrace.domain.flow import Flow
from millrace.domain.integration import FlowGroup, Integration, IntegrationInput
from millrace.domain.template import Template
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.flows import get_flow, get_flow_with_steps
from millrace.usecases.import_request import ImportRequest, check_import, import_request
from millrace.usecases.import_result import ImportResult
from millrace.usecases.integrations import INTEGRATIONS


def shop_of_mallory(world: World) -> Connection:
    """A connection that is there already."""
    given = ConnectionInput(name="Our shop", base_url="https://ours.example")
    return CONNECTIONS.create(world.context, MALLORY, given)


def document(world: World) -> dict[str, Json]:
    """The document of a flow that uses one of everything."""
    return exported(world, rich_flow(world).id).to_json()


def imported(world: World, given: dict[str, Json], **metadata: Json) -> ImportResult:
    """What becomes of a document under these overrides, in Mallory's workspace."""
    asked = ImportRequest.model_validate(given | {"metadata": metadata})
    return import_request(world.context, MALLORY, asked)


def faults(world: World, given: dict[str, Json], **metadata: Json) -> set[tuple[str, str]]:
    """What is wrong with overrides, told by a refusal and by a look at the request alike."""
    asked = ImportRequest.model_validate(given | {"metadata": metadata})
    with pytest.raises(RuleViolationError) as raised:
        import_request(world.context, MALLORY, asked)
    assert {*check_import(world.context, MALLORY, asked)} == {*raised.value.violations}
    return {(each.code, each.pointer) for each in raised.value.violations}


def test_a_flow_gets_another_name_and_key(world: World) -> None:
    """So a document is imported twice; each flow is found again by its own key."""
    given = document(world)
    first = imported(world, given)
    second = imported(world, given, name="Orders of Paris", stableKey="paris")
    assert second.resources[0].change == "created"
    flow = get_flow(world.context, MALLORY, second.resources[0].id)
    assert (flow.name, flow.stable_key) == ("Orders of Paris", "paris")
    again = imported(world, given, name="Orders of Paris", stableKey="paris")
    assert (again.resources[0].id, again.resources[0].change) == (flow.id, "unchanged")
    third = imported(world, given, stableKey=None)
    assert third.resources[0].id not in {flow.id, first.resources[0].id}
    assert get_flow(world.context, MALLORY, third.resources[0].id).stable_key is None


def test_a_flow_goes_into_another_integration(world: World) -> None:
    """That of the document is not made; nor is the flow in its group, unless it says in which."""
    given = IntegrationInput(name="Ours", groups=(FlowGroup(id="hourly", name="Hourly"),))
    ours = INTEGRATIONS.create(world.context, MALLORY, given)
    sent = document(world)
    plain = imported(world, sent, integrationId=ours.id, stableKey="one")
    flow = get_flow(world.context, MALLORY, plain.resources[0].id)
    assert (flow.integration_id, flow.flow_group_id) == (ours.id, None)
    grouped = imported(world, sent, integrationId=ours.id, flowGroupId="hourly", stableKey="two")
    flow = get_flow(world.context, MALLORY, grouped.resources[0].id)
    assert (flow.integration_id, flow.flow_group_id) == (ours.id, "hourly")
    alone = imported(world, sent, integrationId=None, stableKey="three")
    assert get_flow(world.context, MALLORY, alone.resources[0].id).integration_id is None
    assert len(world.resources.page(Integration, MALLORY.workspace_id).items) == 1


def test_a_flow_uses_connections_that_are_there(world: World) -> None:
    """Wherever the document names the mapped one: in steps, in actions and in aliases."""
    ours = shop_of_mallory(world)
    result = imported(world, document(world), connectionMap={"orders-shop": ours.id})
    (told,) = [each for each in result.resources if each.type == "connection"]
    assert (told.key, told.id, told.change) == ("orders-shop", ours.id, "used")
    assert "connection" not in {each.type for each in result.needs_configuring}
    flow, steps = get_flow_with_steps(world.context, MALLORY, result.resources[0].id)
    action = world.resources.get(Action, MALLORY.workspace_id, steps[0].referrer or "")
    works: list[Any] = [action.work, steps[2].action]
    assert {work.connection_id for work in works} == {ours.id}
    assert flow.aliases[0].connection_id == ours.id
    assert len(world.resources.page(Connection, MALLORY.workspace_id).items) == 1


def test_faults_of_overrides_are_told_where_they_are(world: World) -> None:
    """All at once, beside those of the document; what is another workspace's is not there."""
    shop = world.connection()
    sent = document(world)
    sent["flow"]["labels"] = ["no-label"]
    assert faults(
        world,
        sent,
        integrationId="int_x",
        flowGroupId="nightly",
        connectionMap={"orders-shop": shop.id, "orders/till": shop.id},
    ) == {
        ("unknownIntegration", "/metadata/integrationId"),
        ("unknownConnection", "/metadata/connectionMap/orders-shop"),
        ("connectionNotUsed", "/metadata/connectionMap/orders~1till"),
        ("unknownConnection", "/metadata/connectionMap/orders~1till"),
        ("unknownLabel", "/flow/labels/0"),
    }
    assert not world.resources.page(Flow, MALLORY.workspace_id).items


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({"flowGroupId": "daily"}, "unknownGroup"),
        ({"flowGroupId": "nightly", "integrationId": None}, "groupWithoutIntegration"),
    ],
)
def test_a_group_is_one_of_its_integration(
    world: World, metadata: dict[str, Json], fault: str
) -> None:
    """That of the document, or that of the override."""
    assert faults(world, document(world), **metadata) == {(fault, "/metadata/flowGroupId")}


def test_a_template_is_installed_with_overrides(world: World) -> None:
    """Where they are needed most; the template itself takes none."""
    sent = document(world)
    ours = shop_of_mallory(world)
    overrides: dict[str, Json] = {"name": "Mine", "connectionMap": {"orders-shop": ours.id}}
    assert faults(world, sent | {"asMarketplace": True}, **overrides) == {
        ("noFlowToOverride", "/metadata/name"),
        ("noFlowToOverride", "/metadata/connectionMap"),
    }
    assert not world.resources.page(Template, MALLORY.workspace_id).items
    template = imported(world, sent | {"asMarketplace": True}, flowName="Orders").resources[0]
    result = imported(world, {"templateId": template.id}, **overrides)
    flow = get_flow(world.context, MALLORY, result.resources[0].id)
    assert (flow.name, flow.template_id) == ("Mine", template.id)


def test_ids_of_the_workspace_may_stand_in_a_document(world: World) -> None:
    """What is no key of the document may be an id; one of another workspace is not there."""
    ours = shop_of_mallory(world)
    step = export_step("read", ours.id).to_json()
    sent: dict[str, Json] = {"flow": {"name": "By hand", "steps": [step]}}
    assert imported(world, sent).resources[0].change == "created"
    with pytest.raises(RuleViolationError) as raised:
        import_request(world.context, ALICE, ImportRequest.model_validate(sent))
    assert [(each.code, each.pointer) for each in raised.value.violations] == [
        ("unknownConnection", "/flow/steps/0/action/connectionId")
    ]


def test_what_an_export_says_of_itself_overrides_nothing(world: World) -> None:
    """Sent back as it is, its name of the flow is a remark."""
    sent = exported(world, world.flow(process_step()).id).to_json()
    assert sent["metadata"]["flowName"] == "Orders"
    result = imported(world, sent, **sent["metadata"] | {"flowName": "Before"})
    assert result.resources[0].name == "Orders"
