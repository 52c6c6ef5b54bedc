"""Deliveries: verified over their raw bytes, recorded once, and refused for stated reasons."""

import gzip
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.support.samples import ALICE, MALLORY, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.delivery import Delivery
from millrace.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RevisionMismatchError,
    RuleViolationError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from millrace.domain.flow import Flow
from millrace.domain.run import Run
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.storage.memory import MemoryMachines
from millrace.usecases.deliveries import receive_delivery
from millrace.usecases.deploy import undeploy_version
from millrace.usecases.flows import latest_version
from millrace.usecases.payloads import load_payload
from millrace.usecases.runs import list_runs
from millrace.usecases.webhooks import WEBHOOKS

SECRET = "s3cret é"
BODY = b'{"action": "opened",   "number": 1.0}'
JSON_TYPE = {"content-type": "application/json"}
SIGNED: dict[str, Any] = {
    "hmacAlgorithm": "sha256",
    "hmacSecretKey": SECRET,
    "deliveryIdHeader": "X-GitHub-Delivery",
}


def signature(body: bytes, secret: str = SECRET) -> str:
    """What GitHub sends: the HMAC of the bytes, in hex, behind its prefix."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def delivery(body: bytes = BODY, **headers: str) -> Delivery:
    """A signed delivery of JSON; header names are written with underscores."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    signed = {"x-hub-signature-256": signature(body)}
    return Delivery("POST", JSON_TYPE | signed | given, {"a": "b"}, body)


@dataclass
class Hook:
    """A webhook of a deployed flow."""

    world: World
    flow: Flow
    webhook: Webhook

    def receive(self, delivered: Delivery) -> tuple[Run, bool]:
        """Take in a delivery."""
        accepted = receive_delivery(self.world.context, self.webhook.id, delivered)
        return accepted.run, accepted.is_new

    @property
    def runs(self) -> tuple[Run, ...]:
        """The flow's runs."""
        return list_runs(self.world.context, ALICE, self.flow.id, 100, None).items


def new_hook(world: World, settings: Mapping[str, Json]) -> Hook:
    """A webhook with these settings on a new, deployed flow."""
    flow = world.deployed(process_step("map"))
    given = WebhookInput.model_validate(settings)
    return Hook(world, flow, WEBHOOKS.create(world.context, ALICE, given, flow_id=flow.id))


@pytest.fixture
def hook(world: World) -> Hook:
    """A webhook that verifies signatures and knows deliveries by their id."""
    return new_hook(world, SIGNED)


@pytest.fixture
def open_hook(world: World) -> Hook:
    """A webhook that takes everything from everybody."""
    return new_hook(world, {})


def test_a_signed_delivery_starts_a_run(hook: Hook) -> None:
    """The run is recorded and its machine started, with the delivery as payload."""
    run, is_new = hook.receive(delivery(x_github_delivery="d-1"))
    assert is_new
    assert hook.runs == (run,)
    assert (run.machine_arn, run.id) in hook.world.machines.started
    assert run.trigger.webhook_id == hook.webhook.id
    assert run.trigger.delivery_id == "d-1"


def test_the_payload_is_the_delivery_without_credentials(hook: Hook) -> None:
    """The flow sees method, headers, query and body; not what proves who sent it."""
    run, _ = hook.receive(
        delivery(x_github_event="issues", authorization="Bearer x", cookie="c", api_key="k")
    )
    assert load_payload(hook.world.context, run) == {
        "method": "POST",
        "headers": {**JSON_TYPE, "x-github-event": "issues"},
        "query": {"a": "b"},
        "body": {"action": "opened", "number": 1.0},
    }


BAD_SIGNATURES = {
    "missing": {},
    "empty": {"x-hub-signature-256": ""},
    "of another body": {"x-hub-signature-256": signature(BODY + b" ")},
    "of another secret": {"x-hub-signature-256": signature(BODY, "guess")},
    "without prefix": {"x-hub-signature-256": signature(BODY).removeprefix("sha256=")},
    "wrong prefix": {"x-hub-signature-256": signature(BODY).replace("sha256=", "sha512=")},
    "cut": {"x-hub-signature-256": signature(BODY)[:-1]},
    "not ASCII": {"x-hub-signature-256": "sha256=é☃"},
    "half a surrogate pair": {"x-hub-signature-256": "sha256=\ud800"},
    "in another header": {"x-hub-signature": signature(BODY)},
}


