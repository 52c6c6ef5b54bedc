"""Request bodies before anything looks inside: size, and JSON that says one thing only."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from millrace import limits
from millrace.domain.errors import (
    InvalidRequestError,
    TooLargeError,
    UnsupportedMediaTypeError,
    Violation,
)
from millrace.domain.json_text import parse_json

JSON: Final = "application/json"


def raw_body(event: Mapping[str, Any]) -> bytes:
    """The bytes that the caller sent, whatever API Gateway made of them."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise InvalidRequestError("the body is not the base64 that it is said to be") from error


def check_json_body(event: Mapping[str, Any]) -> None:
    """Refuse a body that is too large, no JSON, or JSON that parsers read differently.

    Raises TooLargeError, UnsupportedMediaTypeError for other types, or InvalidRequestError for
    duplicate keys, NaN and syntax errors.
    """
    body = raw_body(event)
    if len(body) > limits.REQUEST_BYTES:
        raise TooLargeError(
            f"the body has {len(body):,} bytes; the limit is {limits.REQUEST_BYTES:,}"
        )
    if not body:
        return
    content_type = _content_type(event)
    if content_type not in {"", JSON}:
        raise UnsupportedMediaTypeError(
            f"the body is of type {content_type!r}; send JSON, with Content-Type: {JSON}"
        )
    try:
        parse_json(body, unique_keys=True)
    except ValueError as error:
        violation = Violation("badJson", "", str(error), "Send one valid JSON document.")
        raise InvalidRequestError("the body is not valid JSON", [violation]) from error


def _content_type(event: Mapping[str, Any]) -> str:
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower()
