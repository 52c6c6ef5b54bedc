"""Answers that show what a run did, or that it was accepted."""

from typing import Self

from pydantic import Field

from millrace.domain.base import Model, Moment, Record
from millrace.domain.delta import DeltaWindow
from millrace.domain.run import Counts, Run, RunError, RunStatus, StepStatus
from millrace.http.views import RunView
from millrace.usecases.lane_views import WaitingRun
from millrace.usecases.resources import fields_of
from millrace.usecases.run_log import LogEntry
from millrace.usecases.runs import RunDetail


class StepView(Model):
    """What a step did, without its records."""

    step_id: str
    attempt: int
    status: StepStatus
    tries: int
    started_at: Moment
    ended_at: Moment | None
    counts: Counts
    error: RunError | None
    child_run_id: str | None = Field(
        description="The run of another flow that a step of type Flow waits for, or waited."
    )
    delta: DeltaWindow | None


class RunDetailView(RunView):
    """A run with the steps of its latest attempt."""

    steps: tuple[StepView, ...]
    waiting: WaitingRun | None = Field(
        description="Why a run that is queued is not at work, and until when."
    )

    @classmethod
    def of_detail(cls, detail: RunDetail) -> Self:
        """The view of a run and its steps."""
        steps = tuple(StepView(**fields_of(record, StepView)) for record in detail.steps)
        run = detail.run
        return cls(
            **fields_of(run, RunView), trace_id=run.trace_id, steps=steps, waiting=detail.waiting
        )


class RunLog(Model):
    """What happened in a run, oldest first."""

    data: tuple[LogEntry, ...]


class StartedRun(Model):
    """A run that was accepted."""

    run_id: str
    status: RunStatus


class Accepted(Model):
    """A delivery that was accepted; the same delivery again gives the same run."""

    run_id: str
    deduplicated: bool
    skipped: bool | None = Field(
        default=None, description="It does not run: the flow is busy, and skips what comes then."
    )

    @classmethod
    def of(cls, run: Run, *, is_new: bool) -> Self:
        """What the sender is told of the run."""
        return cls(run_id=run.id, deduplicated=not is_new, skipped=run.is_skipped or None)


class StepOutput(Model):
    """The first records that a step handed on."""

    data: list[Record]
    truncated: bool
