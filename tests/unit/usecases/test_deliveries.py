"""Which requests to an address are the same, and which signatures it takes after it changed."""

import hashlib
import hmac
import json
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

import pytest
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.delivery import Delivery
from millrace.domain.errors import NotFoundError, RuleViolationError, UnauthenticatedError
from millrace.domain.run import Run
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.deliveries import admit, receive_delivery
from millrace.usecases.runs import list_runs
from millrace.usecases.webhooks import WEBHOOKS

SECRET: Final = "s3cret"
BODY: Final = b'{"id": "evt_1"}'
JSON_TYPE: Final = {"content-type": "application/json"}


def mac(signed: bytes, secret: str = SECRET) -> str:
    """The HMAC-SHA256 in hex."""
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def new_hook(world: World, **settings: Json) -> Webhook:
    """A webhook with these settings on a new, deployed flow."""
    flow = world.deployed(process_step("map"))
    given = WebhookInput.model_validate(settings)
    return WEBHOOKS.create(world.context, ALICE, given, flow_id=flow.id)


def sent(world: World, hook: Webhook, body: bytes = BODY, /, **headers: str) -> tuple[Run, bool]:
    """Take in a delivery of JSON; header names are written with underscores."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    delivery = Delivery("POST", JSON_TYPE | given, {"page": "2"}, body)
    accepted = receive_delivery(world.context, hook.id, delivery)
    return accepted.run, accepted.is_new


def runs(world: World, hook: Webhook) -> tuple[Run, ...]:
    """The runs of the webhook's flow."""
    return list_runs(world.context, ALICE, hook.flow_id, 100, None).items


def stripe(world: World, body: bytes = BODY, seconds: int = 0) -> dict[str, str]:
    """The header with which Stripe signs a body so many seconds from now."""
    moment = int(world.clock().timestamp()) + seconds
    return {"stripe_signature": f"t={moment},v1={mac(f'{moment}.'.encode() + body)}"}


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("body.id", "evt_1"),
        ("headers.`x-event` & '/' & query.page", "orders/2"),
        ("{'b': 1, 'a': [body.id]}", '{"a": ["evt_1"], "b": 1}'),
        ("method", "POST"),
    ],
)
def test_an_expression_names_deliveries(world: World, expression: str, name: str) -> None:
    """On the record that the flow gets; the trigger tells the name."""
    hook = new_hook(world, deliveryIdExpression=expression)
    first, is_new = sent(world, hook, x_event="orders")
    assert (is_new, first.trigger.delivery_id) == (True, name)
    assert sent(world, hook, x_event="orders") == (first, False)


@pytest.mark.parametrize("expression", ["body.missing", "$error('no')", "''", "body.id + 1"])
def test_an_expression_without_a_value_loses_no_delivery(world: World, expression: str) -> None:
    """Each is a run then."""
    hook = new_hook(world, deliveryIdExpression=expression)
    assert sent(world, hook)[1]
    assert sent(world, hook)[1]
    assert len(runs(world, hook)) == 2


def test_a_body_names_its_delivery(world: World) -> None:
    """To the byte."""
    hook = new_hook(world, deliveryIdOfBody=True)
    first, _ = sent(world, hook)
    assert sent(world, hook, x_other="header") == (first, False)
    assert sent(world, hook, BODY + b" ")[1]


def test_a_name_is_forgotten_when_the_webhook_says(world: World) -> None:
    """Then it is a new delivery; by default after seven days."""
    hook = new_hook(world, deliveryIdHeader="X-Id", deliveryIdSeconds=60)
    usual = new_hook(world, deliveryIdHeader="X-Id")
    for each, seconds in ((hook, 60), (usual, 7 * 86_400)):
        first, _ = sent(world, each, x_id="1")
        world.clock.now += timedelta(seconds=seconds - 1)
        assert sent(world, each, x_id="1") == (first, False)
        world.clock.now += timedelta(seconds=1)
        assert sent(world, each, x_id="1")[1]


