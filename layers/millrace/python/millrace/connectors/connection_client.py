"""Requests in the name of a connection: its address, its headers, and who may see its secrets."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.domain.connection import BasicAuth, BearerAuth, Connection
from millrace.domain.errors import StepFailed

_DEFAULT_PORTS = {"http": 80, "https": 443}
_DEFAULT_HEADERS = {"Accept": "application/json", "User-Agent": "millrace"}


class ConnectionClient:
    """Sends requests as a connection says.

    An answer may name the address of the next page, on any host. What the connection and the
    action add to a request, credentials above all, goes to the connection's own origin only.
    """

    def __init__(
        self, connection: Connection, secrets: Mapping[str, str], http: HttpClient
    ) -> None:
        self._connection = connection
        self._secrets = secrets
        self._http = http
        self._origin = _origin(_http_address(connection.base_url))

    def url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The address of a path under the connection's base, which may hold a query already."""
        url = self._connection.base_url + path
        if not query:
            return url
        return f"{url}{'&' if '?' in path else '?'}{urlencode(query)}"

    def fetch[T](
        self,
        method: str,
        url: str,
        decode: Callable[[HttpResponse], T],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> T:
        """What the decoder makes of the answer; see HttpClient.fetch for what it raises.

        To another origin than the connection's neither headers nor credentials are sent. Raises
        StepFailed for an address that is not plain HTTP.
        """
        address = _http_address(url)
        own: Mapping[str, str] = {}
        secrets: tuple[str, ...] = ()
        if _origin(address) == self._origin:
            credentials, secrets = self._authorization()
            own = _merged(self._connection.headers, headers or {}, credentials)
        request = HttpRequest(method, url, _merged(_DEFAULT_HEADERS, own), body, secrets)
        return self._http.fetch(request, decode)

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

    def _authorization(self) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """The header that proves who asks, and the texts in it that are secret."""
        match self._connection.auth:
            case BearerAuth():
                token = self._secret("token")
                return {"Authorization": f"Bearer {token}"}, (token,)
            case BasicAuth(username=username):
                password = self._secret("password")
                pair = b64encode(f"{username}:{password}".encode()).decode()
                return {"Authorization": f"Basic {pair}"}, (pair, password)
            case _:
                return {}, ()

    def _secret(self, name: str) -> str:
        value = self._secrets.get(name)
        if not value:
            raise StepFailed(
                "missingSecret", f"the connection '{self._connection.name}' has no {name} stored"
            )
        return value


def _merged(*layers: Mapping[str, str]) -> dict[str, str]:
    """Headers of all layers; a later one replaces an earlier of the same name in any case."""
    merged = {name.lower(): (name, value) for layer in layers for name, value in layer.items()}
    return dict(merged.values())


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
