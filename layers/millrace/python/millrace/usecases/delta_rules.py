"""Rules of exports of changes, kept before steps are stored."""

from collections.abc import Iterator, Sequence

from millrace.domain.action import Action, ActionWork, ExportAction, ImportAction, ProcessAction
from millrace.domain.errors import Violation
from millrace.domain.pointers import pointer_of
from millrace.domain.run_values import Target, TemplateKind, speaks_of_delta_times, templates_of
from millrace.domain.step import Step, steps_before
from millrace.usecases.finders import Lookup, work_of


def check_delta(
    steps: Sequence[Step], step: Step, pointer: str, find_action: Lookup[Action]
) -> Iterator[Violation]:
    """What only an export of changes has is asked of one, or behind one."""
    work = work_of(step, find_action)
    yield from _check_keep_behind(step, pointer, work)
    if work is not None and not _reads_changes(work):
        ahead = [other for other in steps_before(steps, step) if other.type != "Flow"]
        works = [work_of(other, find_action) for other in ahead]
        # What is not there is told by itself, and may have been what these times are of.
        if not any(other is None or _reads_changes(other) for other in works):
            yield from _check_times(step, pointer, work)


def _check_keep_behind(step: Step, pointer: str, work: ActionWork | None) -> Iterator[Violation]:
    """Only an export of changes can be kept behind another flow."""
    if step.keep_delta_behind_flow_id is None:
        if step.keep_delta_behind_export_id is not None:
            yield Violation(
                "keepDeltaBehindNoFlow",
                f"{pointer}/keepDeltaBehindExportId",
                f"Step {step.id!r} names an export of another flow, but not the flow.",
                "Set keepDeltaBehindFlowId to the id of the flow.",
            )
        return
    if work is not None and not _reads_changes(work):
        yield Violation(
            "keepDeltaBehindNoDelta",
            f"{pointer}/keepDeltaBehindFlowId",
            f"Step {step.id!r} does not export what has changed, so it cannot be kept behind.",
            "Give its export a delta, or take keepDeltaBehindFlowId out.",
        )


def _check_times(step: Step, pointer: str, work: ActionWork) -> Iterator[Violation]:
    """Templates of a step that knows of no export of changes do not speak of how far it has read.

    In a stored action this is told of the step: behind another one, it may be right.
    """
    target = _target_of(work)
    for template in () if target is None else templates_of(target):
        if not speaks_of_delta_times(template.text):
            continue
        source = "s3" if template.kind is TemplateKind.KEY else "http"
        place = pointer_of(source, *template.place)
        where, whose = f"{pointer}/action{place}", "It speaks"
        if step.action is None:
            where, whose = f"{pointer}/referrer", f"The action speaks, at /work{place},"
        yield Violation(
            "deltaMissing",
            where,
            f"{whose} of how far an export of changes has read; step {step.id!r} is none, and none "
            "is before it.",
            "Give the export a delta; or put the step after an export that has one.",
        )


def _target_of(work: ActionWork) -> Target | None:
    match work:
        case ExportAction():
            return work.http or work.s3
        case ImportAction():
            return work.target
        case ProcessAction():
            return None


def _reads_changes(work: ActionWork) -> bool:
    return isinstance(work, ExportAction) and work.delta is not None
