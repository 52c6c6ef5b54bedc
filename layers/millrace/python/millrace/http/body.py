"""Request bodies before anything looks inside: size, and JSON that says one thing only."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from millrace import limits
from millrace.domain.errors import InvalidRequestError, TooLargeError, Violation


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

    Raises TooLargeError, or InvalidRequestError for duplicate keys, NaN and syntax errors.
    """
    body = raw_body(event)
    if len(body) > limits.REQUEST_BYTES:
        raise TooLargeError(
            f"the body has {len(body):,} bytes; the limit is {limits.REQUEST_BYTES:,}"
        )
    if not body:
        return
    try:
        json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error
    except ValueError as error:
        violation = Violation("badJson", "", str(error), "Send one valid JSON document.")
        raise InvalidRequestError("the body is not valid JSON", [violation]) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
