"""Schedules of flows in EventBridge Scheduler."""

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from millrace.domain.ports import Schedule

SCHEDULED_TIME: Final = "<aws.scheduler.scheduled-time>"
"""EventBridge Scheduler puts the planned time of the occurrence in its place."""


class EventBridgeSchedules:
    """The `Schedules` port over one schedule group."""

    def __init__(
        self,
        connect: "Callable[[], EventBridgeSchedulerClient]",
        group: str,
        target_arn: str,
        role_arn: str,
    ) -> None:
        self._connect = connect
        self._group = group
        self._target_arn = target_arn
        self._role_arn = role_arn

    @property
    def _client(self) -> "EventBridgeSchedulerClient":
        return self._connect()

    def put(self, schedule: "Schedule") -> None:
        """Create the schedule, or change the one of that name."""
        definition: Any = {
            "Name": schedule.name,
            "GroupName": self._group,
            "ScheduleExpression": schedule.expression,
            "ScheduleExpressionTimezone": schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": self._target_arn,
                "RoleArn": self._role_arn,
                "Input": json.dumps({**schedule.data, "scheduledFor": SCHEDULED_TIME}),
            },
        }
        try:
            self._client.create_schedule(**definition)
        except self._client.exceptions.ConflictException:
            self._client.update_schedule(**definition)

    def delete(self, name: str) -> None:
        """Remove the schedule if it is there."""
        try:
            self._client.delete_schedule(Name=name, GroupName=self._group)
        except self._client.exceptions.ResourceNotFoundException:
            return