@pytest.mark.parametrize("headers", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES.keys())
def test_without_the_right_signature_there_is_no_run(hook: Hook, headers: dict[str, str]) -> None:
    """Whatever is wrong with it, the answer is the same and nothing is recorded."""
    with pytest.raises(UnauthenticatedError) as raised:
        hook.receive(Delivery("POST", JSON_TYPE | headers, {}, BODY))
    assert raised.value.message == "no valid signature"
    assert hook.runs == ()


def test_the_signature_is_of_the_bytes_not_of_their_meaning(hook: Hook) -> None:
    """The same JSON with other white space has another signature."""
    headers = JSON_TYPE | {"x-hub-signature-256": signature(BODY)}
    rewritten = json.dumps(json.loads(BODY)).encode()
    with pytest.raises(UnauthenticatedError):
        hook.receive(Delivery("POST", headers, {}, rewritten))


def test_the_signature_comes_before_everything_else(hook: Hook) -> None:
    """Who cannot sign does not learn that the flow is disabled or the body is no JSON."""
    hook.world.change(hook.flow, process_step("map"), enabled=False)
    with pytest.raises(UnauthenticatedError):
        hook.receive(Delivery("POST", JSON_TYPE, {}, b"{"))


def test_header_and_prefix_are_the_senders(world: World) -> None:
    """Other systems sign in other headers, some without a prefix."""
    hook = new_hook(world, SIGNED | {"hmacHeader": "X-Signature", "hmacPrefix": ""})
    bare = signature(BODY).removeprefix("sha256=")
    run, _ = hook.receive(Delivery("POST", JSON_TYPE | {"x-signature": bare}, {}, BODY))
    payload = load_payload(world.context, run)
    assert "x-signature" not in payload["headers"]


def test_the_same_delivery_is_the_same_run(hook: Hook) -> None:
    """Redelivered, even with another body, it starts nothing new."""
    first, _ = hook.receive(delivery(x_github_delivery="d-1"))
    second, is_new = hook.receive(delivery(b"{}", x_github_delivery="d-1"))
    assert (second.id, is_new) == (first.id, False)
    assert hook.receive(delivery(x_github_delivery="d-2"))[1]
    assert len(hook.runs) == 2


def test_delivery_ids_are_per_webhook(world: World) -> None:
    """Two webhooks may get deliveries of the same id."""
    first, second = new_hook(world, SIGNED), new_hook(world, SIGNED)
    assert first.receive(delivery(x_github_delivery="d-1"))[1]
    assert second.receive(delivery(x_github_delivery="d-1"))[1]


def test_without_a_delivery_id_each_delivery_is_a_run(hook: Hook) -> None:
    """A sender that names no delivery gets a run for each request."""
    assert hook.receive(delivery())[1]
    assert hook.receive(delivery(x_github_delivery=""))[1]
    assert len(hook.runs) == 2


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (JSON_TYPE, b"[1]", [1]),
        ({"content-type": "application/vnd.x+json; charset=utf-8"}, b'{"a":1}', {"a": 1}),
        ({"content-type": "Application/JSON"}, b"null", None),
        ({"content-type": "text/plain"}, b'{"a":1}', '{"a":1}'),
        ({"content-type": "text/csv; charset=latin-1"}, b"caf\xe9", "café"),
        ({"content-type": "application/x-ndjson"}, b'{"a":1}\n', '{"a":1}\n'),
        (
            {"content-type": "application/x-www-form-urlencoded"},
            b"a=1&b=%C3%A9&a=+&c=",
            {"a": ["1", " "], "b": "é", "c": ""},
        ),
        (
            {"content-type": "text/xml; charset=utf-8"},
            b'<o id="7"><l>a</l><l> b</l><n/> tail</o>',
            {"o": {"@id": "7", "l": ["a", " b"], "n": "", "#text": " tail"}},
        ),
        ({"content-type": "application/soap+xml"}, b"<a>\n <b>1</b>\n</a>", {"a": {"b": "1"}}),
        ({"content-type": "image/png"}, b"\x89PNG\0", {"base64": "iVBORwA="}),
        ({"content-type": "application/octet-stream"}, b"abc", {"base64": "YWJj"}),
        ({"content-type": "text/plain"}, b"\xff", {"base64": "/w=="}),
        ({"content-type": "text/plain; charset=klingon"}, b"a", {"base64": "YQ=="}),
        ({}, b"\xff", {"base64": "/w=="}),
        ({}, "snow ☃".encode(), "snow ☃"),
        (JSON_TYPE, b"", None),
    ],
)
def test_the_body_is_what_its_type_says(
    open_hook: Hook, headers: dict[str, str], body: bytes, expected: Json
) -> None:
    """JSON, XML and forms are read, text is text, all else is base64, nothing is null."""
    run, _ = open_hook.receive(Delivery("POST", headers, {}, body))
    assert load_payload(open_hook.world.context, run)["body"] == expected


