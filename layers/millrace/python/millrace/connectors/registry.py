"""What actions do, by their kind: the one place that knows every connector.

Each is imported when it is first needed: most requests to the API need none, and its cold start
would pay for all.
"""
# ruff: noqa: PLC0415 - see above

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

from millrace import limits
from millrace.domain.action import ExportAction, ImportAction, ProcessAction
from millrace.domain.base import Json, Record
from millrace.domain.ports import Exporter, Importer, Paces, Pong, Surroundings, Unsent

if TYPE_CHECKING:
    from millrace.connectors.aws_targets import AwsTargets
    from millrace.connectors.connection_client import ConnectionClient
    from millrace.connectors.gate import Gate
    from millrace.connectors.http_client import HttpClient
    from millrace.connectors.http_export import HttpExporter
    from millrace.connectors.oauth2 import AccessTokens
    from millrace.connectors.process import Pipeline
    from millrace.domain.batch_lookup import Key
    from millrace.domain.connection import Connection, PingMethod
    from millrace.domain.delta import DeltaWindow
    from millrace.domain.networks import AllowedNetworks, Reach
    from millrace.domain.records import Origin
    from millrace.domain.run_values import RunValues, TemplateKind
    from millrace.domain.trace_context import Trace


class HttpConnectors:
    """The `Connectors` port: HTTP, the account's own AWS services, and JSONata.

    Without `paces` no request waits for those of other workers.
    """

    def __init__(
        self,
        http: "HttpClient | None" = None,
        paces: Callable[[], Paces] | None = None,
        aws: "Callable[[], AwsTargets] | None" = None,
        networks: "Callable[[], AllowedNetworks] | None" = None,
    ) -> None:
        self._given = http
        self._paces = paces
        self._aws = aws
        self._networks = networks
        self._clients: dict[Reach, HttpClient] = {}
        self._gates: dict[tuple[str, str], Gate] = {}
        self._lock = Lock()
        """Held where something is made that the requests of a step share."""

    @cached_property
    def _allowed(self) -> "AllowedNetworks":
        from millrace.domain.networks import AllowedNetworks

        return AllowedNetworks() if self._networks is None else self._networks()

    def _http(self, workspace_id: str) -> "HttpClient":
        """Shared by workspaces of the same reach, and by no others."""
        from millrace.connectors.http_client import HttpClient
        from millrace.connectors.transport import Urllib3Transport

        if self._given is not None:
            return self._given
        reach = self._allowed.of(workspace_id)
        if reach not in self._clients:
            self._clients[reach] = HttpClient(Urllib3Transport(reach=reach))
        return self._clients[reach]

    @cached_property
    def _tokens(self) -> "AccessTokens":
        from millrace.connectors.http_client import utc_now
        from millrace.connectors.oauth2 import AccessTokens

        return AccessTokens(utc_now if self._given is None else self._given.clock)

    def _client(
        self,
        connection: "Connection",
        secrets: Mapping[str, str],
        private: Iterable[str],
        trace: "Trace | None",
    ) -> "ConnectionClient":
        from millrace.connectors.connection_client import ConnectionClient
        from millrace.connectors.traced import TracedTransport

        with self._lock:
            http, tokens = self._http(connection.workspace_id), self._tokens
            gate = self._gate(connection, http, limits.WAIT_INSIDE_SECONDS_MAX)
        if trace is not None:
            http = http.through(lambda transport: TracedTransport(transport, trace))
        return ConnectionClient(connection, secrets, http, tokens, private, gate=gate)

    def check_address(self, workspace_id: str, url: str) -> str | None:
        """Why requests of a workspace may not be sent to an address, if that shows already."""
        from millrace.connectors.plain_addresses import refused

        return refused(url, self._allowed.of(workspace_id))

    def _gate(
        self, connection: "Connection", http: "HttpClient", patience_seconds: float
    ) -> "Gate | None":
        """The one way to a connection until `let_go`: each record of a lookup has a reader."""
        from millrace.connectors.gate import Gate

        if self._paces is None:
            return None
        key = (connection.workspace_id, connection.id)
        if key not in self._gates:
            self._gates[key] = Gate(
                self._paces(), connection, http.clock, http.sleep, patience_seconds=patience_seconds
            )
        return self._gates[key]

    def let_go(self) -> None:
        """Give back what readers and writers made so far hold of their connections."""
        while self._gates:
            self._gates.popitem()[1].let_go()

    def check_expression(self, expression: str) -> str | None:
        """What is wrong with an expression, if anything."""
        from millrace.connectors.expressions import ExpressionError, check_expression

        try:
            check_expression(expression)
        except ExpressionError as error:
            return str(error)
        return None

    def check_template(self, kind: "TemplateKind", text: str) -> str | None:
        """What is wrong with a template, if anything."""
        from millrace.connectors.rendering import check_template

        return check_template(kind, text)

    def matches(self, expression: str, record: Record, values: "RunValues") -> bool:
        """Whether a filter lets a record through. Raises RecordError if it cannot say."""
        from millrace.connectors.expressions import matches

        return matches(expression, record, values)

    def evaluate(self, expression: str, record: Record) -> Json:
        """An expression's value on a record. Raises RecordError if it has none."""
        from millrace.connectors.expressions import compile_expression

        return compile_expression(expression).evaluate(record)

    def lookup_key(self, record: Record, pointer: str) -> "Key":
        """What a record is looked up by. Raises RecordError if there is nothing of the kind."""
        from millrace.domain.batch_lookup import key_at
        from millrace.domain.records import RecordError

        key = key_at(record, pointer)
        if key is None:
            message = f"at recordKeyPath '{pointer}' is neither a text nor a number"
            raise RecordError("keyMissing", message)
        return key

    def exporter(
        self,
        work: ExportAction,
        connection: "Connection",
        secrets: Mapping[str, str],
        values: "RunValues",
    ) -> "HttpExporter":
        """The reader of an export, its templates filled in."""
        from millrace.connectors.http_export import HttpExporter
        from millrace.connectors.rendering import rendered
        from millrace.domain.run_values import speak_of_record

        filled = rendered(work.request, values)
        client = self._client(connection, secrets, filled.private, values.trace)
        return HttpExporter(filled.http, client, for_record=speak_of_record(work.request))

    def reader(
        self,
        work: ExportAction,
        payload: Callable[[], Json],
        window: "DeltaWindow | None",
        values: "RunValues",
    ) -> Exporter:
        """The reader of an export that needs no connection."""
        if work.payload is not None:
            from millrace.connectors.payload_export import PayloadExporter

            return PayloadExporter(work.payload, payload())
        from millrace.connectors.rendering import objects
        from millrace.connectors.s3_export import S3Exporter
        from millrace.domain.errors import StepFailed

        if work.s3 is None or self._aws is None:
            raise StepFailed("targetNotAllowed", "flows do not read from AWS here")
        return S3Exporter(objects(work.s3, values), self._aws(), window)

    def importer(
        self,
        work: ImportAction,
        connection: "Connection | None",
        secrets: Mapping[str, str],
        values: "RunValues",
        request_key: "Callable[[Origin, bytes], str]",
    ) -> Importer:
        """The writer of an import; `request_key` names a request by its origin and body."""
        if work.http is None or connection is None:
            from millrace.connectors.aws_importers import aws_importer

            return aws_importer(work, self._aws and self._aws(), values, request_key)
        from millrace.connectors.http_import import HttpImporter
        from millrace.connectors.rendering import import_requests

        http, fill, private = import_requests(work.http, values)
        client = self._client(connection, secrets, private, values.trace)
        return HttpImporter(http, client, request_key, fill, values)

    def check_schema(self, schema: Json) -> list[tuple[str, str]]:
        """What is wrong with a JSON Schema: the JSON pointers into it, and what it is there."""
        from millrace.connectors.schemas import check_schema

        return check_schema(schema)

    def process(self, work: ProcessAction, surroundings: Surroundings) -> "Pipeline":
        """The operations of a process."""
        from millrace.connectors.process import Pipeline

        return Pipeline(work.operations, surroundings)

    def sampler(
        self,
        work: ExportAction,
        connection: "Connection",
        secrets: Mapping[str, str],
        values: "RunValues",
        seconds: float,
        hide: Callable[[Iterable[str]], None],
    ) -> Exporter:
        """A reader for tests: it asks once for each page, and waits so long for it."""
        from millrace.connectors.connection_client import ConnectionClient
        from millrace.connectors.http_client import HttpClient
        from millrace.connectors.http_export import HttpExporter
        from millrace.connectors.rehearsal import HidingTransport, Sampler
        from millrace.connectors.rendering import rendered
        from millrace.connectors.transport import Urllib3Transport
        from millrace.domain.run_values import speak_of_record

        filled = rendered(work.request, values)
        hide(filled.private)
        reach = self._allowed.of(connection.workspace_id)
        transport = HidingTransport(Urllib3Transport(seconds, reach=reach), hide)
        http = self._given or HttpClient(transport, tries=1)
        gate = self._gate(connection, http, limits.WAIT_IN_TESTS_SECONDS)
        client = ConnectionClient(
            connection, secrets, http, self._tokens, filled.private, gate=gate
        )
        for_record = speak_of_record(work.request)
        exporter = HttpExporter(filled.http, client, for_record=for_record)
        return Sampler(exporter, seconds)

    def preview(
        self,
        work: ImportAction,
        connection: "Connection | None",
        values: "RunValues",
        request_key: "Callable[[Origin, bytes], str]",
        note: Callable[[Unsent], None],
        hide: Callable[[Iterable[str]], None],
    ) -> Importer:
        """A writer for tests: it sends nothing, and tells `note` what it would send."""
        from millrace.connectors.connection_client import ConnectionClient
        from millrace.connectors.http_client import HttpClient
        from millrace.connectors.http_import import HttpImporter
        from millrace.connectors.rehearsal import NotingTransport
        from millrace.connectors.rendering import import_requests
        from millrace.domain.authentication import NoAuth

        if work.http is None or connection is None:
            from millrace.connectors.aws_importers import aws_importer
            from millrace.connectors.rehearsal import noting_targets

            targets = self._aws and noting_targets(self._aws(), note)
            return aws_importer(work, targets, values, request_key)
        http, fill, private = import_requests(work.http, values)
        # Without authentication, no credential can be in what is noted.
        bare = connection.model_copy(update={"auth": NoAuth()})
        sender = HttpClient(NotingTransport(note, hide))
        client = ConnectionClient(bare, {}, sender, self._tokens, private)
        return HttpImporter(http, client, request_key, fill, values)

    def ping(
        self, connection: "Connection", secrets: Mapping[str, str], method: "PingMethod", path: str
    ) -> Pong:
        """What became of one request, tried once and with little patience."""
        from millrace.connectors.http_client import HttpClient
        from millrace.connectors.ping import ping
        from millrace.connectors.transport import Urllib3Transport

        reach = self._allowed.of(connection.workspace_id)
        transport = Urllib3Transport(limits.PING_SECONDS, reach=reach)
        http = self._given or HttpClient(transport, tries=1)
        gate = self._gate(connection, http, limits.WAIT_IN_TESTS_SECONDS)
        try:
            return ping(connection, secrets, method, path, http, limits.PING_SECONDS, gate)
        finally:
            self.let_go()
