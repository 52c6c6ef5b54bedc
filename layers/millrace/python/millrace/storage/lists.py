"""Parts of a collection: by id from the table, in other orders from its local indexes."""

from typing import TYPE_CHECKING, Any

from millrace.domain.ports import Browsed, Order
from millrace.domain.resource import Resource
from millrace.storage import keys
from millrace.storage.attributes import attributes, number, text
from millrace.storage.batches import read_items
from millrace.storage.items import resource_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient


class Lists:
    """The collections of one table."""

    def __init__(self, connect: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._connect = connect
        self._table = table

    @property
    def _client(self) -> "DynamoDBClient":
        return self._connect()

    def by_id[R: Resource](
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
        items = tuple(resource_of(kind, item) for item in found[:limit])
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

    def by_index[R: Resource](
        self,
        kind: type[R],
        partition: str,
        order: Order,
        limit: int,
        after: str | None,
        skip: int,
    ) -> Browsed[R]:
        """A part of a collection in the order of a local index."""
        found = self._keys(partition, order, skip + limit + 1, after)[skip:]
        shown = found[:limit]
        wanted = [(partition, id_) for _, id_ in shown]
        if after is None:
            wanted.append((partition, keys.COUNT))
        items = {text(item, "sk"): item for item in read_items(self._client, self._table, wanted)}
        return Browsed(
            # What was deleted between the two reads is left out.
            tuple(resource_of(kind, items[id_]) for _, id_ in shown if id_ in items),
            tuple(position for position, id_ in shown if id_ in items),
            shown[-1][0] if len(found) > limit else None,
            _total(items.get(keys.COUNT)) if after is None else None,
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


def _total(item: dict[str, Any] | None) -> int:
    return 0 if item is None else number(item, "members")
