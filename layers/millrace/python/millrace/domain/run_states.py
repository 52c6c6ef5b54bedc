"""The transitions of a run as plain functions; the stores only make them conditional writes.

Each gives the run unchanged when the transition has happened already, so repeating one is harmless.
"""

from collections.abc import Callable
from datetime import datetime

from millrace.domain.errors import ConflictError
from millrace.domain.run import (
    Attempt,
    Followed,
    PayloadRef,
    Run,
    RunError,
    RunOutcome,
    RunStatus,
    StepRecord,
    StepStatus,
)

type Transition = Callable[[Run], Run]


def check_attempt(run: Run, attempt: int) -> None:
    """Raise ConflictError unless this is the attempt that the run is on."""
    if run.status.is_terminal:
        raise ConflictError(f"run {run.id!r} is over ({run.status})")
    if run.attempt != attempt:
        raise ConflictError(f"run {run.id!r} is on attempt {run.attempt}, not {attempt}")


def finished(run: Run, outcome: RunOutcome, now: datetime) -> Run:
    """The run ended with this outcome."""
    if run.status.is_terminal:
        return run
    return run.model_copy(
        update={
            "status": outcome.status,
            "counts": outcome.counts,
            "error": outcome.error,
            "delta": outcome.delta,
            "is_followed": outcome.is_followed,
            "recovered_from": outcome.recovered_from,
            "ended_at": now,
            "attempts": _ended(run.attempts, outcome.status, outcome.error, now),
        }
    )


def retry_planned(run: Run, attempt: int, error: RunError, now: datetime) -> Run:
    """The attempt failed and another one will follow."""
    if run.status.is_terminal or run.attempt != attempt or run.status is RunStatus.RETRYING:
        return run
    return run.model_copy(
        update={
            "status": RunStatus.RETRYING,
            "error": error,
            "attempts": _ended(run.attempts, RunStatus.FAILED, error, now),
        }
    )


def dequeued(run: Run, now: datetime) -> Run:
    """The run that waited for a slot begins."""
    if run.status is not RunStatus.QUEUED:
        return run
    begun = Attempt(number=run.attempt, status=RunStatus.RUNNING, started_at=now)
    return run.model_copy(
        update={"status": RunStatus.RUNNING, "started_at": now, "attempts": (begun,)}
    )


def attempt_begun(run: Run, attempt: int, now: datetime) -> Run:
    """The attempt after the one that failed begins."""
    if run.status is not RunStatus.RETRYING or run.attempt != attempt - 1:
        return run
    begun = Attempt(number=attempt, status=RunStatus.RUNNING, started_at=now)
    return run.model_copy(
        update={
            "status": RunStatus.RUNNING,
            "attempt": attempt,
            "attempts": (*run.attempts, begun),
        }
    )


def followed(run: Run, what: Followed) -> Run:
    """What follows the end of the run was done."""
    if not run.is_followed:
        return run
    removed = {"payload": PayloadRef(), "payload_removed": True} if what.payload_removed else {}
    return run.model_copy(update={"is_followed": False, "next_runs": what.next_runs, **removed})


def superseded(run: Run, by: str, outcome: RunOutcome, now: datetime) -> Run:
    """The run makes way for a newer one instead of its next attempt; one at work goes on."""
    if run.status is not RunStatus.RETRYING:
        return run
    return finished(run, outcome, now).model_copy(update={"superseded_by": by})


def ended_with(run: Run, record: StepRecord) -> StepRecord:
    """A step as its run left it: over with it, even if it was begun as the run ended.

    A worker looks at the run and then begins the step, and the run may end in between.
    """
    if not run.status.is_terminal or record.status.is_terminal:
        return record
    error = RunError(code="runOver", message="the run was over before the step was")
    update = {"status": StepStatus.CANCELLED, "error": record.error or error}
    return record.model_copy(update=update | {"ended_at": run.ended_at})


def _ended(
    attempts: tuple[Attempt, ...], status: RunStatus, error: RunError | None, now: datetime
) -> tuple[Attempt, ...]:
    """The attempts with the last one ended, if it was still open."""
    if not attempts or attempts[-1].ended_at is not None:
        return attempts
    last = attempts[-1].model_copy(update={"status": status, "error": error, "ended_at": now})
    return (*attempts[:-1], last)
