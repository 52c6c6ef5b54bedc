"""Queues by event source mappings: the adapter, and that the fake does the same."""

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support.aws import ENVIRONMENT, TARGET_PREFIX, simulated_aws

from millrace.domain.errors import ConflictError, UnavailableError
from millrace.orchestration.queue_mappings import QueueMappings
from millrace.storage.memory import MemoryQueues

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from millrace.domain.ports import Queues

FUNCTION = ENVIRONMENT["MILLRACE_TRIGGER_ARN"]
ARNS = ENVIRONMENT["MILLRACE_QUEUE_ARN_PREFIX"]
QUEUE = f"{TARGET_PREFIX}orders"


def make_function(client: "LambdaClient") -> None:
    """The trigger function, without its code."""
    role = boto3.client("iam").create_role(RoleName="trigger", AssumeRolePolicyDocument="{}")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "")
    client.create_function(
        FunctionName=FUNCTION.rpartition(":")[2],
        Runtime="python3.13",
        Role=role["Role"]["Arn"],
        Handler="app.handler",
        Code={"ZipFile": code.getvalue()},
    )


@pytest.fixture
def client() -> "Iterator[LambdaClient]":
    """Lambda with the trigger function, and a queue."""
    with simulated_aws():
        client = boto3.client("lambda")
        make_function(client)
        boto3.client("sqs").create_queue(QueueName=QUEUE)
        yield client


@pytest.fixture
def mappings(client: "LambdaClient") -> QueueMappings:
    """The adapter under test."""
    return QueueMappings(lambda: client, FUNCTION, ARNS, TARGET_PREFIX)


def connected(client: "LambdaClient") -> list[Any]:
    """The mappings that are there."""
    return client.list_event_source_mappings(FunctionName=FUNCTION)["EventSourceMappings"]


def refuse(client: "LambdaClient", operation: str, code: str, status: int = 400) -> None:
    """Make Lambda answer with an error that AWS gives where moto does not."""
    response: Any = {
        "Error": {"Code": code, "Message": f"{code}, says AWS"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }

    def hook(**_: object) -> None:
        raise ClientError(response, operation)

    client.meta.events.register(f"before-call.lambda.{operation}", hook)


def test_messages_come_in_batches_and_those_that_stay_are_named(
    mappings: QueueMappings, client: "LambdaClient"
) -> None:
    """Without that one bad message would bring back nine good ones."""
    mappings.connect(QUEUE)
    (mapping,) = connected(client)
    assert mapping["EventSourceArn"] == f"{ARNS}{QUEUE}"
    assert mapping["FunctionArn"] == FUNCTION
    assert (mapping["BatchSize"], mapping["FunctionResponseTypes"]) == (
        10,
        ["ReportBatchItemFailures"],
    )


def test_connecting_and_disconnecting_may_be_repeated(
    mappings: QueueMappings, client: "LambdaClient"
) -> None:
    """The state is what was asked for last."""
    mappings.disconnect(QUEUE)
    for _ in range(2):
        mappings.connect(QUEUE)
    assert len(connected(client)) == 1
    for _ in range(2):
        mappings.disconnect(QUEUE)
    assert connected(client) == []


def test_a_mapping_that_somebody_disabled_is_enabled(
    mappings: QueueMappings, client: "LambdaClient"
) -> None:
    """The flow says what is to be."""
    mappings.connect(QUEUE)
    client.update_event_source_mapping(UUID=connected(client)[0]["UUID"], Enabled=False)
    mappings.connect(QUEUE)
    assert connected(client)[0]["State"] == "Enabled"


@pytest.mark.parametrize("make", ["adapter", "fake"])
def test_a_queue_that_cannot_be_read_is_told_in_words(
    mappings: QueueMappings, client: "LambdaClient", make: str
) -> None:
    """It is missing, or hides its messages for too short a time."""
    refuse(client, "CreateEventSourceMapping", "InvalidParameterValueException")
    fake = MemoryQueues()
    fake.missing.add(QUEUE)
    queues: Queues = mappings if make == "adapter" else fake
    with pytest.raises(ConflictError, match="cannot be"):
        queues.connect(QUEUE)
    queues.disconnect(QUEUE)


def test_a_mapping_that_another_change_just_made_is_taken_for_ours(
    mappings: QueueMappings, client: "LambdaClient"
) -> None:
    """Lambda has one for each queue and function."""
    refuse(client, "CreateEventSourceMapping", "ResourceConflictException", 409)
    mappings.connect(QUEUE)


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("CreateEventSourceMapping", QueueMappings.connect),
        ("ListEventSourceMappings", QueueMappings.disconnect),
    ],
)
@pytest.mark.parametrize("code", ["TooManyRequestsException", "ServiceException"])
def test_trouble_of_the_moment_is_told_as_such(
    mappings: QueueMappings,
    client: "LambdaClient",
    operation: str,
    change: Callable[[QueueMappings, str], None],
    code: str,
) -> None:
    """A missing permission is none."""
    refuse(client, operation, code, 500 if code == "ServiceException" else 429)
    with pytest.raises(UnavailableError):
        change(mappings, QUEUE)


def test_a_missing_permission_is_seen(mappings: QueueMappings, client: "LambdaClient") -> None:
    """Waiting would not help."""
    refuse(client, "CreateEventSourceMapping", "AccessDeniedException", 403)
    with pytest.raises(ClientError, match="AccessDenied"):
        mappings.connect(QUEUE)
