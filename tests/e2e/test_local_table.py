"""The stores keep their contracts on the local stack's DynamoDB too, transactions above all.

The contracts are those that memory and DynamoDB in moto keep; here each has a table of its own.
"""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from tests.e2e.local_stacks import stack_in
from tests.support.aws import create_table
from tests.unit.storage import (
    test_failed_records_contract,
    test_lists_contract,
    test_pool_entries_contract,
    test_resources_contract,
    test_runs_contract,
)

from millrace.domain.ports import FailedRecords, PoolEntries, Resources, Runs
from millrace.storage.dynamodb_failed_records import DynamoFailedRecords
from millrace.storage.dynamodb_pool_entries import DynamoPoolEntries
from millrace.storage.dynamodb_resources import DynamoResources
from millrace.storage.dynamodb_runs import DynamoRuns
from millrace_local.lifecycle import down, up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

CONTRACTS = {
    "resources": test_resources_contract,
    "lists": test_lists_contract,
    "runs": test_runs_contract,
    "failed_records": test_failed_records_contract,
    "pool_entries": test_pool_entries_contract,
}

# Pytest collects them here, and gives them the fixtures below.
globals().update(
    {
        name.replace("test_", f"test_{contract}_", 1): test
        for contract, module in CONTRACTS.items()
        for name, test in vars(module).items()
        if name.startswith("test_")
    }
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[DynamoDBClient]":
    """A client of the DynamoDB of a local stack."""
    config = stack_in(tmp_path_factory.mktemp("table"))
    up(config)
    made: Any = config.session().client("dynamodb", endpoint_url=config.endpoint)
    yield made
    down(config)


@pytest.fixture
def table(client: "DynamoDBClient") -> str:
    """A new table, with the keys and indexes of template.yaml."""
    name = f"contract-{uuid4().hex}"
    create_table(client, name)
    return name


@pytest.fixture
def resources(client: "DynamoDBClient", table: str) -> Resources:
    """An empty store of resources."""
    return DynamoResources(lambda: client, table)


@pytest.fixture
def runs(client: "DynamoDBClient", table: str) -> Runs:
    """An empty store of runs."""
    return DynamoRuns(lambda: client, table)


@pytest.fixture
def failed_records(client: "DynamoDBClient", table: str) -> FailedRecords:
    """An empty store of record errors."""
    return DynamoFailedRecords(lambda: client, table)


@pytest.fixture
def pool_entries(client: "DynamoDBClient", table: str) -> PoolEntries:
    """Data pools that remember nothing yet."""
    return DynamoPoolEntries(lambda: client, table)
