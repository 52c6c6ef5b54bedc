"""A flow leaves one workspace as a document and comes into another, without its credentials."""

import pytest
from pydantic import SecretStr
from tests.support.samples import ALICE, MALLORY, export_step, import_step, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.action import Action, ActionInput, ExportAction, HttpExport, ProcessAction
from millrace.domain.authentication import BearerAuth
from millrace.domain.base import Json
from millrace.domain.callback import CallbackInput
from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.data_pool import DataPool, DataPoolInput
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RuleViolationError,
    TooLargeError,
)
from millrace.domain.flow import Flow, FlowInput, FlowSettings
from millrace.domain.flow_document import FlowDocument
from millrace.domain.flow_parts import Alias, Trigger, TriggerKind
from millrace.domain.integration import FlowGroup, IntegrationInput
from millrace.domain.label import Label, LabelInput
from millrace.domain.notification_group import EmailTarget, NotificationGroupInput
from millrace.domain.operations import DedupeOperation
from millrace.domain.template import Template, TemplateInput
from millrace.domain.token import Caller
from millrace.usecases.actions import ACTIONS
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.export_flow import ExportRequest, export_flow
from millrace.usecases.flow_changes import create_flow, replace_flow
from millrace.usecases.flows import get_flow, get_flow_with_steps
from millrace.usecases.import_request import ImportRequest, import_request
from millrace.usecases.import_result import ImportResult
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.plain import DATA_POOLS, LABELS, NOTIFICATION_GROUPS, TEMPLATES
from millrace.usecases.resources import fields_of

CANARY = "s3cret-canary"
KEY = SecretStr(f"{CANARY}-{'k' * 16}")


def deduping(pool_id: str) -> ProcessAction:
    """A process that lets each record through once, ever."""
    operation = DedupeOperation(type="dedupe", key="id", data_pool_id=pool_id)
    return ProcessAction(type="Process", operations=(operation,))


def rich_flow(world: World, key: str | None = "orders") -> Flow:
    """A flow that uses one of everything, each secret of which holds the canary."""
    context = world.context

    def keyed(name: str) -> str | None:
        return None if key is None else f"{key}-{name}"

    connection = CONNECTIONS.create(
        context,
        ALICE,
        ConnectionInput(
            name="Shop",
            stable_key=keyed("shop"),
            base_url="https://shop.example",
            auth=BearerAuth(type="bearer", token=SecretStr(CANARY)),
        ),
    )
    integration = INTEGRATIONS.create(
        context,
        ALICE,
        IntegrationInput(
            name="ERP", stable_key=keyed("erp"), groups=(FlowGroup(id="nightly", name="Nightly"),)
        ),
    )
    label = LABELS.create(context, ALICE, LabelInput(name="Finance", stable_key=keyed("finance")))
    group = NOTIFICATION_GROUPS.create(
        context,
        ALICE,
        NotificationGroupInput(
            name="On call",
            stable_key=keyed("call"),
            targets=(EmailTarget(type="email", address=f"{CANARY}@shop.example"),),
        ),
    )
    pool = DATA_POOLS.create(
        context, ALICE, DataPoolInput(name="Seen", stable_key=keyed("seen"), ttl_seconds=60)
    )
    work = ExportAction(type="Export", connection_id=connection.id, http=HttpExport(path="/orders"))
    action = ACTIONS.create(
        context, ALICE, ActionInput(name="Read", stable_key=keyed("read"), work=work)
    )
    following = world.flow(name="Next", stable_key=keyed("next"))
    flow, _ = create_flow(
        context,
        ALICE,
        FlowInput(
            name="Orders",
            stable_key=key,
            integration_id=integration.id,
            flow_group_id="nightly",
            labels=(label.id,),
            notification_groups=(group.id,),
            run_next_flow_ids=(following.id,),
            aliases=(Alias(alias="shop", connection_id=connection.id),),
            priority=1,
            endpoint_security_type="organization",
            organization_api_keys=(KEY,),
            test_headers={"Authorization": CANARY},
            test_payload=CANARY,
            steps=(
                export_step("read", action=None, referrer=action.id),
                process_step("map", depends_on=("read",), action=deduping(pool.id)),
                import_step("write", connection.id, depends_on=("map",)),
            ),
        ),
    )
    return flow


