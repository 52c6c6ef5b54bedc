"""The latest run for each unique request id of a flow, in an item that the id names."""

from datetime import timedelta
from typing import TYPE_CHECKING

from millrace import limits
from millrace.domain.run import Run
from millrace.storage import keys
from millrace.storage.attributes import attributes, text
from millrace.storage.orders import time_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def take_place(client: "DynamoDBClient", table: str, run: Run) -> str | None:
    """Put a run in the place of the older one, if it is the newer one; the id of the older one.

    One conditional write decides, so of runs that begin at once each makes way for the next.
    """
    if run.unique_request_id is None:
        return None
    expires = run.created_at + timedelta(days=limits.REQUEST_MEMORY_DAYS)
    values = attributes(
        **{":run": run.id, ":created": time_key(run.created_at, run.id)},
        **{":expires": int(expires.timestamp())},
    )
    is_next = "attribute_not_exists(pk) OR created < :created"
    if run.retry_of is not None:
        is_next = "runId = :retried"
        values |= attributes(**{":retried": run.retry_of})
    try:
        answer = client.update_item(
            TableName=table,
            Key=attributes(**keys.request(run.workspace_id, run.flow_id, run.unique_request_id)),
            UpdateExpression="SET runId = :run, created = :created, expiresAt = :expires",
            ConditionExpression=is_next,
            ExpressionAttributeValues=values,
            ReturnValues="UPDATED_OLD",
        )
    except client.exceptions.ConditionalCheckFailedException:
        return None
    before = answer.get("Attributes", {})
    return text(before, "runId") if "runId" in before else None


def latest_for_request(client: "DynamoDBClient", table: str, run: Run) -> str | None:
    """The id of the latest run for the same request."""
    if run.unique_request_id is None:
        return None
    key = keys.request(run.workspace_id, run.flow_id, run.unique_request_id)
    item = client.get_item(TableName=table, Key=attributes(**key), ConsistentRead=True).get("Item")
    return None if item is None else text(item, "runId")
