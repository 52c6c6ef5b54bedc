"""What a test hands to the flow: what the request says, or else what the flow has saved."""

from typing import Final

from millrace.domain.base import Json
from millrace.domain.delivery import Delivery, delivered, read_body
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow
from millrace.domain.flow_parts import TriggerKind
from millrace.usecases.resources import refuse

_JSON: Final = "application/json"
_DELIVERED: Final = {TriggerKind.WEBHOOK, TriggerKind.CALLBACK}


def as_sent(flow: Flow, payload: Json, content_type: str) -> Json:
    """What the flow is given of a body of some type: of a webhook's flow, a delivery's record."""
    if not isinstance(payload, str):
        message = "With payloadContentType, the payload is the text of a body."
        remedy = "Send a string, or leave out payloadContentType."
        refuse([Violation("notText", "/payload", message, remedy)])
    return _read(flow, payload, content_type, "/payload")


def saved(flow: Flow) -> Json:
    """What the flow's saved test request gives it; None if none is saved."""
    if flow.test_payload is None:
        return None
    return _read(flow, flow.test_payload, flow.test_content_type or _JSON, "")


def _read(flow: Flow, text: str, content_type: str, pointer: str) -> Json:
    body = text.encode("utf-8", "surrogatepass")
    headers = {name.lower(): value for name, value in flow.test_headers.items()}
    delivery = Delivery("POST", headers | {"content-type": content_type}, {}, body)
    try:
        if flow.trigger.kind in _DELIVERED:
            return delivered(delivery)
        return read_body(body, content_type)
    except ValueError as error:
        what = "The payload" if pointer else "The flow's testPayload"
        message = f"{what} is not what its type {content_type!r} says: {error}."
        refuse([Violation("badPayload", pointer, message, "Correct it, or its type.")])
        raise