def exported(world: World, flow_id: str, caller: Caller = ALICE) -> FlowDocument:
    """A flow's document."""
    return export_flow(world.context, caller, ExportRequest(flow_id=flow_id))


def imported(
    world: World, document: FlowDocument, caller: Caller = MALLORY, **more: Json
) -> ImportResult:
    """What becomes of a document, sent as it was answered."""
    asked = ImportRequest.model_validate(document.to_json() | more)
    return import_request(world.context, caller, asked)


def changes(result: ImportResult) -> dict[tuple[str, str | None], str]:
    """What became of each resource."""
    return {(each.type, each.key): each.change for each in result.resources}


def test_a_flow_comes_over_whole(world: World) -> None:
    """What it uses is made, a name stands for each id, and it is disabled with one draft."""
    flow = rich_flow(world)
    document = exported(world, flow.id)
    assert document.flow.steps[0].referrer == "orders-read"
    assert document.dependencies.actions["orders-read"].work.connection_id == "orders-shop"  # type: ignore[union-attr]  # an export
    result = imported(world, document)
    assert changes(result) == {
        ("flow", None): "created",
        ("integration", "orders-erp"): "created",
        ("label", "orders-finance"): "created",
        ("dataPool", "orders-seen"): "created",
        ("connection", "orders-shop"): "created",
        ("action", "orders-read"): "created",
    }
    came, steps = get_flow_with_steps(world.context, MALLORY, result.resources[0].id)
    assert (came.is_enabled, came.priority, came.deployed_version_id) == (False, 1, None)
    assert came.flow_group_id == "nightly"
    action = world.resources.get(Action, MALLORY.workspace_id, steps[0].referrer or "")
    assert isinstance(action.work, ExportAction)
    pool = world.resources.find(DataPool, MALLORY.workspace_id, "orders-seen")
    assert pool is not None
    assert (pool.ttl_seconds, steps[1].action) == (60, deduping(pool.id))
    assert action.work.connection_id is not None
    connection = world.resources.get(Connection, MALLORY.workspace_id, action.work.connection_id)
    assert (connection.name, connection.secrets_key) == ("Shop", None)
    assert came.aliases[0].connection_id == connection.id


def test_data_pools_come_over_with_shared_actions(world: World) -> None:
    """Under made-up keys if they have none; one that is there by its key stays as it is."""
    given = DataPoolInput(name="Seen")
    pool = DATA_POOLS.create(world.context, ALICE, given)
    action = ACTIONS.create(world.context, ALICE, ActionInput(name="D", work=deduping(pool.id)))
    flow = world.flow(process_step("a", action=None, referrer=action.id))
    document = exported(world, flow.id)
    assert document.dependencies.data_pools == {"dataPool-1": given}
    assert document.dependencies.actions["action-1"].work == deduping("dataPool-1")
    keyed = document.to_json()
    keyed["dependencies"]["dataPools"]["dataPool-1"]["stableKey"] = "seen"
    keyed["dependencies"]["dataPools"]["dataPool-1"]["ttlSeconds"] = 5
    there = DATA_POOLS.create(
        world.context, MALLORY, given.model_copy(update={"stable_key": "seen"})
    )
    result = imported(world, FlowDocument.model_validate(keyed))
    assert changes(result)["dataPool", "dataPool-1"] == "used"
    (made,) = world.resources.page(Action, MALLORY.workspace_id).items
    assert made.work == deduping(there.id)
    assert world.resources.get(DataPool, MALLORY.workspace_id, there.id) == there


