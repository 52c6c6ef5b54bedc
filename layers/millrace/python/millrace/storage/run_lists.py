"""Lists of runs, newest first, by the two indexes that are sorted by when runs were created.

What a filter does not let through DynamoDB leaves out itself, so that it never travels; a list of
a workspace reads some 200 bytes a run that way, of a flow the whole run.
"""

from typing import TYPE_CHECKING, Any, Final, Literal

from millrace import limits
from millrace.domain.base import rfc3339
from millrace.domain.cursor import decode_cursor, encode_cursor
from millrace.domain.ports import Listing
from millrace.domain.run import RunFilter
from millrace.storage import keys
from millrace.storage.attributes import attributes, text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputPaginateTypeDef

type RunIndex = Literal["gsi1", "gsi4"]

_FIRST: Final = " "
_LAST: Final = "~"
"""Sort before and after every time."""


def find_runs(
    client: "DynamoDBClient",
    table: str,
    index: RunIndex,
    partition: str,
    where: RunFilter,
    limit: int,
    cursor: str | None,
) -> Listing[dict[str, Any]]:
    """The items that an index has of the runs of a page.

    One query, and with a filter that lets few through as many as it takes to look at
    `limits.WALKED_ITEMS`. Raises InvalidRequestError for a cursor that no list gave.
    """
    start = _FIRST if where.created_after is None else rfc3339(where.created_after)
    end = _LAST if where.created_before is None else rfc3339(where.created_before)
    if cursor is not None:
        end = min(end, decode_cursor(cursor))
    if start > end:
        return Listing(())
    asked: QueryInputPaginateTypeDef = {
        "TableName": table,
        "IndexName": index,
        "KeyConditionExpression": f"{index}pk = :partition AND {index}sk BETWEEN :start AND :end",
        "ExpressionAttributeValues": attributes(
            **{":partition": partition, ":start": start, ":end": end}
        ),
        "ScanIndexForward": False,
        # One more to know whether there are more, and the one at the end, which is not in it.
        "PaginationConfig": {
            "PageSize": limit + 2 if where.is_of_time_only else limits.BATCH_READ_ITEMS
        },
    }
    found: list[dict[str, Any]] = []
    last = None
    looked_at = 0
    for page in client.get_paginator("query").paginate(**_filtered(asked, where)):
        found += [item for item in page["Items"] if text(item, f"{index}sk") < end]
        looked_at += page["ScannedCount"]
        last = page.get("LastEvaluatedKey")
        if len(found) > limit or looked_at >= limits.WALKED_ITEMS:
            break
    if len(found) > limit:
        return Listing(tuple(found[:limit]), encode_cursor(text(found[limit - 1], f"{index}sk")))
    return Listing(tuple(found), None if last is None else encode_cursor(text(last, f"{index}sk")))


def _filtered(asked: "QueryInputPaginateTypeDef", where: RunFilter) -> "QueryInputPaginateTypeDef":
    """The query, with the conditions of the filter beside those of the key."""
    wanted = dict(
        zip(
            keys.RUN_FILTERED,
            (where.statuses, where.flow_ids, where.trigger_sources),
            strict=True,
        )
    )
    names: dict[str, str] = {}
    values: dict[str, str] = {}
    conditions: list[str] = []
    for name, allowed in wanted.items():
        if allowed:
            places = {f":{name}{number}": str(value) for number, value in enumerate(allowed)}
            conditions.append(f"#{name} IN ({', '.join(places)})")
            names[f"#{name}"] = name
            values |= places
    if not conditions:
        return asked
    return asked | {
        "FilterExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {
            **asked["ExpressionAttributeValues"],
            **attributes(**values),
        },
    }
