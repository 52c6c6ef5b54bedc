"""Editable resources in DynamoDB: one item each, changed only over the revision that was read."""

import json
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic.alias_generators import to_camel

from millrace.domain.base import rfc3339
from millrace.domain.cursor import decode_cursor, encode_cursor
from millrace.domain.errors import (
    ConflictError,
    DomainError,
    NotFoundError,
    RevisionMismatchError,
    UnavailableError,
)
from millrace.domain.flow import Flow
from millrace.domain.ports import (
    Browsed,
    Change,
    Create,
    Delete,
    Found,
    Listing,
    Order,
    Put,
    Ref,
    Replace,
)
from millrace.domain.resource import Resource
from millrace.domain.run import LatestRun
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes, data, number, text
from millrace.storage.batches import read_items
from millrace.storage.changes import (
    Relisted,
    already_there,
    changed_meanwhile,
    check_size,
    claimed_key,
    counted,
    flow_gone,
    key_taken,
    released_key,
    relisted,
    subject,
)
from millrace.storage.codec import pack, unpack
from millrace.storage.orders import order_keys, time_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_IS_NEW = "attribute_not_exists(pk)"
_IS_UNCHANGED = "revision = :revision"
_IS_LATEST = "(attribute_not_exists(lastExecutedAt) OR lastExecutedAt <= :started)"
# Before each further try of a transaction that met another one over a counter; about 1.5 s in all.
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class _Write:
    """One item of a transaction, and what it means if its condition fails."""

    item: "TransactWriteItemTypeDef"
    refusal: DomainError | None
    """None: it has no condition, and may be tried again when it meets another transaction."""


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
        return _resource(kind, item)

    def get_many(self, workspace_id: str, refs: Iterable[Ref[Any]]) -> Found:
        """Several resources in one read (one for each 100); what is not there is left out."""
        wanted = {
            (key["pk"], key["sk"]): ref
            for ref in refs
            if keys.is_possible(
                key := keys.resource(workspace_id, ref.kind.prefix, ref.id, ref.parent_id)
            )
        }
        found: dict[Ref[Any], Resource] = {}
        for item in self._read_batch(wanted):
            ref = wanted[text(item, "pk"), text(item, "sk")]
            found[ref] = _resource(ref.kind, item)
        return Found(found)

    def record_run(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
        """Remember the latest run of a flow and of its version, unless a later one is known.

        The flow's latest run is its version's as well, so one write tells both. Only when another
        version's run takes its place, or is there already, is a version's kept in its own item.
        """
        try:
            self._record_run(workspace_id, flow_id, run)
        except (ClientError, BotoCoreError) as error:
            raise UnavailableError("the latest run could not be recorded") from error

    def _record_run(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
        flow_key = keys.resource(workspace_id, Flow.prefix, flow_id, None)
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=attributes(**flow_key),
                UpdateExpression=(
                    "SET latestRun = :run, lastExecutedAt = :started, executedKey = :key"
                ),
                ConditionExpression=f"attribute_exists(pk) AND {_IS_LATEST}",
                ExpressionAttributeValues=_latest_values(run)
                | attributes(**{":key": time_key(run.start_date, flow_id)}),
                ReturnValues="UPDATED_OLD",
            )
            displaced = _latest_run(answer.get("Attributes", {}))
        except self._client.exceptions.ConditionalCheckFailedException:
            flow_item = self._read(flow_key)
            there = None if flow_item is None else _latest_run(flow_item)
            displaced = run if there is not None and there.version_id != run.version_id else None
        else:
            if displaced is not None and displaced.version_id == run.version_id:
                displaced = None
        if displaced is None:
            return
        with suppress(self._client.exceptions.ConditionalCheckFailedException):
            self._client.update_item(
                TableName=self._table,
                Key=attributes(**keys.latest_run(workspace_id, flow_id, displaced.version_id)),
                UpdateExpression="SET latestRun = :run, lastExecutedAt = :started",
                ConditionExpression=_IS_LATEST,
                ExpressionAttributeValues=_latest_values(displaced),
            )

    def latest_runs(
        self, workspace_id: str, versions: Iterable[tuple[str, str]]
    ) -> Mapping[str, LatestRun]:
        """The latest runs of versions that are not their flow's latest run."""
        wanted = [keys.latest_run(workspace_id, *version) for version in dict.fromkeys(versions)]
        places = [(key["pk"], key["sk"]) for key in wanted if keys.is_possible(key)]
        found: dict[str, LatestRun] = {}
        for item in self._read_batch(places):
            run = _latest_run(item)
            if run is not None:
                found[run.version_id] = run
        return found

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
        # The partition is never taken from the cursor, which is the caller's to tamper with.
        after = decode_cursor(cursor) if cursor else None
        browsed = self._by_id(kind, partition, limit, after, descending=newest_first)
        return Listing(browsed.items, browsed.last and encode_cursor(browsed.last))

    def browse[R: Resource](
        self,
        kind: type[R],
        workspace_id: str,
        order: Order,
        *,
        limit: int,
        after: str | None = None,
        skip: int = 0,
    ) -> Browsed[R]:
        """A part of a workspace's list, in one query if it is in the order of creation.

        In another order, or with some to skip, a local index gives the keys of the part, and one
        batched read the resources.
        """
        partition = keys.collection(workspace_id, kind.prefix, None)
        if order == Order() and not skip:
            return self._by_id(kind, partition, limit, after, descending=False)
        found = self._keys(partition, order, skip + limit + 1, after)[skip:]
        shown = found[:limit]
        wanted = [(partition, id_) for _, id_ in shown]
        if after is None:
            wanted.append((partition, keys.COUNT))
        items = {text(item, "sk"): item for item in self._read_batch(wanted)}
        return Browsed(
            # What was deleted between the two reads is left out.
            tuple(_resource(kind, items[id_]) for _, id_ in shown if id_ in items),
            tuple(position for position, id_ in shown if id_ in items),
            shown[-1][0] if len(found) > limit else None,
            _total(items.get(keys.COUNT)) if after is None else None,
        )

    def parent_of(self, workspace_id: str, id_: str) -> str | None:
        """The parent of a resource of a kind that is found without it; a moment behind."""
        lookup = keys.lookup(workspace_id, id_)
        if not keys.is_possible({"gsi3pk": lookup}):
            return None
        answer = self._client.query(
            TableName=self._table,
            IndexName="gsi3",
            KeyConditionExpression="gsi3pk = :id",
            ExpressionAttributeValues=attributes(**{":id": lookup}),
            Limit=1,
        )
        partitions = [text(item, "pk") for item in answer["Items"]]
        return keys.parent_in(partitions[0]) if partitions else None

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
        return _resource(kind, items[0]) if items else None

    def commit(self, *changes: Change) -> None:
        """Apply all changes or none. Raises RevisionMismatchError or ConflictError."""
        check_size(changes)
        writes = [*self._all_writes(changes)]
        if not writes:
            return
        for pause in (*_PAUSES, None):
            try:
                self._client.transact_write_items(TransactItems=[write.item for write in writes])
            except self._client.exceptions.TransactionCanceledException as error:
                _raise_refusal(writes, error)
                if pause is None:
                    raise UnavailableError("others change the same list; try again") from error
                # Two that met would meet again if they waited equally long.
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            else:
                return

    def _by_id[R: Resource](
        self, kind: type[R], partition: str, limit: int, after: str | None, *, descending: bool
    ) -> Browsed[R]:
        """A part of a collection by id, which is by time of creation, since ids are ULIDs."""
        edge = "~" if descending else " "  # sorts after, or before, every id
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression=f"pk = :pk AND sk {'<' if descending else '>'} :last",
            ExpressionAttributeValues=attributes(
                **{":pk": partition, ":last": edge if after is None else after}
            ),
            ScanIndexForward=not descending,
            ConsistentRead=True,
            Limit=limit + 2,  # one more to know whether there are more, and the counter
        )
        found = [item for item in answer["Items"] if text(item, "sk") != keys.COUNT]
        counters = [item for item in answer["Items"] if text(item, "sk") == keys.COUNT]
        items = tuple(_resource(kind, item) for item in found[:limit])
        # In descending order the counter, where there is one, is the last item of all.
        is_cut = "LastEvaluatedKey" in answer and not (descending and counters)
        has_more = bool(items) and (is_cut or len(found) > limit)
        begins = after is None and not descending and bool(kind.orders)
        return Browsed(
            items,
            tuple(item.id for item in items),
            items[-1].id if has_more else None,
            _total(counters[0] if counters else None) if begins else None,
        )

    def _keys(
        self, partition: str, order: Order, limit: int, after: str | None
    ) -> list[tuple[str, str]]:
        """The first sort keys of a local index after a position, with the ids they belong to."""
        index, attribute = keys.INDEXES[order.by]
        found: list[tuple[str, str]] = []
        while True:
            values = {":pk": partition} | ({} if after is None else {":after": after})
            beyond = f" AND {attribute} {'<' if order.descending else '>'} :after"
            answer = self._client.query(
                TableName=self._table,
                IndexName=index,
                KeyConditionExpression="pk = :pk" + ("" if after is None else beyond),
                ExpressionAttributeValues=attributes(**values),
                ScanIndexForward=not order.descending,
                ConsistentRead=True,
                Limit=limit - len(found),
            )
            found += [(text(item, attribute), text(item, "sk")) for item in answer["Items"]]
            if len(found) == limit or "LastEvaluatedKey" not in answer:
                return found
            after = found[-1][0]

    def _read(self, key: keys.Key) -> dict[str, Any] | None:
        if not keys.is_possible(key):
            return None
        answer = self._client.get_item(
            TableName=self._table, Key=attributes(**key), ConsistentRead=True
        )
        return answer.get("Item")

    def _read_batch(self, wanted: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
        return read_items(self._client, self._table, wanted)

    def _all_writes(self, changes: Sequence[Change]) -> Iterator[_Write]:
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

    def _writes(self, change: Change, lists: Sequence[Relisted]) -> Iterator[_Write]:
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
    ) -> _Write:
        item = _item(resource, parent_id)
        item |= {to_camel(each.field): {"SS": [*each.gained]} for each in lists if each.gained}
        return _Write(
            {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": _IS_NEW}},
            ConflictError(already_there(resource)),
        )

    def _put(self, resource: Resource, parent_id: str | None) -> _Write:
        return _Write(
            {"Put": {"TableName": self._table, "Item": _item(resource, parent_id)}},
            RevisionMismatchError(changed_meanwhile(resource)),
        )

    def _replace(
        self, before: Resource, after: Resource, parent_id: str | None, lists: Sequence[Relisted]
    ) -> _Write:
        """An update rather than a put, which would lose what is kept beside the resource."""
        item = _item(after, parent_id)
        key = {name: item.pop(name) for name in ("pk", "sk")}
        item.pop("executedKey", None)  # follows the latest run, which is kept beside the flow
        names = {f"#{name}": name for name in item}
        values = {f":{name}": value for name, value in item.items()}
        sets = ", ".join(f"#{name} = :{name}" for name in item)
        changes, more = _list_changes(lists)
        removed = "" if "expiresAt" in item else " REMOVE expiresAt"
        return _Write(
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

    def _count(self, key: keys.Key, more: int) -> _Write:
        return _Write(
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

    def _relist(self, lists: Sequence[Relisted]) -> _Write:
        changes, values = _list_changes(lists)
        flow_id = lists[0].flow_id
        key = keys.resource(lists[0].workspace_id, Flow.prefix, flow_id, None)
        return _Write(
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


def _raise_refusal(writes: Sequence[_Write], error: ClientError) -> None:
    """Raise what a cancelled transaction means, unless it can be tried again."""
    reasons: Any = error.response.get("CancellationReasons", [])
    told = [
        (write.refusal, reason.get("Code")) for write, reason in zip(writes, reasons, strict=True)
    ]
    for refusal, code in told:
        # Another transaction over the same item is about to make the condition fail.
        if refusal is not None and code in {"ConditionalCheckFailed", "TransactionConflict"}:
            raise refusal from error
    if (None, "TransactionConflict") not in told:
        raise error


def _total(item: dict[str, Any] | None) -> int:
    return 0 if item is None else number(item, "members")


def _latest_values(run: LatestRun) -> Attributes:
    written = run.model_dump_json(exclude_none=True)
    return attributes(**{":run": written, ":started": rfc3339(run.start_date)})


def _latest_run(item: Mapping[str, Any]) -> LatestRun | None:
    """The latest run that stands in an item."""
    if "latestRun" not in item:
        return None
    return LatestRun.model_validate_json(item["latestRun"]["S"])


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


def _resource[R: Resource](kind: type[R], item: dict[str, Any]) -> R:
    """The model of an item, with what is kept beside it."""
    beside: dict[str, str] = {}
    for name in map(to_camel, kind.beside):
        match item.get(name):
            case {"SS": ids}:
                beside[name] = json.dumps(sorted(ids))
            case {"S": written}:
                beside[name] = written
    return unpack(kind, data(item), beside)


def _item(resource: Resource, parent_id: str | None) -> Attributes:
    key = keys.resource(resource.workspace_id, resource.prefix, resource.id, parent_id)
    item: Attributes = attributes(**key, data=pack(resource), revision=resource.revision)
    item |= attributes(**order_keys(resource))
    if resource.found_without_parent:
        item |= attributes(gsi3pk=keys.lookup(resource.workspace_id, resource.id))
    if resource.is_public:
        item |= attributes(gsi1pk=resource.id, gsi1sk=keys.PUBLIC)
    if resource.forgotten_at is not None:
        item |= attributes(expiresAt=int(resource.forgotten_at.timestamp()))
    return item
