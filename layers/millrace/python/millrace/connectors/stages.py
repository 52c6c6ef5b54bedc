"""What all operations of a process have in common, and those that look at one record at a time."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, overload

from millrace import limits
from millrace.connectors.element_readers import too_large
from millrace.connectors.expressions import (
    EXACT_INTEGER_MAX,
    FAULTS,
    Expression,
    check_finite,
    compile_expression,
    is_truthy,
    refused,
)
from millrace.connectors.json_documents import describe
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.quick_json import Dumped, dump
from millrace.domain.records import Origin, RecordError, RecordFailure
from millrace.domain.run_values import RunValues

TIMEOUTS_MAX: Final = 5
"""One record may be too much for an expression; this many mean that the expression never ends."""

type Row = tuple[int, Record]
"""A record on its way, and the index of the input record that it came from."""


@dataclass(frozen=True, slots=True)
class Rows(Sequence[Row]):
    """Rows that are made when they are looked at: some operations need all records as they are."""

    indices: Sequence[int]
    records: Sequence[Record]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> "Rows": ...

    def __getitem__(self, place: int | slice) -> "Row | Rows":
        if isinstance(place, slice):
            return Rows(self.indices[place], self.records[place])
        return self.indices[place], self.records[place]

    def __iter__(self) -> Iterator[Row]:
        return zip(self.indices, self.records, strict=True)


def records_of(rows: Sequence[Row]) -> Sequence[Record]:
    """The records of rows."""
    return rows.records if isinstance(rows, Rows) else [record for _, record in rows]


@dataclass(slots=True)
class Timeouts:
    """How often expressions ran out of time."""

    count: int = 0

    def spend(self, error: RecordError) -> None:
        """Note an error. Raises StepFailed at the last one that is borne with."""
        if error.code == "expressionTimeout":
            self.count += 1
            if self.count == TIMEOUTS_MAX:
                raise StepFailed(
                    error.code, f"an expression ran out of time {TIMEOUTS_MAX} times"
                ) from error


@dataclass(slots=True)
class Passage:
    """One batch on its way through the operations: what became of records that went no further."""

    origins: Sequence[Origin]
    timeouts: Timeouts
    ignored: int = 0
    failures: dict[int, RecordFailure] = field(default_factory=dict)
    kept: list[Json] = field(default_factory=list)
    """What operations keep in memory, so that a checkpoint has it too."""

    def fail(self, index: int, error: RecordError) -> None:
        """Note that an input record failed. Of one in several parts the first failure counts."""
        self.failures.setdefault(index, RecordFailure.of(index, error))
        self.timeouts.spend(error)

    def sound(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows without those whose input record failed in another part."""
        if not self.failures:
            return rows
        return [row for row in rows if row[0] not in self.failures]


class Stage(Protocol):
    """One operation on a batch of records."""

    @property
    def makes_records(self) -> bool:
        """Whether what comes out may hold values that did not go in."""
        ...

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """The rows that go on; the passage learns of the others.

        See Expression.evaluate for `is_plain`. Raises StepFailed or StepTransient.
        """
        ...


def bound(text: str, values: RunValues) -> Expression:
    """The compiled expression over a run's values. Raises ExpressionError, RecordError."""
    return compile_expression(text).bound(values)


def evaluated[V](
    rows: Sequence[Row], passage: Passage, evaluate: Callable[[Record], V]
) -> list[tuple[Row, V]]:
    """The rows with what there is of each; the passage learns of those of which there is nothing.

    Where a part of a record fails, none of its other parts is here: an operation that keeps
    something of each row would keep it of a record that is tried again as a whole.
    """
    found: list[tuple[Row, V]] = []
    for row in rows:
        try:
            found.append((row, evaluate(row[1])))
        except RecordError as error:
            passage.fail(row[0], error)
    return [each for each in found if each[0][0] not in passage.failures]


def key_text(value: Json) -> str:
    """JSON by which equal values are told: 1 and 1.0 are one number, and objects have no order."""
    return json.dumps(value if isinstance(value, str) else _canonical(value), sort_keys=True)


