"""When a flow runs next by its schedules."""

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from millrace.domain.base import Model, Moment
from millrace.domain.flow import Flow, Version
from millrace.domain.occurrences import Timetable
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.flows import get_flow
from millrace.usecases.schedules import schedules_of, timetable

type Obstacle = Literal["noSchedule", "notDeployed", "disabled"]


class Occurrence(Model):
    """One planned instant."""

    scheduled_for: Moment
    local_time: str = Field(description="The same in the flow's time zone, with its offset.")
    step_id: str | None = Field(description="The source whose own schedule it is.")


class SkippedTime(Model):
    """A time of the schedule that the zone's clocks leave out."""

    local_time: str
    step_id: str | None


class NextOccurrences(Model):
    """What is planned next of a flow's schedules."""

    flow_id: str
    version_id: str = Field(
        description="Whose steps they are: the deployed version, or the latest."
    )
    timezone: str
    fires: bool = Field(description="False: this is what would be planned.")
    obstacles: tuple[Obstacle, ...] = Field(description="Why it does not fire.")
    data: tuple[Occurrence, ...]
    skipped: tuple[SkippedTime, ...] = Field(
        description="Up to the last of `data`, in which nothing happens."
    )


def next_occurrences(context: Context, caller: Caller, flow_id: str, n: int) -> NextOccurrences:
    """The next `n` instants that are planned, or would be if the flow were deployed and enabled."""
    flow = get_flow(context, caller, flow_id)
    version_id = flow.deployed_version_id or flow.latest_version_id
    version = context.resources.get(Version, flow.workspace_id, version_id, parent_id=flow.id)
    now = context.clock()
    tables = {
        step_id: timetable(flow, written, version.deployed_at or now)
        for step_id, written in schedules_of(flow, version.steps).items()
    }
    planned = merge(
        *(
            [(each, id_ or "") for each in islice(table.since(now), n)]
            for id_, table in tables.items()
        )
    )
    following = [*islice(planned, n)]
    zone = ZoneInfo(flow.timezone)
    obstacles = tuple(_obstacles(flow, tables))
    return NextOccurrences(
        flow_id=flow.id,
        version_id=version.id,
        timezone=flow.timezone,
        fires=not obstacles,
        obstacles=obstacles,
        data=tuple(
            Occurrence(
                scheduled_for=each,
                local_time=each.astimezone(zone).isoformat(timespec="seconds"),
                step_id=id_ or None,
            )
            for each, id_ in following
        ),
        skipped=tuple(_skipped(tables, now, following[-1][0] if following else None)),
    )


def _obstacles(flow: Flow, tables: dict[str | None, Timetable]) -> Iterator[Obstacle]:
    if not tables:
        yield "noSchedule"
    if flow.deployed_version_id is None:
        yield "notDeployed"
    if not flow.is_enabled:
        yield "disabled"


def _skipped(
    tables: dict[str | None, Timetable], begin: datetime, end: datetime | None
) -> Iterator[SkippedTime]:
    for step_id, table in tables.items():
        for local in table.skipped(begin, end):
            yield SkippedTime(local_time=local.isoformat(timespec="seconds"), step_id=step_id)