def test_a_flow_without_its_data_pool_is_not_exported(world: World) -> None:
    """Nor is one imported that names a pool which is neither there nor in the document."""
    pool = DATA_POOLS.create(world.context, ALICE, DataPoolInput(name="Seen"))
    flow = world.flow(process_step("a", action=deduping(pool.id)))
    document = exported(world, flow.id).to_json()
    document["dependencies"]["dataPools"] = {}
    DATA_POOLS.delete(world.context, ALICE, pool.id, 1)
    with pytest.raises(ConflictError) as conflict:
        exported(world, flow.id)
    (gap,) = conflict.value.violations
    assert (gap.code, gap.pointer) == ("unknownDataPool", "/steps/0")
    assert "needs the data pool" in gap.message
    with pytest.raises(RuleViolationError) as refused:
        import_request(world.context, MALLORY, ImportRequest.model_validate(document))
    assert [(each.code, each.pointer) for each in refused.value.violations] == [
        ("unknownDataPool", "/flow/steps/0/action/operations/0/dataPoolId")
    ]


def test_what_could_not_come_over_is_told(world: World) -> None:
    """Credentials, API keys, who is told, and flows that are not there."""
    result = imported(world, exported(world, rich_flow(world).id))
    told = {(each.type, each.name, each.field) for each in result.needs_configuring}
    assert told == {
        ("connection", "Shop", "auth"),
        ("flow", "Orders", "organizationApiKeys"),
        ("flow", "Orders", "runNextFlowIds"),
        ("flow", "Orders", "notificationGroups"),
    }
    came = get_flow(world.context, MALLORY, result.resources[0].id)
    assert (came.run_next_flow_ids, came.notification_groups) == ((), ())


def test_no_credential_is_in_a_document(world: World) -> None:
    """Not in the document, not in what an import answers, not in a template."""
    document = exported(world, rich_flow(world).id)
    told = document.model_dump_json() + str(document)
    told += imported(world, document).model_dump_json()
    filled = document.to_json()
    filled["dependencies"]["connections"]["orders-shop"]["auth"]["token"] = CANARY
    asked = ImportRequest.model_validate(filled | {"asMarketplace": True})
    result = import_request(world.context, MALLORY, asked)
    kept = world.resources.get(Template, MALLORY.workspace_id, result.resources[0].id)
    assert CANARY not in told + result.model_dump_json() + kept.model_dump_json()


def test_credentials_that_are_filled_in_are_stored(world: World) -> None:
    """Whoever imports may write them into the document; then nothing is left to set."""
    filled = exported(world, rich_flow(world).id).to_json()
    filled["dependencies"]["connections"]["orders-shop"]["auth"]["token"] = CANARY
    result = import_request(world.context, MALLORY, ImportRequest.model_validate(filled))
    assert "connection" not in {each.type for each in result.needs_configuring}
    assert {"token": CANARY} in world.secrets.values.values()


def test_importing_again_changes_nothing(world: World) -> None:
    """What has a stable key is found again."""
    document = exported(world, rich_flow(world).id)
    first = imported(world, document)
    again = imported(world, document)
    assert set(changes(again).values()) == {"unchanged", "used"}
    assert again.resources[0].id == first.resources[0].id


def test_a_changed_document_changes_the_flow_in_place(world: World) -> None:
    """The flow and its actions follow; the deployed version and the connections stay."""
    flow = rich_flow(world)
    document = exported(world, flow.id).to_json()
    document["flow"]["name"] = "Renamed"
    document["flow"]["steps"][1]["isSkipped"] = True
    document["dependencies"]["actions"]["orders-read"]["name"] = "Read all"
    document["dependencies"]["connections"]["orders-shop"]["baseUrl"] = "https://evil.example"
    version = world.deploy(flow)
    result = import_request(world.context, ALICE, ImportRequest.model_validate(document))
    assert changes(result)["flow", None] == "updated"
    assert changes(result)["action", "orders-read"] == "updated"
    assert changes(result)["connection", "orders-shop"] == "used"
    after, steps = get_flow_with_steps(world.context, ALICE, flow.id)
    assert (after.name, after.is_enabled, steps[1].is_skipped) == ("Renamed", True, True)
    assert after.deployed_version_id == version.id
    assert after.test_payload == CANARY
    assert after.organization_api_keys_count == 1
    connection = world.resources.find(Connection, ALICE.workspace_id, "orders-shop")
    assert connection is not None
    assert connection.base_url == "https://shop.example"


