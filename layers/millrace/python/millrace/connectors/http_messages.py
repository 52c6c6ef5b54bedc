"""One HTTP exchange as values, so that retry and paging rules need no network to be tested."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Protocol

from urllib3.util import parse_url


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is sent. Its repr shows neither credentials nor data."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Texts that no message about the exchange may repeat."""
    is_quotable: bool = True
    """Whether messages may show the beginning of what came back."""
    wants_body: bool = True
    """Whether the answer's body is read; a receiver may send what it likes."""
    is_stream: bool = False
    """Whether a success may be larger than memory: it is then kept in a file."""

    @property
    def host(self) -> str:
        """Host and port: all that messages say of the address."""
        return parse_url(self.url).netloc or ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What came back, whole and decompressed. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    file: IO[bytes] | None = field(default=None, repr=False)
    """In place of the body, for a request that `is_stream`."""
    is_made_up: bool = False
    """Whether the request was not sent, so that nothing can be read in its answer."""

    def open(self) -> IO[bytes]:
        """The body to be read from its beginning, in a file that is gone when it is closed."""
        return self.file or BytesIO(self.body)


def merged_headers(*layers: Mapping[str, str]) -> dict[str, str]:
    """Headers of all layers; a later one replaces an earlier of the same name in any case."""
    merged = {name.lower(): (name, value) for layer in layers for name, value in layer.items()}
    return dict(merged.values())


class TransportError(Exception):
    """No whole answer came back."""

    def __init__(self, code: str, message: str, *, is_transient: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.is_transient = is_transient
        """Whether the same request may succeed in a moment."""


class Transport(Protocol):
    """Carries one request to its receiver and the answer back."""

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """The answer, whatever its status; redirects are not followed. Raises TransportError."""
        ...
