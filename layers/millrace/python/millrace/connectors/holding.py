"""Operations that need to see all records before any can go on: sort and group, in bounded memory.

What they hold is JSON text, which takes a fraction of what decoded records take.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, runtime_checkable

from millrace import limits
from millrace.connectors.json_documents import describe
from millrace.connectors.stages import Passage, Row, Stage, bound, evaluated, key_text
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.operations import GroupOperation, SortOperation
from millrace.domain.quick_json import dump, load
from millrace.domain.records import Origin, RecordError
from millrace.domain.run_values import RunValues


class Held(NamedTuple):
    """A record that comes out at the end."""

    origin: Origin
    record: Record
    size: int
    """Bytes of JSON, roughly."""


@runtime_checkable
class Holder(Stage, Protocol):
    """An operation that hands its records on at the end."""

    def drain(self) -> Iterator[Held]:
        """All that it holds, in order, each forgotten as it is given."""
        ...


@runtime_checkable
class Rememberer(Stage, Protocol):
    """An operation that tells the passage what it keeps, and takes it back."""

    def take_back(self, kept: Json) -> None:
        """Go on with what was kept, in the order in which it was told."""
        ...


@dataclass(slots=True)
class Room:
    """What the operations of a step may hold together."""

    records: int = 0
    bytes: int = 0

    def take(self, size: int, records: int = 1) -> None:
        """Make room for a record or what else is kept. Raises StepFailed if there is none."""
        self.retake(size, records)
        if self.records > limits.HELD_RECORDS or self.bytes > limits.HELD_BYTES:
            raise StepFailed(
                "tooManyRecords",
                f"sort, group and aggregate hold at most {limits.HELD_RECORDS:,} records or "
                f"{limits.HELD_BYTES:,} bytes of them and of their keys; filter before, or make "
                "them smaller",
            )

    def retake(self, size: int, records: int = 1) -> None:
        """As `take`, for what was held before a crash."""
        self.records += records
        self.bytes += size

    def give_back(self, size: int, records: int = 1) -> None:
        """Records are held no more."""
        self.records -= records
        self.bytes -= size


class _Line(NamedTuple):
    keys: list[Json]
    origin: Origin
    data: bytes
    size: int
    """Of all that is held for it."""


_RANKS: Final = {bool: 1, int: 2, float: 2, str: 3}


class Sorting:
    """All records by the values of expressions: null, then booleans, numbers, text."""

    makes_records = True

    def __init__(self, operation: SortOperation, place: int, room: Room, values: RunValues) -> None:
        self._keys = [bound(key.expression, values) for key in operation.by]
        self._descending = [key.order == "desc" for key in operation.by]
        self._place = place
        self._room = room
        self._lines: list[_Line] = []

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage; nothing goes on before the end."""

        def values_of(record: Record) -> list[Json]:
            values = [key.evaluate(record, is_plain=is_plain) for key in self._keys]
            for value in values:
                _check_sortable(value)
            return values

        for (index, record), values in evaluated(rows, passage, values_of):
            origin = passage.origins[index]
            self._room.take(self._add(origin, values, record))
            passage.kept.append([self._place, *origin, values, record])
        return []

    def drain(self) -> Iterator[Held]:
        """See Holder."""
        for number in reversed(range(len(self._keys))):
            # `reverse` leaves those that are equal in the order in which they came.
            self._lines.sort(
                key=lambda line: _rank(line.keys[number]), reverse=self._descending[number]
            )
        self._lines.reverse()
        while self._lines:
            line = self._lines.pop()
            self._room.give_back(line.size)
            yield Held(line.origin, load(line.data), len(line.data))

    def take_back(self, kept: Json) -> None:
        """See Rememberer."""
        run_id, position, values, record = kept
        self._room.retake(self._add(Origin(run_id, position), values, record))

    def _add(self, origin: Origin, values: list[Json], record: Record) -> int:
        """The bytes that it takes."""
        data = dump(record)
        size = len(data) + len(dump(values))
        self._lines.append(_Line(values, origin, data, size))
        return size


def _check_sortable(value: Json) -> None:
    if isinstance(value, dict | list):
        raise RecordError(
            "notSortable", f"what records are sorted by is text or a number, not {describe(value)}"
        )


def _rank(value: Json) -> tuple[int, Json]:
    return (0, 0) if value is None else (_RANKS[type(value)], value)


@dataclass(slots=True)
class _Group:
    origin: Origin
    values: list[Json]
    size: int
    """Of its key and its records."""
    members: list[bytes] = field(default_factory=list)


class Grouping:
    """Records in groups of equal keys, in the order in which the groups were first seen."""

    makes_records = True

    def __init__(
        self, operation: GroupOperation, place: int, room: Room, values: RunValues
    ) -> None:
        self._keys = {name: bound(text, values) for name, text in operation.by.items()}
        self._into = operation.into
        self._place = place
        self._room = room
        self._groups: dict[str, _Group] = {}

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage; nothing goes on before the end."""

        def values_of(record: Record) -> list[Json]:
            return [key.evaluate(record, is_plain=is_plain) for key in self._keys.values()]

        for (index, record), values in evaluated(rows, passage, values_of):
            origin = passage.origins[index]
            group, size = self._add(origin, values, record)
            self._room.take(size)
            if group.size > limits.GROUP_BYTES:
                raise StepFailed(
                    "groupTooLarge",
                    f"the records of one group may take {limits.GROUP_BYTES:,} bytes, because they "
                    "become one record; filter before, or group by more",
                )
            passage.kept.append([self._place, *origin, values, record])
        return []

    def drain(self) -> Iterator[Held]:
        """See Holder."""
        while self._groups:
            group = self._groups.pop(next(iter(self._groups)))
            self._room.give_back(group.size, len(group.members))
            key = dict(zip(self._keys, group.values, strict=True))
            record = key | {self._into: [load(data) for data in group.members]}
            yield Held(group.origin, record, group.size)

    def take_back(self, kept: Json) -> None:
        """See Rememberer."""
        run_id, position, values, record = kept
        _, size = self._add(Origin(run_id, position), values, record)
        self._room.retake(size)

    def _add(self, origin: Origin, values: list[Json], record: Record) -> tuple[_Group, int]:
        """The record's group with it, and the bytes that it takes more than before."""
        key = key_text(values)
        group = self._groups.get(key)
        before = 0
        if group is None:
            group = self._groups[key] = _Group(origin, values, len(key))
        else:
            before = group.size
        data = dump(record)
        group.members.append(data)
        group.size += len(data)
        return group, group.size - before
