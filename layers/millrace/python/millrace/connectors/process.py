"""Changes records by a process's operations, batch after batch, in bounded memory."""

from collections.abc import Iterable, Iterator, Sequence

from millrace import limits
from millrace.connectors.aggregates import Aggregation
from millrace.connectors.at_once import HELD_BACK, AtOnce
from millrace.connectors.expressions import ExpressionError, are_plain
from millrace.connectors.function_stage import Calling
from millrace.connectors.holding import Grouping, Held, Holder, Rememberer, Room, Sorting
from millrace.connectors.keyed_stages import keyed_stage
from millrace.connectors.stages import (
    Filtering,
    Mapping,
    Passage,
    Row,
    Rows,
    Splitting,
    Stage,
    Timeouts,
    bound,
    records_of,
)
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.operations import (
    AggregateOperation,
    DedupeOperation,
    EnrichOperation,
    FilterOperation,
    FunctionOperation,
    GroupOperation,
    MapOperation,
    Operation,
    RememberOperation,
    SortOperation,
    SplitOperation,
    ValidateOperation,
)
from millrace.domain.ports import Surroundings
from millrace.domain.quick_json import Unread, dump
from millrace.domain.records import Batch, Origin, RecordError, Rest
from millrace.domain.run_values import RunValues


class Pipeline:
    """The operations of a process, one after the other.

    `feed` it all records, then go through `finish`: what was held comes out only then.
    """

    def __init__(self, operations: Sequence[Operation], surroundings: Surroundings) -> None:
        room = Room()
        try:
            self._stages = [
                _stage(operation, place, room, surroundings)
                for place, operation in enumerate(operations)
            ]
            self._at_once = _at_once(operations, surroundings.values)
        except ExpressionError as error:
            raise StepFailed("invalidOperation", str(error)) from error
        except RecordError as error:
            raise StepFailed(error.code, error.message) from error
        splits = any(isinstance(stage, Splitting) for stage in self._stages)
        self._batch_size = limits.SPLIT_RECORDS if splits else limits.PAGE_RECORDS
        self._timeouts = Timeouts()

    @property
    def batch_size(self) -> int:
        """See Process."""
        return self._batch_size

    def feed(self, records: Sequence[Record], origins: Sequence[Origin]) -> Batch:
        """What comes out for these records; the index of a failure counts them.

        Raises StepFailed when an expression keeps running out of time.
        """
        passage = Passage(origins, self._timeouts)
        first = self._at_once
        texts = None if first is None else first.texts(records)
        if first is None or texts is None:
            rows = self._through(self._stages, Rows(range(len(records)), records), passage)
        else:
            rows = self._completed(texts, records, self._stages[: first.operations], passage)
            rows = self._through(self._stages[first.operations :], rows, passage)
        return _batch(rows, passage)

    def finish(self, done: int) -> Iterator[Rest]:
        """What was held, through the operations that follow, part by part."""
        for place, stage in enumerate(self._stages, start=1):
            if isinstance(stage, Holder):
                for part in self._parts(stage.drain()):
                    if done > 0:
                        done -= 1
                        continue
                    origins = [held.origin for held in part]
                    rows = Rows(range(len(part)), [held.record for held in part])
                    passage = Passage(origins, self._timeouts)
                    rest = self._through(self._stages[place:], rows, passage)
                    yield Rest(_batch(rest, passage), origins)

    def _parts(self, all_held: Iterator[Held]) -> Iterator[list[Held]]:
        """What was held in parts of bounded size."""
        part: list[Held] = []
        size = 0
        for held in all_held:
            part.append(held)
            size += held.size
            if len(part) == self._batch_size or size >= limits.PAGE_BYTES:
                yield part
                part, size = [], 0
        if part:
            yield part

    def state(self) -> Json:
        """The groups of each aggregate; all else is told with each batch as `kept`."""
        return [stage.state() for stage in self._stages if isinstance(stage, Aggregation)]

    def restore(self, state: Json, kept: Iterable[Json]) -> None:
        """Go on from what `state` gave, in a pipeline of the same operations."""
        aggregations = [stage for stage in self._stages if isinstance(stage, Aggregation)]
        for aggregation, groups in zip(aggregations, state, strict=True):
            aggregation.restore(groups)
        rememberers = {
            place: stage
            for place, stage in enumerate(self._stages)
            if isinstance(stage, Rememberer)
        }
        for place, *memory in kept:
            rememberers[place].take_back(memory)

    def _completed(
        self,
        texts: Sequence[bytes | None],
        records: Sequence[Record],
        stages: Sequence[Stage],
        passage: Passage,
    ) -> Rows:
        """What AtOnce told, and of what it did not tell what the stages give."""
        passage.ignored += texts.count(HELD_BACK)
        told = [(index, text) for index, text in enumerate(texts) if text]
        if untold := [index for index, text in enumerate(texts) if text is None]:
            rows = Rows(untold, [records[index] for index in untold])
            made = self._through(stages, rows, passage)
            told = sorted([*told, *((index, dump(record)) for index, record in made)])
        lines = [text for _, text in told]
        return Rows([index for index, _ in told], Unread(lines, len(lines)))

    def _through(
        self, stages: Sequence[Stage], rows: Sequence[Row], passage: Passage
    ) -> Sequence[Row]:
        is_plain: bool | None = None
        for stage in stages:
            if not rows:
                break
            if is_plain is None:
                is_plain = are_plain(records_of(rows))
            rows = passage.sound(stage.apply(rows, passage, is_plain=is_plain))
            is_plain = None if stage.makes_records else is_plain
        return rows


def _batch(rows: Sequence[Row], passage: Passage) -> Batch:
    failures = sorted(passage.failures.values(), key=lambda failure: failure.index)
    return Batch(records_of(rows), passage.ignored, failures, passage.kept)


def _at_once(operations: Sequence[Operation], values: RunValues) -> AtOnce | None:
    """The filters that a process begins with and the map after them, if there is one."""
    filters: list[str] = []
    for operation in operations:
        match operation:
            case FilterOperation(expression=text):
                filters.append(text)
            case MapOperation(expression=text):
                return AtOnce(filters, text, values)
            case _:
                break
    return None


def _stage(  # noqa: PLR0911 - one for each operation
    operation: Operation, place: int, room: Room, here: Surroundings
) -> Stage:
    match operation:
        case FilterOperation(expression=text):
            return Filtering(bound(text, here.values))
        case MapOperation(expression=text):
            return Mapping(bound(text, here.values))
        case SplitOperation(expression=text):
            return Splitting(bound(text, here.values))
        case AggregateOperation():
            return Aggregation(operation, room, here.values)
        case GroupOperation():
            return Grouping(operation, place, room, here.values)
        case SortOperation():
            return Sorting(operation, place, room, here.values)
        case DedupeOperation() | RememberOperation() | EnrichOperation():
            return keyed_stage(operation, place, here)
        case ValidateOperation():
            return _validating(operation)
        case FunctionOperation():
            return Calling(operation, here)


def _validating(operation: ValidateOperation) -> Stage:
    # Imported for those that validate: its library is large.
    from millrace.connectors.schemas import SchemaError, Validating  # noqa: PLC0415 - see above

    try:
        return Validating(operation.rules)
    except SchemaError as error:
        raise StepFailed("invalidOperation", f"at {error.pointer}: {error}") from error
