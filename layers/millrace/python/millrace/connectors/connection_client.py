"""Requests in the name of a connection: its address, its headers, and who may see its secrets."""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from http import HTTPStatus
from threading import Lock
from urllib.parse import urlencode

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from millrace.connectors.credentials import credentials_of
from millrace.connectors.gate import Gate, PacedTransport
from millrace.connectors.http_client import HttpClient, ResponseRejected, quotable
from millrace.connectors.http_messages import HttpRequest, HttpResponse, merged_headers
from millrace.connectors.masks import PrivateTexts, longest_first
from millrace.connectors.oauth2 import AccessTokens
from millrace.domain.connection import Connection
from millrace.domain.errors import StepFailed

_DEFAULT_PORTS = {"http": 80, "https": 443}
_DEFAULT_HEADERS = {"Accept": "application/json", "User-Agent": "millrace"}


class ConnectionClient:
    """Sends requests as a connection says, from any thread.

    An answer may name the address of the next page, on any host. What the connection and the
    action add to a request, credentials above all, goes to the connection's own origin only. Only
    requests to that origin go through the gate, if there is one: the pace is that system's.
    """

    def __init__(
        self,
        connection: Connection,
        secrets: Mapping[str, str],
        http: HttpClient,
        tokens: AccessTokens,
        private: Iterable[str] = (),
        *,
        gate: Gate | None = None,
    ) -> None:
        self._connection = connection
        self._credentials = credentials_of(connection, secrets, http, tokens, http.clock)
        self._foreign_http = self._own_http = http
        if gate is not None:
            self._own_http = http.through(lambda transport: PacedTransport(transport, gate))
        self._private = PrivateTexts(private)
        """What actions send that nobody may be told."""
        self._defaults: Mapping[str, str] = _DEFAULT_HEADERS
        self._secrets = frozenset[str]()
        """Of all requests to the connection's own origin."""
        self._lock = Lock()
        self._origin = _origin(_http_address(connection.base_url))

    def accepting(self, media_types: str) -> "ConnectionClient":
        """A client that asks for these, unless the connection's own headers say more."""
        other = copy(self)
        other._defaults = {**_DEFAULT_HEADERS, "Accept": media_types}  # noqa: SLF001 - its own
        return other

    def url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The address of a path under the connection's base, which may hold a query already.

        Like all addresses outside of here it may be kept: see `bare`.
        """
        url = self._connection.base_url + path
        if query:
            url = f"{url}{'&' if '?' in path else '?'}{urlencode(query)}"
        return self._private.hidden(url)

    def fetch[T](
        self,
        method: str,
        url: str,
        decode: Callable[[HttpResponse], T],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        is_stream: bool = False,
    ) -> T:
        """What the decoder makes of the answer; see HttpClient.fetch for what it raises.

        To another origin than the connection's neither headers nor credentials are sent. Raises
        StepFailed for an address that is not plain HTTP, or where a body would leave the origin.
        """
        request = HttpRequest(method, url, body=body, is_stream=is_stream)
        http = self._own_http if self._is_own(url) else self._foreign_http
        prepared = self._prepared(request, headers)
        try:
            return http.fetch(prepared, decode)
        except ResponseRejected as error:
            is_worth_it = error.status == HTTPStatus.UNAUTHORIZED and self._is_own(url)
            if not is_worth_it or not self._credentials.renewed(prepared):
                raise
        return http.fetch(self._prepared(request, headers), decode)

    def bare(self, url: str) -> str:
        """An address without credentials and private texts, to be kept and asked for later."""
        return self._private.hidden(self._credentials.bare(url))

    def once(self, method: str, url: str) -> HttpResponse:
        """The answer to a single try, whatever its status; see HttpClient.once."""
        return self._own_http.once(self._prepared(HttpRequest(method, url), {}))

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> HttpResponse:
        """The answer as it is; as `fetch` in all else."""
        return self.fetch(method, url, lambda response: response, headers=headers, body=body)

    def quotable(self, text: str) -> str:
        """The beginning of what the receiver says, without the secrets that it was sent."""
        return quotable(text, longest_first(self._secrets))

    def _is_own(self, url: str) -> bool:
        return _origin(_http_address(url)) == self._origin

    def _prepared(self, request: HttpRequest, headers: Mapping[str, str] | None) -> HttpRequest:
        if not self._is_own(request.url):
            if request.body is not None:
                raise StepFailed(
                    "foreignLink",
                    f"a link leads to {request.host}, where the request's body is not sent",
                )
            url = self._credentials.bare(request.url)
            return self._private.guarded(replace(request, url=url, headers=self._defaults))
        own = merged_headers(self._defaults, self._connection.headers, headers or {})
        shown = replace(request, url=self._private.shown(request.url), headers=own)
        prepared = self._private.guarded(self._credentials.applied(shown))
        if not self._secrets.issuperset(prepared.secrets):
            with self._lock:
                self._secrets |= frozenset(prepared.secrets)
        return prepared


def _origin(url: Url) -> tuple[str | None, str | None, int | None]:
    """Scheme, host and port (RFC 6454): what may see the connection's credentials."""
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme or "")


def _http_address(text: str) -> Url:
    """The parts of an address, as the transport will read them: one parser decides for both."""
    try:
        url = parse_url(text)
    except LocationParseError:
        url = Url()
    if url.scheme not in _DEFAULT_PORTS or not url.host or url.auth is not None:
        raise StepFailed("badLink", "an address or a link is not plain http or https")
    return url
