"""Connectors for one step of a test: the first page of an export, and no request of an import."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from millrace import limits
from millrace.domain.action import ExportAction, ImportAction, ProcessAction
from millrace.domain.base import Clock, Json, Record
from millrace.domain.batch_lookup import Key
from millrace.domain.connection import Connection, PingMethod
from millrace.domain.delta import DeltaWindow
from millrace.domain.errors import StepFailed, StepThrottled, StepTransient
from millrace.domain.operations import (
    DedupeOperation,
    EnrichOperation,
    FunctionOperation,
    RememberOperation,
)
from millrace.domain.ports import (
    Connectors,
    Exporter,
    Functions,
    Importer,
    Pong,
    Process,
    Surroundings,
    Unsent,
)
from millrace.domain.records import (
    Batch,
    ExportPage,
    Origin,
    RecordError,
    RecordFailure,
    Rest,
    Written,
)
from millrace.domain.run_values import RunValues, TemplateKind
from millrace.domain.step import Step
from millrace.domain.trial import PlannedRequest, RecordTrouble
from millrace.usecases.step_progress import CONTINUES
from millrace.usecases.trial_pools import Overlay

_ASKING: Final = (DedupeOperation, EnrichOperation, FunctionOperation, RememberOperation)


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a test is over."""

    clock: Clock
    at: datetime

    @property
    def seconds(self) -> float:
        """What is left."""
        return (self.at - self.clock()).total_seconds()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.seconds <= 0

    def check(self) -> None:
        """Raise StepThrottled if nothing is left."""
        if self.is_over:
            raise StepThrottled(CONTINUES, "the test's time is over", self.at)


@dataclass(slots=True)
class Rehearsal:
    """The `Connectors` port for one step, and what happened that the step's record does not tell.

    `hidden` grows by the texts that may not be shown, whoever repeats them.
    """

    connectors: Connectors
    step: Step
    deadline: Deadline
    hidden: set[str]
    troubles: list[RecordTrouble] = field(default_factory=list)
    """The first ones."""
    troubles_count: int = 0
    requests: list[PlannedRequest] = field(default_factory=list)
    """The first ones."""
    requests_count: int = 0
    has_more: bool = False

    def check_address(self, workspace_id: str, url: str) -> str | None:
        """See Connectors."""
        return self.connectors.check_address(workspace_id, url)

    def check_expression(self, expression: str) -> str | None:
        """See Connectors."""
        return self.connectors.check_expression(expression)

    def check_template(self, kind: TemplateKind, text: str) -> str | None:
        """See Connectors."""
        return self.connectors.check_template(kind, text)

    def matches(self, expression: str, record: Record, values: RunValues) -> bool:
        """See Connectors."""
        self.deadline.check()
        try:
            return self.connectors.matches(expression, record, values)
        except RecordError as error:
            # What a filter of another step of the group says is that step's.
            if expression == self.step.filter:
                self.trouble(error.code, error.message, record)
            raise

    def evaluate(self, expression: str, record: Record) -> Json:
        """See Connectors."""
        self.deadline.check()
        return self.connectors.evaluate(expression, record)

    def lookup_key(self, record: Record, pointer: str) -> Key:
        """See Connectors."""
        try:
            return self.connectors.lookup_key(record, pointer)
        except RecordError as error:
            self.trouble(error.code, error.message, record)
            raise

    def exporter(
        self,
        work: ExportAction,
        connection: Connection,
        secrets: Mapping[str, str],
        values: RunValues,
    ) -> Exporter:
        """See Connectors."""
        self.deadline.check()
        self.hidden.update(secrets.values())
        asked = _asked_for(values)
        with self.noting(asked):
            sampler = self.connectors.sampler(
                work, connection, secrets, values, self.deadline.seconds, self.hidden.update
            )
        return _FirstPage(sampler, self, asked)

    def reader(
        self,
        work: ExportAction,
        payload: Callable[[], Json],
        window: DeltaWindow | None,
        values: RunValues,
    ) -> Exporter:
        """See Connectors."""
        self.deadline.check()
        return _FirstPage(self.connectors.reader(work, payload, window, values), self, ())

    def importer(
        self,
        work: ImportAction,
        connection: Connection | None,
        secrets: Mapping[str, str],
        values: RunValues,
        request_key: Callable[[Origin, bytes], str],
    ) -> Importer:
        """See Connectors."""
        self.hidden.update(secrets.values())

        def note(request: Unsent) -> None:
            self.requests_count += 1
            if len(self.requests) < limits.TEST_ITEMS_SHOWN:
                planned = PlannedRequest(
                    method=request.method,
                    url=request.url,
                    headers=dict(request.headers),
                    authentication="role" if connection is None else connection.auth.type,
                    body=request.body.decode("utf-8", "replace"),
                    body_bytes=len(request.body),
                )
                self.requests.append(planned)

        hide = self.hidden.update
        preview = self.connectors.preview(work, connection, values, request_key, note, hide)
        return _Preview(preview, self)

    def check_schema(self, schema: Json) -> list[tuple[str, str]]:
        """See Connectors."""
        return self.connectors.check_schema(schema)

    def process(self, work: ProcessAction, surroundings: Surroundings) -> Process:
        """See Connectors. Functions are called, data pools read; what is claimed is not kept."""
        aside = replace(
            surroundings,
            entries=Overlay(surroundings.entries),
            functions=_InTime(surroundings.functions, self.deadline),
            is_test=True,
        )
        asks_others = any(isinstance(each, _ASKING) for each in work.operations)
        process = self.connectors.process(work, aside)
        return _Watched(process, self, process.batch_size if asks_others else 1)

    def sampler(
        self,
        work: ExportAction,
        connection: Connection,
        secrets: Mapping[str, str],
        values: RunValues,
        seconds: float,
        hide: Callable[[Iterable[str]], None],
    ) -> Exporter:
        """See Connectors."""
        return self.connectors.sampler(work, connection, secrets, values, seconds, hide)

    def preview(
        self,
        work: ImportAction,
        connection: Connection | None,
        values: RunValues,
        request_key: Callable[[Origin, bytes], str],
        note: Callable[[Unsent], None],
        hide: Callable[[Iterable[str]], None],
    ) -> Importer:
        """See Connectors."""
        return self.connectors.preview(work, connection, values, request_key, note, hide)

    def ping(
        self, connection: Connection, secrets: Mapping[str, str], method: PingMethod, path: str
    ) -> Pong:
        """See Connectors."""
        return self.connectors.ping(connection, secrets, method, path)

    def let_go(self) -> None:
        """See Connectors."""
        self.connectors.let_go()

    @contextmanager
    def noting(self, asked: Sequence[Record]) -> Iterator[None]:
        """Note what fails for the record of a lookup; of a batch, each is asked for again."""
        try:
            yield
        except StepFailed as error:
            if len(asked) == 1:
                self.trouble(error.code, error.message, asked[0])
            raise

    def trouble(self, code: str, message: str, record: Record | None) -> None:
        """Note a record that failed."""
        self.troubles_count += 1
        if len(self.troubles) < limits.TEST_ITEMS_SHOWN:
            self.troubles.append(RecordTrouble(code=code, message=message, record=record))

    def failed(self, failures: Iterable[RecordFailure], records: Sequence[Record] = ()) -> None:
        """Note failures of these records, which they number; of none, if they are not known."""
        for failure in failures:
            record = records[failure.index] if failure.index < len(records) else None
            self.trouble(failure.code, failure.message, record)