def test_p9_a_name_may_be_any_text_of_any_length(world: World) -> None:
    """What is long or cannot be printed is known by its hash; twins in Unicode stay two."""
    hook = new_hook(world, deliveryIdHeader="X-Id")
    for name in ("x" * 256, "x" * 257, "x" * 8_000, "é", "e\u0301", "\u202e", "../%00", "\ud800"):
        first, is_new = sent(world, hook, x_id=name)
        assert is_new
        assert len(first.trigger.delivery_id or "") <= 256
        assert sent(world, hook, x_id=name) == (first, False)


def test_r3_a_delivery_fifty_times_at_once_is_one_run(world: World) -> None:
    """Each sender learns of the same run."""
    hook = new_hook(world, deliveryIdHeader="X-Id")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sent(world, hook, x_id="1"), range(50)))
    assert len({run.id for run, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1
    assert len(runs(world, hook)) == 1
    assert len(world.machines.started) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"deliveryIdExpression": "headers.`x-id`"},
        {"deliveryIdExpression": "body.id"},
        {"deliveryIdOfBody": True},
        {"deliveryIdSeconds": 1},
    ],
    ids=["as it is", "an unsigned header", "signed body", "body", "short memory"],
)
def test_s4_a_replay_is_a_duplicate(world: World, settings: dict[str, Any]) -> None:
    """As long as its signature is taken, and whatever the replayer adds that is not signed."""
    hook = new_hook(world, hmacPreset="stripe", hmacSecretKey=SECRET, **settings)
    captured = stripe(world, seconds=300)
    first, _ = sent(world, hook, **captured, x_id="1")
    for number in range(100):
        replay = {**captured, "x_id": str(number), "x_request": str(number)}
        assert sent(world, hook, **replay) == (first, False)
        world.clock.now += timedelta(seconds=6)
    assert len(runs(world, hook)) == 1
    world.clock.now += timedelta(seconds=1)
    with pytest.raises(UnauthenticatedError):
        sent(world, hook, **captured)


def test_a_sender_that_tries_again_signs_anew(world: World) -> None:
    """What it repeats is told by what the body says, not by the signature."""
    hook = new_hook(world, hmacPreset="stripe", hmacSecretKey=SECRET)
    by_id = new_hook(
        world, hmacPreset="stripe", hmacSecretKey=SECRET, deliveryIdExpression="body.id"
    )
    for each, runs_made in ((hook, 2), (by_id, 1)):
        sent(world, each, **stripe(world))
        sent(world, each, **stripe(world, seconds=1))
        assert len(runs(world, each)) == runs_made


def test_s1_both_secrets_are_taken_while_they_change(world: World) -> None:
    """Then the next becomes the one, and the old one opens nothing."""
    hook = new_hook(world, hmacPreset="github", hmacSecretKey="old", hmacSecretKeyNext="new")

    def opens(secret: str) -> bool:
        try:
            sent(world, hook, x_hub_signature_256=f"sha256={mac(BODY, secret)}")
        except UnauthenticatedError:
            return False
        return True

    assert (opens("old"), opens("new"), opens("")) == (True, True, False)
    given = WebhookInput.model_validate(
        {"hmacPreset": "github", "hmacSecretKey": "new", "hmacSecretKeyNext": ""}
    )
    WEBHOOKS.replace(world.context, ALICE, hook.id, given, 1, flow_id=hook.flow_id)
    assert (opens("old"), opens("new"), opens("")) == (False, True, False)
    assert "new" not in json.dumps(hook.to_json())


def test_s1_a_sender_without_a_preset_may_sign_in_base64(world: World) -> None:
    """Then the same signature in hex is none."""
    settings = {"hmacAlgorithm": "sha256", "hmacSecretKey": SECRET, "hmacEncoding": "base64"}
    hook = new_hook(world, **settings)
    signed = hmac.digest(SECRET.encode(), BODY, "sha256")
    given = f"sha256={b64encode(signed).decode()}"
    assert sent(world, hook, x_hub_signature_256=given)[1]
    with pytest.raises(UnauthenticatedError):
        sent(world, hook, x_hub_signature_256=f"sha256={signed.hex()}")


