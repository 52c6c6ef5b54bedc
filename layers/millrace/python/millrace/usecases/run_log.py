"""What happened in a run, in order, from what is recorded of it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from millrace.domain.base import Model, Moment
from millrace.domain.run import Counts, Run, RunError, RunKey, StepRecord
from millrace.domain.token import Caller
from millrace.usecases.context import Context

type Event = Literal[
    "runCreated", "attemptStarted", "stepStarted", "stepEnded", "attemptEnded", "runEnded"
]

# What happens at the same moment comes in this order.
_ORDER: dict[str, int] = {
    event: place
    for place, event in enumerate(
        ("runCreated", "attemptStarted", "stepStarted", "stepEnded", "attemptEnded", "runEnded")
    )
}


class LogEntry(Model):
    """One thing that happened."""

    at: Moment
    event: Event
    attempt: int | None = None
    step_id: str | None = None
    status: str | None = None
    tries: int | None = None
    counts: Counts | None = None
    error: RunError | None = None


def run_log(context: Context, caller: Caller, run_id: str) -> tuple[LogEntry, ...]:
    """The events of a run, oldest first."""
    run = context.runs.get(RunKey(caller.workspace_id, run_id))
    entries = [*_of_run(run)]
    for record in context.runs.steps(run.key, None):
        entries += _of_step(record)
    return tuple(sorted(entries, key=_place))


def _place(entry: LogEntry) -> tuple[datetime, int, int]:
    attempt = entry.attempt or 0
    last = entry.event == "runEnded"
    return entry.at, attempt if not last else 1_000, _ORDER[entry.event]


def _of_run(run: Run) -> Iterator[LogEntry]:
    yield LogEntry(at=run.created_at, event="runCreated")
    for attempt in run.attempts:
        yield LogEntry(at=attempt.started_at, event="attemptStarted", attempt=attempt.number)
        if attempt.ended_at is not None:
            yield LogEntry(
                at=attempt.ended_at,
                event="attemptEnded",
                attempt=attempt.number,
                status=attempt.status,
                error=attempt.error,
            )
    if run.ended_at is not None:
        yield LogEntry(
            at=run.ended_at,
            event="runEnded",
            status=run.status,
            counts=run.counts,
            error=run.error,
        )


def _of_step(record: StepRecord) -> Iterator[LogEntry]:
    yield LogEntry(
        at=record.started_at, event="stepStarted", attempt=record.attempt, step_id=record.step_id
    )
    if record.ended_at is not None:
        yield LogEntry(
            at=record.ended_at,
            event="stepEnded",
            attempt=record.attempt,
            step_id=record.step_id,
            status=record.status,
            tries=record.tries,
            counts=record.counts,
            error=record.error,
        )
