"""Webhooks of a flow, and the deliveries that come in through them."""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RuleViolationError,
    TooLargeError,
    UnauthenticatedError,
    Violation,
)
from millrace.domain.flow import Flow
from millrace.domain.json_text import parse_json
from millrace.domain.run import Run, Trigger
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.api_keys import check_api_key
from millrace.usecases.checks import lookup
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud, Events
from millrace.usecases.runs import Manner, in_environment, start_run
from millrace.usecases.write_only import secrets_of

_PRIVATE_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "api-key"})


def check_webhook(
    context: Context, caller: Caller, given: WebhookInput, before: Webhook | None
) -> Iterator[Violation]:
    """What is wrong with a webhook that is well formed; `before` may hold the secret already."""
    secret = given.hmac_secret_key
    is_kept = secret is None and before is not None and before.secrets_key is not None
    has_secret = is_kept or (secret is not None and secret.get_secret_value() != "")
    if given.hmac_algorithm is not None and not has_secret:
        yield Violation(
            "secretMissing",
            "/hmacSecretKey",
            "hmacAlgorithm is set, but there is no secret to verify signatures with.",
            "Set hmacSecretKey to the secret that the sender signs with.",
        )
    if given.hmac_algorithm is None and secret is not None:
        yield Violation(
            "algorithmMissing",
            "/hmacAlgorithm",
            "hmacSecretKey is set, but without an algorithm no signature is verified.",
            "Set hmacAlgorithm, such as to sha256, or leave out the secret.",
        )

    id_ = given.virtual_environment_id
    is_new = id_ is not None and (before is None or before.virtual_environment_id != id_)
    find = lookup(context, VirtualEnvironment, caller.workspace_id)
    if is_new and find(id_ or "") is None:
        yield Violation(
            "unknownEnvironment",
            "/virtualEnvironmentId",
            f"There is no virtual environment {id_!r}.",
            "Create it first, or correct the id.",
        )


def _verifies(_: Webhook, given: WebhookInput) -> bool:
    return given.hmac_algorithm is not None


WEBHOOKS: Final = Crud(
    Webhook,
    WebhookInput,
    check=check_webhook,
    keeps_secrets=_verifies,
    events=Events("webhookCreated", "webhookReplaced", "webhookPatched", "webhookDeleted"),
)
"""Webhooks of flows; the address of one stays when it changes."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to a webhook; header names in lower case, the body as it came."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a delivery that was accepted."""

    run: Run
    is_new: bool
    webhook: Webhook


def receive_delivery(context: Context, webhook_id: str, delivery: Delivery) -> Accepted:
    """Check a delivery, record its run durably, and start it.

    The bytes are verified before anything is parsed. The same delivery id gives the same run.

    Raises:
        NotFoundError: there is no such webhook, or its flow is gone.
        TooLargeError: the body is too large.
        UnauthenticatedError: the signature, or the API key that the flow asks for, is missing or
            wrong.
        ConflictError: the flow is disabled or has no deployed version, or the webhook's virtual
            environment is gone.
    """
    if len(delivery.body) > limits.WEBHOOK_BYTES:
        raise TooLargeError(
            f"the body has {len(delivery.body):,} bytes; the limit is {limits.WEBHOOK_BYTES:,}"
        )
    webhook = context.resources.find_public(Webhook, webhook_id)
    if webhook is None:
        raise NotFoundError("there is no such webhook")
    _verify(context, webhook, delivery)
    flow = context.resources.get(Flow, webhook.workspace_id, webhook.flow_id)
    environment = _environment(context, webhook)
    check_api_key(context, flow, delivery.headers.get("api-key"), environment)
    if environment is None and webhook.virtual_environment_id is not None:
        raise ConflictError("the webhook's virtual environment is gone")
    if not flow.is_enabled:
        raise ConflictError("the flow is disabled")
    delivery_id = _delivery_id(webhook, delivery)
    trigger = Trigger(source="webhook", webhook_id=webhook.id, delivery_id=delivery_id)
    dedupe_key = None if delivery_id is None else f"{webhook.id}\n{delivery_id}"
    try:
        payload = delivered(delivery, webhook.hmac_header)
    except ValueError as error:
        content_type = delivery.headers.get("content-type", "").partition(";")[0].strip().lower()
        raise RuleViolationError(
            f"the body is not what its content type {content_type!r} says",
            [Violation("badBody", "", str(error), "Send valid JSON, or another content type.")],
        ) from error
    how = Manner() if environment is None else in_environment(environment)
    run, is_new = start_run(context, flow, trigger, payload, how=how, dedupe_key=dedupe_key)
    return Accepted(run, is_new, webhook)


def _environment(context: Context, webhook: Webhook) -> VirtualEnvironment | None:
    id_ = webhook.virtual_environment_id
    find = lookup(context, VirtualEnvironment, webhook.workspace_id)
    return None if id_ is None else find(id_)


def _verify(context: Context, webhook: Webhook, delivery: Delivery) -> None:
    if webhook.hmac_algorithm is None:
        return
    secret = secrets_of(context.secrets, webhook).get("hmac_secret_key")
    if secret is None:
        # It came by an import, which brings no secrets along: it lets nobody in until it has one.
        raise UnauthenticatedError("no valid signature")
    digest = hmac.new(secret.encode(), delivery.body, webhook.hmac_algorithm).hexdigest()
    given = delivery.headers.get(webhook.hmac_header.lower(), "")
    # Compared as bytes: compare_digest refuses text that is not ASCII.
    expected = f"{webhook.hmac_prefix}{digest}".encode()
    if not hmac.compare_digest(expected, given.encode("utf-8", "surrogatepass")):
        raise UnauthenticatedError("no valid signature")


def _delivery_id(webhook: Webhook, delivery: Delivery) -> str | None:
    if webhook.delivery_id_header is None:
        return None
    return delivery.headers.get(webhook.delivery_id_header.lower()) or None


def delivered(delivery: Delivery, *private_headers: str) -> dict[str, Json]:
    """A delivery as the flow's input record, without what proves the sender's identity.

    Raises ValueError if the body is not what its content type says.
    """
    private = _PRIVATE_HEADERS | {name.lower() for name in private_headers}
    return {
        "method": delivery.method,
        "headers": {name: value for name, value in delivery.headers.items() if name not in private},
        "query": dict(delivery.query),
        "body": read_body(delivery.body, delivery.headers.get("content-type", "")),
    }


def read_body(body: bytes, content_type: str) -> Json:
    """The body as JSON if its type says that it is, as text otherwise. Raises ValueError."""
    if not body:
        return None
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        return parse_json(body)
    return body.decode()