XML_TYPE = {"content-type": "application/xml"}
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}
BOMB = b"<!DOCTYPE a [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><a>&b;</a>"
BAD_BODIES = {
    "cut off": (JSON_TYPE, b'{"a":'),
    "NaN": (JSON_TYPE, b'{"a": NaN}'),
    "too large a number": (JSON_TYPE, b'{"a": 1e400}'),
    "too long a number": (JSON_TYPE, b'{"a": ' + b"1" * 5_000 + b"}"),
    "not UTF-8": (JSON_TYPE, b'"\xff"'),
    "UTF-16": (JSON_TYPE, '{"a": 1}'.encode("utf-16")),
    "byte order mark": (JSON_TYPE, b'\xef\xbb\xbf{"a": 1}'),
    "key twice": (JSON_TYPE, b'{"a": 1, "a": 2}'),
    "half a surrogate pair": (JSON_TYPE, b'"\\ud800"'),
    "nested without end": (JSON_TYPE, b"[" * 200_000),
    "XML cut off": (XML_TYPE, b"<a><b></a>"),
    "XML that swells": (XML_TYPE, BOMB),
    "XML of another file": (XML_TYPE, b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>"),
    "XML nested without end": (XML_TYPE, b"<a>" * 5_000),
    "XML in no known charset": ({"content-type": "text/xml; charset=klingon"}, b"<a/>"),
    "form not UTF-8": (FORM_TYPE, b"a=%ff"),
    "form of too many fields": (FORM_TYPE, b"a&" * (limits.FORM_FIELDS + 1)),
}


@pytest.mark.parametrize(("headers", "body"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_p3_a_body_that_is_not_what_it_claims_to_be_is_refused(
    open_hook: Hook, headers: dict[str, str], body: bytes
) -> None:
    """The sender is told where, and nothing is recorded; what is ambiguous is not guessed."""
    with pytest.raises(InvalidRequestError, match="content type") as raised:
        open_hook.receive(Delivery("POST", headers, {}, body))
    (violation,) = raised.value.violations
    assert violation.code == "badBody"
    told = re.search(r"line \d+,? column \d+|position \d+", violation.message)
    assert told or "nested too deeply" in violation.message or headers != JSON_TYPE
    assert open_hook.runs == ()


def test_p3_large_numbers_arrive_exactly(open_hook: Hook) -> None:
    """2^53 + 1 is the first integer that a double does not hold."""
    run, _ = open_hook.receive(Delivery("POST", JSON_TYPE, {}, b"[9007199254740993]"))
    assert load_payload(open_hook.world.context, run)["body"] == [9007199254740993]


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br", "GZIP"])
def test_p5_a_compressed_body_is_refused(open_hook: Hook, encoding: str) -> None:
    """By name, without looking inside."""
    headers = JSON_TYPE | {"content-encoding": encoding}
    with pytest.raises(UnsupportedMediaTypeError, match="without Content-Encoding"):
        open_hook.receive(Delivery("POST", headers, {}, gzip.compress(BODY)))
    assert open_hook.runs == ()


def test_p1_a_body_up_to_the_limit_is_taken_and_kept_in_the_bucket(open_hook: Hook) -> None:
    """4 MB is accepted, one byte more is not."""
    body = b"x" * limits.WEBHOOK_BYTES
    run, _ = open_hook.receive(Delivery("POST", {}, {}, body))
    assert run.payload.key in open_hook.world.blobs.objects
    assert load_payload(open_hook.world.context, run)["body"] == body.decode()
    with pytest.raises(TooLargeError, match="4,000,000"):
        open_hook.receive(Delivery("POST", {}, {}, body + b"x"))
    assert len(open_hook.runs) == 1


def test_a_disabled_flow_takes_no_deliveries(hook: Hook) -> None:
    """The sender is told that it is not the signature."""
    hook.world.change(hook.flow, process_step("map"), enabled=False)
    with pytest.raises(ConflictError, match="disabled"):
        hook.receive(delivery())
    assert hook.runs == ()


def test_an_undeployed_flow_takes_no_deliveries(hook: Hook) -> None:
    """There is nothing that could run."""
    context = hook.world.context
    version = latest_version(context, hook.flow)
    undeploy_version(context, ALICE, hook.flow.id, version.id, version.revision)
    with pytest.raises(ConflictError, match="deploy one first"):
        hook.receive(delivery())
    assert hook.runs == ()


class BusyMachines(MemoryMachines):
    """Step Functions that takes no calls."""

    def start(self, machine_arn: str, name: str, data: dict[str, Json]) -> None:
        """Refuse."""
        raise UnavailableError(f"cannot start {name} of {machine_arn} with {data}")


def test_a_delivery_is_accepted_although_its_machine_cannot_start_now(hook: Hook) -> None:
    """Recorded is accepted: the sweeper starts the run later."""
    busy = replace(hook.world.context, machines=BusyMachines())
    accepted = receive_delivery(busy, hook.webhook.id, delivery(x_github_delivery="d-1"))
    assert accepted.is_new
    assert hook.runs == (accepted.run,)


def test_an_address_of_nobody_is_not_found(hook: Hook) -> None:
    """Neither unknown ids nor deleted webhooks say more than that."""
    context = hook.world.context
    with pytest.raises(NotFoundError):
        receive_delivery(context, "hook_9", delivery())
    WEBHOOKS.delete(context, ALICE, hook.webhook.id, hook.webhook.revision, flow_id=hook.flow.id)
    with pytest.raises(NotFoundError):
        hook.receive(delivery())
    assert hook.world.secrets.values == {}


@pytest.mark.parametrize(
    ("settings", "code", "pointer"),
    [
        ({"hmacAlgorithm": "sha256"}, "secretMissing", "/hmacSecretKey"),
        ({"hmacSecretKey": "s3cret"}, "algorithmMissing", "/hmacAlgorithm"),
        (
            {"hmacAlgorithm": "sha256", "hmacSecretKey": ""},
            "secretMissing",
            "/hmacSecretKey",
        ),
    ],
    ids=["no secret", "no algorithm", "empty secret"],
)
def test_a_webhook_that_could_not_verify_is_refused(
    world: World, settings: dict[str, str], code: str, pointer: str
) -> None:
    """Half of what verification needs would look like verification and be none."""
    flow = world.flow()
    with pytest.raises(RuleViolationError) as raised:
        WEBHOOKS.create(
            world.context, ALICE, WebhookInput.model_validate(settings), flow_id=flow.id
        )
    assert [(found.code, found.pointer) for found in raised.value.violations] == [(code, pointer)]
    assert WEBHOOKS.list_of_flow(world.context, ALICE, flow.id, limit=10).items == ()
    assert world.secrets.values == {}


def test_webhooks_are_their_owners(hook: Hook) -> None:
    """Another workspace can neither list, add nor delete them."""
    context, flow_id = hook.world.context, hook.flow.id
    for act in (
        lambda: WEBHOOKS.list_of_flow(context, MALLORY, flow_id, limit=10),
        lambda: WEBHOOKS.create(context, MALLORY, WebhookInput(), flow_id=flow_id),
        lambda: WEBHOOKS.delete(context, MALLORY, hook.webhook.id, 1, flow_id=flow_id),
    ):
        with pytest.raises(NotFoundError):
            act()
    with pytest.raises(RevisionMismatchError):
        WEBHOOKS.delete(context, ALICE, hook.webhook.id, 7, flow_id=flow_id)
    assert WEBHOOKS.list_of_flow(context, ALICE, flow_id, limit=10).items == (hook.webhook,)
