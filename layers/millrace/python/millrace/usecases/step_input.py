"""What a step reads: the outputs of the steps it depends on, or what triggered the run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain, takewhile
from types import MappingProxyType
from typing import Final, NamedTuple, overload

from millrace.domain.base import Record
from millrace.domain.failed_record import ReplayedRecord
from millrace.domain.flow import Version
from millrace.domain.ports import Connectors
from millrace.domain.records import Origin, RecordError, RecordFailure
from millrace.domain.run import OutputPage, Replay, Run, StepRecord
from millrace.domain.run_values import RunValues
from millrace.domain.step import Step
from millrace.usecases.ahead import one_ahead
from millrace.usecases.context import Context
from millrace.usecases.delta_windows import delta_before
from millrace.usecases.pages import listed, read_page
from millrace.usecases.payloads import payload_records
from millrace.usecases.run_values import values_beside_records

type Known = Mapping[str, StepRecord]
"""Results of steps, by id, that need not be read."""

_NONE_KNOWN: Final[Known] = MappingProxyType({})


class Verdict(Enum):
    """What a step's filter says of a record."""

    TAKE = auto()
    PASS = auto()
    DROP = auto()
    FAIL = auto()


class Item(NamedTuple):
    """One record of a step's input, judged by the step's filter."""

    position: int
    record: Record
    verdict: Verdict
    failure: RecordFailure | None = None
    origin: Origin | None = None
    """Where a record that is tried again came from at first."""
    error_id: str | None = None

    def origin_in(self, run: Run) -> Origin:
        """Where the record came from, in this run unless in another one before."""
        return self.origin or Origin(run.origin_id or run.id, self.position)


@dataclass(frozen=True, slots=True)
class AllTaken(Sequence[Item]):
    """Items that no filter judges, made when they are looked at: mostly none of them is."""

    first: int
    """The position of the first one."""
    records: Sequence[Record]
    page: OutputPage | None = None
    """What holds just these records in the bucket, if anything does."""

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> "AllTaken": ...

    def __getitem__(self, place: int | slice) -> "Item | AllTaken":
        if isinstance(place, int):
            index = range(len(self.records))[place]
            return Item(self.first + index, self.records[index], Verdict.TAKE)
        start, end, _ = place.indices(len(self.records))
        if end - start == len(self.records):
            return self
        page = None
        if self.page is not None:
            page = self.page.part((self.page.skip or 0) + start, end - start)
        return AllTaken(self.first + start, self.records[start:end], page)


def end_of(items: Sequence[Item]) -> int:
    """The position after some items."""
    return items.first + len(items) if isinstance(items, AllTaken) else items[-1].position + 1


def records_of(items: Sequence[Item]) -> Sequence[Record]:
    """The records of items."""
    return items.records if isinstance(items, AllTaken) else [item.record for item in items]


@dataclass(frozen=True, slots=True)
class Origins(Sequence[Origin]):
    """Where items came from, made when it is asked for: most records have no need of it."""

    items: Sequence[Item]
    run: Run

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Origin: ...

    @overload
    def __getitem__(self, index: slice) -> "Origins": ...

    def __getitem__(self, index: int | slice) -> "Origin | Origins":
        if isinstance(index, slice):
            return Origins(self.items[index], self.run)
        if isinstance(self.items, AllTaken):
            position = self.items.first + range(len(self.items))[index]
            return Origin(self.run.origin_id or self.run.id, position)
        return self.items[index].origin_in(self.run)


def sources(version: Version, step: Step) -> tuple[str, ...]:
    """The steps whose outputs a step reads, in `dependsOn` order, each once.

    A skipped step is transparent: its dependants read what it would have read.
    """
    by_id = {other.id: other for other in version.steps}

    def expand(id_: str) -> Iterator[str]:
        other = by_id[id_]
        if not other.is_skipped:
            yield id_
            return
        for dependency in other.depends_on:
            yield from expand(dependency)

    return tuple(dict.fromkeys(chain.from_iterable(expand(id_) for id_ in step.depends_on)))


def first_steps(version: Version) -> list[str]:
    """The steps that read no other step's output."""
    return [id_ for id_, read in _read_by(version).items() if not read]


def last_steps(version: Version) -> list[str]:
    """The steps whose outputs no other step reads: what they hand on is the flow's result."""
    read_by = _read_by(version)
    needed = set(chain.from_iterable(read_by.values()))
    return [id_ for id_ in read_by if id_ not in needed]


def _read_by(version: Version) -> dict[str, tuple[str, ...]]:
    """The steps that run, and what each reads."""
    return {step.id: sources(version, step) for step in version.steps if not step.is_skipped}


def input_records(
    context: Context, run: Run, version: Version, step: Step
) -> Iterator[Sequence[Record]]:
    """The step's input as it comes, before its filter, page by page."""
    for records, _ in _batches(context, run, version, step, 0):
        if not isinstance(records, int):
            yield records


