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
from millrace.domain.ports import Create, Delete, Listing, Replace
from millrace.domain.run import Run, Trigger
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.api_keys import check_api_key
from millrace.usecases.audit import audited
from millrace.usecases.checks import lookup
from millrace.usecases.context import Context
from millrace.usecases.flows import get_flow
from millrace.usecases.resources import born, changed, check_revision, fields_of, refuse
from millrace.usecases.runs import Manner, in_environment, start_run
from millrace.usecases.write_only import (
    changed_secrets,
    commit_with_secrets,
    secrets_of,
    take_secrets,
)

_PRIVATE_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "api-key"})


def webhook_violations(
    given: WebhookInput, pointer: str = "", before: Webhook | None = None
) -> Iterator[Violation]:
    """What is wrong with a webhook that is well formed; `before` may hold the secret already."""
    secret = given.hmac_secret_key
    is_kept = secret is None and before is not None and before.secrets_key is not None
    has_secret = is_kept or (secret is not None and secret.get_secret_value() != "")
    if given.hmac_algorithm is not None and not has_secret:
        yield Violation(
            "secretMissing",
            f"{pointer}/hmacSecretKey",
            "hmacAlgorithm is set, but there is no secret to verify signatures with.",
            "Set hmacSecretKey to the secret that the sender signs with.",
        )
    if given.hmac_algorithm is None and secret is not None:
        yield Violation(
            "algorithmMissing",
            f"{pointer}/hmacAlgorithm",
            "hmacSecretKey is set, but without an algorithm no signature is verified.",
            "Set hmacAlgorithm, such as to sha256, or leave out the secret.",
        )


def unknown_environment(
    context: Context, caller: Caller, given: WebhookInput, pointer: str = ""
) -> Iterator[Violation]:
    """A virtual environment that a webhook names is there."""
    id_ = given.virtual_environment_id
    if id_ is not None and lookup(context, VirtualEnvironment, caller.workspace_id)(id_) is None:
        yield Violation(
            "unknownEnvironment",
            f"{pointer}/virtualEnvironmentId",
            f"There is no virtual environment {id_!r}.",
            "Create it first, or correct the id.",
        )


def new_webhook(
    context: Context, caller: Caller, flow_id: str, given: WebhookInput
) -> tuple[Webhook, dict[str, str]]:
    """A webhook not stored yet, and its secrets."""
    given, secrets = take_secrets(given)
    webhook = Webhook(
        **fields_of(given, Webhook),
        **born(context, caller, Webhook),
        flow_id=flow_id,
        secrets_version=context.new_id("sec") if secrets else None,
    )
    return webhook, secrets


def changed_webhook(
    context: Context, caller: Caller, before: Webhook, given: WebhookInput
) -> tuple[Webhook, dict[str, str]]:
    """A webhook as it will be, and its secrets if they change; `before` if nothing changes."""
    given, new = take_secrets(given)
    # A secret that verifies nothing any more is forgotten, not kept out of sight.
    old = {} if given.hmac_algorithm is None else secrets_of(context.secrets, before)
    secrets = old | new
    same_secrets = secrets == old and bool(secrets) == (before.secrets_version is not None)
    if same_secrets and fields_of(before, WebhookInput) == fields_of(given, WebhookInput):
        return before, {}
    version = before.secrets_version
    if not same_secrets:
        version = context.new_id("sec") if secrets else None
    after = Webhook(
        **fields_of(given, Webhook),
        **changed(context, caller, before),
        flow_id=before.flow_id,
        secrets_version=version,
    )
    return after, {} if same_secrets else secrets


def create_webhook(context: Context, caller: Caller, flow_id: str, given: WebhookInput) -> Webhook:
    """Store a new webhook of a flow."""
    flow = get_flow(context, caller, flow_id)
    refuse([*webhook_violations(given), *unknown_environment(context, caller, given)])
    webhook, secrets = new_webhook(context, caller, flow.id, given)
    new, _ = changed_secrets(None, webhook, secrets)
    changes = audited(context, caller, "webhookCreated", [Create(webhook, parent_id=flow.id)])
    commit_with_secrets(context, changes, new)
    return webhook


def list_webhooks(
    context: Context, caller: Caller, flow_id: str, limit: int, cursor: str | None
) -> Listing[Webhook]:
    """One page of a flow's webhooks."""
    flow = get_flow(context, caller, flow_id)
    return context.resources.page(
        Webhook, caller.workspace_id, parent_id=flow.id, limit=limit, cursor=cursor
    )


def get_webhook(context: Context, caller: Caller, flow_id: str, webhook_id: str) -> Webhook:
    """One webhook of a flow, without its secret."""
    return context.resources.get(Webhook, caller.workspace_id, webhook_id, parent_id=flow_id)


def replace_webhook(
    context: Context,
    caller: Caller,
    flow_id: str,
    webhook_id: str,
    given: WebhookInput,
    revision: int | None,
) -> Webhook:
    """Change a webhook; its address stays, and so does its secret if it is left out."""
    before = get_webhook(context, caller, flow_id, webhook_id)
    check_revision(before, revision)
    faults = webhook_violations(given, before=before)
    refuse([*faults, *unknown_environment(context, caller, given)])
    after, secrets = changed_webhook(context, caller, before, given)
    if after is before:
        return before
    changes = [Replace(before, after, parent_id=flow_id)]
    commit_with_secrets(
        context,
        audited(context, caller, "webhookReplaced", changes),
        *changed_secrets(before, after, secrets),
    )
    return after


def delete_webhook(
    context: Context, caller: Caller, flow_id: str, webhook_id: str, revision: int | None
) -> None:
    """Remove a webhook; deliveries to its address are refused from then on."""
    webhook = get_webhook(context, caller, flow_id, webhook_id)
    check_revision(webhook, revision)
    changes = [Delete(webhook, parent_id=flow_id)]
    context.resources.commit(*audited(context, caller, "webhookDeleted", changes))
    if webhook.secrets_key is not None:
        context.secrets.delete(webhook.secrets_key)


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
    payload = _payload(webhook, delivery)
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
    secret = secrets_of(context.secrets, webhook)["hmac_secret_key"]
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


def _payload(webhook: Webhook, delivery: Delivery) -> dict[str, Json]:
    """The delivery as the flow's input record, without what proves the sender's identity."""
    private = _PRIVATE_HEADERS | {webhook.hmac_header.lower()}
    return {
        "method": delivery.method,
        "headers": {name: value for name, value in delivery.headers.items() if name not in private},
        "query": dict(delivery.query),
        "body": _parse(delivery),
    }


def _parse(delivery: Delivery) -> Json:
    """The body as JSON if it says that it is, as text otherwise."""
    if not delivery.body:
        return None
    content_type = delivery.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if content_type == "application/json" or content_type.endswith("+json"):
            return parse_json(delivery.body)
        return delivery.body.decode()
    except ValueError as error:
        raise RuleViolationError(
            f"the body is not what its content type {content_type!r} says",
            [Violation("badBody", "", str(error), "Send valid JSON, or another content type.")],
        ) from error
