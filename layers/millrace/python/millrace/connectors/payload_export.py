"""Reads the records of what triggered a run."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from itertools import islice

from millrace.connectors import json_documents
from millrace.connectors.element_readers import page_of
from millrace.connectors.exact_json import ExactDecoder
from millrace.connectors.file_reader import file_parts, json_elements
from millrace.connectors.streamed_answers import Part, parted
from millrace.domain.base import Json
from millrace.domain.errors import StepFailed
from millrace.domain.records import ExportPage
from millrace.domain.sources import PayloadExport


class PayloadExporter:
    """An export of a payload at work; a cursor is the number of records handed on."""

    def __init__(self, work: PayloadExport, payload: Json) -> None:
        self._export = work
        self._payload = payload

    def pages(self, cursor: Json = None) -> Iterator[ExportPage]:
        """The pages from a cursor on; None: from the start. Raises StepFailed."""
        count = cursor or 0
        for part in self._parts(count):
            count += len(part.elements)
            yield replace(page_of(part.elements), next_cursor=None if part.is_last else count)

    def _parts(self, skip: int) -> Iterator[Part]:
        path = self._export.path
        try:
            value = json_documents.resolve(self._payload, path)
        except LookupError as error:
            raise StepFailed("payloadMissing", f"nothing at path '{path}': {error}") from error
        if isinstance(value, str):
            return file_parts(self._export, BytesIO(value.encode("utf-8", "surrogatepass")), skip)
        if self._export.format != "json":
            found = json_documents.describe(value)
            message = f"at path '{path}' is {found}, not the text of a {self._export.format} file"
            raise StepFailed("payloadNotText", message)
        elements = json_elements(ExactDecoder(), value, self._export.records_path)
        return parted(islice(elements, skip, None))
