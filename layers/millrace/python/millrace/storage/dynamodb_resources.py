"""Editable resources in DynamoDB: one item each, changed only over the revision that was read."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from millrace import limits
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RevisionMismatchError,
    TooLargeError,
)
from millrace.domain.ports import Change, Create, Delete, Listing, Replace
from millrace.domain.resource import Resource
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes, data, text
from millrace.storage.codec import decode_cursor, encode_cursor, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_IS_NEW = "attribute_not_exists(pk)"
_IS_UNCHANGED = "revision = :revision"


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
        item = self._item(key)
        if item is None:
            raise NotFoundError(f"there is no {kind.__name__.lower()} {id_!r}")
        return unpack(kind, data(item))

    def find[R: Resource](
        self, kind: type[R], workspace_id: str, stable_key: str, *, parent_id: str | None = None
    ) -> R | None:
        """The resource of the collection that has this stable key, if there is one."""
        item = self._item(keys.stable_key(workspace_id, kind.prefix, stable_key, parent_id))
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
    ) -> Listing[R]:
        """One page of the collection in the order of creation. Raises InvalidRequestError."""
        partition = keys.collection(workspace_id, kind.prefix, parent_id)
        # ULIDs sort by creation, so a position is the last id seen; the partition is never taken
        # from the cursor, which is the caller's to tamper with.
        after = decode_cursor(cursor).get("id", "") if cursor else " "
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk > :after",
            ExpressionAttributeValues=attributes(**{":pk": partition, ":after": after}),
            ConsistentRead=True,
            Limit=limit + 1,
        )
        items = tuple(unpack(kind, data(item)) for item in answer["Items"][:limit])
        if "LastEvaluatedKey" not in answer and len(answer["Items"]) <= limit:
            return Listing(items)
        return Listing(items, encode_cursor({"id": items[-1].id}))

    def find_public[R: Resource](self, kind: type[R], id_: str) -> R | None:
        """The resource behind an id in a public address, whatever its workspace."""
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
        writes = [(change, write) for change in changes for write in self._writes(change)]
        if not writes:
            return
        if len(writes) > limits.TRANSACTION_ITEMS:
            msg = (
                f"it changes {len(writes)} stored items at once, and {limits.TRANSACTION_ITEMS} "
                "is the limit; apply it in parts"
            )
            raise TooLargeError(msg)
        try:
            self._client.transact_write_items(TransactItems=[write for _, write in writes])
        except self._client.exceptions.TransactionCanceledException as error:
            reasons = [reason.get("Code") for reason in error.response["CancellationReasons"]]
            _raise_for([change for change, _ in writes], reasons, error)
            raise

    def _item(self, key: keys.Key) -> dict[str, Any] | None:
        answer = self._client.get_item(
            TableName=self._table, Key=attributes(**key), ConsistentRead=True
        )
        return answer.get("Item")

    def _writes(self, change: Change) -> list["TransactWriteItemTypeDef"]:
        match change:
            case Create(resource, parent_id):
                return [
                    self._put(resource, parent_id, _IS_NEW),
                    *self._claim_stable_key(resource, parent_id),
                ]
            case Replace(before, after, parent_id):
                replaced = [self._put(after, parent_id, _IS_UNCHANGED, before.revision)]
                if _stable_key(before) == _stable_key(after):
                    return replaced
                return [
                    *replaced,
                    *self._release_stable_key(before, parent_id),
                    *self._claim_stable_key(after, parent_id),
                ]
            case Delete(before, parent_id):
                return [
                    self._delete(before, parent_id),
                    *self._release_stable_key(before, parent_id),
                ]

    def _put(
        self, resource: Resource, parent_id: str | None, condition: str, revision: int | None = None
    ) -> "TransactWriteItemTypeDef":
        key = keys.resource(resource.workspace_id, resource.prefix, resource.id, parent_id)
        item: Attributes = attributes(**key, data=pack(resource), revision=resource.revision)
        if resource.is_public:
            item |= attributes(gsi1pk=resource.id, gsi1sk=keys.PUBLIC)
        put: TransactWriteItemTypeDef = {
            "Put": {"TableName": self._table, "Item": item, "ConditionExpression": condition}
        }
        if revision is not None:
            put["Put"]["ExpressionAttributeValues"] = attributes(**{":revision": revision})
        return put

    def _delete(self, resource: Resource, parent_id: str | None) -> "TransactWriteItemTypeDef":
        key = keys.resource(resource.workspace_id, resource.prefix, resource.id, parent_id)
        return {
            "Delete": {
                "TableName": self._table,
                "Key": attributes(**key),
                "ConditionExpression": _IS_UNCHANGED,
                "ExpressionAttributeValues": attributes(**{":revision": resource.revision}),
            }
        }

    def _claim_stable_key(
        self, resource: Resource, parent_id: str | None
    ) -> list["TransactWriteItemTypeDef"]:
        if (name := _stable_key(resource)) is None:
            return []
        key = keys.stable_key(resource.workspace_id, resource.prefix, name, parent_id)
        item = attributes(**key, id=resource.id)
        return [{"Put": {"TableName": self._table, "Item": item, "ConditionExpression": _IS_NEW}}]

    def _release_stable_key(
        self, resource: Resource, parent_id: str | None
    ) -> list["TransactWriteItemTypeDef"]:
        if (name := _stable_key(resource)) is None:
            return []
        key = keys.stable_key(resource.workspace_id, resource.prefix, name, parent_id)
        return [{"Delete": {"TableName": self._table, "Key": attributes(**key)}}]


def _stable_key(resource: Resource) -> str | None:
    return getattr(resource, "stable_key", None)


def _raise_for(changes: list[Change], reasons: list[str | None], error: ClientError) -> None:
    """Turn the first failed condition into the domain error of its change."""
    for change, reason in zip(changes, reasons, strict=True):
        match reason, change:
            case "ConditionalCheckFailed", Create(resource):
                raise ConflictError(_taken(resource)) from error
            case "ConditionalCheckFailed", Replace(before, after) if _stable_key(
                before
            ) != _stable_key(after):
                raise ConflictError(_taken(after)) from error
            case "ConditionalCheckFailed", Replace(before) | Delete(before):
                raise RevisionMismatchError(_changed(before)) from error
            case "TransactionConflict", Create(resource) | Replace(resource) | Delete(resource):
                raise RevisionMismatchError(_changed(resource)) from error
            case _:
                continue


def _taken(resource: Resource) -> str:
    kind = type(resource).__name__.lower()
    name = _stable_key(resource)
    return f"another {kind} has the stable key {name!r}" if name else f"the {kind} exists already"


def _changed(resource: Resource) -> str:
    return f"{type(resource).__name__.lower()} {resource.id!r} changed since it was read"
