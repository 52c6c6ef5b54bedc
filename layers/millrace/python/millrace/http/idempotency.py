"""The Idempotency-Key header of POST requests."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from millrace import limits
from millrace.domain.errors import InvalidRequestError, Violation
from millrace.http.body import raw_body
from millrace.http.requests import caller_of
from millrace.usecases.once import Answer, Once

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.openapi.models import OpenAPI

_HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(rf"[\x20-\x7e]{{1,{limits.IDEMPOTENCY_KEY_LENGTH}}}")
_TOKENS: Final = "/v1/tokens"
_PARAMETER: Final = {
    "name": _HEADER,
    "in": "header",
    "description": "The same key with the same request gives the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": limits.IDEMPOTENCY_KEY_LENGTH},
}


class Resolver(APIGatewayHttpResolver):
    """Describes the header with each POST; no route takes it, `answer_once` does."""

    def get_openapi_schema(self, **given: Any) -> "OpenAPI":  # noqa: ANN401 - handed on
        """The OpenAPI document."""
        schema = super().get_openapi_schema(**given)
        # By way of its JSON: importing the classes would cost every cold start their construction.
        told = schema.model_dump(mode="json", by_alias=True, exclude_none=True)
        for path, operations in told["paths"].items():
            if "post" in operations and path != _TOKENS:
                operations["post"].setdefault("parameters", []).append(_PARAMETER)
        return type(schema).model_validate(told)


def answer_once(
    once: Once, event: Mapping[str, Any], resolve: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """The answer to a request, carried out at most once if it has a key."""
    key = _key_of(event)
    if key is None:
        return resolve()

    def carry_out() -> Answer:
        told = resolve()
        return Answer(told["statusCode"], told["headers"], told["body"])

    answer = once.answer(caller_of(event), key, _fingerprint(event), carry_out)
    return {
        "statusCode": answer.status,
        "headers": dict(answer.headers),
        "body": answer.body,
        "isBase64Encoded": False,
    }


def dedupe_key(event: Mapping[str, Any]) -> str | None:
    """What names the run that a request starts, if the request has a key."""
    key = _key_of(event)
    return None if key is None else f"request\n{key}\n{_fingerprint(event)}"


def _key_of(event: Mapping[str, Any]) -> str | None:
    http = event["requestContext"]["http"]
    key = event["headers"].get(_HEADER.lower())
    if key is None or http["method"] != "POST" or not event["rawPath"].startswith("/v1/"):
        return None
    if event["rawPath"] == _TOKENS:
        raise InvalidRequestError(
            f"POST {_TOKENS} takes no {_HEADER}: its answer holds a credential, which is not kept"
        )
    if not _KEY.fullmatch(key):
        message = f"Send 1 to {limits.IDEMPOTENCY_KEY_LENGTH} printable ASCII characters."
        raise InvalidRequestError(
            "the Idempotency-Key is not one", [Violation("badKey", _HEADER, message)]
        )
    return str(key)


def _fingerprint(event: Mapping[str, Any]) -> str:
    """What is asked, byte for byte."""
    asked = hashlib.sha256(f"{event['rawPath']}?{event.get('rawQueryString', '')}\n".encode())
    asked.update(raw_body(event))
    return asked.hexdigest()
