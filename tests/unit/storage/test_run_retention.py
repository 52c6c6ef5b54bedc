"""When items and objects of runs expire, by the attribute and the rules of template.yaml."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.support.aws import TABLE, create_table, simulated_aws, template
from tests.support.samples import run
from tests.support.time_and_ids import NOON

from millrace import limits
from millrace.domain.run import Followed, RunError, RunOutcome, RunStatus, StepStatus
from millrace.storage import keys
from millrace.storage.attributes import attributes
from millrace.storage.dynamodb_runs import DynamoRuns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

KEY = run().key
ERROR = RunError(code="http500", message="the shop is down")
EXPIRES = template()["Resources"]["Table"]["Properties"]["TimeToLiveSpecification"]["AttributeName"]


@pytest.fixture
def client() -> "Iterator[DynamoDBClient]":
    """A client of an empty table."""
    with simulated_aws():
        client = boto3.client("dynamodb")
        create_table(client)
        yield client


@pytest.fixture
def runs(client: "DynamoDBClient") -> DynamoRuns:
    """The store over it, with a run that is at work."""
    store = DynamoRuns(lambda: client, TABLE)
    store.create(run())
    return store


def expiry(client: "DynamoDBClient", key: keys.Key) -> datetime | None:
    """When an item expires."""
    item = client.get_item(TableName=TABLE, Key=attributes(**key))["Item"]
    return datetime.fromtimestamp(int(item[EXPIRES]["N"]), UTC) if EXPIRES in item else None


@pytest.mark.parametrize(
    ("status", "days"),
    [
        (RunStatus.SUCCEEDED, limits.RUN_DAYS),
        (RunStatus.CANCELLED, limits.RUN_DAYS),
        (RunStatus.PARTIALLY_SUCCEEDED, None),
        (RunStatus.FAILED, None),
    ],
    ids=str,
)
def test_failures_are_kept(
    client: "DynamoDBClient", runs: DynamoRuns, status: RunStatus, days: int | None
) -> None:
    """All other runs go some time after their end, and none before it is over."""
    runs.plan_retry(KEY, 1, ERROR, NOON)
    assert expiry(client, keys.run(KEY)) is None
    runs.finish(KEY, RunOutcome(status=status), NOON)
    expected = None if days is None else NOON + timedelta(days=days)
    assert expiry(client, keys.run(KEY)) == expected


def test_a_superseded_run_goes_too(client: "DynamoDBClient", runs: DynamoRuns) -> None:
    """It is over in its own way, but over."""
    runs.create(run("run_2"))
    runs.plan_retry(KEY, 1, ERROR, NOON)
    runs.supersede(KEY, "run_2", RunOutcome(status=RunStatus.SUPERSEDED), NOON)
    assert expiry(client, keys.run(KEY)) == NOON + timedelta(days=limits.RUN_DAYS)


def test_what_is_still_to_be_followed_stays(client: "DynamoDBClient", runs: DynamoRuns) -> None:
    """The sweeper finds it until what follows was done."""
    runs.finish(KEY, RunOutcome(status=RunStatus.SUCCEEDED, is_followed=True), NOON)
    assert expiry(client, keys.run(KEY)) is None
    runs.note_followed(KEY, Followed())
    assert expiry(client, keys.run(KEY)) == NOON + timedelta(days=limits.RUN_DAYS)


def test_steps_go_with_their_outputs(client: "DynamoDBClient", runs: DynamoRuns) -> None:
    """From the moment they begin; nobody needs to come back to them at the end."""
    record = runs.claim_step(runs.get(KEY), "read", NOON)
    expected = NOON + timedelta(days=limits.RUN_DETAIL_DAYS)
    assert expiry(client, keys.step(KEY, 1, "read")) == expected
    runs.save_step(KEY, record.model_copy(update={"status": StepStatus.SUCCEEDED}))
    assert expiry(client, keys.step(KEY, 1, "read")) == expected


def test_the_bucket_keeps_objects_as_long_as_the_limits_say() -> None:
    """Objects of runs as long as the steps that name them, failed records longer than entries."""
    bucket = template()["Resources"]["Bucket"]["Properties"]
    rules = {rule["Prefix"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert {rule["Status"] for rule in rules.values()} == {"Enabled"}
    assert rules["runs/"]["ExpirationInDays"] == limits.RUN_DETAIL_DAYS
    assert rules["errors/"]["ExpirationInDays"] > limits.RECORD_ERROR_DAYS
