"""Users' functions as Lambda functions: what their answers and Lambda's refusals mean."""

from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import URLLib3Session
from botocore.response import StreamingBody
from botocore.stub import Stubber
from tests.support.aws import ENVIRONMENT, simulated_aws

from millrace import limits
from millrace.config import Config
from millrace.domain.errors import StepFailed, StepTransient
from millrace.orchestration.lambda_functions import LambdaFunctions
from millrace.wiring import aws_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_lambda import LambdaClient

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:millrace-fn-clean"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
ASKED = {"FunctionName": ARN, "Payload": b'{"records":[]}'}


@pytest.fixture
def client() -> "Iterator[LambdaClient]":
    """A client of Lambda, whose answers a test says."""
    with simulated_aws():
        yield boto3.client("lambda", config=ClientConfig(retries={"total_max_attempts": 1}))


def answer(body: bytes, **more: str) -> dict[str, Any]:
    """What Lambda answers."""
    return {"StatusCode": 200, "Payload": StreamingBody(BytesIO(body), len(body)), **more}


def test_a_function_is_called_with_the_payload(client: "LambdaClient") -> None:
    """And its answer is given as it is."""
    with Stubber(client) as stub:
        stub.add_response("invoke", answer(b'{"records": []}'), ASKED)
        assert (
            LambdaFunctions(lambda _: client).invoke(ARN, b'{"records":[]}') == b'{"records": []}'
        )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [({}, limits.FUNCTION_SECONDS), ({"seconds": 7.2}, 8), ({"seconds": 0.0}, 1)],
)
def test_a_call_takes_no_longer_than_it_may(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], expected: int
) -> None:
    """As the functions are wired; in whole seconds, so that calls share their clients."""
    waited: list[float | None] = []

    def send(session: Any, _: object) -> None:  # noqa: ANN401 - looked into
        waited.append(session._timeout.read_timeout)
        raise ReadTimeoutError(endpoint_url="https://lambda.example")

    monkeypatch.setattr(URLLib3Session, "send", send)
    for name, value in {**ENVIRONMENT, **CREDENTIALS}.items():
        monkeypatch.setenv(name, value)
    functions = aws_context(Config.from_environment()).functions
    for _ in range(2):
        with pytest.raises(StepTransient):
            functions.invoke(ARN, b"{}", **seconds)
    assert waited == [expected, expected]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'{"errorType": "KeyError", "errorMessage": "vat", "stackTrace": ["secret"]}',
            "KeyError: vat",
        ),
        (b'{"errorMessage": "Task timed out after 3.00 seconds"}', "Task timed out"),
        (b"[]", "it says no more"),
        (b"<html>", "it says no more"),
    ],
)
def test_a_function_that_fails_fails_the_step(
    client: "LambdaClient", body: bytes, told: str
) -> None:
    """In the function's words, without its stack."""
    stub = Stubber(client)
    stub.add_response("invoke", answer(body, FunctionError="Unhandled"), ASKED)
    with stub, pytest.raises(StepFailed, match=told) as raised:
        LambdaFunctions(lambda _: client).invoke(ARN, b'{"records":[]}')
    assert raised.value.code == "functionFailed"
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(
    ("code", "status", "kind", "means"),
    [
        ("TooManyRequestsException", 429, StepTransient, "functionThrottled"),
        ("EC2ThrottledException", 502, StepTransient, "functionThrottled"),
        ("ServiceException", 500, StepTransient, "functionUnavailable"),
        ("ResourceConflictException", 409, StepTransient, "functionUnavailable"),
        ("ResourceNotFoundException", 404, StepFailed, "functionMissing"),
        ("AccessDeniedException", 403, StepFailed, "functionForbidden"),
        ("RequestTooLargeException", 413, StepFailed, "functionRequestTooLarge"),
        ("InvalidRuntimeException", 400, StepFailed, "functionRefused"),
    ],
)
def test_what_refusals_mean(
    client: "LambdaClient", code: str, status: int, kind: type[Exception], means: str
) -> None:
    """Throttling and trouble of Lambda's own may pass; the others stay."""
    stub = Stubber(client)
    stub.add_client_error("invoke", code, http_status_code=status)
    with stub, pytest.raises(kind) as raised:
        LambdaFunctions(lambda _: client).invoke(ARN, b"{}")
    error: Any = raised.value
    assert error.code == means


@pytest.mark.parametrize(
    "trouble",
    [
        ReadTimeoutError(endpoint_url="https://lambda.example"),
        ConnectTimeoutError(endpoint_url="https://lambda.example"),
        EndpointConnectionError(endpoint_url="https://lambda.example"),
        SSLError(endpoint_url="https://lambda.example", error=OSError("cut")),
        NoCredentialsError(),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_no_answer_may_be_one_later(client: "LambdaClient", trouble: BotoCoreError) -> None:
    """A function that takes too long, or a network that does, or is not there."""

    def hook(**_: object) -> None:
        raise trouble

    client.meta.events.register_first("before-send.lambda.Invoke", hook)
    with pytest.raises(StepTransient) as raised:
        LambdaFunctions(lambda _: client).invoke(ARN, b"{}")
    assert raised.value.code == "functionUnreachable"
