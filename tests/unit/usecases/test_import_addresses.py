"""Webhooks and callbacks as a flow's document brings them: new addresses, no secrets."""

import pytest
from pydantic import SecretStr
from tests.support.samples import ALICE, MALLORY, process_step
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.delivery import Delivery
from millrace.domain.errors import RuleViolationError, UnauthenticatedError
from millrace.domain.flow import Flow
from millrace.domain.template import Template
from millrace.domain.virtual_environment import VirtualEnvironmentInput
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.audit import list_audit
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.deliveries import receive_delivery
from millrace.usecases.export_flow import ExportRequest, export_flow
from millrace.usecases.flows import get_flow
from millrace.usecases.import_request import ImportRequest, import_request
from millrace.usecases.import_result import ImportResult
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS
from millrace.usecases.webhooks import WEBHOOKS

CANARY = "s3cret-canary"


def flow_with_addresses(world: World) -> Flow:
    """A flow with a signed webhook, a plain one without a key, and a callback."""
    flow = world.flow(process_step(), stable_key="orders")
    signed = WebhookInput(
        name="Orders",
        stable_key="orders",
        status=200,
        body="thanks",
        hmac_algorithm="sha256",
        hmac_secret_key=SecretStr(CANARY),
    )
    WEBHOOKS.create(world.context, ALICE, signed, flow_id=flow.id)
    WEBHOOKS.create(world.context, ALICE, WebhookInput(name="Plain"), flow_id=flow.id)
    CALLBACKS.create(
        world.context, ALICE, CallbackInput(name="Ask", stable_key="ask"), flow_id=flow.id
    )
    return get_flow(world.context, ALICE, flow.id)


def document_of(world: World, flow: Flow) -> dict[str, Json]:
    """A flow's document as a client gets it."""
    document = export_flow(world.context, ALICE, ExportRequest(flow_id=flow.id))
    told = document.model_dump_json()
    assert CANARY not in told
    assert not any(id_ in told for id_ in (*flow.webhook_ids, *flow.callback_ids))
    return document.to_json()


def imported(world: World, document: Json) -> ImportResult:
    """What becomes of a document in another workspace."""
    return import_request(world.context, MALLORY, ImportRequest.model_validate(document))


def changes(result: ImportResult) -> list[tuple[str, str, str]]:
    """What became of the addresses."""
    return [
        (each.type, each.name, each.change)
        for each in result.resources
        if each.type in {"webhook", "callback"}
    ]


def test_a_flow_comes_over_with_addresses_of_its_own(world: World) -> None:
    """The same answers at other addresses; that a secret is missing is told."""
    flow = flow_with_addresses(world)
    result = imported(world, document_of(world, flow))
    assert changes(result) == [
        ("webhook", "Orders", "created"),
        ("webhook", "Plain", "created"),
        ("callback", "Ask", "created"),
    ]
    came = get_flow(world.context, MALLORY, result.resources[0].id)
    assert len(came.webhook_ids) == 2
    assert not {*came.webhook_ids} & {*flow.webhook_ids}
    assert len(came.callback_ids) == 1
    assert [(each.type, each.field) for each in result.needs_configuring] == [
        ("webhook", "hmacSecretKey")
    ]
    (entry,) = list_audit(world.context, MALLORY, came.id, 10, None).items
    assert entry.event == "imported"
    told = {change.resource_type for change in entry.changes}
    assert told >= {"flow", "webhook", "callback"}


def test_addresses_are_in_the_order_of_their_names(world: World) -> None:
    """Ids of one moment are in no order, and the same flow is to be the same document."""
    flow = world.flow(process_step())
    for name in ("b", "c", "a"):
        WEBHOOKS.create(world.context, ALICE, WebhookInput(name=name), flow_id=flow.id)
        CALLBACKS.create(world.context, ALICE, CallbackInput(name=name), flow_id=flow.id)
    document = export_flow(world.context, ALICE, ExportRequest(flow_id=flow.id))
    assert [each.name for each in document.flow.webhooks] == ["a", "b", "c"]
    assert [each.name for each in document.flow.callbacks] == ["a", "b", "c"]


def test_a_signed_webhook_without_its_secret_lets_nobody_in(world: World) -> None:
    """Whatever is presented, the answer is that of a wrong signature."""
    result = imported(world, document_of(world, flow_with_addresses(world)))
    hook = next(each for each in result.resources if each.name == "Orders" and each.type != "flow")
    delivery = Delivery("POST", {"x-hub-signature-256": "sha256="}, {}, b"{}")
    with pytest.raises(UnauthenticatedError):
        receive_delivery(world.context, hook.id, delivery)


