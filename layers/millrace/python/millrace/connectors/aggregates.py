"""Figures over groups of records, in memory that grows with the groups and not with the records."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from millrace.connectors.expressions import Expression, compile_expression
from millrace.domain.action import Aggregate, AggregateOperation
from millrace.domain.base import Json, Record
from millrace.domain.records import RecordError
from millrace.domain.run_values import RunValues


@dataclass(frozen=True, slots=True)
class _Fold:
    """How a figure grows: its accumulator is JSON, so that a checkpoint can hold it."""

    start: Json
    add: Callable[[Json, Json], Json]
    result: Callable[[Json], Json] = lambda accumulator: accumulator


_FOLDS: Final = {
    "count": _Fold(0, lambda count, _: count + 1),
    "sum": _Fold(0, lambda total, value: total + value),
    "min": _Fold(None, lambda least, value: value if least is None else min(least, value)),
    "max": _Fold(None, lambda most, value: value if most is None else max(most, value)),
    "mean": _Fold(
        [0, 0],
        lambda pair, value: [pair[0] + value, pair[1] + 1],
        lambda pair: pair[0] / pair[1],
    ),
}
"""By the names of `Aggregate.function`. Python's integers keep sums of integers exact."""


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    fold: _Fold
    expression: Expression | None

    @classmethod
    def of(cls, name: str, aggregate: Aggregate, values: RunValues) -> "_Figure":
        text = aggregate.expression
        expression = None if text is None else compile_expression(text).bound(values)
        return cls(name, _FOLDS[aggregate.function], expression)

    def added(self, accumulator: Json, record: Record, *, is_plain: bool) -> Json:
        """The accumulator with this record in it.

        A count without an expression takes every record, one with it those that have a value.
        """
        if self.expression is None:
            return self.fold.add(accumulator, None)
        value = self.expression.evaluate(record, is_plain=is_plain)
        if self.fold is _FOLDS["count"]:
            return accumulator if value is None else self.fold.add(accumulator, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RecordError("notANumber", f"the figure '{self.name}' needs a number")
        grown = self.fold.add(accumulator, value)
        if not all(map(math.isfinite, grown if isinstance(grown, list) else [grown])):
            raise RecordError("notANumber", f"the figure '{self.name}' grows beyond a double")
        return grown


class Aggregation:
    """The groups of one aggregate operation, in the order in which they were first seen."""

    def __init__(self, operation: AggregateOperation, values: RunValues) -> None:
        self._keys = {
            name: compile_expression(text).bound(values)
            for name, text in operation.group_by.items()
        }
        self._figures = [_Figure.of(name, each, values) for name, each in operation.figures.items()]
        self._groups: dict[str, list[Json]] = {}
        """The group's key values as JSON text -> its accumulators, one a figure."""

    ignores = False

    def apply(self, record: Record, *, is_plain: bool = False) -> None:
        """Take a record into its group. Raises RecordError, and then no figure has changed.

        See Expression.evaluate for `is_plain`.
        """
        values = [key.evaluate(record, is_plain=is_plain) for key in self._keys.values()]
        group = json.dumps(values, sort_keys=True)
        before = self._groups.get(group) or [figure.fold.start for figure in self._figures]
        self._groups[group] = [
            figure.added(accumulator, record, is_plain=is_plain)
            for figure, accumulator in zip(self._figures, before, strict=True)
        ]

    def records(self) -> list[Record]:
        """One record a group: its key and its figures."""
        return [
            dict(zip(self._keys, json.loads(group), strict=True))
            | {
                figure.name: figure.fold.result(accumulator)
                for figure, accumulator in zip(self._figures, accumulators, strict=True)
            }
            for group, accumulators in self._groups.items()
        ]

    def state(self) -> Json:
        """The groups so far as JSON, in their order."""
        return [[group, accumulators] for group, accumulators in self._groups.items()]

    def restore(self, state: Json) -> None:
        """Go on from what `state` gave."""
        self._groups = dict(state)
