"""What actions do, by their kind: the one place that knows every connector."""

from collections.abc import Callable, Mapping

from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.expressions import ExpressionError, check_expression, matches
from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_export import HttpExporter
from millrace.connectors.http_import import HttpImporter
from millrace.connectors.process import Pipeline
from millrace.domain.action import ExportAction, ImportAction, ProcessAction
from millrace.domain.base import Record
from millrace.domain.connection import Connection


class HttpConnectors:
    """The `Connectors` port: exports and imports over HTTP, processes in JSONata."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def check_expression(self, expression: str) -> str | None:
        """What is wrong with an expression, if anything."""
        try:
            check_expression(expression)
        except ExpressionError as error:
            return str(error)
        return None

    def matches(self, expression: str, record: Record) -> bool:
        """Whether a filter lets a record through. Raises RecordError if it cannot say."""
        return matches(expression, record)

    def exporter(
        self, work: ExportAction, connection: Connection, secrets: Mapping[str, str]
    ) -> HttpExporter:
        """The reader of an export."""
        return HttpExporter(work, ConnectionClient(connection, secrets, self._http))

    def importer(
        self,
        work: ImportAction,
        connection: Connection,
        secrets: Mapping[str, str],
        request_key: Callable[[int, bytes], str],
    ) -> HttpImporter:
        """The writer of an import; `request_key` names a request by its position and body."""
        return HttpImporter(work, ConnectionClient(connection, secrets, self._http), request_key)

    def process(self, work: ProcessAction) -> Pipeline:
        """The operations of a process."""
        return Pipeline(work.operations)
