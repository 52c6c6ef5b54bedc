"""The pace of connections in DynamoDB: one small item each, changed by compare and swap.

swap:  (none) --put--> revision a --put if a--> revision b
a put of a worker that knows `a` only is refused, and the refusal brings `b` along
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from millrace import limits
from millrace.domain.base import Clock
from millrace.domain.errors import UnavailableError
from millrace.domain.pace import Pace
from millrace.storage import keys
from millrace.storage.attributes import attributes, data
from millrace.storage.codec import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient

_KEPT: Final = timedelta(seconds=2 * limits.RETRY_AFTER_SECONDS_MAX)
"""After its last change nothing is left by then that a pace could say."""


class DynamoPaces:
    """The `Paces` port over one DynamoDB table."""

    def __init__(self, connect: "Callable[[], DynamoDBClient]", table: str, clock: Clock) -> None:
        self._connect = connect
        self._table = table
        self._clock = clock

    def read(self, workspace_id: str, connection_id: str) -> Pace | None:
        """What the connection's workers told each other. Raises UnavailableError."""
        try:
            answer = self._connect().get_item(
                TableName=self._table,
                Key=attributes(**keys.pace(workspace_id, connection_id)),
                ConsistentRead=True,
            )
        except (ClientError, BotoCoreError) as error:
            raise UnavailableError("the pace of a connection cannot be read") from error
        return _pace(answer.get("Item"))

    def swap(
        self, workspace_id: str, connection_id: str, before: Pace | None, after: Pace
    ) -> Pace | None:
        """Put `after` in the place of `before`, if that is what is there."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if before is not None:
            condition = {
                "ConditionExpression": "revision = :before",
                "ExpressionAttributeValues": attributes(**{":before": before.revision}),
            }
        client = self._connect()
        try:
            client.put_item(
                TableName=self._table,
                Item=attributes(
                    **keys.pace(workspace_id, connection_id),
                    revision=after.revision,
                    data=pack(after),
                    expiresAt=int((self._clock() + _KEPT).timestamp()),
                ),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **condition,
            )
        except client.exceptions.ConditionalCheckFailedException as refusal:
            return _pace(refusal.response.get("Item"))
        except (ClientError, BotoCoreError) as error:
            raise UnavailableError("the pace of a connection cannot be written") from error
        return after


def _pace(item: Any) -> Pace | None:  # noqa: ANN401 - an item as boto3 gives it
    return unpack(Pace, data(item)) if item else None
