"""Reading and writing for tests of flows: with little patience, and without sending anything."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from millrace.connectors.http_messages import HttpRequest, HttpResponse, Transport
from millrace.connectors.patience import within
from millrace.domain.base import Json
from millrace.domain.errors import StepTransient
from millrace.domain.ports import Exporter, Unsent
from millrace.domain.records import ExportPage

_LATE: Final = ExportPage([], [], None)
_END: Final = ExportPage([], [], None)


@dataclass(frozen=True, slots=True)
class Sampler:
    """An exporter whose pages are waited for so long."""

    exporter: Exporter
    seconds: float

    def pages(self, cursor: Json) -> Iterator[ExportPage]:
        """See Exporter."""
        pages = self.exporter.pages(cursor)
        while True:
            page = within(self.seconds, lambda: next(pages, _END), _LATE)
            if page is _LATE:
                message = f"no whole page within {self.seconds:.0f} s"
                raise StepTransient("timedOut", message)
            if page is _END:
                return
            yield page


@dataclass(frozen=True, slots=True)
class HidingTransport:
    """A transport that tells of each request what may not be shown of its answer."""

    transport: Transport
    hide: Callable[[Iterable[str]], None]

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        self.hide(request.secrets)
        return self.transport.exchange(request)


@dataclass(frozen=True, slots=True)
class NotingTransport:
    """A transport that sends nothing, and takes every request for done."""

    note: Callable[[Unsent], None]
    hide: Callable[[Iterable[str]], None]

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        self.hide(request.secrets)
        self.note(Unsent(request.method, request.url, request.headers, request.body or b""))
        return HttpResponse(HTTPStatus.OK, {}, b"", is_made_up=True)
