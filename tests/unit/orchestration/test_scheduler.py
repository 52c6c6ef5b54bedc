"""Schedules of flows in EventBridge Scheduler."""

import json
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.support.aws import ENVIRONMENT, simulated_aws

from millrace.domain.ports import Schedule
from millrace.orchestration.scheduler import SCHEDULED_TIME, EventBridgeSchedules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_scheduler import EventBridgeSchedulerClient

GROUP = ENVIRONMENT["MILLRACE_SCHEDULE_GROUP"]
TARGET = ENVIRONMENT["MILLRACE_TRIGGER_ARN"]
ROLE = ENVIRONMENT["MILLRACE_SCHEDULE_ROLE_ARN"]
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
    return EventBridgeSchedules(lambda: client, GROUP, TARGET, ROLE)


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
