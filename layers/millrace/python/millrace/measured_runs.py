"""Runs whose beginnings and ends are measured where they are written, whoever writes them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millrace.domain.ports import DELIVERY_MEMORY
from millrace.domain.run import Run, RunError, RunKey, RunOutcome, StepRecord
from millrace.observability import Metric, measure
from millrace.storage.dynamodb_runs import DynamoRuns

if TYPE_CHECKING:
    from millrace.domain.lane import LaneChange


class MeasuredRuns(DynamoRuns):
    """The store of runs; what is told again is not measured again."""

    def create(
        self,
        run: Run,
        *,
        dedupe_key: str | None = None,
        dedupe_for: timedelta = DELIVERY_MEMORY,
        lane: "LaneChange | None" = None,
    ) -> tuple[Run, bool]:
        """See Runs."""
        stored, is_new = super().create(
            run, dedupe_key=dedupe_key, dedupe_for=dedupe_for, lane=lane
        )
        if is_new and not run.is_skipped:
            measure({Metric.RUNS_STARTED: 1}, _names(run) | {"source": run.trigger.source})
        return stored, is_new

    def finish(
        self,
        key: RunKey,
        outcome: RunOutcome,
        now: datetime,
        *,
        seen: Run | None = None,
        fresh: Sequence[StepRecord] = (),
    ) -> Run:
        """See Runs."""
        run = super().finish(key, outcome, now, seen=seen, fresh=fresh)
        if run.ended_at == now:
            for record in fresh:
                _step_ended(key, record)
        return _ended(run, now)

    def supersede(self, key: RunKey, by: str, outcome: RunOutcome, now: datetime) -> Run:
        """See Runs."""
        return _ended(super().supersede(key, by, outcome, now), now)

    def plan_retry(self, key: RunKey, attempt: int, error: RunError, now: datetime) -> Run:
        """See Runs."""
        run = super().plan_retry(key, attempt, error, now)
        if any(each.number == attempt and each.ended_at == now for each in run.attempts):
            measure({Metric.RETRIES_PLANNED: 1}, _names(run) | {"code": error.code})
        return run

    def save_step(self, key: RunKey, record: StepRecord) -> StepRecord:
        """See Runs."""
        stored = super().save_step(key, record)
        if stored is record:
            _step_ended(key, record)
        return stored

    def write_steps(
        self, key: RunKey, fresh: Sequence[StepRecord], result: StepRecord | None = None
    ) -> bool:
        """See Runs."""
        is_written = super().write_steps(key, fresh, result)
        if is_written:
            for record in fresh if result is None else (*fresh, result):
                _step_ended(key, record)
        return is_written


def _step_ended(key: RunKey, record: StepRecord) -> None:
    """Measure what was written just now, if it is a step's result."""
    if record.status.is_terminal and record.ended_at is not None:
        values = {
            Metric.STEP_DURATION: _milliseconds(record.ended_at - record.started_at),
            Metric.RECORDS_IN: record.counts.records_in,
            Metric.RECORDS_OUT: record.counts.records_out,
            Metric.RECORDS_FAILED: record.counts.records_failed,
        }
        names = {"runId": key.run_id, "stepId": record.step_id}
        measure(values, names | {"outcome": record.status.value})


def _ended(run: Run, now: datetime) -> Run:
    """The run; if it ended just now, and not before, that is measured."""
    if run.status.is_terminal and run.ended_at == now:
        taken = _milliseconds(now - (run.started_at or run.created_at))
        values = {Metric.RUNS_ENDED: 1, Metric.RUN_DURATION: taken}
        measure(values, _names(run), status=run.status.value)
    return run


def _names(run: Run) -> dict[str, str]:
    return {"runId": run.id, "flowId": run.flow_id, "workspaceId": run.workspace_id}


def _milliseconds(duration: timedelta) -> float:
    return duration / timedelta(milliseconds=1)
