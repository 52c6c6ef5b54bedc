"""Figures over groups of records, in memory that grows with the groups and not with the records."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from millrace import limits
from millrace.connectors.expressions import Expression
from millrace.connectors.holding import Held, Room
from millrace.connectors.stages import Passage, Row, bound, key_text
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.operations import Aggregate, AggregateOperation
from millrace.domain.records import Origin, RecordError
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
        expression = None if text is None else bound(text, values)
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

    makes_records = True

    def __init__(self, operation: AggregateOperation, room: Room, values: RunValues) -> None:
        self._keys = {name: bound(text, values) for name, text in operation.group_by.items()}
        self._figures = [_Figure.of(name, each, values) for name, each in operation.figures.items()]
        self._room = room
        self._groups: dict[str, list[Json]] = {}
        """The group's key as JSON text -> its values, the origin of its first record, and its
        accumulators, one a figure."""

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage; nothing goes on before the end. A record that fails changes no figure."""
        # The parts of a record follow each other: none of them counts if one of them fails.
        for index, parts in groupby(rows, key=itemgetter(0)):
            grown: dict[str, list[Json]] = {}
            try:
                for _, record in parts:
                    self._grow(grown, record, passage.origins[index], is_plain=is_plain)
            except RecordError as error:
                passage.fail(index, error)
                continue
            self._room.take(_size(grown.keys() - self._groups.keys()), records=0)
            self._groups.update(grown)
            if len(self._groups) > limits.AGGREGATE_GROUPS:
                raise StepFailed(
                    "tooManyGroups",
                    f"an aggregate may have {limits.AGGREGATE_GROUPS:,} groups; group by fewer "
                    "values, or filter before",
                )
        return []

    def _grow(
        self, grown: dict[str, list[Json]], record: Record, origin: Origin, *, is_plain: bool
    ) -> None:
        """Put the record's group as it is with the record. Raises RecordError."""
        values = [key.evaluate(record, is_plain=is_plain) for key in self._keys.values()]
        group = key_text(values)
        before = grown.get(group) or self._groups.get(group)
        if before is None:
            before = [values, origin, [figure.fold.start for figure in self._figures]]
        accumulators = [
            figure.added(accumulator, record, is_plain=is_plain)
            for figure, accumulator in zip(self._figures, before[2], strict=True)
        ]
        grown[group] = [before[0], before[1], accumulators]

    def drain(self) -> Iterator[Held]:
        """See Holder: one record a group, its key and its figures."""
        for values, origin, accumulators in self._groups.values():
            record = dict(zip(self._keys, values, strict=True)) | {
                figure.name: figure.fold.result(accumulator)
                for figure, accumulator in zip(self._figures, accumulators, strict=True)
            }
            yield Held(Origin(*origin), record, 0)

    def state(self) -> Json:
        """The groups so far as JSON, in their order; what comes later does not change it."""
        return dict(self._groups)

    def restore(self, state: Json) -> None:
        """Go on from what `state` gave."""
        self._groups = dict(state)
        self._room.retake(_size(self._groups), records=0)


def _size(groups: Iterable[str]) -> int:
    """What their keys take: the figures of a group are few."""
    return sum(map(len, groups))
