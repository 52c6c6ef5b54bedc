"""How far the exports of a flow have read, moved by runs that succeed."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from millrace.domain.delta import NO_ENVIRONMENT, DeltaMark, DeltaMarks, DeltaWindow
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RevisionMismatchError,
    UnavailableError,
)
from millrace.domain.ports import Change, Create, Replace
from millrace.domain.run import Run, RunStatus, StepRecord, StepStatus
from millrace.usecases.context import Context

_TRIES: Final = 10


def stored_marks(
    context: Context, workspace_id: str, flow_id: str, environment_id: str | None
) -> DeltaMarks | None:
    """What is stored of a flow, if anything is."""
    try:
        return context.resources.get(
            DeltaMarks, workspace_id, environment_id or NO_ENVIRONMENT, parent_id=flow_id
        )
    except NotFoundError:
        return None


def read_marks(
    context: Context, workspace_id: str, flow_id: str, environment_id: str | None
) -> Mapping[str, DeltaMark]:
    """How far a flow's exports have read, by step."""
    stored = stored_marks(context, workspace_id, flow_id, environment_id)
    return {} if stored is None else stored.marks


def windows_read(
    run: Run, status: RunStatus, records: Iterable[StepRecord]
) -> dict[str, DeltaWindow]:
    """What the run's exports of changes read, unless it is to be read again.

    Records that failed are kept as record errors; those that a failed step did not take are not.
    """
    ends = {record.status for record in records}
    if status is RunStatus.FAILED or run.replay is not None or StepStatus.FAILED in ends:
        return {}
    return {
        record.step_id: record.delta
        for record in records
        if record.delta is not None and record.delta.advances
    }


def move_marks(context: Context, run: Run) -> None:
    """Count as read what a run has read that succeeded.

    Told again it changes nothing, since marks only move on, and not at all for a run that began
    before somebody set them. Raises UnavailableError if too many runs of the flow end at once.
    """
    if not run.delta:
        return
    for _ in range(_TRIES):
        before = stored_marks(context, run.workspace_id, run.flow_id, run.virtual_environment_id)
        now = context.clock()
        stamp: dict[str, Any] = {"modified_at": now, "modified_by": run.id}
        if before is None:
            marks = DeltaMarks(
                id=run.virtual_environment_id or NO_ENVIRONMENT,
                workspace_id=run.workspace_id,
                created_at=now,
                created_by=run.id,
                marks={},
                **stamp,
            )
            moved = marks.moved(run.delta, run.id)
            change: Change = Create(
                marks.model_copy(update={"marks": moved}), parent_id=run.flow_id
            )
        else:
            moved = before.moved(run.delta, run.id)
            if moved == before.marks:
                return
            update = {"marks": moved, "revision": before.revision + 1, **stamp}
            change = Replace(before, before.model_copy(update=update), parent_id=run.flow_id)
        try:
            context.resources.commit(change)
        except (ConflictError, RevisionMismatchError):
            continue
        return
    raise UnavailableError("too many runs of the flow end at once; tell it again")
