"""Reads records from a system over HTTP, page by page, so that any number of them fits."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus

from millrace import limits
from millrace.connectors.answer_types import ACCEPTED, charset_of
from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.element_readers import page_of, records_at, too_large
from millrace.connectors.exact_json import ExactDecoder
from millrace.connectors.http_client import ResponseRejected
from millrace.connectors.http_messages import HttpResponse, merged_headers
from millrace.connectors.pagers import Told, pager_of
from millrace.connectors.streamed_answers import fingerprint, parts
from millrace.domain.action import HttpExport
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.quick_json import dump
from millrace.domain.records import ExportPage, RecordError


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where an export goes on, small and as JSON, so that a checkpoint can hold it."""

    place: Json = None
    """The pager's word for the answer to ask for."""
    answers: int = 0
    """How many came before it."""
    seen: int = 0
    """How many records those held."""
    skip: int = 0
    """How many of its own records were handed on already."""
    last: str | None = None
    """A digest of the last of these."""


class HttpExporter:
    """An export action at work."""

    def __init__(
        self, http: HttpExport, client: ConnectionClient, *, for_record: bool = False
    ) -> None:
        """`for_record` says that it asks for what there is for one record: that may be one, too."""
        self._export = http
        self._for_record = for_record
        self._client = client.accepting(ACCEPTED[self._export.format])
        self._pager = pager_of(self._export, client.bare)
        self._decoder = ExactDecoder()
        self._before: object = None
        """What the answer before held, if it held anything: the same twice is no progress."""

    def pages(self, cursor: Json | None = None) -> Iterator[ExportPage]:
        """The pages from a cursor on, each fetched when it is asked for; None: from the start.

        Raises StepFailed, StepTransient or StepThrottled; the pages before stay good, and the
        cursor of the last one is where to try again.
        """
        read = self._whole if self._export.format == "json" else self._streamed
        while True:
            for page in read(_Cursor() if cursor is None else _Cursor(**cursor)):
                yield page
                cursor = page.next_cursor
            if cursor is None:
                return

    def _whole(self, here: _Cursor) -> Iterator[ExportPage]:
        """The page that an answer of JSON is."""
        url, response, document = self._fetch(here)
        elements = self._elements(document) if response.status != HTTPStatus.NO_CONTENT else []
        self._check_progress(elements or None)
        read = self._decoder.records(elements)
        if len(response.body) > limits.RECORD_BYTES:
            read = [_of_size(element) for element in read]
        page = page_of(read)
        told = Told(document, response.headers, url, len(elements), here.seen + len(elements))
        yield replace(page, next_cursor=self._next(here, told))

    def _streamed(self, here: _Cursor) -> Iterator[ExportPage]:
        """The pages that an answer of records one after the other makes."""
        url, response, _ = self._fetch(here)
        held = None if self._export.pagination is None else fingerprint(response)
        count = here.skip
        for part in parts(self._export, response, here.skip, here.last):
            if count == here.skip:
                self._check_progress(held if part.elements else None)
            count += len(part.elements)
            if part.is_last:
                told = Told(None, response.headers, url, count, here.seen + count)
                next_cursor = self._next(here, told)
            else:
                next_cursor = asdict(replace(here, skip=count, last=part.digest()))
            yield replace(page_of(part.elements), next_cursor=next_cursor)

    def _fetch(self, here: _Cursor) -> tuple[str, HttpResponse, Json]:
        """An answer: where it came from, and the document that it holds if it is JSON."""
        export = self._export
        ask = self._pager.ask(here.place)
        url = ask.url or self._client.url(export.path, ask.query)
        headers: dict[str, str] = {}
        body = None
        if ask.body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(ask.body).encode()
        try:
            response, document = self._client.fetch(
                export.method,
                url,
                self._decoded,
                headers=merged_headers(headers, export.headers, ask.headers),
                body=body,
                is_stream=export.format != "json",
            )
        except ResponseRejected as error:
            raise StepFailed(f"http{error.status}", error.message) from error
        return url, response, document

    def _decoded(self, response: HttpResponse) -> tuple[HttpResponse, Json]:
        if self._export.format != "json" or response.status == HTTPStatus.NO_CONTENT:
            return response, None
        charset = charset_of(response, "json")
        return response, self._decoder.answer(response.body, charset)

    def _elements(self, document: Json) -> list[Json]:
        return records_at(document, self._export.records_path, may_be_one=self._for_record)

    def _check_progress(self, held: object) -> None:
        """Refuse an answer like the one before; one without records may be repeated."""
        if held is not None and held == self._before:
            raise StepFailed(
                "pageLoop",
                "two pages in a row hold the same records; "
                "does the system take the parameters of the pagination?",
            )
        self._before = held

    def _next(self, here: _Cursor, told: Told) -> Json:
        pagination = self._export.pagination
        if pagination is None or here.answers + 1 == pagination.max_pages:
            return None
        place = self._pager.next(here.place, told)
        return None if place is None else asdict(_Cursor(place, here.answers + 1, told.seen))


def _of_size(element: Record | RecordError) -> Record | RecordError:
    is_large = isinstance(element, dict) and len(dump(element)) > limits.RECORD_BYTES
    return too_large() if is_large else element
