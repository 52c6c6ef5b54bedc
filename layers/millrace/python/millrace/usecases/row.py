"""Steps that one invocation runs one after the other: what it knows of them, and when it writes it.

A write to the store is most of what a short step takes, and of what it costs. Doing a step again
that does nothing but change records on their way harms nobody, so it needs no record that it began,
and its result waits in memory: for the end of the run, for a step that does more, which must begin
on record, or for a second to pass. Then all that waited is written at once or not at all, and an
invocation that dies before has its steps done again from the last ones that are on record.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from millrace.domain.action import ProcessAction
from millrace.domain.operations import FunctionOperation, RememberOperation
from millrace.domain.run import Run, StepRecord, StepStatus
from millrace.domain.step import Step
from millrace.usecases.context import Context

_FRESH: Final = timedelta(seconds=1)
_WAITING: Final = 20
"""Results at most, each with up to `limits.INLINE_OUTPUT_BYTES`, of the 4 MB of a transaction."""

_ELSEWHERE: Final = (FunctionOperation, RememberOperation)
"""Operations that change something beside the records."""


class TakenError(Exception):
    """Another invocation wrote of these steps meanwhile."""


def is_repeatable(step: Step) -> bool:
    """Whether doing a step again changes nothing."""
    return (
        isinstance(step.action, ProcessAction)
        and step.trace_key is None  # a success resolves errors of other records
        and not any(isinstance(each, _ELSEWHERE) for each in step.action.operations)
    )


def is_fresh(read_at: datetime, now: datetime) -> bool:
    """Whether what was read of a run then need not be read again."""
    return now - read_at < _FRESH


@dataclass(slots=True)
class Row:
    """The steps of an invocation, in their order, of a run as it was read at a time."""

    context: Context
    run: Run
    read_at: datetime
    steps: Sequence[Step]
    results: dict[str, StepRecord]
    """By step; those of steps before these ones, too."""

    may_wait: bool
    """Whether results may wait in memory, as no step of these is on record."""

    waiting: list[StepRecord] = field(default_factory=list)
    is_on_record: bool = True
    """Whether the step at work is."""

    _begun: StepRecord | None = None

    @classmethod
    def of(
        cls,
        context: Context,
        run: Run,
        steps: Iterable[Step],
        there: Iterable[StepRecord],
        *,
        may_wait: bool = True,
        read_at: datetime | None = None,
    ) -> "Row":
        """The row of these steps, of which these records are there."""
        row = [step for step in steps if not step.is_skipped]
        known = {record.step_id: record for record in there}
        is_new = not any(step.id in known for step in row)
        repeats = run.retry_of is not None or run.replay is not None
        results = {id_: each for id_, each in known.items() if each.status.is_terminal}
        may_wait = may_wait and is_new and not repeats
        return cls(context, run, read_at or context.clock(), row, results, may_wait)

    def is_fresh(self) -> bool:
        """Whether the run need not be read again, to see whether it was cancelled."""
        return is_fresh(self.read_at, self.context.clock())

    def begin(self, step: Step) -> StepRecord:
        """The first try of a step, or one more of one that was interrupted, or its result.

        Raises TakenError.
        """
        if (known := self.results.get(step.id)) is not None:
            return known
        begun, self._begun = self._begun, None
        if begun is not None and begun.step_id == step.id:
            return begun
        self.is_on_record = not (self.may_wait and is_repeatable(step))
        if self.is_on_record and not self.waiting:
            return self.context.runs.claim_step(self.run, step.id, self.context.clock())
        begun = self._first_try(step)
        if self.is_on_record:
            self.write(begun)
        return begun

    def save(self, record: StepRecord) -> StepRecord:
        """Write how far the step at work is, or its result, or have its result wait.

        Raises TakenError, and ConflictError as the store does.
        """
        if not self.is_on_record:
            is_done = record.status is StepStatus.SUCCEEDED
            if is_done and self.is_fresh() and len(self.waiting) < _WAITING:
                self.waiting.append(record)
            else:
                self.write(record)
            return record
        following = self._following(record)
        if following is not None:
            begun = self._first_try(following)
            if self.context.runs.write_steps(self.run.key, [begun], record):
                self._begun = begun
                return record
        return self.context.runs.save_step(self.run.key, record)

    def write(self, *beside: StepRecord) -> None:
        """Write what waited, and beside it these records of the step at work. Raises TakenError."""
        fresh = [*self.waiting, *beside]
        if fresh and not self.context.runs.write_steps(self.run.key, fresh):
            raise TakenError
        self.waiting = []
        self.is_on_record = True

    def _following(self, record: StepRecord) -> Step | None:
        """The step that begins on record with this result, if one does."""
        place = next(at for at, step in enumerate(self.steps) if step.id == record.step_id)
        is_last = place == len(self.steps) - 1
        stops = self.steps[place].strategy("partial_success") == "stop"
        goes_on = record.status is StepStatus.SUCCEEDED or (
            record.status is StepStatus.PARTIALLY_SUCCEEDED and not stops
        )
        if is_last or not goes_on or not self.is_fresh():
            return None
        following = self.steps[place + 1]
        waits = self.may_wait and is_repeatable(following)
        return None if waits or following.id in self.results else following

    def _first_try(self, step: Step) -> StepRecord:
        return StepRecord.begun(step.id, self.run.attempt, self.context.clock())
