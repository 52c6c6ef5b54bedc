"""The schedules of flows and of their sources, and EventBridge Scheduler in step with them.

What is there is compared with what is wanted, whatever was done before: so each change repairs what
an earlier one could not do. A flow is unsettled from its change on, by the same write, until that
is done; if nobody comes to do it, the sweeper does.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from millrace.domain.errors import NotFoundError
from millrace.domain.flow import Flow, Version
from millrace.domain.occurrences import Timetable
from millrace.domain.ports import Schedule
from millrace.domain.schedule import to_scheduler_expression
from millrace.domain.step import Step
from millrace.usecases.context import Context

_MINUTE: Final = timedelta(minutes=1)
"""EventBridge Scheduler's precision: an occurrence of this minute may still be about to come."""


def schedules_of(flow: Flow, steps: Iterable[Step]) -> dict[str | None, str]:
    """The schedules of a flow as they are written, by the source whose own it is; None: the rest.

    A source's own takes the place of the flow's for it, so the flow's may be left with nothing.
    """
    sources = [step for step in steps if not step.depends_on and not step.is_skipped]
    found: dict[str | None, str] = {
        step.id: step.schedule for step in sources if step.schedule is not None
    }
    if flow.schedule is not None and (not sources or len(found) < len(sources)):
        found[None] = flow.schedule
    return found


def steps_of_occurrence(
    flow: Flow, steps: tuple[Step, ...], step_id: str | None
) -> tuple[str, ...] | None:
    """The steps that run when a schedule fires: its sources and what comes after; None: all."""
    own = schedules_of(flow, steps).keys() - {None}
    if not own:
        return None
    by_id = {step.id: step for step in steps}

    @cache
    def is_reached(id_: str) -> bool:
        if by_id[id_].depends_on:
            return any(map(is_reached, by_id[id_].depends_on))
        return id_ not in own if step_id is None else id_ == step_id

    return tuple(filter(is_reached, by_id))


def timetable(flow: Flow, written: str, deployed_at: datetime) -> Timetable:
    """When a schedule of the flow fires; a rate counts from its start, else from the deploy."""
    counted_from = flow.schedule_start_date or _next_minute(deployed_at)
    return Timetable(
        to_scheduler_expression(written),
        ZoneInfo(flow.timezone),
        counted_from,
        flow.schedule_start_date,
        flow.schedule_end_date,
    )


def schedule_name(flow_id: str, step_id: str | None) -> str:
    """The name of a schedule; a step's id may be longer than a name."""
    if step_id is None:
        return flow_id
    return f"{flow_id}.{hashlib.sha256(step_id.encode()).hexdigest()[:20]}"


def set_schedules(context: Context, flow: Flow) -> None:
    """Bring EventBridge Scheduler in step with a flow that was just stored; may be repeated."""
    wanted = dict(_wanted(context, flow))
    for schedule in filter(None, wanted.values()):
        context.schedules.put(schedule)
    for name in _names(context, flow.id):
        if name not in wanted:
            context.schedules.delete(name)


def remove_schedules(context: Context, flow_id: str) -> None:
    """Remove all schedules of a flow."""
    for name in _names(context, flow_id):
        context.schedules.delete(name)


def _names(context: Context, flow_id: str) -> list[str]:
    beginning = f"{flow_id}."
    names = context.schedules.names(flow_id)
    return [name for name in names if name == flow_id or name.startswith(beginning)]


def _wanted(context: Context, flow: Flow) -> Iterator[tuple[str, Schedule | None]]:
    """The schedules that still have something to come, by name; None: to be left as it is.

    That is one that fires once and is about to: EventBridge Scheduler takes no time that is past.
    """
    if flow.deployed_version_id is None or not flow.is_enabled:
        return
    try:
        version = context.resources.get(
            Version, flow.workspace_id, flow.deployed_version_id, parent_id=flow.id
        )
    except NotFoundError:  # the flow has another one by now
        return
    now = context.clock()
    for step_id, written in schedules_of(flow, version.steps).items():
        table = timetable(flow, written, version.deployed_at or now)
        upcoming = next(table.since(now - _MINUTE), None)
        name = schedule_name(flow.id, step_id)
        if table.fires_once and upcoming is not None and upcoming <= now:
            yield name, None
        elif upcoming is not None and table.holds(max(now, upcoming)):
            data = {"workspaceId": flow.workspace_id, "flowId": flow.id}
            yield (
                name,
                Schedule(
                    name=name,
                    expression=table.expression,
                    timezone=flow.timezone,
                    data={**data} if step_id is None else {**data, "stepId": step_id},
                    start=_start(table, now, upcoming),
                    end=None if table.fires_once else table.end,
                ),
            )


def _start(table: Timetable, now: datetime, upcoming: datetime) -> datetime | None:
    """The StartDate: when a rate fires next, so that no change of the flow shifts it.

    Of the others the time from which they hold, a minute early, so that it is in it itself.
    EventBridge Scheduler takes none that is long past.
    """
    if table.expression.startswith("rate("):
        return upcoming
    if table.fires_once or table.start is None or table.start <= now + _MINUTE:
        return None
    return table.start - _MINUTE


def _next_minute(moment: datetime) -> datetime:
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + _MINUTE
