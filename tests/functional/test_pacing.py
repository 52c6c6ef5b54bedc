"""Workers of a connection over the real table: what they cost, and what its troubles do to them."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support.aws import TABLE, create_table, simulated_aws
from tests.support.samples import ALICE
from tests.support.samples import connection as sample

from millrace.connectors.gate import Gate
from millrace.domain.connection import RateLimit
from millrace.storage.dynamodb_paces import DynamoPaces

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECONDS = 30


class Table:
    """The table as workers see it, and a clock that only their waits move."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.client = client
        self.now = BEGIN
        self.requests: Counter[str] = Counter()
        self.paces = DynamoPaces(lambda: client, TABLE, lambda: self.now)
        client.meta.events.register("before-call.dynamodb", self._count)

    def _count(self, model: object, **_: object) -> None:
        self.requests[str(getattr(model, "name", model))] += 1

    def sleep(self, seconds: float) -> None:
        """Move the clock at once."""
        self.now += timedelta(seconds=seconds)

    def gate(self, limit: RateLimit | None) -> Gate:
        """One more worker of the connection."""
        paced = sample().model_copy(update={"rate_limit": limit})
        return Gate(self.paces, paced, lambda: self.now, self.sleep)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return (self.now - BEGIN).total_seconds()


@pytest.fixture
def table() -> Iterator[Table]:
    """An empty table."""
    with simulated_aws():
        client = boto3.client("dynamodb")
        create_table(client)
        yield Table(client)


def throttled(**_: object) -> None:
    """Before a request is sent: what DynamoDB answers to too many."""
    raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "any")


def test_a_thousand_requests_cost_few_of_the_table(table: Table) -> None:
    """Of a connection without limit one read; at 100 a second some twenty writes."""
    free = table.gate(None)
    for _ in range(1_000):
        free.enter(SECONDS)
    free.let_go()
    assert table.requests == {"GetItem": 1}
    table.requests.clear()
    limit = RateLimit(requests_per_second=100.0, max_concurrency=5)
    paced = table.gate(limit)
    for _ in range(1_000):
        paced.enter(SECONDS)
    paced.let_go()
    assert table.elapsed == pytest.approx(9.99)
    assert table.requests["GetItem"] == 1
    assert table.requests["PutItem"] <= 20


def test_workers_in_turns_keep_to_one_rate(table: Table) -> None:
    """Each finds by the refusal of its write what the others took."""
    gates = [table.gate(RateLimit(requests_per_second=20.0)) for _ in range(3)]
    for number in range(300):
        gates[number % 3].enter(SECONDS)
    assert 299 / 20 - 1 <= table.elapsed <= 299 / 20 * 1.25


def test_a_throttled_table_does_not_stop_requests(table: Table) -> None:
    """A worker goes on at the rate by itself; what it was told is there once the table is back."""
    gate = table.gate(RateLimit(requests_per_second=10.0))
    gate.enter(SECONDS)
    table.client.meta.events.register("before-call.dynamodb", throttled)
    for _ in range(50):
        gate.enter(SECONDS)
    assert table.elapsed == pytest.approx(5)
    table.client.meta.events.unregister("before-call.dynamodb", throttled)
    table.sleep(10)
    gate.observe(429, {"retry-after": "60"})
    pace = table.paces.read(ALICE.workspace_id, sample().id)
    assert pace is not None
    assert pace.blocked_until / 1e6 == (table.now + timedelta(seconds=60)).timestamp()


def test_a_pace_is_forgotten_when_it_has_nothing_left_to_say(table: Table) -> None:
    """The table deletes it two days after its last change."""
    table.gate(None).observe(429, {"retry-after": "60"})
    (item,) = table.client.scan(TableName=TABLE)["Items"]
    assert int(item["expiresAt"]["N"]) == int((BEGIN + timedelta(days=2)).timestamp())
    assert item["pk"]["S"].startswith(f"{ALICE.workspace_id}#")
