"""Proof of who asks: what each kind of authentication adds to a request."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import quote_plus, unquote_plus

from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_messages import HttpRequest, merged_headers
from millrace.connectors.masks import masks
from millrace.connectors.oauth2 import AccessTokens
from millrace.connectors.secret_values import secret_value
from millrace.connectors.signing import Signature
from millrace.domain.authentication import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    HmacAuth,
    OAuth2ClientCredentialsAuth,
)
from millrace.domain.base import Clock
from millrace.domain.connection import Connection

_BEARER: Final = "Bearer "


class Credentials(Protocol):
    """One way of proving who asks."""

    def applied(self, request: HttpRequest) -> HttpRequest:
        """The request with its proof, and with the texts that no message may repeat.

        Raises StepFailed if there is nothing to prove it with, and what asking for it raises.
        """
        ...

    def bare(self, url: str) -> str:
        """An address without what this proof adds to it, as a receiver may repeat it in a link."""
        ...

    def renewed(self, refused: HttpRequest) -> bool:
        """Whether what `applied` gave a request can be had anew, after an answer of 401."""
        ...


def credentials_of(  # noqa: PLR0911 - one for each kind
    connection: Connection,
    secrets: Mapping[str, str],
    http: HttpClient,
    tokens: AccessTokens,
    clock: Clock,
) -> Credentials:
    """The proof that a connection's authentication asks for."""
    match connection.auth:
        case BearerAuth():
            return _Header("Authorization", _BEARER, connection, secrets, "token")
        case BasicAuth() as auth:
            return _Basic(auth, connection, secrets)
        case ApiKeyAuth(in_="header") as auth:
            return _Header(auth.name, auth.prefix, connection, secrets, "key")
        case ApiKeyAuth() as auth:
            return _QueryKey(auth, connection, secrets)
        case OAuth2ClientCredentialsAuth():
            return _AccessToken(connection, secrets, http, tokens)
        case HmacAuth() as auth:
            return _Signed(auth, connection, secrets, clock)
        case _:
            return _Nothing()


def _with_headers(
    request: HttpRequest, headers: Mapping[str, str], secrets: Iterable[str]
) -> HttpRequest:
    merged = merged_headers(request.headers, headers)
    return replace(request, headers=merged, secrets=masks(*secrets))


def _without(url: str, is_unwanted: Callable[[str, str], bool]) -> str:
    """An address without some parameters of its query; the others stay as they are written."""
    # A fragment is never sent, and would swallow what is added behind it.
    head, mark, query = url.partition("#")[0].partition("?")
    kept = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if not is_unwanted(unquote_plus(name), unquote_plus(value)):
            kept.append(part)
    return f"{head}?{'&'.join(kept)}" if mark and kept else head


class _Unchanging:
    """A proof that is in headers, and the same each time."""

    def bare(self, url: str) -> str:
        return url

    def renewed(self, refused: HttpRequest) -> bool:
        del refused
        return False


class _Nothing(_Unchanging):
    def applied(self, request: HttpRequest) -> HttpRequest:
        return request


@dataclass(frozen=True)
class _Header(_Unchanging):
    """A secret in a header."""

    name: str
    prefix: str
    connection: Connection
    secrets: Mapping[str, str]
    secret_name: str

    def applied(self, request: HttpRequest) -> HttpRequest:
        secret = secret_value(self.connection, self.secrets, self.secret_name)
        return _with_headers(request, {self.name: self.prefix + secret}, (secret,))


@dataclass(frozen=True)
class _Basic(_Unchanging):
    """HTTP Basic (RFC 7617), in UTF-8."""

    auth: BasicAuth
    connection: Connection
    secrets: Mapping[str, str]

    def applied(self, request: HttpRequest) -> HttpRequest:
        password = secret_value(self.connection, self.secrets, "password", may_be_empty=True)
        pair = f"{self.auth.username}:{password}"
        value = b64encode(pair.encode()).decode()
        # Where the password is empty, the user name is the key.
        hidden = (pair, password or self.auth.username)
        return _with_headers(request, {"Authorization": f"Basic {value}"}, hidden)


@dataclass(frozen=True)
class _QueryKey:
    """A key in the query."""

    auth: ApiKeyAuth
    connection: Connection
    secrets: Mapping[str, str]

    def applied(self, request: HttpRequest) -> HttpRequest:
        key = secret_value(self.connection, self.secrets, "key")
        url = _without(request.url, lambda name, _: name == self.auth.name)
        pair = f"{quote_plus(self.auth.name)}={quote_plus(self.auth.prefix + key)}"
        url = f"{url}{'&' if '?' in url else '?'}{pair}"
        return replace(request, url=url, secrets=masks(key))

    def bare(self, url: str) -> str:
        own = (self.auth.name, self.auth.prefix + self.secrets.get("key", ""))
        return _without(url, lambda *pair: pair == own)

    def renewed(self, refused: HttpRequest) -> bool:
        del refused
        return False


@dataclass(frozen=True)
class _AccessToken(_Unchanging):
    """An OAuth access token, asked for anew when it is refused."""

    connection: Connection
    secrets: Mapping[str, str]
    http: HttpClient
    tokens: AccessTokens

    def applied(self, request: HttpRequest) -> HttpRequest:
        token = self.tokens.token(self.connection, self.secrets, self.http)
        client_secret = secret_value(self.connection, self.secrets, "client_secret")
        headers = {"Authorization": f"{_BEARER}{token}"}
        return _with_headers(request, headers, (token, client_secret))

    def renewed(self, refused: HttpRequest) -> bool:
        # Of requests under way together, the first that is refused has it renewed for all.
        self.tokens.forget(self.connection, refused.headers["Authorization"].removeprefix(_BEARER))
        return True


@dataclass(frozen=True)
class _Signed(_Unchanging):
    """A signature over the request as it stands."""

    auth: HmacAuth
    connection: Connection
    secrets: Mapping[str, str]
    clock: Clock

    def applied(self, request: HttpRequest) -> HttpRequest:
        secret = secret_value(self.connection, self.secrets, "secret")
        headers = Signature(self.auth, secret).headers(request, self.clock())
        return _with_headers(request, headers, (secret,))
