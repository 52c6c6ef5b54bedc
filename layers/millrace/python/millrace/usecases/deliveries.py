"""Requests to public addresses: verified over their bytes, recorded durably, once each."""

import hashlib
import json
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from millrace import limits
from millrace.domain.base import Json, Record
from millrace.domain.callback import Callback
from millrace.domain.delivery import Delivery, delivered
from millrace.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
    Violation,
)
from millrace.domain.flow import Flow, Version
from millrace.domain.ports import Ref
from millrace.domain.records import RecordError
from millrace.domain.run import Run, Trigger
from millrace.domain.signatures import Verified, verified
from millrace.domain.trace_context import Trace
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.domain.webhook import Webhook
from millrace.usecases.api_keys import check_api_key
from millrace.usecases.context import Context
from millrace.usecases.deployed import deployed_version
from millrace.usecases.runs import Manner, begin_run, for_request, in_environment, record_run
from millrace.usecases.write_only import secrets_of

logger = logging.getLogger(__name__)

_REPLAY_SECONDS: Final = 2 * limits.SIGNATURE_SECONDS
"""So long a signature of a time is taken, from the earliest moment to the last."""

_ADDRESSES_KEPT: Final = 1_000
"""Of which a warm function knows where they are."""


@dataclass(frozen=True, slots=True)
class Admitted[A: (Webhook, Callback)]:
    """A request that may start a run, and how."""

    address: A
    flow: Flow
    how: Manner
    payload: Json
    delivery_id: str | None

    @property
    def dedupe_key(self) -> str | None:
        """By which the same request gives the same run."""
        return None if self.delivery_id is None else f"{self.address.id}\n{self.delivery_id}"

    @property
    def dedupe_for(self) -> timedelta:
        """How long it does so; longer than the request could be sent again as it is."""
        seconds = self.address.delivery_id_seconds
        scheme = self.address.scheme
        is_timed = scheme is not None and scheme.is_timed
        return timedelta(seconds=max(seconds, _REPLAY_SECONDS) if is_timed else seconds)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a delivery that was accepted."""

    run: Run
    is_new: bool
    webhook: Webhook


def receive_delivery(context: Context, webhook_id: str, delivery: Delivery) -> Accepted:
    """Check a delivery, record its run durably, and start it.

    Raises what `admit` and `record_run` raise, and ConflictError if the flow has no deployed
    version.
    """
    admitted = admit(context, Webhook, webhook_id, delivery)
    trigger = Trigger(source="webhook", webhook_id=webhook_id, delivery_id=admitted.delivery_id)
    run, is_new = record(context, admitted, deployed_version(context, admitted.flow), trigger)
    if is_new:
        begin_run(context, run)
    return Accepted(run, is_new, admitted.address)


def record(
    context: Context, admitted: Admitted[Any], version: Version, trigger: Trigger
) -> tuple[Run, bool]:
    """Record the run of a request, or give the one that the same request started already."""
    return record_run(
        context,
        version,
        trigger,
        admitted.payload,
        how=for_request(context, admitted.flow, trigger, admitted.payload, admitted.how),
        dedupe_key=admitted.dedupe_key,
        dedupe_for=admitted.dedupe_for,
    )


def admit[A: (Webhook, Callback)](
    context: Context, kind: type[A], id_: str, delivery: Delivery
) -> Admitted[A]:
    """Check a request to an address. The bytes are verified before anything is parsed.

    Raises:
        NotFoundError: there is no such address, or its flow is gone.
        TooLargeError: the body is too large.
        UnauthenticatedError: the signature, or the API key that the flow asks for, is missing or
            wrong.
        ConflictError: the flow is disabled, or the address's virtual environment is gone.
        UnsupportedMediaTypeError: the body is compressed.
        InvalidRequestError: the body is not what its content type says.
    """
    if len(delivery.body) > limits.WEBHOOK_BYTES:
        raise TooLargeError(
            f"the body has {len(delivery.body):,} bytes; the limit is {limits.WEBHOOK_BYTES:,}"
        )
    # The store finds a public id whatever it names.
    address, flow = (
        _found(context, kind, id_) if id_.startswith(f"{kind.prefix}_") else (None, None)
    )
    if address is None:
        raise NotFoundError(f"there is no such {kind.__name__.lower()}")
    signature = _verify(context, address, delivery)
    if flow is None:
        raise NotFoundError("the flow of the address is gone")
    environment = _environment(context, address)
    check_api_key(context, flow, delivery.headers.get("api-key"), environment)
    if environment is None and address.virtual_environment_id is not None:
        raise ConflictError("the address's virtual environment is gone")
    if not flow.is_enabled:
        raise ConflictError("the flow is disabled")
    payload = _payload(address, delivery)
    usually = Manner() if environment is None else in_environment(environment)
    return Admitted(
        address,
        flow,
        replace(usually, trace=Trace.received(delivery.headers)),
        payload,
        _delivery_id(context, address, delivery, payload, signature),
    )


def _found[A: (Webhook, Callback)](
    context: Context, kind: type[A], id_: str
) -> tuple[A | None, Flow | None]:
    """The address and its flow, as far as they are there.

    Where an address is never changes, so a warm function looks that up once, and then reads both
    at once.
    """
    place = context.addresses.get(id_)
    if place is None:
        address = context.resources.find_public(kind, id_)
        if address is None:
            return None, None
        place = address.workspace_id, address.flow_id
        if len(context.addresses) >= _ADDRESSES_KEPT:
            context.addresses.pop(next(iter(context.addresses)))
        context.addresses[id_] = place
    workspace_id, flow_id = place
    there, its = Ref(kind, id_, flow_id), Ref(Flow, flow_id)
    found = context.resources.get_many(workspace_id, [there, its])
    return found.get(there), found.get(its)


def _environment(context: Context, address: Webhook | Callback) -> VirtualEnvironment | None:
    if address.virtual_environment_id is None:
        return None
    try:
        return context.resources.get(
            VirtualEnvironment, address.workspace_id, address.virtual_environment_id
        )
    except NotFoundError:
        return None


def _verify(context: Context, address: Webhook | Callback, delivery: Delivery) -> Verified:
    scheme = address.scheme
    if scheme is None:
        return Verified()
    secrets = secrets_of(context.secrets, address)
    # One that came by an import has none, as it brings none along: nobody gets in until it has.
    usable = [secrets.get("hmac_secret_key"), secrets.get("hmac_secret_key_next")]
    found = verified(scheme, filter(None, usable), delivery.headers, delivery.body, context.clock())
    if found is None:
        raise UnauthenticatedError("no valid signature")
    return found


def _payload(address: Webhook | Callback, delivery: Delivery) -> dict[str, Json]:
    encoding = delivery.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaTypeError(
            f"the body is encoded as {encoding!r}; send it without Content-Encoding"
        )
    try:
        return delivered(delivery, address.hmac_header)
    except ValueError as error:
        content_type = delivery.content_type.partition(";")[0].strip().lower()
        logger.warning("%s: a body that is no %r was refused", address.id, content_type)
        raise InvalidRequestError(
            f"the body is not what its content type {content_type!r} says",
            [
                Violation(
                    "badBody", "", str(error), "Send what the type says, or another content type."
                )
            ],
        ) from error


def _delivery_id(
    context: Context,
    address: Webhook | Callback,
    delivery: Delivery,
    payload: Record,
    signature: Verified,
) -> str | None:
    """What names the delivery, if anything does; what is long or not printable, by its hash."""
    name: str | None = None
    if address.delivery_id_header is not None:
        name = delivery.headers.get(address.delivery_id_header.lower())
    elif address.delivery_id_of_body:
        name = _digest(delivery.body)
    elif address.delivery_id_expression is not None:
        # Where replays are told by what is signed, what is not signed has no say.
        is_timed = signature.replay_id is not None
        seen = {"body": payload["body"]} if is_timed else payload
        name = _evaluated(context, address, address.delivery_id_expression, seen)
    name = name or signature.replay_id
    if name and (len(name) > limits.DELIVERY_ID_LENGTH or not name.isprintable()):
        name = _digest(name.encode("utf-8", "surrogatepass"))
    return name or None


def _evaluated(
    context: Context, address: Webhook | Callback, expression: str, record: Record
) -> str | None:
    """The expression's value as text; None if it has none: no delivery is lost for it."""
    try:
        value = context.connectors.evaluate(expression, record)
    except RecordError as error:
        logger.warning("%s: deliveryIdExpression has no value (%s)", address.id, error.code)
        return None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