def input_pages(
    context: Context, run: Run, version: Version, step: Step, start: int, known: Known = _NONE_KNOWN
) -> Iterator[Sequence[Item]]:
    """The step's input from position `start` on, page by page, judged by the step's filter.

    A step that failed, under the strategy to continue, hands on nothing.
    """
    rivals = _rivals(version, step)
    filters = [each.filter for each in (step, *rivals) if each.filter is not None]
    matches = _Matches(context.connectors, _values(context, run, version, step, filters))
    if run.replay is not None and run.replay.step_id == step.id:
        yield from _replayed(context, run.replay, matches, step, rivals, start)
        return
    position = 0
    batches = _batches(context, run, version, step, start, known)
    # What is here already needs nobody to fetch it.
    for records, page in batches if _is_here(run, version, step, known) else one_ahead(batches):
        if isinstance(records, int):
            position += records
            continue
        fresh = AllTaken(position, records, page)[max(0, start - position) :]
        position += len(records)
        if step.filter is None and not rivals:
            yield fresh
            continue
        yield [_judge(matches, step, rivals, item.position, item.record) for item in fresh]


def _values(
    context: Context, run: Run, version: Version, step: Step, filters: Iterable[str]
) -> RunValues:
    return values_beside_records(
        context, run, filters, lambda: delta_before(context, run, version, step)
    )


def _replayed(
    context: Context,
    replay: Replay,
    matches: "_Matches",
    step: Step,
    rivals: tuple[Step, ...],
    start: int,
) -> Iterator[list[Item]]:
    """Records that failed before, in place of the step's input."""
    position = 0
    for page in listed(context.blobs, replay.pages, start):
        first, position = position, position + page.records
        if position <= start:
            continue
        lines = map(ReplayedRecord.model_validate, read_page(context.blobs, page))
        items = [
            _judge(matches, step, rivals, first + offset, line.record)._replace(
                origin=Origin(line.run_id, line.position),
                error_id=line.error_id,
            )
            for offset, line in enumerate(lines)
        ]
        yield items[max(0, start - first) :]


def _batches(
    context: Context, run: Run, version: Version, step: Step, start: int, known: Known = _NONE_KNOWN
) -> Iterator[tuple[Sequence[Record] | int, OutputPage | None]]:
    """Pages of records; of a page wholly before `start` only its length, without reading it."""
    names = sources(version, step)
    gathered = run.payload.pages
    if not names and not gathered:
        for records in payload_records(context, run):
            yield records, None
        return
    position = 0
    pages = _outputs(context, run, names, known) if names else gathered
    for page in listed(context.blobs, pages, start):
        position += page.records
        stored = page if page.data is None else None
        yield page.records if position <= start else read_page(context.blobs, page), stored


def _is_here(run: Run, version: Version, step: Step, known: Known) -> bool:
    """Whether all that a step reads is in what is known of its run."""
    names = sources(version, step)
    if not names:
        return not run.payload.is_in_bucket
    records = [known.get(name) for name in names]
    return all(
        record is not None and all(page.data is not None for page in record.output)
        for record in records
    )


def _outputs(
    context: Context, run: Run, names: tuple[str, ...], known: Known
) -> Iterator[OutputPage]:
    for name in names:
        record = known.get(name) or context.runs.step(run.key, run.attempt, name)
        if record is not None and record.status.has_output:
            yield from record.output


def _rivals(version: Version, step: Step) -> tuple[Step, ...]:
    """The steps of the same exclusive group that come first; a skipped one claims nothing."""
    if step.exclusive_group is None:
        return ()
    before = takewhile(lambda other: other.id != step.id, version.steps)
    return tuple(
        other
        for other in before
        if other.exclusive_group == step.exclusive_group
        and set(other.depends_on) == set(step.depends_on)
        and not other.is_skipped
    )


class _Matches(NamedTuple):
    """Whether a filter lets a record through, in this run."""

    connectors: Connectors
    values: RunValues

    def __call__(self, expression: str, record: Record) -> bool:
        return self.connectors.matches(expression, record, self.values)


def _judge(
    matches: _Matches, step: Step, rivals: tuple[Step, ...], position: int, record: Record
) -> Item:
    otherwise = Verdict.PASS if step.on_not_matching == "pass" else Verdict.DROP
    try:
        # A record on which a rival's filter fails counts as failed there, so it is the rival's.
        if any(_claims(matches, rival, record) for rival in rivals):
            return Item(position, record, otherwise)
        if step.filter is None or matches(step.filter, record):
            return Item(position, record, Verdict.TAKE)
    except RecordError as error:
        return Item(position, record, Verdict.FAIL, RecordFailure.of(position, error))
    return Item(position, record, otherwise)


def _claims(matches: _Matches, rival: Step, record: Record) -> bool:
    if rival.filter is None:
        return True
    try:
        return matches(rival.filter, record)
    except RecordError:
        return True
