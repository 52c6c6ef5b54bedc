"""Record errors in DynamoDB: one item each, under its flow, open ones apart from resolved ones.

Failures come in crowds, so they are written 25 at a time and read 100 at a time. The change of an
entry is conditional on the revision that was read; one that is resolved changes its key, so it is
put and deleted in one transaction.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from millrace import limits
from millrace.domain.cursor import decode_cursor, encode_cursor
from millrace.domain.errors import UnavailableError
from millrace.domain.failed_record import ErrorPlace, FailedRecord
from millrace.domain.ports import Listing
from millrace.domain.records import Origin
from millrace.domain.run import Run
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes, data, text
from millrace.storage.batches import MAY_PASS, PAUSES, read_items, wait, write_all
from millrace.storage.codec import pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        PutTypeDef,
        TransactWriteItemTypeDef,
        WriteRequestTypeDef,
    )

_IS_UNCHANGED: Final = "revision = :revision"
_CHANGES_AT_ONCE: Final = limits.TRANSACTION_ITEMS // 2
"""An entry may stand, and is written, under two keys."""


class DynamoFailedRecords:
    """The `FailedRecords` port over one DynamoDB table."""

    def __init__(self, connect: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._connect = connect
        self._table = table

    @property
    def _client(self) -> "DynamoDBClient":
        return self._connect()

    def put(self, entries: Sequence[FailedRecord]) -> None:
        """Note records that failed, in place of what is there under their ids."""
        # One batch may not name an item twice; the last word counts.
        last = {entry.id: entry for entry in entries}
        puts: Iterator[WriteRequestTypeDef] = (
            {"PutRequest": {"Item": _item(entry)}} for entry in last.values()
        )
        write_all(self._client, self._table, puts)

    def get_many(
        self, workspace_id: str, flow_id: str, ids: Iterable[str]
    ) -> dict[str, FailedRecord]:
        """Those of these errors that are there, by id."""
        places = [place for id_ in dict.fromkeys(ids) if (place := _place(id_)) is not None]
        wanted = [
            keys.error(workspace_id, flow_id, place, is_open=is_open)
            for place in places
            for is_open in (True, False)
        ]
        found: dict[str, FailedRecord] = {}
        pairs = ((key["pk"], key["sk"]) for key in wanted)
        for item in read_items(self._client, self._table, pairs):
            entry = unpack(FailedRecord, data(item))
            # A step that died just as its error was resolved may have noted it once more.
            if entry.is_open or entry.id not in found:
                found[entry.id] = entry
        return found

    def page(
        self,
        workspace_id: str,
        flow_id: str,
        *,
        resolved: bool = False,
        step_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Listing[FailedRecord]:
        """One page of a flow's or a step's errors: by step, those of the newest runs first."""
        state = keys.errors_prefix(None, is_open=not resolved)
        prefix = keys.errors_prefix(step_id, is_open=not resolved)
        before = f"{prefix}~" if cursor is None else f"{state}{decode_cursor(cursor)}"
        if not prefix <= before <= f"{prefix}~" or not keys.is_possible({"sk": before}):
            return Listing(())
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :prefix AND :before",
            ExpressionAttributeValues=attributes(
                **{
                    ":pk": keys.errors(workspace_id, flow_id),
                    ":prefix": prefix,
                    ":before": before,
                }
            ),
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit + 2,  # one more to know whether there are more, and that of the cursor
        )
        items = [item for item in answer["Items"] if text(item, "sk") < before]
        shown = items[:limit]
        is_last = len(items) <= limit and "LastEvaluatedKey" not in answer
        entries = tuple(unpack(FailedRecord, data(item)) for item in shown)
        if is_last or not entries:
            return Listing(entries)
        return Listing(entries, encode_cursor(entries[-1].list_position))

    def change(
        self,
        workspace_id: str,
        flow_id: str,
        ids: Iterable[str],
        change: Callable[[FailedRecord], FailedRecord],
    ) -> dict[str, FailedRecord]:
        """Replace those that are there by what `change` makes of each; what they are now."""
        changed: dict[str, FailedRecord] = {}
        for batch in batched(dict.fromkeys(ids), _CHANGES_AT_ONCE, strict=False):
            changed |= self._change(workspace_id, flow_id, batch, change)
        return changed

    def open_trace_keys(
        self, workspace_id: str, flow_id: str, step_id: str
    ) -> dict[str, tuple[str, ...]]:
        """The trace keys of a step's open errors, and the ids of those that have each."""
        found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
        prefix = keys.errors_prefix(step_id, is_open=True)
        for item in self._under(workspace_id, flow_id, prefix, "id, traceKey"):
            if "traceKey" in item:
                found[text(item, "traceKey")] += (text(item, "id"),)
        return dict(found)

    def drop_attempt(self, run: Run, step_id: str, attempt: int) -> None:
        """Forget what a step of a run noted up to an attempt."""
        place = ErrorPlace.at(Origin(run.id, 0), step_id)
        prefix = f"{keys.errors_prefix(None, is_open=True)}{place.errors_of_run}"
        items = self._under(run.workspace_id, run.flow_id, prefix, "pk, sk, attempt")
        stale = [item for item in items if int(item["attempt"]["N"]) <= attempt]
        gone: Iterator[WriteRequestTypeDef] = (
            {"DeleteRequest": {"Key": {"pk": each["pk"], "sk": each["sk"]}}} for each in stale
        )
        write_all(self._client, self._table, gone)

    def _change(
        self,
        workspace_id: str,
        flow_id: str,
        ids: Sequence[str],
        change: Callable[[FailedRecord], FailedRecord],
    ) -> dict[str, FailedRecord]:
        for pause in (*PAUSES, None):
            before = self.get_many(workspace_id, flow_id, ids)
            after = {id_: change(entry) for id_, entry in before.items()}
            writes = [
                write
                for id_, entry in after.items()
                if entry != before[id_]
                for write in self._replacement(before[id_], entry)
            ]
            if not writes:
                return after
            try:
                self._client.transact_write_items(TransactItems=writes)
            except self._client.exceptions.TransactionCanceledException as error:
                reasons: Any = error.response.get("CancellationReasons", [])
                if not {reason.get("Code") for reason in reasons} <= MAY_PASS:
                    raise
                if pause is None:
                    raise UnavailableError("others change the same errors; try again") from error
                wait(pause)
            else:
                return after
        raise UnavailableError("others change the same errors; try again")

    def _replacement(
        self, before: FailedRecord, after: FailedRecord
    ) -> "Iterator[TransactWriteItemTypeDef]":
        values = attributes(**{":revision": before.revision})
        put: PutTypeDef = {"TableName": self._table, "Item": _item(after)}
        if before.is_open is after.is_open:
            put["ConditionExpression"] = _IS_UNCHANGED
            put["ExpressionAttributeValues"] = values
        else:
            yield {
                "Delete": {
                    "TableName": self._table,
                    "Key": _key(before),
                    "ConditionExpression": _IS_UNCHANGED,
                    "ExpressionAttributeValues": values,
                }
            }
        yield {"Put": put}

    def _under(
        self, workspace_id: str, flow_id: str, prefix: str, wanted: str
    ) -> Iterator[dict[str, Any]]:
        """Some attributes of every item whose sort key starts with this."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues=attributes(
                **{":pk": keys.errors(workspace_id, flow_id), ":prefix": prefix}
            ),
            ProjectionExpression=wanted,
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]


def _place(id_: str) -> ErrorPlace | None:
    """Where an error of this id would be; None if there can be none."""
    place = ErrorPlace.of(id_)
    if place is None or not keys.is_possible({"sk": f"resolved#{place.sort_key}"}):
        return None
    return place


def _key(entry: FailedRecord) -> Attributes:
    place = ErrorPlace.of(entry.id)
    if place is None:
        msg = f"{entry.id!r} is no id of an error"
        raise ValueError(msg)
    return attributes(**keys.error(entry.workspace_id, entry.flow_id, place, is_open=entry.is_open))


def _item(entry: FailedRecord) -> Attributes:
    item = _key(entry) | attributes(
        id=entry.id,
        data=pack(entry),
        revision=entry.revision,
        attempt=entry.attempt,
        expiresAt=int(entry.forgotten_at.timestamp()),
    )
    if entry.trace_key is not None:
        item |= attributes(traceKey=entry.trace_key)
    return item