def test_s13_importing_runs_nothing(world: World) -> None:
    """No machine, no run, no schedule, whatever the document says."""
    flow = world.flow(process_step(), schedule="rate(5 minutes)", trigger=Trigger(kind="schedule"))  # type: ignore[arg-type]  # read as an enum
    imported(world, exported(world, flow.id))
    assert not world.machines.deployed
    assert not world.machines.started
    assert not world.schedules.schedules


def test_all_faults_of_a_document_are_told_at_once(world: World) -> None:
    """With pointers into the document; nothing is stored."""
    document = exported(world, rich_flow(world).id).to_json()
    document["flow"]["steps"][0]["referrer"] = "nowhere"
    document["flow"]["steps"][1]["dependsOn"] = ["write"]
    document["flow"]["steps"][2]["action"]["connectionId"] = "nothing"
    document["flow"]["labels"] = ["no-label"]
    document["flow"]["flowGroupId"] = "no-group"
    groups = document["dependencies"]["integrations"]["orders-erp"]["groups"]
    groups.append(groups[0])
    action = document["dependencies"]["actions"]["orders-read"]
    action["work"]["connectionId"] = "missing"
    (shop,) = document["dependencies"]["connections"].values()
    shop["baseUrl"] = "http://[fd00:ec2::254]/latest"
    with pytest.raises(RuleViolationError) as raised:
        import_request(world.context, MALLORY, ImportRequest.model_validate(document))
    told = {(each.code, each.pointer) for each in raised.value.violations}
    assert told >= {
        ("unknownAction", "/flow/steps/0/referrer"),
        ("unknownConnection", "/flow/steps/2/action/connectionId"),
        ("unknownLabel", "/flow/labels/0"),
        ("unknownGroup", "/flow/flowGroupId"),
        ("groupTwice", "/dependencies/integrations/orders-erp/groups/1/id"),
        ("unknownConnection", "/dependencies/actions/orders-read/work/connectionId"),
        ("addressRefused", f"/dependencies/connections/{shop['stableKey']}/baseUrl"),
    }
    assert any(pointer.startswith("/flow/steps/1/dependsOn") for _, pointer in told)
    assert not world.resources.page(Label, MALLORY.workspace_id).items


def test_a_stable_key_stands_once(world: World) -> None:
    """Of two actions with one key, one would be lost."""
    document = exported(world, rich_flow(world).id).to_json()
    actions = document["dependencies"]["actions"]
    actions["second"] = actions["orders-read"]
    with pytest.raises(RuleViolationError) as raised:
        import_request(world.context, ALICE, ImportRequest.model_validate(document))
    (fault,) = raised.value.violations
    assert (fault.code, fault.pointer) == (
        "stableKeyTwice",
        "/dependencies/actions/second/stableKey",
    )


def test_ids_of_another_workspace_are_unknown(world: World) -> None:
    """They are neither exported nor taken for one's own."""
    flow = rich_flow(world)
    with pytest.raises(NotFoundError):
        exported(world, flow.id, MALLORY)
    _, steps = get_flow_with_steps(world.context, ALICE, flow.id)
    stolen = {"flow": {"name": "Mine", "steps": [steps[0].to_json()]}}
    with pytest.raises(RuleViolationError) as raised:
        import_request(world.context, MALLORY, ImportRequest.model_validate(stolen))
    assert raised.value.violations[0].code == "unknownAction"


def test_a_flow_that_needs_what_is_gone_is_not_exported(world: World) -> None:
    """The document would be of no use; the fault points to the step."""
    flow = rich_flow(world)
    _, steps = get_flow_with_steps(world.context, ALICE, flow.id)
    ACTIONS.delete(world.context, ALICE, steps[0].referrer or "", 1)
    with pytest.raises(ConflictError) as raised:
        exported(world, flow.id)
    assert [each.pointer for each in raised.value.violations] == ["/steps/0"]


def test_a_version_is_exported(world: World) -> None:
    """That of the request instead of the latest."""
    flow = world.deployed(process_step("old"))
    world.change(flow, process_step("new"))
    asked = ExportRequest(flow_id=flow.id, version_id=flow.deployed_version_id)
    document = export_flow(world.context, ALICE, asked)
    assert [step.id for step in document.flow.steps] == ["old"]
    assert document.metadata.version_number == 1


