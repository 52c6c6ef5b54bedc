"""Functions that users bring along, as Lambda functions."""

import json
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from millrace import limits
from millrace.domain.errors import StepFailed, StepTransient

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_lambda import LambdaClient

_THROTTLED: Final = frozenset({"TooManyRequestsException", "EC2ThrottledException"})
_NOT_READY: Final = frozenset(
    {"ResourceConflictException", "ResourceNotReadyException", "SnapStartNotReadyException"}
)
_REFUSED: Final = {
    "ResourceNotFoundException": ("functionMissing", "there is no such function"),
    "AccessDeniedException": (
        "functionForbidden",
        "Millrace may not call it; its name must begin with the stack's FunctionPrefix",
    ),
    "RequestTooLargeException": ("functionRequestTooLarge", "Lambda does not take so much at once"),
}
_SERVER_ERROR: Final = 500
_MESSAGE_LENGTH: Final = 500


class LambdaFunctions:
    """The `Functions` port over AWS Lambda.

    Nothing is tried again in here: the machine does that, and waits longer. `connect` gives a
    client that waits for an answer so many seconds.
    """

    def __init__(self, connect: "Callable[[int], LambdaClient]") -> None:
        self._connect = connect

    def invoke(self, arn: str, payload: bytes, seconds: float = limits.FUNCTION_SECONDS) -> bytes:
        """Call a function and wait for its answer, so long at most, in whole seconds."""
        try:
            answer = self._connect(max(1, ceil(seconds))).invoke(FunctionName=arn, Payload=payload)
            body = answer["Payload"].read()
        except ClientError as error:
            raise _meaning(arn, error) from error
        except BotoCoreError as error:
            message = f"function {arn} gave no answer: {error}"
            raise StepTransient("functionUnreachable", message) from error
        if answer.get("FunctionError"):
            raise StepFailed("functionFailed", f"function {arn} failed: {_told(body)}")
        return body


def _meaning(arn: str, error: ClientError) -> StepFailed | StepTransient:
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in _THROTTLED:
        return StepTransient("functionThrottled", f"function {arn} is called too often just now")
    if code in _NOT_READY or status >= _SERVER_ERROR:
        return StepTransient("functionUnavailable", f"function {arn} cannot be called now: {code}")
    refusal, why = _REFUSED.get(code, ("functionRefused", code))
    return StepFailed(refusal, f"function {arn} cannot be called: {why}")


def _told(body: bytes) -> str:
    """What a function that failed says of it: the error's type and message, not its trace."""
    try:
        told: Any = json.loads(body)
    except ValueError:
        return "it says no more"
    if not isinstance(told, dict):
        return "it says no more"
    parts = (told.get("errorType"), told.get("errorMessage"))
    words = ": ".join(str(part)[:_MESSAGE_LENGTH] for part in parts if part)
    return words or "it says no more"
