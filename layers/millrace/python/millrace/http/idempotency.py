"""The Idempotency-Key header of POST requests."""

import hashlib
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from millrace import limits
from millrace.domain.errors import InvalidRequestError, Violation
from millrace.http.body import raw_body
from millrace.http.requests import caller_of
from millrace.usecases.once import Answer, Once

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(rf"[\x20-\x7e]{{1,{limits.IDEMPOTENCY_KEY_LENGTH}}}")
_TOKENS: Final = "/v1/tokens"


def answer_once(
    once: Once,
    event: Mapping[str, Any],
    resolve: Callable[[], dict[str, Any]],
    get: Callable[[str], dict[str, Any]],
) -> dict[str, Any]:
    """The answer to a request, carried out at most once if it has a key; `get` answers a path."""
    key = _key_of(event)
    if key is None:
        return resolve()

    def carry_out() -> Answer:
        told = resolve()
        return Answer(told["statusCode"], told["headers"], told["body"])

    def show(id_: str) -> Answer | None:
        """What a collection was to make, where the collection has it."""
        told = get(f"{event['rawPath']}/{id_}")
        is_there = told["statusCode"] == HTTPStatus.OK
        return Answer(HTTPStatus.CREATED, told["headers"], told["body"]) if is_there else None

    answer = once.answer(caller_of(event), key, _fingerprint(event), carry_out, show)
    return {
        "statusCode": int(answer.status),
        "headers": dict(answer.headers),
        "body": answer.body,
        "isBase64Encoded": False,
    }


def takes_key(method: str, path: str) -> bool:
    """Whether a request may have a key; the making of tokens takes none."""
    return method.upper() == "POST" and path.startswith("/v1/") and path != _TOKENS


def dedupe_key(event: Mapping[str, Any]) -> str | None:
    """What names the run that a request starts, if the request has a key."""
    key = _key_of(event)
    return None if key is None else f"request\n{key}\n{_fingerprint(event)}"


def _key_of(event: Mapping[str, Any]) -> str | None:
    http = event["requestContext"]["http"]
    key = event["headers"].get(HEADER.lower())
    if key is None or http["method"] != "POST" or not event["rawPath"].startswith("/v1/"):
        return None
    if event["rawPath"] == _TOKENS:
        raise InvalidRequestError(
            f"POST {_TOKENS} takes no {HEADER}: its answer holds a credential, which is not kept"
        )
    if not _KEY.fullmatch(key):
        message = f"Send 1 to {limits.IDEMPOTENCY_KEY_LENGTH} printable ASCII characters."
        raise InvalidRequestError(
            "the Idempotency-Key is not one", [Violation("badKey", HEADER, message)]
        )
    return str(key)


def _fingerprint(event: Mapping[str, Any]) -> str:
    """What is asked, byte for byte."""
    asked = hashlib.sha256(f"{event['rawPath']}?{event.get('rawQueryString', '')}\n".encode())
    asked.update(raw_body(event))
    return asked.hexdigest()
