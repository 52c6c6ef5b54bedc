"""Each port over each of its adapters, so that one test speaks for all of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.aws import BUCKET, KEY_ARN, TABLE, create_stack, simulated_aws
from tests.support.time_and_ids import FakeClock

from millrace.domain.ports import Blobs, FailedRecords, Paces, PoolEntries, Resources, Runs, Secrets
from millrace.storage import keys
from millrace.storage.dynamodb_failed_records import DynamoFailedRecords
from millrace.storage.dynamodb_paces import DynamoPaces
from millrace.storage.dynamodb_pool_entries import DynamoPoolEntries
from millrace.storage.dynamodb_resources import DynamoResources
from millrace.storage.dynamodb_runs import DynamoRuns
from millrace.storage.memory import MemoryBlobs, MemoryResources, MemoryRuns, MemorySecrets
from millrace.storage.memory_failed_records import MemoryFailedRecords
from millrace.storage.memory_paces import MemoryPaces
from millrace.storage.memory_pool_entries import MemoryPoolEntries
from millrace.storage.s3_blobs import S3Blobs
from millrace.storage.ssm_secrets import SsmSecrets

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

IN_MEMORY = "memory"
ON_AWS = "aws"


@pytest.fixture(params=[IN_MEMORY, ON_AWS])
def substrate(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which adapters a test runs on."""
    if request.param == IN_MEMORY:
        yield IN_MEMORY
        return
    with simulated_aws():
        create_stack()
        yield ON_AWS


def _dynamodb() -> "DynamoDBClient":
    """A client that refuses the keys that DynamoDB refuses, and moto looks for in vain."""
    client = boto3.client("dynamodb")
    client.meta.events.register("provide-client-params.dynamodb.Query", _refuse_impossible)
    return client


def _refuse_impossible(params: dict[str, Any], **_: object) -> None:
    compared = params["KeyConditionExpression"].split()
    for name, value in params["ExpressionAttributeValues"].items():
        if name in compared and not 0 < len(value["S"].encode()) <= keys.PARTITION_KEY_BYTES:
            message = f"{name} cannot be a key"
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": message}}, "Query"
            )


@pytest.fixture
def resources(substrate: str) -> Resources:
    """An empty store of resources."""
    if substrate == IN_MEMORY:
        return MemoryResources()
    client = _dynamodb()
    return DynamoResources(lambda: client, TABLE)


@pytest.fixture
def runs(substrate: str) -> Runs:
    """An empty store of runs."""
    if substrate == IN_MEMORY:
        return MemoryRuns()
    client = _dynamodb()
    return DynamoRuns(lambda: client, TABLE)


@pytest.fixture
def failed_records(substrate: str) -> FailedRecords:
    """An empty store of record errors."""
    if substrate == IN_MEMORY:
        return MemoryFailedRecords()
    client = _dynamodb()
    return DynamoFailedRecords(lambda: client, TABLE)


@pytest.fixture
def paces(substrate: str) -> Paces:
    """An empty store of paces."""
    if substrate == IN_MEMORY:
        return MemoryPaces()
    client = boto3.client("dynamodb")
    return DynamoPaces(lambda: client, TABLE, FakeClock())


@pytest.fixture
def pool_entries(substrate: str) -> PoolEntries:
    """Data pools that remember nothing yet."""
    if substrate == IN_MEMORY:
        return MemoryPoolEntries()
    client = _dynamodb()
    return DynamoPoolEntries(lambda: client, TABLE)


@pytest.fixture
def blobs(substrate: str) -> Blobs:
    """An empty store of blobs."""
    if substrate == IN_MEMORY:
        return MemoryBlobs()
    client = boto3.client("s3", config=Config(signature_version="s3v4"))
    return S3Blobs(lambda: client, BUCKET)


@pytest.fixture
def secrets(substrate: str) -> Secrets:
    """An empty store of secrets."""
    if substrate == IN_MEMORY:
        return MemorySecrets()
    client = boto3.client("ssm")
    return SsmSecrets(lambda: client, "/millrace/secrets", KEY_ARN)
