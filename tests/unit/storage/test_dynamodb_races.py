"""Two invocations at once: each test lets a rival write between a store's read and its write."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from tests.support.aws import TABLE, create_table, simulated_aws
from tests.support.samples import ALICE, connection, failed_record, run
from tests.support.time_and_ids import NOON

from millrace.domain.connection import Connection
from millrace.domain.errors import RevisionMismatchError
from millrace.domain.pool_entries import Claim, PoolEntry
from millrace.domain.ports import Create, Order, Replace
from millrace.domain.records import Origin
from millrace.domain.run import RunError, RunOutcome, RunStatus, StepStatus
from millrace.storage.dynamodb_failed_records import DynamoFailedRecords
from millrace.storage.dynamodb_pool_entries import DynamoPoolEntries
from millrace.storage.dynamodb_resources import DynamoResources
from millrace.storage.dynamodb_runs import DynamoRuns

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LATER = NOON + timedelta(minutes=1)
KEY = run().key
FAILED = RunOutcome(status=RunStatus.FAILED)
SUCCEEDED = RunOutcome(status=RunStatus.SUCCEEDED)


@pytest.fixture
def client() -> "Iterator[DynamoDBClient]":
    """The client of the invocation that a test follows, on an empty table."""
    with simulated_aws():
        client = boto3.client("dynamodb")
        create_table(client)
        yield client


@pytest.fixture
def rival() -> DynamoRuns:
    """The store of runs as another invocation sees it."""
    return DynamoRuns(lambda: boto3.client("dynamodb"), TABLE)


def before_once(client: "DynamoDBClient", operation: str, act: Callable[[], object]) -> None:
    """Do something just before the client's next call of an operation."""
    pending = [act]

    def hook(**_: object) -> None:
        if pending:
            pending.pop()()

    client.meta.events.register(f"before-call.dynamodb.{operation}", hook)


def test_of_two_ends_at_once_one_stands(client: "DynamoDBClient", rival: DynamoRuns) -> None:
    """Machine and sweeper report different ends; both are told the one that was first."""
    runs = DynamoRuns(lambda: client, TABLE)
    runs.create(run())
    before_once(client, "TransactWriteItems", lambda: rival.finish(KEY, SUCCEEDED, NOON))
    assert runs.finish(KEY, FAILED, LATER).status is RunStatus.SUCCEEDED
    assert runs.get(KEY).ended_at == NOON


def test_an_end_overtakes_a_planned_retry(client: "DynamoDBClient", rival: DynamoRuns) -> None:
    """A run that ended while its retry was being planned stays ended."""
    runs = DynamoRuns(lambda: client, TABLE)
    runs.create(run())
    before_once(client, "PutItem", lambda: rival.finish(KEY, FAILED, NOON))
    error = RunError(code="http500", message="down")
    assert runs.plan_retry(KEY, 1, error, LATER).status is RunStatus.FAILED


def test_a_result_written_while_another_try_claims_is_answered(
    client: "DynamoDBClient", rival: DynamoRuns
) -> None:
    """A claim that comes just after the result gets the result, not another try."""
    runs = DynamoRuns(lambda: client, TABLE)
    runs.create(run())
    first = runs.claim_step(runs.get(KEY), "read", NOON)
    result = first.model_copy(update={"status": StepStatus.SUCCEEDED})
    before_once(client, "UpdateItem", lambda: rival.save_step(KEY, result))
    assert runs.claim_step(runs.get(KEY), "read", LATER) == result


def test_the_same_delivery_at_once_gives_one_run(
    client: "DynamoDBClient", rival: DynamoRuns
) -> None:
    """A delivery that was recorded a moment ago is answered with that run."""
    runs = DynamoRuns(lambda: client, TABLE)
    first = run("run_1")
    before_once(client, "TransactWriteItems", lambda: rival.create(first, dedupe_key="same"))
    assert runs.create(run("run_2"), dedupe_key="same") == (first, False)


