"""How far the exports of a flow have read, as its owner sees it and may set it."""

from typing import Any

from pydantic import Field

from millrace.domain.action import Action, ExportAction
from millrace.domain.base import Model, Moment
from millrace.domain.delta import NO_ENVIRONMENT, DeltaMark, DeltaMarks
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow
from millrace.domain.ports import Change, Create, Replace
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.usecases.audit import audited
from millrace.usecases.context import Context
from millrace.usecases.delta_marks import stored_marks
from millrace.usecases.finders import lookup, work_of
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.resources import born, changed, check_revision, refuse


class ExportMark(Model):
    """How far one export has read."""

    step_id: str
    last_export_date_time: Moment | None
    run_id: str | None = Field(default=None, description="The run that read so far.")
    set_at: Moment | None = Field(default=None, description="When somebody set it.")


class LastExportDateTime(Model):
    """How far a flow has read what changes."""

    last_export_date_time: Moment | None = Field(
        description="Of its exports of changes the one that is furthest behind; null if one of "
        "them has not read yet."
    )
    exports: tuple[ExportMark, ...] = Field(description="One for each export of changes.")


class MarkChange(Model):
    """From where a flow reads on."""

    last_export_date_time: Moment | None = Field(
        description="null: from the start, as if it had never run."
    )
    step_ids: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Of these exports; absent: of all."
    )


class Marks:
    """The marks of a flow, and the exports of its current version that they are of."""

    def __init__(self, stored: DeltaMarks | None, exports: tuple[str, ...]) -> None:
        self.stored = stored
        self.exports = exports

    @property
    def id(self) -> str:
        """What names it."""
        return NO_ENVIRONMENT if self.stored is None else self.stored.id

    @property
    def revision(self) -> int:
        """Its ETag: 0 before any run."""
        return 0 if self.stored is None else self.stored.revision

    @property
    def shown(self) -> LastExportDateTime:
        """What a caller is told."""
        marks = {} if self.stored is None else self.stored.marks
        exports = tuple(
            ExportMark(step_id=id_, last_export_date_time=None)
            if id_ not in marks
            else ExportMark(step_id=id_, **dict(marks[id_]))
            for id_ in self.exports
        )
        times = [each.last_export_date_time for each in exports]
        known = [time for time in times if time is not None]
        earliest = min(known) if known and len(known) == len(times) else None
        return LastExportDateTime(last_export_date_time=earliest, exports=exports)


def show_marks(context: Context, caller: Caller, flow_id: str, environment_id: str | None) -> Marks:
    """How far a flow's exports have read, in a virtual environment or in none."""
    flow = get_flow(context, caller, flow_id)
    if environment_id is not None:
        context.resources.get(VirtualEnvironment, caller.workspace_id, environment_id)
    stored = stored_marks(context, caller.workspace_id, flow_id, environment_id)
    return Marks(stored, tuple(_exports(context, caller, flow)))


def set_marks(
    context: Context,
    caller: Caller,
    flow_id: str,
    environment_id: str | None,
    given: MarkChange,
    expected: int | None,
) -> Marks:
    """Set from where a flow reads on; runs that have begun do not move that any more."""
    found = show_marks(context, caller, flow_id, environment_id)
    check_revision(found, expected)
    refuse(
        Violation(
            "unknownStep",
            f"/stepIds/{place}",
            f"The flow has no step {id_!r} that exports what has changed.",
            "Correct the id, or give its export a delta.",
        )
        for place, id_ in enumerate(given.step_ids or ())
        if id_ not in found.exports
    )
    time = given.last_export_date_time
    before = found.stored
    marks = {} if before is None else dict(before.marks)
    for id_ in given.step_ids or found.exports:
        marks[id_] = DeltaMark(last_export_date_time=time, set_at=context.clock())
    if before is None:
        stamp = born(context, caller, DeltaMarks) | {"id": environment_id or NO_ENVIRONMENT}
        after = DeltaMarks(**stamp, marks=marks)
        change: Change = Create(after, parent_id=flow_id)
    else:
        update: dict[str, Any] = {**changed(context, caller, before), "marks": marks}
        after = before.model_copy(update=update)
        change = Replace(before, after, parent_id=flow_id)
    context.resources.commit(*audited(context, caller, "lastExportDateTimeSet", [change]))
    return Marks(after, found.exports)


def _exports(context: Context, caller: Caller, flow: Flow) -> list[str]:
    """The exports of changes of the version that runs, or will if it is deployed."""
    version_id = flow.deployed_version_id or flow.shown_version_id
    version = get_version(context, caller, flow.id, version_id)
    find_action = lookup(context, Action, caller.workspace_id)

    def is_delta(step: Step) -> bool:
        work = work_of(step, find_action)
        return isinstance(work, ExportAction) and work.delta is not None

    return [step.id for step in version.steps if is_delta(step)]
