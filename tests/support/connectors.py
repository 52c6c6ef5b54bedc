"""Connectors that follow a script, behind the same port as the ones that speak HTTP."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from millrace.connectors.expressions import (
    ExpressionError,
    check_expression,
    compile_expression,
    matches,
)
from millrace.connectors.process import Pipeline
from millrace.connectors.registry import HttpConnectors
from millrace.connectors.rendering import check_template, rendered
from millrace.connectors.schemas import check_schema
from millrace.domain.action import ExportAction, HttpExport, ImportAction, ProcessAction
from millrace.domain.base import Json, Record
from millrace.domain.batch_lookup import Key
from millrace.domain.connection import Connection, PingMethod
from millrace.domain.delta import DeltaWindow
from millrace.domain.errors import StepError
from millrace.domain.imports import HttpImport
from millrace.domain.ports import Exporter, Importer, Pong, Surroundings, Unsent
from millrace.domain.records import Answer, ExportPage, Origin, RecordFailure, Written
from millrace.domain.run_values import RunValues, TemplateKind

type Trouble = StepError | OSError
"""What a system or a Lambda may do to a worker; an OSError stands for a crash."""


@dataclass(frozen=True)
class Arrived:
    """One request that reached the system written to."""

    path: str
    position: int
    key: str
    records: tuple[Record, ...]


@dataclass
class ScriptedConnectors:
    """Reads `pages`, keeps what is `written`, and meets trouble where the test says so.

    Expressions, templates and processes are the real ones: they need no system.
    """

    pages: list[list[Record]] = field(default_factory=list)
    read_trouble: dict[int, list[Trouble]] = field(default_factory=dict)
    """By page number, in front of it."""
    write_trouble: dict[int, list[Trouble]] = field(default_factory=dict)
    """By position of the first record, after the request has arrived."""
    refused: list[Record] = field(default_factory=list)
    """Records that the system written to does not take."""
    answers: Callable[[Record], Json] = lambda _: None
    """What the system written to says of a record."""
    written: list[Arrived] = field(default_factory=list)
    pong: Pong = field(default_factory=lambda: Pong(200))
    pings: list[tuple[str, str]] = field(default_factory=list)
    secrets_seen: list[Mapping[str, str]] = field(default_factory=list)
    finds: Callable[[HttpExport], list[Record]] | None = None
    """What is read instead of the pages, by what is asked for; it may raise."""
    asked: list[HttpExport] = field(default_factory=list)
    """What exports asked for, their templates filled in."""
    seconds_given: list[float] = field(default_factory=list)
    """How long the readers of tests might wait."""

    def check_address(self, workspace_id: str, url: str) -> str | None:
        """See Connectors."""
        return HttpConnectors().check_address(workspace_id, url)

    def check_expression(self, expression: str) -> str | None:
        """See Connectors."""
        try:
            check_expression(expression)
        except ExpressionError as error:
            return str(error)
        return None

    def check_template(self, kind: TemplateKind, text: str) -> str | None:
        """See Connectors."""
        return check_template(kind, text)

    def evaluate(self, expression: str, record: Record) -> Json:
        """See Connectors."""
        return compile_expression(expression).evaluate(record)

    def check_schema(self, schema: Json) -> list[tuple[str, str]]:
        """See Connectors."""
        return check_schema(schema)

    def lookup_key(self, record: Record, pointer: str) -> Key:
        """See Connectors."""
        return HttpConnectors().lookup_key(record, pointer)

    def process(self, work: ProcessAction, surroundings: Surroundings) -> Pipeline:
        """See Connectors."""
        return Pipeline(work.operations, surroundings)

    def matches(self, expression: str, record: Record, values: RunValues) -> bool:
        """See Connectors."""
        return matches(expression, record, values)

    def exporter(
        self,
        work: ExportAction,
        connection: Connection,
        secrets: Mapping[str, str],
        values: RunValues,
    ) -> Exporter:
        """See Connectors."""
        del connection
        self.secrets_seen.append(secrets)
        self.asked.append(rendered(work.request, values).http)
        return _ScriptedExporter(self, self.asked[-1])

    def reader(
        self,
        work: ExportAction,
        payload: Callable[[], Json],
        window: DeltaWindow | None,
        values: RunValues,
    ) -> Exporter:
        """See Connectors."""
        return HttpConnectors().reader(work, payload, window, values)

    def importer(
        self,
        work: ImportAction,
        connection: Connection | None,
        secrets: Mapping[str, str],
        values: RunValues,
        request_key: Callable[[Origin, bytes], str],
    ) -> Importer:
        """See Connectors."""
        del connection
        self.secrets_seen.append(secrets)
        assert work.http is not None
        filled = work.model_copy(update={"http": rendered(work.http, values).http})
        return _ScriptedImporter(self, filled, request_key)

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
        self.seconds_given.append(seconds)
        hide(secrets.values())
        hide(rendered(work.request, values).private)
        return self.exporter(work, connection, secrets, values)

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
        return HttpConnectors().preview(work, connection, values, request_key, note, hide)

    def ping(
        self, connection: Connection, secrets: Mapping[str, str], method: PingMethod, path: str
    ) -> Pong:
        """See Connectors."""
        del connection
        self.secrets_seen.append(secrets)
        self.pings.append((method, path))
        return self.pong

    def let_go(self) -> None:
        """See Connectors; nothing is held."""

    @property
    def records_written(self) -> list[Record]:
        """Every record that arrived, in order."""
        return [record for request in self.written for record in request.records]


@dataclass(frozen=True)
class _ScriptedExporter:
    script: ScriptedConnectors
    asked: HttpExport

    def pages(self, cursor: Json) -> Iterator[ExportPage]:
        """See Exporter; a cursor is a page number."""
        if self.script.finds is not None:
            yield ExportPage(self.script.finds(self.asked), [], None)
            return
        for number in range(cursor or 0, len(self.script.pages)):
            _meet(self.script.read_trouble, number)
            is_last = number == len(self.script.pages) - 1
            yield ExportPage(self.script.pages[number], [], None if is_last else number + 1)


@dataclass(frozen=True)
class _ScriptedImporter:
    script: ScriptedConnectors
    work: ImportAction
    request_key: Callable[[Origin, bytes], str]

    @property
    def _http(self) -> HttpImport:
        assert self.work.http is not None
        return self.work.http

    @property
    def batch_size(self) -> int:
        """See Importer."""
        return self._http.batch_size or 1

    def write(self, records: Sequence[Record], origins: Sequence[Origin]) -> Written:
        """See Importer."""
        failures = [
            RecordFailure(index, "http422", "not wanted")
            for index, record in enumerate(records)
            if record in self.script.refused
        ]
        taken = tuple(record for record in records if record not in self.script.refused)
        origin = origins[0]
        key = self.request_key(origin, repr(records).encode())
        self.script.written.append(Arrived(self._http.path, origin.position, key, taken))
        _meet(self.script.write_trouble, origin.position)
        return Written(failures, answers=dict(enumerate(map(self._answer, records))))

    def _answer(self, record: Record) -> Answer:
        return Answer(200, lambda: self.script.answers(record), record.get("id"))


def _meet(trouble: dict[int, list[Trouble]], place: int) -> None:
    if trouble.get(place):
        raise trouble[place].pop(0)