def test_too_much_for_one_transaction_is_refused(world: World) -> None:
    """Rather than stored in parts."""
    labels = {f"label-{number}": {"name": "Many"} for number in range(100)}
    document = {"flow": {"name": "Orders"}, "dependencies": {"labels": labels}}
    with pytest.raises(TooLargeError):
        import_request(world.context, MALLORY, ImportRequest.model_validate(document))


def test_flows_are_made_from_a_template(world: World) -> None:
    """A document is kept, and kept again; what is made from it says so."""
    document = exported(world, rich_flow(world).id)
    kept = imported(world, document, asMarketplace=True)
    assert changes(kept) == {("template", None): "created"}
    assert changes(imported(world, document, asMarketplace=True)) == {
        ("template", None): "unchanged"
    }
    renamed = document.model_copy(update={"flow": document.flow.model_copy(update={"priority": 5})})
    assert changes(imported(world, renamed, asMarketplace=True)) == {("template", None): "updated"}
    id_ = kept.resources[0].id
    result = import_request(world.context, MALLORY, ImportRequest(template_id=id_))
    flow = get_flow(world.context, MALLORY, result.resources[0].id)
    assert (flow.template_id, flow.template_version, flow.priority) == (id_, "2", 5)
    with pytest.raises(RuleViolationError, match="see errors"):
        import_request(world.context, ALICE, ImportRequest(template_id=id_))


def test_what_is_not_configured_yet_is_told_each_time(world: World) -> None:
    """Until somebody sets the credentials of the connection, which is used as it is by now."""
    document = exported(world, rich_flow(world).id)
    first = imported(world, document)
    again = imported(world, document)
    assert again.needs_configuring == first.needs_configuring
    (id_,) = {each.id for each in again.needs_configuring if each.type == "connection"}
    given = document.dependencies.connections["orders-shop"]
    auth = BearerAuth(type="bearer", token=SecretStr(CANARY))
    CONNECTIONS.replace(
        world.context, MALLORY, id_, given.model_copy(update={"auth": auth}), revision=1
    )
    third = imported(world, document)
    assert {each.type for each in third.needs_configuring} == {"flow"}


def test_what_was_missing_and_is_set_by_now_stays(world: World) -> None:
    """An import that cannot say who is told takes away nobody who was set here."""
    document = exported(world, rich_flow(world).id)
    came = imported(world, document).resources[0]
    target = EmailTarget(type="email", address="m@mallory.example")
    given = NotificationGroupInput(name="Ours", targets=(target,))
    group = NOTIFICATION_GROUPS.create(world.context, MALLORY, given)
    before, steps = get_flow_with_steps(world.context, MALLORY, came.id)
    settings = fields_of(before, FlowSettings) | {"notification_groups": (group.id,)}
    keys = FlowInput(**settings, enabled=False, steps=steps, organization_api_keys=(KEY,))
    replace_flow(world.context, MALLORY, came.id, keys, before.revision)
    assert changes(imported(world, document))["flow", None] == "unchanged"
    after = get_flow(world.context, MALLORY, came.id)
    assert after.notification_groups == (group.id,)


def test_a_flow_of_the_same_key_in_another_place_is_not_meant(world: World) -> None:
    """A flow in an integration without a key cannot be named, and is not mistaken for another."""
    integration = INTEGRATIONS.create(world.context, ALICE, IntegrationInput(name="ERP"))
    following = world.flow(name="Next", stable_key="next", integration_id=integration.id)
    flow = world.flow(process_step(), run_next_flow_ids=(following.id,), stable_key="orders")
    world.flow(name="Another", stable_key="next")
    result = imported(world, exported(world, flow.id), ALICE)
    assert get_flow(world.context, ALICE, flow.id).run_next_flow_ids == (following.id,)
    assert [each.field for each in result.needs_configuring] == ["runNextFlowIds"]


