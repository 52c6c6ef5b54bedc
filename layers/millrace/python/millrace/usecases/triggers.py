"""Schedules that fire."""

from datetime import datetime

from millrace.domain.base import Model, rfc3339
from millrace.domain.errors import NotFoundError
from millrace.domain.flow import Flow
from millrace.domain.run import Run, Trigger
from millrace.usecases.context import Context
from millrace.usecases.runs import start_run


class ScheduleEvent(Model):
    """What a schedule hands to the trigger function."""

    workspace_id: str
    flow_id: str
    scheduled_for: datetime


def on_schedule(context: Context, event: ScheduleEvent) -> Run | None:
    """Start the run of one planned occurrence, at most once; None if the flow does not want it.

    The scheduler delivers at least once, so flow and planned time together name the run.
    """
    try:
        flow = context.resources.get(Flow, event.workspace_id, event.flow_id)
    except NotFoundError:
        return None
    if not flow.is_enabled or flow.schedule is None or flow.deployed_version_id is None:
        return None
    planned = event.scheduled_for
    trigger = Trigger(source="schedule", scheduled_for=planned)
    run, _ = start_run(
        context,
        flow,
        trigger,
        {"scheduledFor": rfc3339(planned)},
        dedupe_key=f"{flow.id}\n{rfc3339(planned)}",
    )
    return run