@dataclass(frozen=True, slots=True)
class _InTime:
    """Functions that are given what is left of the time."""

    functions: Functions
    deadline: Deadline

    def invoke(self, arn: str, payload: bytes, seconds: float = limits.FUNCTION_SECONDS) -> bytes:
        self.deadline.check()
        try:
            return self.functions.invoke(arn, payload, min(seconds, self.deadline.seconds))
        except StepTransient:
            self.deadline.check()
            raise


@dataclass(frozen=True, slots=True)
class _FirstPage:
    """Ends after a page, and after as many records as other systems give at once."""

    exporter: Exporter
    rehearsal: Rehearsal
    asked: Sequence[Record]
    """The records that a lookup asks for."""

    def pages(self, cursor: Json) -> Iterator[ExportPage]:
        pages = self.exporter.pages(cursor)
        with self.rehearsal.noting(self.asked):
            page = next(pages, None)
        if page is not None:
            records = page.records[: limits.PAGE_RECORDS]
            is_cut = len(records) < len(page.records)
            self.rehearsal.has_more = is_cut or page.next_cursor is not None
            if len(self.asked) <= 1:
                self.rehearsal.failed(page.failures)
            yield ExportPage(records, page.failures, None)


def _asked_for(values: RunValues) -> Sequence[Record]:
    """The records of a lookup that values are for."""
    records: Sequence[Record] = values.fixed.get("records", ())
    return (values.fixed["record"],) if "record" in values.fixed else records


@dataclass(frozen=True, slots=True)
class _Preview:
    """Notes what cannot be written, and heeds the time."""

    importer: Importer
    rehearsal: Rehearsal

    @property
    def batch_size(self) -> int:
        return self.importer.batch_size

    def write(self, records: Sequence[Record], origins: Sequence[Origin]) -> Written:
        self.rehearsal.deadline.check()
        written = self.importer.write(records, origins)
        self.rehearsal.failed(written.failures, records)
        return written


@dataclass(frozen=True, slots=True)
class _Watched:
    """Feeds a process a few records at a time, to heed the time between them."""

    process: Process
    rehearsal: Rehearsal
    at_once: int
    """Records; one, unless the process asks others for what it does."""

    @property
    def batch_size(self) -> int:
        return self.process.batch_size

    def feed(self, records: Sequence[Record], origins: Sequence[Origin]) -> Batch:
        out = Batch([], 0, [])
        for start in range(0, len(records), self.at_once):
            self.rehearsal.deadline.check()
            taken = records[start : start + self.at_once]
            batch = self.process.feed(taken, origins[start : start + self.at_once])
            self.rehearsal.failed(batch.failures, taken)
            failures = [
                RecordFailure(start + failure.index, failure.code, failure.message)
                for failure in batch.failures
            ]
            out = Batch(
                [*out.records, *batch.records],
                out.ignored + batch.ignored,
                out.failures + failures,
                out.kept + batch.kept,
            )
        return out

    def finish(self, done: int) -> Iterator[Rest]:
        for rest in self.process.finish(done):
            self.rehearsal.deadline.check()
            self.rehearsal.failed(rest.batch.failures)
            yield rest

    def state(self) -> Json:
        return self.process.state()

    def restore(self, state: Json, kept: Iterable[Json]) -> None:
        self.process.restore(state, kept)
