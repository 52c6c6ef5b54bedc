"""Schedules of flows in EventBridge Scheduler."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from tests.support.aws import ENVIRONMENT, simulated_aws

from millrace.domain.errors import UnavailableError
from millrace.domain.ports import Schedule
from millrace.orchestration.scheduler import (
    SCHEDULED_TIME,
    EventBridgeSchedules,
    ScheduleTarget,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_scheduler import EventBridgeSchedulerClient

GROUP = ENVIRONMENT["MILLRACE_SCHEDULE_GROUP"]
TARGET = ENVIRONMENT["MILLRACE_TRIGGER_ARN"]
ROLE = ENVIRONMENT["MILLRACE_SCHEDULE_ROLE_ARN"]
DEAD_LETTERS = ENVIRONMENT["MILLRACE_SCHEDULE_DEAD_LETTERS_ARN"]
NIGHTLY = Schedule("flow_1", "cron(0 2 * * ? *)", "Europe/Paris", {"flowId": "flow_1"})


@pytest.fixture
def client() -> "Iterator[EventBridgeSchedulerClient]":
    """Scheduler with the stack's group; nothing fires."""
    with simulated_aws():
        client = boto3.client("scheduler")
        client.create_schedule_group(Name=GROUP)
        yield client


@pytest.fixture
def schedules(client: "EventBridgeSchedulerClient") -> EventBridgeSchedules:
    """The adapter under test."""
    target = ScheduleTarget(TARGET, ROLE, DEAD_LETTERS)
    return EventBridgeSchedules(lambda: client, GROUP, target)


def test_a_schedule_fires_the_trigger_function_with_the_planned_time(
    schedules: EventBridgeSchedules, client: "EventBridgeSchedulerClient"
) -> None:
    """The time of the occurrence is in the event, so that a repeated delivery is recognised."""
    schedules.put(NIGHTLY)
    stored = client.get_schedule(Name="flow_1", GroupName=GROUP)
    assert stored["ScheduleExpression"] == "cron(0 2 * * ? *)"
    assert stored["ScheduleExpressionTimezone"] == "Europe/Paris"
    assert stored["FlexibleTimeWindow"] == {"Mode": "OFF"}
    target = stored["Target"]
    assert (target["Arn"], target["RoleArn"]) == (TARGET, ROLE)
    assert json.loads(target["Input"]) == {"flowId": "flow_1", "scheduledFor": SCHEDULED_TIME}


def test_an_occurrence_is_tried_for_a_day_and_then_kept(
    schedules: EventBridgeSchedules, client: "EventBridgeSchedulerClient"
) -> None:
    """What cannot be delivered is not lost; what is over removes itself."""
    schedules.put(NIGHTLY)
    stored = client.get_schedule(Name="flow_1", GroupName=GROUP)
    assert stored["Target"]["DeadLetterConfig"] == {"Arn": DEAD_LETTERS}
    assert stored["Target"]["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 86_400,
        "MaximumRetryAttempts": 185,
    }
    assert stored["ActionAfterCompletion"] == "DELETE"


def test_a_schedule_holds_between_its_dates(
    schedules: EventBridgeSchedules, client: "EventBridgeSchedulerClient"
) -> None:
    """Both reach the scheduler, and go when they are taken away."""
    start, end = datetime(2099, 1, 1, tzinfo=UTC), datetime(2099, 2, 1, tzinfo=UTC)
    schedules.put(replace(NIGHTLY, start=start, end=end))
    stored = client.get_schedule(Name="flow_1", GroupName=GROUP)
    assert (stored["StartDate"], stored["EndDate"]) == (start, end)
    schedules.put(NIGHTLY)
    stored = client.get_schedule(Name="flow_1", GroupName=GROUP)
    assert stored.get("StartDate") is stored.get("EndDate") is None


def test_names_are_found_by_their_beginning(schedules: EventBridgeSchedules) -> None:
    """Also those that do not fit one page of the scheduler's list."""
    names = [f"flow_1.{number:03d}" for number in range(120)]
    for name in (*names, "flow_2"):
        schedules.put(replace(NIGHTLY, name=name))
    assert sorted(schedules.names("flow_1")) == names


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("ThrottlingException", 429, UnavailableError),
        ("InternalServerException", 500, UnavailableError),
        ("ConflictException", 409, UnavailableError),
        ("AccessDeniedException", 403, ClientError),
    ],
)
def test_what_passes_is_told_from_what_does_not(
    schedules: EventBridgeSchedules,
    client: "EventBridgeSchedulerClient",
    code: str,
    status: int,
    raised: type[Exception],
) -> None:
    """A throttle is to be tried again; a missing permission is to be seen."""
    with Stubber(client) as stubber:
        stubber.add_client_error("delete_schedule", code, http_status_code=status)
        with pytest.raises(raised):
            schedules.delete("flow_1")


def test_putting_again_changes_the_schedule(
    schedules: EventBridgeSchedules, client: "EventBridgeSchedulerClient"
) -> None:
    """A flow has one schedule, whatever it was before."""
    schedules.put(NIGHTLY)
    schedules.put(Schedule("flow_1", "rate(5 minutes)", "UTC", {"flowId": "flow_1"}))
    (only,) = client.list_schedules(GroupName=GROUP)["Schedules"]
    stored = client.get_schedule(Name=only["Name"], GroupName=GROUP)
    assert stored["ScheduleExpression"] == "rate(5 minutes)"
    assert stored["ScheduleExpressionTimezone"] == "UTC"


def test_deleting_is_harmless_to_repeat(
    schedules: EventBridgeSchedules, client: "EventBridgeSchedulerClient"
) -> None:
    """A flow without a schedule may be told so again."""
    schedules.put(NIGHTLY)
    schedules.delete("flow_1")
    schedules.delete("flow_1")
    assert client.list_schedules(GroupName=GROUP)["Schedules"] == []
