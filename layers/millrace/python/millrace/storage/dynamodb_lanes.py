"""Lanes in DynamoDB: one item each, changed by compare and swap, mostly along with a new run.

An item that is empty stays for a while, so that its revisions go on.
"""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from millrace import limits
from millrace.domain.lane import Lane, LaneChange
from millrace.domain.run import LaneKey
from millrace.storage import keys
from millrace.storage.attributes import attributes, data, text
from millrace.storage.batches import read_items
from millrace.storage.codec import pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutTypeDef, QueryInputPaginateTypeDef

_KEPT: Final = timedelta(hours=2 * limits.QUEUE_WAIT_HOURS)
"""After its last change: the sweeper renews the slots of what is at work."""


def read_lane(client: "DynamoDBClient", table: str, key: LaneKey) -> Lane | None:
    """A lane, if any run came to it of late."""
    found = client.get_item(TableName=table, Key=attributes(**keys.lane(key)), ConsistentRead=True)
    return None if "Item" not in found else _lane(found["Item"])


def put_of(table: str, change: LaneChange) -> "PutTypeDef":
    """The write that changes a lane if it is as it was read."""
    item = attributes(
        **keys.lane(change.key),
        revision=change.after.revision,
        data=pack(change.after),
        expiresAt=int(time.time() + _KEPT.total_seconds()),
    )
    if not change.after.is_empty:
        item |= attributes(gsi3pk=keys.lanes_in_use(change.key.workspace_id))
    put: PutTypeDef = {"TableName": table, "Item": item}
    if change.before is None:
        return put | {"ConditionExpression": "attribute_not_exists(pk)"}
    return put | {
        "ConditionExpression": "revision = :before",
        "ExpressionAttributeValues": attributes(**{":before": change.before.revision}),
    }


def swap_lane(client: "DynamoDBClient", table: str, change: LaneChange) -> bool:
    """Change a lane; False if it is not as it was read."""
    try:
        client.put_item(**put_of(table, change))
    except (
        client.exceptions.ConditionalCheckFailedException,
        client.exceptions.TransactionConflictException,
    ):
        return False
    return True


def find_lanes(
    client: "DynamoDBClient", table: str, workspace_id: str, flow_id: str | None, limit: int
) -> tuple[tuple[LaneKey, Lane], ...]:
    """Some of the lanes that are not empty."""
    asked: QueryInputPaginateTypeDef
    if flow_id is None:
        asked = {
            "TableName": table,
            "IndexName": "gsi3",
            "KeyConditionExpression": "gsi3pk = :partition",
            "ExpressionAttributeValues": attributes(
                **{":partition": keys.lanes_in_use(workspace_id)}
            ),
            "PaginationConfig": {"MaxItems": limit},
        }
    else:
        partition = keys.lanes(workspace_id, flow_id)
        if not keys.is_possible({"pk": partition}):
            return ()
        asked = {
            "TableName": table,
            "KeyConditionExpression": "pk = :partition",
            "ExpressionAttributeValues": attributes(**{":partition": partition}),
            "ConsistentRead": True,
            "PaginationConfig": {"MaxItems": limits.WALKED_ITEMS},
        }
    pages = client.get_paginator("query").paginate(**asked)
    items: Any = [item for page in pages for item in page["Items"]]
    if flow_id is None:
        places = [(text(item, "pk"), text(item, "sk")) for item in items]
        items = read_items(client, table, places)
    found = {
        keys.lane_in(workspace_id, {"pk": text(item, "pk"), "sk": text(item, "sk")}): _lane(item)
        for item in items
    }
    shown = [(key, found[key]) for key in sorted(found) if not found[key].is_empty]
    return tuple(shown[:limit])


def _lane(item: Any) -> Lane:  # noqa: ANN401 - an item as boto3 gives it
    return unpack(Lane, data(item))
