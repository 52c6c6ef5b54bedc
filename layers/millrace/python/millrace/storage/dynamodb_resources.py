"""Editable resources in DynamoDB: one item each, changed only over the revision that was read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.domain.errors import (
    ConflictError,
    DomainError,
    NotFoundError,
    RevisionMismatchError,
)
from millrace.domain.ports import Change, Create, Delete, Listing, Replace
from millrace.domain.resource import Resource
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes, data, text
from millrace.storage.changes import (
    already_there,
    changed_meanwhile,
    check_size,
    claimed_key,
    key_taken,
    released_key,
)
from millrace.storage.codec import decode_cursor, encode_cursor, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_IS_NEW = "attribute_not_exists(pk)"
_IS_UNCHANGED = "revision = :revision"


@dataclass(frozen=True, slots=True)
class _Write:
    """One item of a transaction, and what it means if its condition fails."""

    item: "TransactWriteItemTypeDef"
    refusal: DomainError


class DynamoResources:
    """The `Resources` port over one DynamoDB table."""

    def __init__(self, connect: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._connect = connect
        self._table = table

    @property
    def _client(self) -> "DynamoDBClient":
        return self._connect()

    def get[R: Resource](
        self, kind: type[R], workspace_id: str, id_: str, *, parent_id: str | None = None
    ) -> R:
        """The resource. Raises NotFoundError."""
        key = keys.resource(workspace_id, kind.prefix, id_, parent_id)
        item = self._read(key)
        if item is None:
            raise NotFoundError(f"there is no {kind.__name__.lower()} {id_!r}")
        return unpack(kind, data(item))

    def find[R: Resource](
        self, kind: type[R], workspace_id: str, stable_key: str, *, parent_id: str | None = None
    ) -> R | None:
        """The resource of the collection that has this stable key, if there is one."""
        item = self._read(keys.stable_key(workspace_id, kind.prefix, stable_key, parent_id))
        if item is None:
            return None
        return self.get(kind, workspace_id, text(item, "id"), parent_id=parent_id)

    def page[R: Resource](
        self,
        kind: type[R],
        workspace_id: str,
        *,
        parent_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        newest_first: bool = False,
    ) -> Listing[R]:
        """One page of the collection by time of creation. Raises InvalidRequestError."""
        partition = keys.collection(workspace_id, kind.prefix, parent_id)
        # ULIDs sort by creation, so a position is the last id seen; the partition is never taken
        # from the cursor, which is the caller's to tamper with.
        first = "~" if newest_first else " "  # sorts after, or before, every id
        last = decode_cursor(cursor) if cursor else first
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression=f"pk = :pk AND sk {'<' if newest_first else '>'} :last",
            ExpressionAttributeValues=attributes(**{":pk": partition, ":last": last}),
            ScanIndexForward=not newest_first,
            ConsistentRead=True,
            Limit=limit + 1,
        )
        items = tuple(unpack(kind, data(item)) for item in answer["Items"][:limit])
        if "LastEvaluatedKey" not in answer and len(answer["Items"]) <= limit:
            return Listing(items)
        return Listing(items, encode_cursor(items[-1].id))

    def find_public[R: Resource](self, kind: type[R], id_: str) -> R | None:
        """The resource behind an id in a public address, whatever its workspace."""
        if not keys.is_possible({"gsi1pk": id_}):
            return None
        answer = self._client.query(
            TableName=self._table,
            IndexName="gsi1",
            KeyConditionExpression="gsi1pk = :id AND gsi1sk = :public",
            ExpressionAttributeValues=attributes(**{":id": id_, ":public": keys.PUBLIC}),
            Limit=1,
        )
        items = answer["Items"]
        return unpack(kind, data(items[0])) if items else None

    def commit(self, *changes: Change) -> None:
        """Apply all changes or none. Raises RevisionMismatchError or ConflictError."""
        check_size(changes)
        writes = [write for change in changes for write in self._writes(change)]
        if not writes:
            return
        try:
            self._client.transact_write_items(TransactItems=[write.item for write in writes])
        except self._client.exceptions.TransactionCanceledException as error:
            for write, reason in zip(writes, error.response["CancellationReasons"], strict=True):
                if reason.get("Code") == "ConditionalCheckFailed":
                    raise write.refusal from error
                if reason.get("Code") == "TransactionConflict":
                    # Another transaction over the same item is about to make the condition fail.
                    raise write.refusal from error
            raise

    def _read(self, key: keys.Key) -> dict[str, Any] | None:
        if not keys.is_possible(key):
            return None
        answer = self._client.get_item(
            TableName=self._table, Key=attributes(**key), ConsistentRead=True
        )
        return answer.get("Item")

    def _writes(self, change: Change) -> Iterator[_Write]:
        match change:
            case Create(resource):
                yield self._put(resource, change.parent_id)
            case Replace(before, after):
                yield self._put_over(before, after, change.parent_id)
            case Delete(resource):
                yield self._delete(resource, change.parent_id)
        if (name := released_key(change)) is not None and not isinstance(change, Create):
            yield self._release(change.before, name, change.parent_id)
        if (name := claimed_key(change)) is not None and not isinstance(change, Delete):
            resource = change.resource if isinstance(change, Create) else change.after
            yield self._claim(resource, name, change.parent_id)

    def _put(self, resource: Resource, parent_id: str | None) -> _Write:
        item = _item(resource, parent_id)
        return _Write(
            {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": _IS_NEW}},
            ConflictError(already_there(resource)),
        )

    def _put_over(self, before: Resource, after: Resource, parent_id: str | None) -> _Write:
        return _Write(
            {
                "Put": {
                    "TableName": self._table,
                    "Item": _item(after, parent_id),
                    "ConditionExpression": _IS_UNCHANGED,
                    "ExpressionAttributeValues": attributes(**{":revision": before.revision}),
                }
            },
            RevisionMismatchError(changed_meanwhile(before)),
        )

    def _delete(self, resource: Resource, parent_id: str | None) -> _Write:
        key = keys.resource(resource.workspace_id, resource.prefix, resource.id, parent_id)
        return _Write(
            {
                "Delete": {
                    "TableName": self._table,
                    "Key": attributes(**key),
                    "ConditionExpression": _IS_UNCHANGED,
                    "ExpressionAttributeValues": attributes(**{":revision": resource.revision}),
                }
            },
            RevisionMismatchError(changed_meanwhile(resource)),
        )

    def _claim(self, resource: Resource, name: str, parent_id: str | None) -> _Write:
        key = keys.stable_key(resource.workspace_id, resource.prefix, name, parent_id)
        item = attributes(**key, id=resource.id)
        return _Write(
            {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": _IS_NEW}},
            ConflictError(key_taken(resource)),
        )

    def _release(self, resource: Resource, name: str, parent_id: str | None) -> _Write:
        key = keys.stable_key(resource.workspace_id, resource.prefix, name, parent_id)
        return _Write(
            {"Delete": {"TableName": self._table, "Key": attributes(**key)}},
            RevisionMismatchError(changed_meanwhile(resource)),
        )


def _item(resource: Resource, parent_id: str | None) -> Attributes:
    key = keys.resource(resource.workspace_id, resource.prefix, resource.id, parent_id)
    item: Attributes = attributes(**key, data=pack(resource), revision=resource.revision)
    if resource.is_public:
        item |= attributes(gsi1pk=resource.id, gsi1sk=keys.PUBLIC)
    if resource.forgotten_at is not None:
        item |= attributes(expiresAt=int(resource.forgotten_at.timestamp()))
    return item
