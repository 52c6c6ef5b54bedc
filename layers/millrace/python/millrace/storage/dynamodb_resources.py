"""Editable resources in DynamoDB: one item each, changed only over the revision that was read."""

import json
import random
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from millrace.domain.base import rfc3339
from millrace.domain.cursor import decode_cursor, encode_cursor
from millrace.domain.errors import NotFoundError, UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.ports import Browsed, Change, Found, KeyRef, Listing, Order, Ref
from millrace.domain.resource import Resource
from millrace.domain.run import LatestRun
from millrace.domain.token import Token
from millrace.storage import keys
from millrace.storage.attributes import attributes, text
from millrace.storage.batches import read_items
from millrace.storage.changes import check_size
from millrace.storage.items import resource_of
from millrace.storage.latest_runs import LatestRuns
from millrace.storage.lists import Lists
from millrace.storage.writes import Writes, raise_refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient

# Before each further try of a transaction that met another one over a counter; about 1.5 s in all.
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


class DynamoResources:
    """The `Resources` port over one DynamoDB table."""

    def __init__(self, connect: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._connect = connect
        self._table = table
        self._lists = Lists(connect, table)
        self._latest_runs = LatestRuns(connect, table)
        self._writes = Writes(table)

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
        return resource_of(kind, item)

    def get_many(self, workspace_id: str, refs: Iterable[Ref[Any]]) -> Found:
        """Several resources in one read (one for each 100); what is not there is left out."""
        wanted = {
            (key["pk"], key["sk"]): ref
            for ref in refs
            if keys.is_possible(
                key := keys.resource(workspace_id, ref.kind.prefix, ref.id, ref.parent_id)
            )
        }
        found: dict[Ref[Any] | KeyRef[Any], Resource] = {}
        for item in read_items(self._client, self._table, wanted):
            ref = wanted[text(item, "pk"), text(item, "sk")]
            found[ref] = resource_of(ref.kind, item)
        return Found(found)

    def record_run(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
        """Remember the latest run of a flow and of its version, unless a later one is known."""
        self._latest_runs.record(workspace_id, flow_id, run)

    def unsettled(self, changed_before: datetime) -> tuple[Flow, ...]:
        """Some flows of whose change nobody said since that it was followed."""
        answer = self._client.query(
            TableName=self._table,
            IndexName="gsi2",
            KeyConditionExpression="gsi2pk = :unsettled AND gsi2sk < :before",
            ExpressionAttributeValues=attributes(
                **{":unsettled": keys.UNSETTLED, ":before": rfc3339(changed_before)}
            ),
        )
        return tuple(resource_of(Flow, item) for item in answer["Items"])

    def settle(self, flow: Flow) -> None:
        """Note that what follows the change of a flow was done, unless it changed again."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=attributes(**keys.resource(flow.workspace_id, Flow.prefix, flow.id, None)),
                UpdateExpression="REMOVE gsi2pk, gsi2sk",
                ConditionExpression="revision = :revision",
                ExpressionAttributeValues=attributes(**{":revision": flow.revision}),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # who changed it, or deleted it, has to follow that
        except (ClientError, BotoCoreError) as error:
            raise UnavailableError("it cannot be noted that the flow is settled") from error

    def record_use(self, workspace_id: str, token_id: str, at: datetime, since: datetime) -> None:
        """Remember when a token was last used, unless a use after `since` is known."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=attributes(**keys.resource(workspace_id, Token.prefix, token_id, None)),
                UpdateExpression="SET lastUsedAt = :at",
                ConditionExpression="attribute_exists(pk) AND "
                "(attribute_not_exists(lastUsedAt) OR lastUsedAt <= :since)",
                ExpressionAttributeValues=attributes(
                    **{":at": json.dumps(rfc3339(at)), ":since": json.dumps(rfc3339(since))}
                ),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # it was revoked, or another process was faster
        except (ClientError, BotoCoreError) as error:
            raise UnavailableError("the use of the token could not be recorded") from error

    def latest_runs(
        self, workspace_id: str, versions: Iterable[tuple[str, str]]
    ) -> Mapping[str, LatestRun]:
        """The latest runs of versions that are not their flow's latest run."""
        return self._latest_runs.of_versions(workspace_id, versions)

    def find[R: Resource](
        self, kind: type[R], workspace_id: str, stable_key: str, *, parent_id: str | None = None
    ) -> R | None:
        """The resource of the collection that has this stable key, if there is one."""
        item = self._read(keys.stable_key(workspace_id, kind.prefix, stable_key, parent_id))
        if item is None:
            return None
        return self.get(kind, workspace_id, text(item, "id"), parent_id=parent_id)

    def find_many(self, workspace_id: str, refs: Iterable[KeyRef[Any]]) -> Found:
        """Several resources by stable key in two reads (two for each 100)."""
        wanted = {
            (key["pk"], key["sk"]): ref
            for ref in refs
            if keys.is_possible(
                key := keys.stable_key(workspace_id, ref.kind.prefix, ref.stable_key, ref.parent_id)
            )
        }
        places: dict[KeyRef[Any], Ref[Any]] = {}
        for item in read_items(self._client, self._table, wanted):
            ref = wanted[text(item, "pk"), text(item, "sk")]
            places[ref] = Ref(ref.kind, text(item, "id"), ref.parent_id)
        there = self.get_many(workspace_id, places.values())
        return Found(
            {ref: found for ref, place in places.items() if (found := there.get(place)) is not None}
        )

    def page[R: Resource](
        self,
        kind: type[R],
        workspace_id: str,
        *,
        parent_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        newest_first: bool = False,
        skip: int = 0,
    ) -> Listing[R]:
        """One page of the collection by time of creation. Raises InvalidRequestError."""
        partition = keys.collection(workspace_id, kind.prefix, parent_id)
        # The partition is never taken from the cursor, which is the caller's to tamper with.
        after = decode_cursor(cursor) if cursor else None
        if skip:
            order = Order(descending=newest_first)
            browsed = self._lists.by_index(kind, partition, order, limit, after, skip)
        else:
            browsed = self._lists.by_id(kind, partition, limit, after, descending=newest_first)
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
            return self._lists.by_id(kind, partition, limit, after, descending=False)
        return self._lists.by_index(kind, partition, order, limit, after, skip)

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
        return resource_of(kind, items[0]) if items else None

    def commit(self, *changes: Change) -> None:
        """Apply all changes or none. Raises RevisionMismatchError or ConflictError."""
        check_size(changes)
        writes = [*self._writes.of(changes)]
        if not writes:
            return
        for pause in (*_PAUSES, None):
            try:
                self._client.transact_write_items(TransactItems=[write.item for write in writes])
            except self._client.exceptions.TransactionCanceledException as error:
                raise_refusal(writes, error)
                if pause is None:
                    raise UnavailableError("others change the same list; try again") from error
                # Two that met would meet again if they waited equally long.
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            else:
                return

    def _read(self, key: keys.Key) -> dict[str, Any] | None:
        if not keys.is_possible(key):
            return None
        answer = self._client.get_item(
            TableName=self._table, Key=attributes(**key), ConsistentRead=True
        )
        return answer.get("Item")
