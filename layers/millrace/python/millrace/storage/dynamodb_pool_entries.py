"""What data pools remember, in DynamoDB: one item a key, each in a partition of its own.

Keys are claimed 100 at a time, in a transaction whose conditions say that nobody else was faster.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from millrace import limits
from millrace.domain.errors import UnavailableError
from millrace.domain.pool_entries import Claim, PoolEntry
from millrace.domain.quick_json import dump, load
from millrace.domain.records import Origin
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attribute, attributes, number, text
from millrace.storage.batches import PASSES, PAUSES, read_items, wait, write_all

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_IS_FREE: Final = "attribute_not_exists(pk) OR expiresAt <= :now"
_IS_OURS: Final = f"{_IS_FREE} OR claim = :before"


class DynamoPoolEntries:
    """The `PoolEntries` port over one DynamoDB table."""

    def __init__(self, connect: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._connect = connect
        self._table = table

    @property
    def _client(self) -> "DynamoDBClient":
        return self._connect()

    def get_many(
        self, workspace_id: str, pool_id: str, keys_: Iterable[str], now: datetime
    ) -> dict[str, PoolEntry]:
        """Those of these keys that the pool remembers."""
        by_place: dict[str, str] = {}
        for key in keys_:
            by_place[keys.pool_entry(workspace_id, pool_id, key)["pk"]] = key
        places = ((pk, keys.POOL_ENTRY) for pk in by_place)
        found: dict[str, PoolEntry] = {}
        for item in read_items(self._client, self._table, places):
            # DynamoDB takes days to remove what is over.
            if number(item, "expiresAt") > now.timestamp():
                key = by_place[text(item, "pk")]
                found[key] = _entry(key, item)
        return found

    def claim(
        self, workspace_id: str, pool_id: str, entries: Sequence[PoolEntry], now: datetime
    ) -> dict[str, Claim]:
        """Remember keys, each unless an entry is there that this one doubles; whose each is now."""
        claims: dict[str, Claim] = {}
        left = {entry.key: entry for entry in entries}
        for pause in (*PAUSES, None):
            there = self.get_many(workspace_id, pool_id, left, now)
            for key, entry in there.items():
                if entry.claim == left[key].claim or entry.claim.is_doubled_by(left[key].claim):
                    claims[key] = entry.claim
                    del left[key]
            for batch in batched([*left.values()], limits.TRANSACTION_ITEMS, strict=False):
                writes = [
                    self._claiming(workspace_id, pool_id, each, there.get(each.key), now)
                    for each in batch
                ]
                if self._commit(writes):
                    for each in batch:
                        claims[each.key] = each.claim
                        del left[each.key]
            if not left:
                return claims
            if pause is not None:
                wait(pause)
        raise UnavailableError("others keep changing the data pool; try again")

    def put(self, workspace_id: str, pool_id: str, entries: Sequence[PoolEntry]) -> None:
        """Remember keys and their values in place of what is there; the last word counts."""
        by_key = {entry.key: entry for entry in entries}
        items = (_item(workspace_id, pool_id, entry) for entry in by_key.values())
        write_all(self._client, self._table, ({"PutRequest": {"Item": item}} for item in items))

    def _claiming(
        self,
        workspace_id: str,
        pool_id: str,
        entry: PoolEntry,
        before: PoolEntry | None,
        now: datetime,
    ) -> "TransactWriteItemTypeDef":
        item = _item(workspace_id, pool_id, entry)
        values = attributes(**{":now": math.floor(now.timestamp())})
        condition = _IS_FREE
        if before is not None:
            item |= _value(before)
            condition = _IS_OURS
            values |= attributes(**{":before": _claim_text(before.claim)})
        return {
            "Put": {
                "TableName": self._table,
                "Item": item,
                "ConditionExpression": condition,
                "ExpressionAttributeValues": values,
            }
        }

    def _commit(self, writes: "Sequence[TransactWriteItemTypeDef]") -> bool:
        """Whether all were written; if not, none was, because somebody else was faster."""
        try:
            self._client.transact_write_items(TransactItems=writes)
        except ClientError as error:
            reasons: Any = error.response.get("CancellationReasons", [])
            codes = {reason.get("Code") for reason in reasons}
            if codes & {"ConditionalCheckFailed", *PASSES}:
                return False
            raise
        return True


def _claim_text(claim: Claim) -> str:
    return json.dumps([*claim.origin, claim.step_id, claim.run_id, claim.attempt])


def _value(entry: PoolEntry) -> Attributes:
    return {} if entry.value is None else {"value": attribute(dump(entry.value))}


def _item(workspace_id: str, pool_id: str, entry: PoolEntry) -> Attributes:
    place = keys.pool_entry(workspace_id, pool_id, entry.key)
    expires = math.ceil(entry.expires_at.timestamp())
    return attributes(**place, claim=_claim_text(entry.claim), expiresAt=expires) | _value(entry)


def _entry(key: str, item: dict[str, Any]) -> PoolEntry:
    origin_run, position, step_id, run_id, attempt = json.loads(text(item, "claim"))
    claim = Claim(Origin(origin_run, position), step_id, run_id, attempt)
    value = load(bytes(item["value"]["B"])) if "value" in item else None
    return PoolEntry(key, claim, datetime.fromtimestamp(number(item, "expiresAt"), UTC), value)