def test_a_flow_follows_its_template(world: World) -> None:
    """It says which version it is of, also if that is all that changed."""
    document = exported(world, rich_flow(world).id)
    id_ = imported(world, document, asMarketplace=True).resources[0].id
    asked = ImportRequest(template_id=id_)
    flow_id = import_request(world.context, MALLORY, asked).resources[0].id
    metadata = document.metadata.model_copy(update={"version_number": 7})
    imported(world, document.model_copy(update={"metadata": metadata}), asMarketplace=True)
    result = import_request(world.context, MALLORY, asked)
    flow = get_flow(world.context, MALLORY, flow_id)
    assert (result.resources[0].change, result.revision) == ("updated", flow.revision)
    assert (flow.template_id, flow.template_version, flow.revision) == (id_, "2", 2)
    assert import_request(world.context, MALLORY, asked).resources[0].change == "unchanged"


@pytest.mark.parametrize(
    ("kind", "field"), [(TriggerKind.WEBHOOK, "webhooks"), (TriggerKind.CALLBACK, "callbacks")]
)
def test_an_address_that_the_trigger_needs_is_told(
    world: World, kind: TriggerKind, field: str
) -> None:
    """Without it nothing can start the flow."""
    flow = world.flow(process_step(), trigger=Trigger(kind=kind))
    result = imported(world, exported(world, flow.id))
    assert [each.field for each in result.needs_configuring] == [field]


def test_a_group_that_the_integration_here_lacks_is_told(world: World) -> None:
    """The integration is used as it is, so it may have other groups than the document's."""
    document = exported(world, rich_flow(world).id)
    given = IntegrationInput(name="Our ERP", stable_key="orders-erp")
    INTEGRATIONS.create(world.context, MALLORY, given)
    with pytest.raises(RuleViolationError) as raised:
        imported(world, document)
    (fault,) = raised.value.violations
    assert (fault.code, fault.pointer) == ("unknownGroup", "/flow/flowGroupId")


def test_a_template_that_is_no_flow_is_told_what_it_lacks(world: World) -> None:
    """All of it, with pointers into the template's document."""
    document: dict[str, Json] = {"flow": {"nmae": "Orders", "steps": [{"id": "a"}]}}
    given = TemplateInput(name="Odd", document=document)
    template = TEMPLATES.create(world.context, ALICE, given)
    with pytest.raises(RuleViolationError) as raised:
        import_request(world.context, ALICE, ImportRequest(template_id=template.id))
    assert {(each.code, each.pointer) for each in raised.value.violations} == {
        ("unknownField", "/flow/nmae"),
        ("missingField", "/flow/name"),
        ("missingField", "/flow/steps/0/type"),
    }


def actions_of_their_own(world: World, caller: Caller, count: int) -> list[Action]:
    """Actions over one connection, each with a stable key."""
    given = ConnectionInput(name="Shop", stable_key="shop", base_url="https://shop.example")
    connection = CONNECTIONS.create(world.context, caller, given)
    work = ExportAction(type="Export", connection_id=connection.id, http=HttpExport(path="/o"))
    return [
        ACTIONS.create(
            world.context, caller, ActionInput(name="Read", stable_key=f"read-{number}", work=work)
        )
        for number in range(count)
    ]


def test_a_flow_of_very_many_actions_is_exported(world: World) -> None:
    """200 steps may have as many; more than one transaction holds is there before they come."""
    steps = [
        export_step(f"s{number}", action=None, referrer=action.id)
        for number, action in enumerate(actions_of_their_own(world, ALICE, 200))
    ]
    document = exported(world, world.flow(*steps).id)
    assert len(document.dependencies.actions) == 200
    with pytest.raises(TooLargeError, match="100 is the limit; send it in parts"):
        imported(world, document)
    assert not world.resources.page(Action, MALLORY.workspace_id).items
    actions_of_their_own(world, MALLORY, 200)
    result = imported(world, document)
    assert {*changes(result).values()} == {"created", "used", "unchanged"}


def test_a_flow_with_more_addresses_than_a_document_holds_is_not_exported(world: World) -> None:
    """It is refused in words."""
    flow = world.flow(process_step())
    for _ in range(limits.DOCUMENT_RESOURCES + 1):
        CALLBACKS.create(world.context, ALICE, CallbackInput(), flow_id=flow.id)
    with pytest.raises(TooLargeError, match="401 callbacks, and a document holds 400"):
        exported(world, flow.id)
