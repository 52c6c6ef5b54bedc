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
JSON_PATCH: Final = "application/json-patch+json"


def raw_body(event: Mapping[str, Any]) -> bytes:
    """The bytes that the caller sent, whatever API Gateway made of them."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise InvalidRequestError("the body is not the base64 that it is said to be") from error


def json_request(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event of a request whose body, if any, is JSON of an acceptable size.

    Its content type is the plain one, since Powertools knows no other spelling. Raises
    TooLargeError, UnsupportedMediaTypeError, or InvalidRequestError for what is not JSON.
    """
    body = raw_body(event)
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    content_type = str(headers.pop("content-type", JSON)).partition(";")[0].strip().lower()
    if body:
        _check(body, content_type)
        headers["content-type"] = JSON
    return {**event, "headers": headers}


def _check(body: bytes, content_type: str) -> None:
    if len(body) > limits.REQUEST_BYTES:
        raise TooLargeError(
            f"the body has {len(body):,} bytes; the limit is {limits.REQUEST_BYTES:,}"
        )
    if content_type not in {JSON, JSON_PATCH}:
        raise UnsupportedMediaTypeError(
            f"the body is of type {content_type!r}; send JSON, with Content-Type: {JSON}"
        )
    try:
        parse_json(body, strict=True)
    except ValueError as error:
        violation = Violation("badJson", "", str(error), "Send one valid JSON document.")
        raise InvalidRequestError("the body is not valid JSON", [violation]) from error