FAULTS: Final = {
    "preset and another header": (
        {"hmacPreset": "stripe", "hmacSecretKey": "s", "hmacHeader": "X-Sign"},
        {("settledByPreset", "/hmacHeader")},
    ),
    "preset and no algorithm": (
        {"hmacPreset": "stripe", "hmacAlgorithm": None},
        {("settledByPreset", "/hmacAlgorithm")},
    ),
    "preset without secret": (
        {"hmacPreset": "slack"},
        {("secretMissing", "/hmacSecretKey")},
    ),
    "only the next secret": (
        {"hmacAlgorithm": "sha256", "hmacSecretKeyNext": "s"},
        {("secretMissing", "/hmacSecretKey")},
    ),
    "next secret without algorithm": (
        {"hmacSecretKeyNext": "s"},
        {("algorithmMissing", "/hmacAlgorithm")},
    ),
    "no base64": (
        {
            "hmacPreset": "standardWebhooks",
            "hmacSecretKey": "whsec_é",
            "hmacSecretKeyNext": "whsec_a",
        },
        {("badSecret", "/hmacSecretKey"), ("badSecret", "/hmacSecretKeyNext")},
    ),
    "named thrice": (
        {"deliveryIdHeader": "X", "deliveryIdExpression": "1", "deliveryIdOfBody": True},
        {("deliveryIdTwice", "/deliveryIdExpression"), ("deliveryIdTwice", "/deliveryIdOfBody")},
    ),
    "bad expression": (
        {"deliveryIdExpression": "body."},
        {("badExpression", "/deliveryIdExpression")},
    ),
    "a header that is not signed": (
        {"hmacPreset": "slack", "hmacSecretKey": "s", "deliveryIdHeader": "X-Id"},
        {("headerNotSigned", "/deliveryIdHeader")},
    ),
}


@pytest.mark.parametrize(("settings", "faults"), FAULTS.values(), ids=FAULTS.keys())
def test_settings_that_contradict_each_other_are_refused(
    world: World, settings: dict[str, Any], faults: set[tuple[str, str]]
) -> None:
    """Of webhooks and callbacks alike; all at once, and nothing is stored."""
    flow = world.flow()
    with pytest.raises(RuleViolationError) as raised:
        WEBHOOKS.create(
            world.context, ALICE, WebhookInput.model_validate(settings), flow_id=flow.id
        )
    assert {(each.code, each.pointer) for each in raised.value.violations} == faults
    with pytest.raises(RuleViolationError):
        CALLBACKS.create(
            world.context, ALICE, CallbackInput.model_validate(settings), flow_id=flow.id
        )
    assert world.secrets.values == {}


def test_a_preset_tells_what_it_settles(world: World) -> None:
    """And what was answered can be sent back."""
    hook = new_hook(world, hmacPreset="shopify", hmacSecretKey=SECRET)
    told = hook.to_json()
    assert {name: told[name] for name in told if name.startswith("hmac")} == {
        "hmacPreset": "shopify",
        "hmacAlgorithm": "sha256",
        "hmacHeader": "X-Shopify-Hmac-Sha256",
        "hmacPrefix": "",
        "hmacEncoding": "base64",
    }
    settings = {name: told[name] for name in told if name.startswith("hmac")}
    again = WebhookInput.model_validate(settings)
    assert WEBHOOKS.replace(world.context, ALICE, hook.id, again, 1, flow_id=hook.flow_id) == hook


def test_s5_an_address_of_another_kind_is_as_unknown_as_none(world: World) -> None:
    """A callback takes no deliveries, nor a webhook calls."""
    hook = new_hook(world)
    callback = CALLBACKS.create(world.context, ALICE, CallbackInput(), flow_id=hook.flow_id)
    delivery = Delivery("POST", {}, {}, b"")
    for id_ in (callback.id, "hook_9", "hook_", ""):
        with pytest.raises(NotFoundError, match="there is no such"):
            admit(world.context, Webhook, id_, delivery)
    with pytest.raises(NotFoundError, match="there is no such"):
        admit(world.context, Callback, hook.id, delivery)
