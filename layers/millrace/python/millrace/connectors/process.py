"""Changes records by a process's operations, batch after batch, in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from millrace.connectors.aggregates import Aggregation
from millrace.connectors.expressions import (
    Expression,
    ExpressionError,
    are_plain,
    compile_expression,
    is_truthy,
)
from millrace.connectors.json_documents import describe
from millrace.domain.action import AggregateOperation, FilterOperation, MapOperation, Operation
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.records import Batch, RecordError, RecordFailure
from millrace.domain.run_values import NO_VALUES, RunValues

TIMEOUTS_MAX: Final = 5
"""One record may be too much for an expression; this many mean that the expression never ends."""


class Pipeline:
    """The operations of a process, one after the other.

    `feed` it all records, then `finish` it once: what was aggregated comes out only then.
    """

    def __init__(self, operations: Sequence[Operation], values: RunValues = NO_VALUES) -> None:
        try:
            self._stages = [_stage(operation, values) for operation in operations]
        except ExpressionError as error:
            raise StepFailed("invalidOperation", str(error)) from error
        except RecordError as error:
            raise StepFailed(error.code, error.message) from error
        self._timeouts = 0

    def feed(self, records: Sequence[Record]) -> Batch:
        """What comes out for these records; the index of a failure counts them.

        Raises StepFailed when an expression keeps running out of time.
        """
        return self._through(self._stages, records)

    def finish(self) -> Batch:
        """The groups of the aggregates, through the operations that follow each of them.

        The index of a failure counts the groups of the aggregate before it. Empty where there is
        no aggregate, and no record made no group.
        """
        batch = Batch([], 0, [])
        for place, stage in enumerate(self._stages, start=1):
            if isinstance(stage, Aggregation):
                part = self._through(self._stages[place:], stage.records())
                batch = Batch(
                    batch.records + part.records,
                    batch.ignored + part.ignored,
                    batch.failures + part.failures,
                )
        return batch

    def state(self) -> Json:
        """What `feed` has kept, as JSON for a checkpoint: the groups of each aggregate."""
        return [stage.state() for stage in self._stages if isinstance(stage, Aggregation)]

    def restore(self, state: Json) -> None:
        """Go on from what `state` gave, in a pipeline of the same operations."""
        aggregations = [stage for stage in self._stages if isinstance(stage, Aggregation)]
        for aggregation, groups in zip(aggregations, state, strict=True):
            aggregation.restore(groups)

    def _through(self, stages: Sequence["_Stage"], records: Sequence[Record]) -> Batch:
        out: list[Record] = []
        ignored = 0
        failures: list[RecordFailure] = []
        is_plain = are_plain(records)
        for index, record in enumerate(records):
            current = record
            try:
                for stage in stages:
                    changed = stage.apply(current, is_plain=is_plain and current is record)
                    if changed is None:
                        ignored += stage.ignores
                        break
                    current = changed
                else:
                    out.append(current)
            except RecordError as error:
                failures.append(RecordFailure.of(index, error))
                self._spend_timeout(error)
        return Batch(out, ignored, failures)

    def _spend_timeout(self, error: RecordError) -> None:
        if error.code == "expressionTimeout":
            self._timeouts += 1
            if self._timeouts == TIMEOUTS_MAX:
                raise StepFailed(
                    error.code, f"an expression ran out of time {TIMEOUTS_MAX} times"
                ) from error


class _Stage(Protocol):
    """One operation on one record."""

    @property
    def ignores(self) -> bool:
        """Whether a record that goes no further counts as ignored."""
        ...

    def apply(self, record: Record, *, is_plain: bool) -> Record | None:
        """The record that goes on; None if none does. Raises RecordError.

        See Expression.evaluate for `is_plain`.
        """
        ...


def _stage(operation: Operation, values: RunValues) -> "_Stage":
    match operation:
        case FilterOperation(expression=text):
            return _Filter(compile_expression(text).bound(values))
        case MapOperation(expression=text):
            return _Map(compile_expression(text).bound(values))
        case AggregateOperation():
            return Aggregation(operation, values)


@dataclass(frozen=True, slots=True)
class _Filter:
    expression: Expression
    ignores: bool = True

    def apply(self, record: Record, *, is_plain: bool) -> Record | None:
        value = self.expression.evaluate(record, is_plain=is_plain)
        return record if value is True or is_truthy(value) else None


@dataclass(frozen=True, slots=True)
class _Map:
    expression: Expression
    ignores: bool = False

    def apply(self, record: Record, *, is_plain: bool) -> Record:
        value = self.expression.evaluate(record, is_plain=is_plain)
        if isinstance(value, dict):
            return value
        found = "nothing" if value is None else describe(value)
        raise RecordError("notAnObject", f"a map must give an object; it gave {found}")
