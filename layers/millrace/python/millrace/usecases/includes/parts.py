"""What is shown of relations that are not stored as such."""

from typing import Literal

from millrace.domain.base import Model, Moment
from millrace.domain.schedule import ScheduleExpression, TimeZone


class User(Model):
    """Who did something: a token, by whose name one knows them."""

    id: str
    name: str | None


class ScheduleOf(Model):
    """When a version runs, or one of its sources."""

    expression: ScheduleExpression
    timezone: TimeZone
    step_id: str | None = None


class FilterOf(Model):
    """Which records reach a step."""

    step_id: str
    expression: str
    on_not_matching: str


class Deployment(Model):
    """That a version of the flow is deployed."""

    flow_version_id: str
    deployed_at: Moment | None
    enabled_at: Moment | None


class EndpointOf(Model):
    """What of a system a step calls."""

    name: str
    direction: Literal["Export", "Import"]
    http_method: str
    path: str


class SystemOf(Model):
    """What a connection reaches."""

    name: str
    label: str | None
    protocol: str
    base_url: str
