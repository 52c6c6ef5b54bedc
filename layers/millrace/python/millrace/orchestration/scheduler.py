"""Schedules of flows in EventBridge Scheduler."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from millrace import limits
from millrace.domain.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from millrace.domain.ports import Schedule

SCHEDULED_TIME: Final = "<aws.scheduler.scheduled-time>"
"""EventBridge Scheduler puts the planned time of the occurrence in its place."""

_SERVER_ERROR: Final = 500
_CONFLICT: Final = 409
_TOO_MANY: Final = 429


class ScheduleTarget(NamedTuple):
    """The function that schedules call, the role that may, and what it could not be told."""

    function_arn: str
    role_arn: str
    dead_letters_arn: str


class EventBridgeSchedules:
    """The `Schedules` port over one schedule group."""

    def __init__(
        self,
        connect: "Callable[[], EventBridgeSchedulerClient]",
        group: str,
        target: ScheduleTarget,
    ) -> None:
        self._connect = connect
        self._group = group
        self._target = target

    @property
    def _client(self) -> "EventBridgeSchedulerClient":
        return self._connect()

    def put(self, schedule: "Schedule") -> None:
        """Create the schedule, or change the one of that name.

        It deletes itself after its last occurrence. Every occurrence comes to the function at its
        time, or is tried again for as long as possible, and then kept as a dead letter.
        """
        definition: Any = {
            "Name": schedule.name,
            "GroupName": self._group,
            "ScheduleExpression": schedule.expression,
            "ScheduleExpressionTimezone": schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": self._target.function_arn,
                "RoleArn": self._target.role_arn,
                "Input": json.dumps({**schedule.data, "scheduledFor": SCHEDULED_TIME}),
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": limits.SCHEDULE_TRY_SECONDS,
                    "MaximumRetryAttempts": limits.SCHEDULE_TRIES,
                },
                "DeadLetterConfig": {"Arn": self._target.dead_letters_arn},
            },
        }
        dates = {"StartDate": schedule.start, "EndDate": schedule.end}
        definition |= {name: date for name, date in dates.items() if date is not None}
        with _unless_unavailable():
            try:
                self._client.create_schedule(**definition)
            except self._client.exceptions.ConflictException:
                self._client.update_schedule(**definition)

    def names(self, beginning: str) -> tuple[str, ...]:
        """The names that begin so, of the schedules that are there."""
        with _unless_unavailable():
            pages = self._client.get_paginator("list_schedules").paginate(
                GroupName=self._group, NamePrefix=beginning
            )
            return tuple(found["Name"] for page in pages for found in page["Schedules"])

    def delete(self, name: str) -> None:
        """Remove the schedule if it is there."""
        with _unless_unavailable():
            try:
                self._client.delete_schedule(Name=name, GroupName=self._group)
            except self._client.exceptions.ResourceNotFoundException:
                return


@contextmanager
def _unless_unavailable() -> Iterator[None]:
    """Tell trouble of the moment from what will not pass, such as a missing permission."""
    try:
        yield
    except BotoCoreError as error:
        raise UnavailableError("EventBridge Scheduler cannot be reached just now") from error
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status < _SERVER_ERROR and status not in {_CONFLICT, _TOO_MANY}:
            raise
        raise UnavailableError("EventBridge Scheduler takes no change just now") from error
