"""The end of an attempt and of a run, whichever way it comes.

The machine reports how an attempt ended; Step Functions itself reports, by an event, how the whole
execution ended; the sweeper asks about runs of which neither was heard. All three may speak of the
same run, in any order and more than once: the terminal status is written once.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, Literal

from millrace.domain.base import Json, Model
from millrace.domain.errors import NotFoundError, UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.run import Run, RunError, RunKey, RunOutcome, RunStatus, StepRecord, StepStatus
from millrace.usecases.context import Context
from millrace.usecases.delta_marks import move_marks, windows_read
from millrace.usecases.deployed import is_synchronous
from millrace.usecases.followers import follow, is_followed
from millrace.usecases.lanes import release
from millrace.usecases.latest_runs import tell_flow
from millrace.usecases.run_ends import (
    Failure,
    crash,
    end_unbegun,
    owners_of,
    settle,
    total,
    version_of,
)
from millrace.usecases.unique_requests import make_way

_RETRY_WAIT_MAX: Final = timedelta(hours=24)
_CANCELLED: Final = RunError(code="cancelled", message="the run was cancelled")


class ExecutionInput(Model):
    """What every machine is started with."""

    workspace_id: str
    run_id: str
    attempt: int
    run: str | None = None
    """The run itself, which synchronous machines hand on."""


class AttemptEvent(ExecutionInput):
    """What a machine tells of an attempt."""

    event: Literal["attemptSucceeded", "attemptFailed", "attemptStarted"]
    failure: Failure | None = None


def on_attempt(context: Context, event: AttemptEvent) -> dict[str, Json]:
    """Record what the machine tells; for a failed attempt, answer whether there is another one."""
    key = RunKey(event.workspace_id, event.run_id)
    match event.event:
        case "attemptSucceeded":
            finish_run(context, context.runs.get(key))
        case "attemptStarted":
            _begin_attempt(context, key, event.attempt)
        case "attemptFailed":
            return _on_failed_attempt(context, key, event)
    return {}


def _begin_attempt(context: Context, key: RunKey, attempt: int) -> None:
    """Start the next attempt, which takes every record again: the errors so far are no more."""
    run = context.runs.get(key)
    if run.status is RunStatus.RETRYING and make_way(context, run).status.is_terminal:
        return
    run = context.runs.begin_attempt(key, attempt, context.clock())
    for record in context.runs.steps(key, attempt - 1):
        if record.counts.records_failed:
            context.failed_records.drop_attempt(run, record.step_id, attempt - 1)


def _on_failed_attempt(context: Context, key: RunKey, event: AttemptEvent) -> dict[str, Json]:
    """End the attempt, and with it the run unless another attempt follows.

    Told again, even after the next attempt began, it changes nothing and answers the same.
    """
    run = context.runs.get(key)
    if run.status.is_terminal:
        conclude(context, run)
        return {"retry": False}
    wait = _wait_after(context, run, event.attempt)
    if run.attempt == event.attempt:
        error = _why(context, run, event.failure)
        if wait is None:
            finish_run(context, run, failure=error)
            return {"retry": False}
        run = context.runs.plan_retry(key, event.attempt, error, context.clock())
        _cancel_called(context, run, context.runs.steps(key, event.attempt))
        if make_way(context, run).status.is_terminal:
            return {"retry": False}
    seconds = 0 if wait is None else int(wait.total_seconds())
    return {"retry": True, "waitSeconds": seconds, "attempt": event.attempt + 1}


def _wait_after(context: Context, run: Run, attempt: int) -> timedelta | None:
    """How long to wait, doubling if the flow says so, or None if there are no attempts left.

    A synchronous machine has no states for another attempt, whatever the flow became meanwhile.
    """
    if is_synchronous(run.machine_arn):
        return None
    try:
        flow = context.resources.get(Flow, run.workspace_id, run.flow_id)
    except NotFoundError:
        return None
    if attempt > flow.retry_max_attempts:
        return None
    wait = timedelta(minutes=flow.retry_delay_minutes)
    if flow.retry_uses_exponential_backoff:
        wait *= 2 ** (attempt - 1)
    return min(wait, _RETRY_WAIT_MAX)


def _why(context: Context, run: Run, failure: Failure | None) -> RunError:
    """The error of the step that failed, or, if no step could say, what the machine saw."""
    for record in context.runs.steps(run.key, run.attempt):
        if record.status is StepStatus.FAILED and record.error is not None:
            return record.error.model_copy(update={"step_id": record.step_id})
    for record in context.runs.steps(run.key, run.attempt):
        if not record.status.is_terminal:
            error = record.error or crash(failure)
            return error.model_copy(update={"step_id": record.step_id})
    return crash(failure)


def finish_run(
    context: Context,
    run: Run,
    *,
    failure: RunError | None = None,
    follows: bool = True,
    records: Sequence[StepRecord] | None = None,
    fresh: Sequence[StepRecord] = (),
) -> Run:
    """Write the run's terminal status from what its steps did, and do what follows it.

    The results of all its steps, where they are known, save a read. Those that are `fresh` are
    written along with the status; raises ConflictError as the store does.
    """
    flow, version, health = owners_of(context, run)
    records = settle(context, run) if records is None else [*records]
    if failure is None:
        records += end_unbegun(context, run, version, records)
    if failure is not None:
        status = RunStatus.FAILED
    elif all(record.status is StepStatus.SUCCEEDED for record in records):
        status = RunStatus.SUCCEEDED
    else:
        status = RunStatus.PARTIALLY_SUCCEEDED
    outcome = RunOutcome(
        status=status,
        counts=total(version, records),
        error=failure,
        delta=windows_read(run, status, records),
        is_followed=is_followed(flow, run, status),
        recovered_from=(
            health.failed_run_id if health is not None and status is RunStatus.SUCCEEDED else None
        ),
    )
    ended = context.runs.finish(run.key, outcome, context.clock(), seen=run, fresh=fresh)
    tell_flow(context, ended, flow)
    _cancel_called(context, run, records)
    return conclude(context, ended, follows=follows)


def conclude(context: Context, run: Run, *, follows: bool = True) -> Run:
    """Do what the end of a run brings about; what was done already is not done again."""
    move_marks(context, run)
    release(context, run)
    return follow(context, run) if follows else run


def cancel_run(context: Context, run: Run, error: RunError = _CANCELLED) -> Run:
    """End a run before its time, from whatever state; one that is over stays as it is.

    The status is written first: no step begins any more, and no late result counts, even if the
    machine cannot be stopped at once. Cancelling again stops it then. Its slot is free before, as
    nothing of it counts any more.
    """
    if not run.status.is_terminal:
        so_far = context.runs.steps(run.key, run.attempt)
        outcome = RunOutcome(
            status=RunStatus.CANCELLED,
            counts=total(version_of(context, run), so_far),
            error=error,
            is_followed=run.trigger.is_call,
        )
        run = context.runs.finish(run.key, outcome, context.clock())
        # Not before: a run that is not cancelled after all would pass the steps that were.
        records = settle(context, run, StepStatus.CANCELLED, error)
        tell_flow(context, run)
        _cancel_called(context, run, records)
    release(context, run)
    if run.status is not RunStatus.CANCELLED:
        return run
    if not is_synchronous(run.machine_arn):
        # Step Functions stops no EXPRESS execution; one is over after five minutes anyway.
        context.machines.stop(run.machine_arn, run.id)
    return follow(context, run)


def _cancel_called(context: Context, run: Run, records: Iterable[StepRecord]) -> None:
    """Cancel the runs that steps without a result waited for; what cannot be now, the sweeper does.

    One that was taken over from another run is over.
    """
    for record in records:
        if record.child_run_id is None or record.status.has_output:
            continue
        with suppress(NotFoundError, UnavailableError):
            child = context.runs.get(RunKey(run.workspace_id, record.child_run_id))
            if not child.status.is_terminal:
                cancel_run(context, child)


def on_execution_end(
    context: Context, key: RunKey, outcome: str, *, follows: bool = True
) -> Run | None:
    """Make sure a run is over whose execution is: the machine may have had no chance to tell.

    `outcome` is Step Functions' status. Gives None for an execution that is no run's. What follows
    the end may be left to the sweeper.
    """
    try:
        run = context.runs.get(key)
    except NotFoundError:
        return None
    if run.status.is_terminal:
        # Whoever wrote that may not have come any further.
        return conclude(context, run, follows=follows)
    if outcome == "SUCCEEDED":
        return finish_run(context, run, follows=follows)
    words = {"TIMED_OUT": "took longer than its limit", "ABORTED": "was stopped"}
    message = f"the run's state machine {words.get(outcome, 'failed')}"
    error = RunError(code=f"machine{outcome.title().replace('_', '')}", message=message)
    return finish_run(context, run, failure=error, follows=follows)
