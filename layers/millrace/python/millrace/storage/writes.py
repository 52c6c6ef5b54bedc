"""Changes as the items of one transaction, each with what its failed condition means."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic.alias_generators import to_camel

from millrace.domain.errors import ConflictError, DomainError, RevisionMismatchError
from millrace.domain.flow import Flow
from millrace.domain.ports import Change, Create, Delete, Put, Replace
from millrace.domain.resource import Resource
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes
from millrace.storage.batches import PASSES
from millrace.storage.changes import (
    Relisted,
    already_there,
    changed_meanwhile,
    claimed_key,
    counted,
    flow_gone,
    key_taken,
    released_key,
    relisted,
    subject,
)
from millrace.storage.items import item_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_IS_NEW = "attribute_not_exists(pk)"
_IS_UNCHANGED = "revision = :revision"


@dataclass(frozen=True, slots=True)
class Write:
    """One item of a transaction, and what it means if its condition fails."""

    item: "TransactWriteItemTypeDef"
    refusal: DomainError | None
    """None: it has no condition, and may be tried again when it meets another transaction."""


class Writes:
    """What stores changes in one table."""

    def __init__(self, table: str) -> None:
        self._table = table

    def of(self, changes: Sequence[Change]) -> Iterator[Write]:
        """The items of a transaction, in which each item may be written only once."""
        lists: defaultdict[str, list[Relisted]] = defaultdict(list)
        for each in relisted(changes):
            lists[each.flow_id].append(each)
        for change in changes:
            resource = subject(change)
            own = lists.pop(resource.id, []) if isinstance(resource, Flow) else []
            yield from self._writes(change, own)
        for flow_lists in lists.values():
            yield self._relist(flow_lists)
        for (workspace_id, prefix), more in counted(changes).items():
            yield self._count(keys.count(workspace_id, prefix), more)

    def _writes(self, change: Change, lists: Sequence[Relisted]) -> Iterator[Write]:
        match change:
            case Create(resource):
                yield self._create(resource, change.parent_id, lists)
            case Replace(before, after):
                yield self._replace(before, after, change.parent_id, lists)
            case Delete(resource):
                yield self._delete(resource, change.parent_id)
            case Put(resource):
                yield self._put(resource, change.parent_id)
        if (name := released_key(change)) is not None and isinstance(change, Replace | Delete):
            yield self._release(change.before, name, change.parent_id)
        if (name := claimed_key(change)) is not None:
            yield self._claim(subject(change), name, change.parent_id)

    def _create(
        self, resource: Resource, parent_id: str | None, lists: Sequence[Relisted]
    ) -> Write:
        item = item_of(resource, parent_id)
        item |= {to_camel(each.field): {"SS": [*each.gained]} for each in lists if each.gained}
        return Write(
            {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": _IS_NEW}},
            ConflictError(already_there(resource)),
        )

    def _put(self, resource: Resource, parent_id: str | None) -> Write:
        return Write(
            {"Put": {"TableName": self._table, "Item": item_of(resource, parent_id)}},
            RevisionMismatchError(changed_meanwhile(resource)),
        )

    def _replace(
        self, before: Resource, after: Resource, parent_id: str | None, lists: Sequence[Relisted]
    ) -> Write:
        """An update rather than a put, which would lose what is kept beside the resource."""
        item = item_of(after, parent_id)
        key = {name: item.pop(name) for name in ("pk", "sk")}
        item.pop("executedKey", None)  # follows the latest run, which is kept beside the flow
        names = {f"#{name}": name for name in item}
        values = {f":{name}": value for name, value in item.items()}
        sets = ", ".join(f"#{name} = :{name}" for name in item)
        changes, more = _list_changes(lists)
        removed = "" if "expiresAt" in item else " REMOVE expiresAt"
        return Write(
            {
                "Update": {
                    "TableName": self._table,
                    "Key": key,
                    "UpdateExpression": f"SET {sets}{removed}{changes}",
                    "ConditionExpression": "revision = :before",
                    "ExpressionAttributeNames": names,
                    "ExpressionAttributeValues": values
                    | more
                    | attributes(**{":before": before.revision}),
                }
            },
            RevisionMismatchError(changed_meanwhile(before)),
        )

    def _count(self, key: keys.Key, more: int) -> Write:
        return Write(
            {
                "Update": {
                    "TableName": self._table,
                    "Key": attributes(**key),
                    "UpdateExpression": "ADD members :more",
                    "ExpressionAttributeValues": attributes(**{":more": more}),
                }
            },
            refusal=None,
        )

    def _relist(self, lists: Sequence[Relisted]) -> Write:
        changes, values = _list_changes(lists)
        flow_id = lists[0].flow_id
        key = keys.resource(lists[0].workspace_id, Flow.prefix, flow_id, None)
        return Write(
            {
                "Update": {
                    "TableName": self._table,
                    "Key": attributes(**key),
                    "UpdateExpression": changes.strip(),
                    "ConditionExpression": "attribute_exists(pk)",
                    "ExpressionAttributeValues": values,
                }
            },
            ConflictError(flow_gone(flow_id)),
        )

    def _delete(self, resource: Resource, parent_id: str | None) -> Write:
        key = keys.resource(resource.workspace_id, resource.prefix, resource.id, parent_id)
        return Write(
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

    def _claim(self, resource: Resource, name: str, parent_id: str | None) -> Write:
        key = keys.stable_key(resource.workspace_id, resource.prefix, name, parent_id)
        item = attributes(**key, id=resource.id)
        return Write(
            {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": _IS_NEW}},
            ConflictError(key_taken(resource)),
        )

    def _release(self, resource: Resource, name: str, parent_id: str | None) -> Write:
        key = keys.stable_key(resource.workspace_id, resource.prefix, name, parent_id)
        return Write(
            {"Delete": {"TableName": self._table, "Key": attributes(**key)}},
            RevisionMismatchError(changed_meanwhile(resource)),
        )


def raise_refusal(writes: Sequence[Write], error: ClientError) -> None:
    """Raise what a cancelled transaction means, unless it can be tried again."""
    reasons: Any = error.response.get("CancellationReasons", [])
    told = [
        (write.refusal, reason.get("Code")) for write, reason in zip(writes, reasons, strict=True)
    ]
    for refusal, code in told:
        # Another transaction over the same item is about to make the condition fail.
        if refusal is not None and code in {"ConditionalCheckFailed", "TransactionConflict"}:
            raise refusal from error
    if not any(code in PASSES for _, code in told):
        raise error


def _list_changes(lists: Sequence[Relisted]) -> tuple[str, Attributes]:
    """Clauses of an update expression, and their values."""
    clauses: dict[str, list[str]] = {"ADD": [], "DELETE": []}
    values: Attributes = {}
    for each in lists:
        name = to_camel(each.field)
        for verb, ids in (("ADD", each.gained), ("DELETE", each.lost)):
            if ids:
                clauses[verb].append(f"{name} :{verb}{name}")
                values[f":{verb}{name}"] = {"SS": [*ids]}
    told = (f" {verb} {', '.join(found)}" for verb, found in clauses.items() if found)
    return "".join(told), values
