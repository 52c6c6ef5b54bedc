"""What an export of changes reads in a run: from where the run before ended to when it began."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from millrace.domain.action import Action, ExportAction
from millrace.domain.base import Json
from millrace.domain.delta import EPOCH, Delta, DeltaMark, DeltaWindow
from millrace.domain.errors import NotFoundError, StepFailed
from millrace.domain.flow import Flow, Version
from millrace.domain.run import Run
from millrace.domain.run_values import speak_of_parameters
from millrace.domain.step import Step, steps_before
from millrace.usecases.context import Context
from millrace.usecases.delta_marks import read_marks
from millrace.usecases.finders import lookup, work_of
from millrace.usecases.run_values import inputs_of


def window_of(
    context: Context, run: Run, version: Version, step: Step, work: ExportAction, began_at: datetime
) -> DeltaWindow:
    """What a step reads that began now. A run's own startDate and endDate count for it alone.

    So does what it reads if it was asked for it once, by parameters: the rest is still to be read.

    Raises StepFailed if the flow is gone that it is to be kept behind.
    """
    delta = work.delta or Delta()
    mark = read_marks(context, run.workspace_id, run.flow_id, run.virtual_environment_id)
    start, end = _since(delta, mark.get(step.id)), began_at
    has_dates = (run.start_date, run.end_date) != (None, None)
    if not has_dates and step.keep_delta_behind_flow_id is not None:
        cap = _read_by(context, run, step, step.keep_delta_behind_flow_id)
        end = start if cap is None else min(end, cap)
    return DeltaWindow(
        start=start if run.start_date is None else run.start_date,
        end=end if run.end_date is None else run.end_date,
        format=delta.format,
        began_at=began_at,
        advances=start < end
        and not has_dates
        and _takes_all(run, version, step)
        and not _is_narrowed(context, run, work),
    )


def delta_before(context: Context, run: Run, version: Version, step: Step) -> dict[str, Json]:
    """The times of what the exports of changes before a step read; of several, the earliest's.

    Where none read anything in this run, as when records are tried again, everything is new.
    """
    find_action = lookup(context, Action, run.workspace_id)
    records = {record.step_id: record for record in context.runs.steps(run.key, run.attempt)}
    windows: list[DeltaWindow] = []
    for other in steps_before(version.steps, step):
        work = work_of(other, find_action)
        if not isinstance(work, ExportAction) or work.delta is None:
            continue
        record = records.get(other.id)
        read = None if record is None else record.delta
        windows.append(
            read
            or DeltaWindow(
                start=work.delta.start,
                end=run.created_at,
                format=work.delta.format,
                began_at=run.created_at,
            )
        )
    return min(windows, key=lambda window: window.start).values if windows else {}


def _since(delta: Delta, mark: DeltaMark | None) -> datetime:
    if mark is None or mark.last_export_date_time is None:
        return delta.start
    return max(EPOCH, mark.last_export_date_time - timedelta(minutes=delta.lag_minutes))


def _takes_all(run: Run, version: Version, step: Step) -> bool:
    """Whether every step after this one has a part in the run: else what is read is not done."""
    if run.steps_to_run is None:
        return True
    return all(
        other.id in run.steps_to_run
        for other in version.steps
        if step.id in {before.id for before in steps_before(version.steps, other)}
    )


def _is_narrowed(context: Context, run: Run, work: ExportAction) -> bool:
    """Whether the export reads what the run's parameters name, such as single ids."""
    source = work.http or work.s3
    if source is None or not speak_of_parameters(source):
        return False
    return bool(inputs_of(context, run).parameters)


def _read_by(context: Context, run: Run, step: Step, flow_id: str) -> datetime | None:
    """How far the exports of another flow have read; None if one of them has not read at all."""
    try:
        flow = context.resources.get(Flow, run.workspace_id, flow_id)
    except NotFoundError as error:
        message = f"the flow {flow_id!r} is gone that keepDeltaBehindFlowId names"
        raise StepFailed("keepDeltaBehindGone", message) from error
    if flow.deployed_version_id is None:
        return None
    version = context.resources.get(
        Version, run.workspace_id, flow.deployed_version_id, parent_id=flow_id
    )
    marks = read_marks(context, run.workspace_id, flow_id, run.virtual_environment_id)
    ends: list[datetime] = []
    for id_ in _exports_of(context, version, step):
        mark = marks.get(id_)
        if mark is None or mark.last_export_date_time is None:
            return None
        ends.append(mark.last_export_date_time)
    return min(ends, default=None)


def _exports_of(context: Context, version: Version, step: Step) -> Iterator[str]:
    """The exports of changes of a version that a step is kept behind."""
    find_action = lookup(context, Action, version.workspace_id)
    wanted = step.keep_delta_behind_export_id
    for other in version.steps:
        work = work_of(other, find_action)
        is_delta = isinstance(work, ExportAction) and work.delta is not None
        if is_delta and not other.is_skipped and wanted in {None, other.id, other.referrer}:
            yield other.id
