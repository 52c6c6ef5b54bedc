"""One try of one step: its input in batches, and what becomes of the records in them."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from millrace.domain.base import Json, Record
from millrace.domain.connection import Connection
from millrace.domain.errors import NotFoundError, StepFailed
from millrace.domain.failed_record import ErrorSource
from millrace.domain.flow import Version
from millrace.domain.records import Origin, RecordFailure
from millrace.domain.run import Run
from millrace.domain.step import Step
from millrace.usecases.context import Context
from millrace.usecases.delta_windows import delta_before
from millrace.usecases.row import Row
from millrace.usecases.step_errors import Failed
from millrace.usecases.step_input import AllTaken, Item, Verdict, end_of, input_pages, records_of
from millrace.usecases.step_progress import Progress
from millrace.usecases.under_way import Answered, in_order
from millrace.usecases.write_only import secrets_of


@dataclass(frozen=True, slots=True)
class Job:
    """One try of one step, and what it works with."""

    context: Context
    run: Run
    version: Version
    step: Step
    progress: Progress
    row: Row | None = None

    def pages(self, start: int) -> Iterator[Sequence[Item]]:
        """The step's input from a position on."""
        known = {} if self.row is None else self.row.results
        return input_pages(self.context, self.run, self.version, self.step, start, known)

    def batches(self, size: int) -> Iterator[Sequence[Item]]:
        """What is left of the input in groups that hold at most `size` records to act on."""
        for page in self.pages(self.progress.checkpoint or 0):
            yield from _batches(page, size)

    def answers[T, R](
        self, requests: Iterable[T], send: Callable[[T], R], *, one_by_one: bool = False
    ) -> "closing[Generator[Answered[T, R]]]":
        """What comes of requests, of which as many are under way at a time as the step says."""
        concurrency = self.step.concurrency
        limit = 1 if one_by_one or concurrency is None else concurrency.limit
        return closing(in_order(requests, send, limit, self.progress.must_stop))

    def delta_before(self) -> dict[str, Json]:
        """The times of what the exports of changes before this step read."""
        return delta_before(self.context, self.run, self.version, self.step)

    def sorted_out(
        self, items: Sequence[Item], failures: Sequence[RecordFailure], source: ErrorSource
    ) -> tuple[list[Failed], Sequence[Item]]:
        """Those of a batch that failed, and the others."""
        if not failures:
            return [], items
        by_index = {failure.index: failure for failure in failures}
        failed = [Failed.of(self.run, items[index], by_index[index], source) for index in by_index]
        return failed, [item for index, item in enumerate(items) if index not in by_index]

    def unjudged(self, items: Iterable[Item]) -> list[Failed]:
        """Those on which the step's filter failed."""
        if isinstance(items, AllTaken):
            return []
        return [
            Failed.of(self.run, item, item.failure, "filter")
            for item in items
            if item.failure is not None
        ]

    def failed_from(
        self, start: int, failures: Iterable[RecordFailure], source: ErrorSource
    ) -> list[Failed]:
        """Failures of what came from no record of the input."""
        run_id = self.run.origin_id or self.run.id
        return [
            Failed(failure, source, Origin(run_id, start + failure.index)) for failure in failures
        ]

    def connection(self, connection_id: str) -> tuple[Connection, dict[str, str]]:
        """A connection of the run's workspace, or what takes its place, and its secrets."""
        connection_id = self.run.connections.get(connection_id, connection_id)
        try:
            connection = self.context.resources.get(
                Connection, self.run.workspace_id, connection_id
            )
            return connection, secrets_of(self.context.secrets, connection)
        except NotFoundError as error:
            raise StepFailed("connectionMissing", error.message) from error

    def dealt_with(
        self,
        items: Sequence[Item],
        failed: Sequence[Failed],
        answered_ones: Mapping[int, Record],
        *,
        ignored: int = 0,
        durable: bool = False,
        behind: int = 0,
    ) -> None:
        """Remember what became of items; those that the filter held back are counted along.

        Records of which something was answered go on as `answered_ones` has them, by position.
        """
        dropped: list[Item] = []
        if not isinstance(items, AllTaken):
            dropped = [item for item in items if item.verdict is Verdict.DROP]
            failed = [*failed, *self.unjudged(items)]
        bad = {each.item.position for each in failed if each.item is not None}
        held_back = {item.position for item in dropped}
        if not self.step.proceed_on_failure:
            held_back |= bad
        handed_on = items
        if held_back:
            handed_on = [item for item in items if item.position not in held_back]
        records = records_of(handed_on)
        if answered_ones:
            records = [answered_ones.get(item.position, item.record) for item in handed_on]
        self.progress.advance(
            end_of(items),
            taken=len(items),
            records=records,
            there=handed_on.page if isinstance(handed_on, AllTaken) and not answered_ones else None,
            ignored=len(dropped) + ignored,
            failed=failed,
            succeeded=[item for item in items if item.position not in bad] if bad else items,
            durable=durable,
            behind=behind,
        )


def taken_of(items: Sequence[Item]) -> Sequence[Item]:
    """Those that are to be acted on."""
    if isinstance(items, AllTaken):
        return items
    return [item for item in items if item.verdict is Verdict.TAKE]


def in_parts(pages: Iterable[Sequence[Item]], size: int) -> Iterator[Sequence[Item]]:
    """Pages, and of larger ones parts of this size."""
    for page in pages:
        for start in range(0, len(page), size):
            yield page[start : start + size]


def _batches(page: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items of a page in groups that hold at most `size` records to act on."""
    if isinstance(page, AllTaken):
        yield from in_parts([page], size)
        return
    group: list[Item] = []
    to_act_on = 0
    for item in page:
        group.append(item)
        to_act_on += item.verdict is Verdict.TAKE
        if to_act_on == size:
            yield group
            group, to_act_on = [], 0
    if group:
        yield group
