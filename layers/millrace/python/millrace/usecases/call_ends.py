"""The end of a run for which a step of another run waits: its result becomes the step's.

The step's record is written first, then the machine that waits is told. A crash in between is made
up for by the next who tells of the end, as for all that follows it. If a newer try of the step has
taken over meanwhile, that one finds the run over.
"""

from itertools import chain
from typing import Final

from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    StepError,
    StepFailed,
    StepPartialSuccess,
)
from millrace.domain.run import Run, RunError, RunKey, RunStatus, StepRecord, StepStatus
from millrace.domain.run_states import check_attempt
from millrace.domain.step import Step
from millrace.usecases.checkpoints import kept_pages
from millrace.usecases.context import Context
from millrace.usecases.pages import joined
from millrace.usecases.payloads import object_prefix
from millrace.usecases.pinned import run_version
from millrace.usecases.step_input import last_steps

_WORDS: Final = {
    RunStatus.PARTIALLY_SUCCEEDED: "succeeded in part",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "was cancelled",
    RunStatus.SUPERSEDED: "made way for a newer one",
}
_CODES: Final = {
    RunStatus.PARTIALLY_SUCCEEDED: "subflowPartiallySucceeded",
    RunStatus.FAILED: "subflowFailed",
    RunStatus.CANCELLED: "subflowCancelled",
    RunStatus.SUPERSEDED: "subflowSuperseded",
}


def tell_caller(context: Context, child: Run) -> None:
    """End the step that waits for a run that is over, and let its machine go on.

    A step that is over for another reason needs nothing, and one that does not wait yet looks for
    itself before it does. Raises UnavailableError if the machine cannot be told now.
    """
    trigger = child.trigger
    if trigger.run_id is None or trigger.attempt is None or trigger.step_id is None:
        return
    key = RunKey(child.workspace_id, trigger.run_id)
    record = context.runs.step(key, trigger.attempt, trigger.step_id)
    if record is None or record.child_run_id != child.id or record.task_token is None:
        return
    try:
        caller = context.runs.get(key)
        check_attempt(caller, record.attempt)
        steps = run_version(context, caller).steps
        record = end_call(context, caller, record, child)
    except (ConflictError, NotFoundError):
        return
    step = next((step for step in steps if step.id == record.step_id), None)
    if record.task_token is not None and step is not None:
        context.machines.end_task(record.task_token, error_for_machine(record, step))


def end_call(context: Context, caller: Run, record: StepRecord, child: Run) -> StepRecord:
    """Write as the result of a step what came of the run that it waited for.

    Gives the result that is there, if there is one. Raises ConflictError if a newer try has the
    step.
    """
    if record.status.is_terminal:
        return record
    return context.runs.save_step(caller.key, _ended(context, caller, record, child))


def error_for_machine(record: StepRecord, step: Step) -> StepError | None:
    """By what the machine is told of a step's result; None if it simply goes on."""
    error = record.error or RunError(code="unknown", message="the step failed")
    if record.status is StepStatus.FAILED:
        return StepFailed(error.code, error.message)
    if (
        record.status is StepStatus.PARTIALLY_SUCCEEDED
        and step.strategy("partial_success") == "stop"
    ):
        return StepPartialSuccess(error.code, error.message)
    return None


def _ended(context: Context, caller: Run, record: StepRecord, child: Run) -> StepRecord:
    update: dict[str, object] = {"ended_at": context.clock()}
    failed = record.counts.records_failed + child.counts.records_failed
    if child.status not in {RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED}:
        counts = record.counts.model_copy(update={"records_out": 0, "records_failed": failed})
        update |= {"status": StepStatus.FAILED, "error": _error(child), "output": ()}
        return record.model_copy(update={**update, "counts": counts})
    prefix = f"{object_prefix(caller.key)}/{record.attempt:02d}/{record.step_id}"
    handed_on = {
        each.step_id: each.output
        for each in context.runs.steps(child.key, child.attempt)
        if each.status.has_output
    }
    outputs = (handed_on.get(id_, ()) for id_ in last_steps(run_version(context, child)))
    pages = [*chain.from_iterable(outputs), *kept_pages(record.checkpoint)]
    counts = record.counts.model_copy(
        update={"records_out": sum(page.records for page in pages), "records_failed": failed}
    )
    is_partial = child.status is RunStatus.PARTIALLY_SUCCEEDED
    if is_partial or failed:
        update |= {"status": StepStatus.PARTIALLY_SUCCEEDED}
        update |= {"error": _error(child) if is_partial else record.error}
    else:
        update |= {"status": StepStatus.SUCCEEDED, "error": None}
    output = joined(context.blobs, f"{prefix}/{record.tries:03d}/joined", pages)
    return record.model_copy(update={**update, "counts": counts, "output": output})


def _error(child: Run) -> RunError:
    message = f"run {child.id} of flow {child.flow_id} {_WORDS[child.status]}"
    if child.error is not None and child.status is RunStatus.FAILED:
        step = "" if child.error.step_id is None else f" in step {child.error.step_id!r}"
        message = f"{message}{step}: {child.error.code}: {child.error.message}"
    return RunError(code=_CODES[child.status], message=message)
