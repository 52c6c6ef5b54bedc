"""The latest run of each flow, kept beside it, and those of its other versions."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from millrace.domain.base import rfc3339
from millrace.domain.errors import UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.run import LatestRun
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes
from millrace.storage.batches import read_items
from millrace.storage.orders import time_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient

_IS_LATEST: Final = "(attribute_not_exists(lastExecutedAt) OR lastExecutedAt <= :started)"


class LatestRuns:
    """The latest runs of one table."""

    def __init__(self, connect: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._connect = connect
        self._table = table

    @property
    def _client(self) -> "DynamoDBClient":
        return self._connect()

    def record(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
        """Remember the latest run of a flow and of its version, unless a later one is known.

        The flow's latest run is its version's as well, so one write tells both. Only when another
        version's run takes its place, or is there already, is a version's kept in its own item.
        """
        try:
            self._record(workspace_id, flow_id, run)
        except (ClientError, BotoCoreError) as error:
            raise UnavailableError("the latest run could not be recorded") from error

    def _record(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
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
            flow_item = self._client.get_item(
                TableName=self._table, Key=attributes(**flow_key), ConsistentRead=True
            )
            there = _latest_run(flow_item.get("Item", {}))
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

    def of_versions(
        self, workspace_id: str, versions: Iterable[tuple[str, str]]
    ) -> Mapping[str, LatestRun]:
        """The latest runs of versions that are not their flow's latest run."""
        wanted = [keys.latest_run(workspace_id, *version) for version in dict.fromkeys(versions)]
        places = [(key["pk"], key["sk"]) for key in wanted if keys.is_possible(key)]
        found: dict[str, LatestRun] = {}
        for item in read_items(self._client, self._table, places):
            run = _latest_run(item)
            if run is not None:
                found[run.version_id] = run
        return found


def _latest_values(run: LatestRun) -> Attributes:
    written = run.model_dump_json(exclude_none=True)
    return attributes(**{":run": written, ":started": rfc3339(run.start_date)})


def _latest_run(item: Mapping[str, Any]) -> LatestRun | None:
    """The latest run that stands in an item."""
    if "latestRun" not in item:
        return None
    return LatestRun.model_validate_json(item["latestRun"]["S"])
