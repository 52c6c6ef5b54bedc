"""Schedules that fire."""

from datetime import datetime

from millrace.domain.base import Model, rfc3339
from millrace.domain.errors import NotFoundError
from millrace.domain.flow import Flow
from millrace.domain.run import Run, Trigger
from millrace.usecases.context import Context
from millrace.usecases.deployed import deployed_version
from millrace.usecases.runs import Manner, start_run
from millrace.usecases.schedules import (
    schedule_name,
    schedules_of,
    steps_of_occurrence,
    timetable,
)


class ScheduleEvent(Model):
    """What a schedule hands to the trigger function."""

    workspace_id: str
    flow_id: str
    step_id: str | None = None
    scheduled_for: datetime

    @property
    def occurrence_id(self) -> str:
        """The schedule and the planned instant."""
        schedule = self.flow_id if self.step_id is None else f"{self.flow_id}\n{self.step_id}"
        return f"{schedule}\n{rfc3339(self.scheduled_for)}"


def on_schedule(context: Context, event: ScheduleEvent) -> Run | None:
    """Start the run of one planned occurrence, at most once; None if the flow does not want it.

    The scheduler delivers at least once, so the occurrence names the run. How late it comes does
    not matter. The schedule of a flow that is gone is removed: no flow will have its id again. Any
    other is left to the changes of its flow, one of which may be about to want it.
    """
    try:
        flow = context.resources.get(Flow, event.workspace_id, event.flow_id)
    except NotFoundError:
        context.schedules.delete(schedule_name(event.flow_id, event.step_id))
        return None
    if not flow.is_enabled or flow.deployed_version_id is None:
        return None
    version = deployed_version(context, flow)
    written = schedules_of(flow, version.steps).get(event.step_id)
    planned = event.scheduled_for
    if written is None or not timetable(flow, written, planned).holds(planned):
        return None
    run, _ = start_run(
        context,
        flow,
        Trigger(source="schedule", scheduled_for=planned, step_id=event.step_id),
        {"scheduledFor": rfc3339(planned)},
        version=version,
        how=Manner(steps_to_run=steps_of_occurrence(flow, version.steps, event.step_id)),
        dedupe_key=event.occurrence_id,
    )
    return run
