"""Counters of runs as items: what a run that ended adds to its hour and its day."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, get_args

from millrace import limits
from millrace.domain.metrics import Counted, Grain, counters_of, grain_of
from millrace.domain.run import Run
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

GRAINS: Final[tuple[Grain, ...]] = get_args(Grain.__value__)


def additions(table: str, run: Run) -> "Iterator[TransactWriteItemTypeDef]":
    """What a run that is over adds to the items of its hour and its day, those when it ended."""
    ended = run.ended_at or run.created_at
    counters = counters_of(run)
    added = ", ".join(f"#{name} :{name}" for name in counters)
    names = {f"#{name}": name for name in counters}
    values = attributes(**{f":{name}": value for name, value in counters.items()})
    expires = ended + timedelta(days=limits.HOURLY_METRICS_DAYS)
    for grain in GRAINS:
        key = keys.counter(
            run.workspace_id, run.flow_id, grain, grain_of(grain, ended), run.version_id
        )
        set_ = ""
        more: Attributes = {}
        if grain == "hour":
            set_ = "SET expiresAt = if_not_exists(expiresAt, :expires) "
            more = attributes(**{":expires": int(expires.timestamp())})
        yield {
            "Update": {
                "TableName": table,
                "Key": attributes(**key),
                "UpdateExpression": f"{set_}ADD {added}",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values | more,
            }
        }


def counted_of(item: dict[str, Any]) -> Counted:
    """What an item counts."""
    _, time, version_id = text(item, "sk").split("#", 2)
    counters = {name: number(item, name) for name in item if name not in {"pk", "sk", "expiresAt"}}
    return Counted(time, version_id, counters)