def _canonical(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_INTEGER_MAX:
        return int(value)
    if isinstance(value, dict):
        return {name: _canonical(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_canonical(member) for member in value]
    return value


@dataclass(frozen=True, slots=True)
class Filtering:
    """Lets the records through for which the expression is true."""

    expression: Expression
    makes_records: bool = False

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage."""
        evaluate = self.expression.evaluator(is_plain=is_plain)
        out: list[Row] = []
        for row in rows:
            try:
                value = evaluate(row[1])
                if value is not True and value is not False:
                    check_finite(value)
                    value = is_truthy(value)
            except FAULTS as error:
                passage.fail(row[0], refused(error))
                continue
            if value:
                out.append(row)
            else:
                passage.ignored += 1
        return out


@dataclass(frozen=True, slots=True)
class Mapping:
    """Replaces each record by the expression's object.

    Numbers are JSONata's: a whole one is an integer, whichever way it took through the expression.
    """

    expression: Expression
    makes_records: bool = True

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage."""
        evaluate = self.expression.evaluator(is_plain=is_plain)
        out: list[Row] = []
        for index, record in rows:
            try:
                value = evaluate(record)
            except FAULTS as error:
                passage.fail(index, refused(error))
                continue
            if type(value) is dict:
                out.append((index, value))
            else:
                passage.fail(index, _not_an_object("a map", value))
        return _as_json(out, passage)


_WHOLE: Final = (b".0,", b".0}", b".0]")
"""How whole numbers end that are no integers."""


def _as_json(rows: list[Row], passage: Passage) -> Sequence[Row]:
    """The rows beside their JSON, without those that hold what it has not."""
    records = records_of(rows)
    try:
        text = dump(records)
        if b"NaN" in text or b"Infinity" in text:
            rows = [row for row, _ in evaluated(rows, passage, check_finite)]
            records = records_of(rows)
            text = dump(records)
        if any(whole in text for whole in _WHOLE):
            records = _canonical(records)
            text = dump(records)
    except RecursionError:
        return [row for row, _ in evaluated(rows, passage, check_finite)]
    return _of_size(Rows([index for index, _ in rows], Dumped(records, text)), passage)


def _of_size(rows: Sequence[Row], passage: Passage) -> Sequence[Row]:
    """The rows without those that an expression made larger than a record may be."""
    try:
        if len(dump(records_of(rows))) <= limits.RECORD_BYTES:
            return rows
    except RecursionError:
        return rows  # whoever writes it tells
    return [row for row, _ in evaluated(rows, passage, _check_size)]


def _check_size(record: Record) -> None:
    if len(dump(record)) > limits.RECORD_BYTES:
        raise too_large()


@dataclass(frozen=True, slots=True)
class Splitting:
    """Replaces each record by the objects of the expression's array."""

    expression: Expression
    makes_records: bool = True

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage. An array of none means that nothing of the record goes on."""
        out: list[Row] = []
        made: Counter[int] = Counter()
        for index, record in rows:
            if index in passage.failures:
                continue
            try:
                left = limits.SPLIT_OBJECTS - made[index]
                parts = self._parts(record, left, is_plain=is_plain)
            except RecordError as error:
                passage.fail(index, error)
                continue
            made[index] += len(parts)
            if not parts:
                passage.ignored += 1
            out += [(index, part) for part in parts]
        return _of_size(out, passage)

    def _parts(self, record: Record, left: int, *, is_plain: bool) -> list[Record]:
        value = self.expression.evaluate(record, is_plain=is_plain)
        # In JSONata an array of one is that one, and an array of none is nothing.
        parts = value if isinstance(value, list) else [] if value is None else [value]
        if len(parts) > left:
            message = f"a record may be split into {limits.SPLIT_OBJECTS:,} objects, all in all"
            raise RecordError("tooLarge", message)
        for part in parts:
            if not isinstance(part, dict):
                raise _not_an_object("each part of a split", part)
        return parts


def _not_an_object(what: str, value: Json) -> RecordError:
    found = "nothing" if value is None else describe(value)
    return RecordError("notAnObject", f"{what} must give an object; it gave {found}")