def conflict_on_first(client: "DynamoDBClient", *reasons: str) -> None:
    """Make the client's next transaction meet one that is not over yet; moto never does."""
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": [{"Code": code} for code in reasons or ("TransactionConflict",)],
    }

    def refuse() -> None:
        raise client.exceptions.TransactionCanceledException(response, "TransactWriteItems")

    before_once(client, "TransactWriteItems", refuse)


def test_a_delivery_that_is_just_being_recorded_is_waited_for(client: "DynamoDBClient") -> None:
    """A conflict of transactions is not the sender's problem."""
    runs = DynamoRuns(lambda: client, TABLE)
    conflict_on_first(client)
    assert runs.create(run(), dedupe_key="same") == (run(), True)


def test_an_end_that_meets_another_over_the_same_counters_is_told_again(
    client: "DynamoDBClient",
) -> None:
    """Runs of a busy flow end at once; each is counted, once."""
    runs = DynamoRuns(lambda: client, TABLE)
    runs.create(run())
    conflict_on_first(client)
    assert runs.finish(KEY, SUCCEEDED, LATER).status is RunStatus.SUCCEEDED
    day = NOON - timedelta(hours=12)
    (counted,) = runs.counted(ALICE.workspace_id, "flow_1", "day", day, day + timedelta(days=1))
    assert counted.counters["runs"] == 1


def test_a_change_that_meets_another_one_is_stale(client: "DynamoDBClient") -> None:
    """A conflict of transactions over a resource means that it is being changed."""
    resources = DynamoResources(lambda: client, TABLE)
    before = connection()
    conflict_on_first(client)
    with pytest.raises(RevisionMismatchError):
        resources.commit(Replace(before, before.model_copy(update={"revision": 2})))
    assert resources.page(Connection, ALICE.workspace_id).items == ()


def test_two_that_add_to_one_list_at_once_both_do(client: "DynamoDBClient") -> None:
    """A conflict over a list's counter alone is not the caller's problem."""
    resources = DynamoResources(lambda: client, TABLE)
    conflict_on_first(client, "None", "TransactionConflict")
    resources.commit(Create(connection("con_1")))
    assert resources.browse(Connection, ALICE.workspace_id, Order(), limit=9).total == 1


def test_of_two_runs_that_claim_at_once_one_has_each_key(client: "DynamoDBClient") -> None:
    """The other run claims between our read and our write: its keys stay its own."""
    ours = DynamoPoolEntries(lambda: client, TABLE)
    theirs = DynamoPoolEntries(lambda: boto3.client("dynamodb"), TABLE)

    def entries(run_id: str, *keys: str) -> list[PoolEntry]:
        claim = Claim(Origin(run_id, 0), "once", run_id, 1)
        return [PoolEntry(key, claim, LATER) for key in keys]

    def rush() -> object:
        return theirs.claim("ws_1", "pool_1", entries("run_2", "a", "b"), NOON)

    before_once(client, "TransactWriteItems", rush)
    claims = ours.claim("ws_1", "pool_1", entries("run_1", "b", "c"), NOON)
    assert {key: claim.run_id for key, claim in claims.items()} == {"b": "run_2", "c": "run_1"}


def test_an_error_that_is_changed_meanwhile_is_changed_again(client: "DynamoDBClient") -> None:
    """A conflict is not the caller's problem; a fault of ours is not told as one."""
    store = DynamoFailedRecords(lambda: client, TABLE)
    entry = failed_record()
    store.put([entry])
    conflict_on_first(client)
    changed = store.change(
        entry.workspace_id, entry.flow_id, [entry.id], lambda now: now.changed(tags=("late",))
    )
    assert changed[entry.id].tags == ("late",)
    conflict_on_first(client, "ValidationError")
    with pytest.raises(client.exceptions.TransactionCanceledException):
        store.change(
            entry.workspace_id, entry.flow_id, [entry.id], lambda now: now.changed(tags=())
        )
