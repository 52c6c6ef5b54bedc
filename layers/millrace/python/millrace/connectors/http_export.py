"""Reads records from a system over HTTP, page by page, so that any number of them fits."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Protocol
from urllib.parse import urljoin

from millrace.connectors import json_documents
from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.http_client import ResponseRejected
from millrace.connectors.http_messages import HttpResponse
from millrace.domain.action import ExportAction, HttpExport, NextLinkPagination, OffsetPagination
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.records import ExportPage, RecordFailure


class HttpExporter:
    """An export action at work."""

    def __init__(self, work: ExportAction, client: ConnectionClient) -> None:
        self._export = work.http
        self._client = client
        self._pager = _pager(work.http, client)

    def pages(self, cursor: Json | None = None) -> Iterator[ExportPage]:
        """The pages from a cursor on, each fetched when it is asked for; None: from the start.

        Raises StepFailed, StepTransient or StepThrottled; the pages before stay good, and the
        cursor of the last one is where to try again.
        """
        while True:
            page = self._page(cursor)
            yield page
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    def _page(self, cursor: Json | None) -> ExportPage:
        url = self._pager.url(cursor)
        try:
            document = self._client.fetch(
                self._export.method, url, _document, headers=self._export.headers
            )
        except ResponseRejected as error:
            raise StepFailed(f"http{error.status}", error.message) from error
        elements = self._elements(document)
        records: list[Record] = []
        failures: list[RecordFailure] = []
        for index, element in enumerate(elements):
            if isinstance(element, dict):
                records.append(element)
            else:
                message = f"a record is an object; this is {json_documents.describe(element)}"
                failures.append(RecordFailure(index, "notAnObject", message))
        return ExportPage(records, failures, self._pager.next(cursor, document, len(elements)))

    def _elements(self, document: Json) -> list[Json]:
        path = self._export.records_path
        try:
            elements = json_documents.resolve(document, path)
        except LookupError as error:
            raise StepFailed(
                "recordsMissing", f"nothing at recordsPath '{path}': {error}"
            ) from error
        if not isinstance(elements, list):
            found = json_documents.describe(elements)
            raise StepFailed(
                "recordsMissing", f"at recordsPath '{path}' is {found}, not an array of records"
            )
        return elements


def _document(response: HttpResponse) -> Json:
    return json_documents.parse(response.body)


class _Pager(Protocol):
    """One way of asking for the next page."""

    def url(self, cursor: Json | None) -> str:
        """The address of the page at a cursor; None is the first page."""
        ...

    def next(self, cursor: Json | None, document: Json, elements: int) -> Json | None:
        """The cursor after this page; None if it was the last."""
        ...


def _pager(export: HttpExport, client: ConnectionClient) -> _Pager:
    match export.pagination:
        case OffsetPagination() as pagination:
            return _OffsetPager(pagination, export, client)
        case NextLinkPagination() as pagination:
            return _NextLinkPager(pagination, client.url(export.path, export.query), client)
        case None:
            return _OnePage(client.url(export.path, export.query))


@dataclass(frozen=True, slots=True)
class _OnePage:
    first_url: str

    def url(self, cursor: Json | None) -> str:  # noqa: ARG002 - the port's signature
        return self.first_url

    def next(self, cursor: Json | None, document: Json, elements: int) -> None:
        """The only page is the last."""


@dataclass(frozen=True, slots=True)
class _OffsetPager:
    """The cursor is `{"offset": records read so far}`."""

    pagination: OffsetPagination
    export: HttpExport
    client: ConnectionClient

    def url(self, cursor: Json | None) -> str:
        place = {
            self.pagination.offset_parameter: str(_offset(cursor)),
            self.pagination.limit_parameter: str(self.pagination.limit),
        }
        return self.client.url(self.export.path, {**self.export.query, **place})

    def next(self, cursor: Json | None, document: Json, elements: int) -> Json | None:  # noqa: ARG002 - the port's signature
        limit = self.pagination.limit
        if elements > limit:
            raise StepFailed(
                "limitIgnored",
                f"the answer holds {elements} records where {limit} were asked for; "
                f"the system does not take '{self.pagination.limit_parameter}'",
            )
        return {"offset": _offset(cursor) + elements} if elements == limit else None


def _offset(cursor: Json | None) -> int:
    return 0 if cursor is None else int(cursor["offset"])


@dataclass(frozen=True, slots=True)
class _LinkCursor:
    """A link, and enough of the way to it to notice that it goes in a circle.

    Brent's algorithm ("An improved Monte Carlo factorization algorithm", BIT 20, 1980): compare
    each link with one remembered link, and remember the current one after 1, 2, 4, 8... steps.
    A page that links to itself is noticed at once, a longer circle after at most three rounds of
    it and of the way to it; the cursor stays small however long the export is.
    """

    url: str
    remembered: str
    steps: int = 0
    power: int = 1

    def to(self, url: str) -> "_LinkCursor":
        if url == self.remembered:
            raise StepFailed("pageLoop", "the link to the next page leads back to an earlier page")
        if self.steps + 1 == self.power:
            return _LinkCursor(url, remembered=url, power=self.power * 2)
        return replace(self, url=url, steps=self.steps + 1)


@dataclass(frozen=True, slots=True)
class _NextLinkPager:
    pagination: NextLinkPagination
    first_url: str
    client: ConnectionClient

    def url(self, cursor: Json | None) -> str:
        return self._at(cursor).url

    def next(self, cursor: Json | None, document: Json, elements: int) -> Json | None:  # noqa: ARG002 - the port's signature
        path = self.pagination.next_link_path
        try:
            link = json_documents.resolve(document, path)
        except LookupError:
            return None
        if not link:
            return None
        if not isinstance(link, str):
            found = json_documents.describe(link)
            raise StepFailed("badLink", f"at nextLinkPath '{path}' is {found}, not an address")
        here = self._at(cursor)
        try:
            # The cursor is stored, so a key that the receiver put into the link is not in it.
            url = self.client.bare(urljoin(here.url, link))
        except ValueError as error:
            raise StepFailed("badLink", f"the link at '{path}' is not an address") from error
        return asdict(here.to(url))

    def _at(self, cursor: Json | None) -> _LinkCursor:
        if cursor is None:
            return _LinkCursor(self.first_url, remembered=self.first_url)
        return _LinkCursor(**cursor)