def test_the_environment_of_a_webhook_belongs_to_the_workspace(world: World) -> None:
    """It does not travel, an import leaves one that was set here, and says where one is missing."""
    home = VIRTUAL_ENVIRONMENTS.create(
        world.context, ALICE, VirtualEnvironmentInput(name="Customer")
    )
    settings = {"endpoint_security_type": "customerRequired", "stable_key": "orders"}
    flow = world.flow(process_step(), **settings)
    given = WebhookInput(name="In", stable_key="in", virtual_environment_id=home.id)
    WEBHOOKS.create(world.context, ALICE, given, flow_id=flow.id)
    document = document_of(world, get_flow(world.context, ALICE, flow.id))
    assert home.id not in str(document)
    result = imported(world, document)
    assert [each.field for each in result.needs_configuring] == ["virtualEnvironmentId"]
    there = VIRTUAL_ENVIRONMENTS.create(
        world.context, MALLORY, VirtualEnvironmentInput(name="Customer")
    )
    came = get_flow(world.context, MALLORY, result.resources[0].id)
    hook = WEBHOOKS.get(world.context, MALLORY, came.webhook_ids[0], flow_id=came.id)
    set_here = given.model_copy(update={"virtual_environment_id": there.id})
    WEBHOOKS.replace(world.context, MALLORY, hook.id, set_here, hook.revision, flow_id=came.id)
    again = imported(world, document)
    assert again.needs_configuring == ()
    hook = WEBHOOKS.get(world.context, MALLORY, hook.id, flow_id=came.id)
    assert hook.virtual_environment_id == there.id


def test_addresses_with_keys_are_found_again(world: World) -> None:
    """The second import changes what differs, and opens no second address for the one without."""
    document = document_of(world, flow_with_addresses(world))
    first = imported(world, document)
    document["flow"]["webhooks"][0]["body"] = "thank you"
    document["flow"]["callbacks"][0]["status"] = 201
    again = imported(world, document)
    assert changes(again) == [("webhook", "Orders", "updated"), ("callback", "Ask", "updated")]
    ids = {each.name: each.id for each in first.resources}
    assert {each.id for each in again.resources if each.type == "webhook"} == {ids["Orders"]}
    webhook = world.resources.get(
        Webhook, MALLORY.workspace_id, ids["Orders"], parent_id=first.resources[0].id
    )
    assert webhook.body == "thank you"
    assert set(changes(imported(world, document))) == {
        ("webhook", "Orders", "unchanged"),
        ("callback", "Ask", "unchanged"),
    }


def test_a_secret_that_was_set_stays(world: World) -> None:
    """An import over the flow that it came from leaves its webhook as it is."""
    flow = flow_with_addresses(world)
    request = ImportRequest.model_validate(document_of(world, flow))
    result = import_request(world.context, ALICE, request)
    assert changes(result)[0] == ("webhook", "Orders", "unchanged")
    assert not result.needs_configuring
    assert [*world.secrets.values.values()] == [{"hmac_secret_key": CANARY}]


def test_a_signature_that_is_given_up_takes_its_secret_along(world: World) -> None:
    """A secret that verifies nothing any more is forgotten."""
    document = document_of(world, flow_with_addresses(world))
    document["flow"]["webhooks"][0]["hmacAlgorithm"] = None
    import_request(world.context, ALICE, ImportRequest.model_validate(document))
    assert not world.secrets.values


def test_faults_of_addresses_are_told_with_the_others(world: World) -> None:
    """With pointers into the document; nothing is stored."""
    document = document_of(world, flow_with_addresses(world))
    document["flow"]["labels"] = ["no-label"]
    document["flow"]["webhooks"][1] |= {"stableKey": "orders", "hmacSecretKey": "x"}
    document["flow"]["callbacks"] *= 2
    with pytest.raises(RuleViolationError) as raised:
        imported(world, document)
    assert {(each.code, each.pointer) for each in raised.value.violations} == {
        ("unknownLabel", "/flow/labels/0"),
        ("stableKeyTwice", "/flow/webhooks/1/stableKey"),
        ("algorithmMissing", "/flow/webhooks/1/hmacAlgorithm"),
        ("stableKeyTwice", "/flow/callbacks/1/stableKey"),
    }
    assert not world.resources.page(Flow, MALLORY.workspace_id).items
    assert not world.resources.page(Callback, MALLORY.workspace_id).items


def test_a_secret_that_is_filled_in_is_kept_out_of_a_template(world: World) -> None:
    """A template is readable; what is imported at once may bring a secret along."""
    document = document_of(world, flow_with_addresses(world))
    document["flow"]["webhooks"][0]["hmacSecretKey"] = f"{CANARY}-2"
    kept = import_request(
        world.context, MALLORY, ImportRequest.model_validate(document | {"asMarketplace": True})
    )
    template = next(iter(world.resources.page(Template, MALLORY.workspace_id).items))
    assert CANARY not in kept.model_dump_json() + template.model_dump_json()
    assert not imported(world, document).needs_configuring
    assert {"hmac_secret_key": f"{CANARY}-2"} in world.secrets.values.values()
