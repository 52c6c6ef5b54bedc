"""OAuth 2.0 access tokens by client credentials (RFC 6749, section 4.4), kept while they last."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final
from urllib.parse import quote_plus, urlencode

from millrace.connectors.http_client import BrokenAnswerError, HttpClient, ResponseRejected
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.secret_values import secret_value
from millrace.domain.authentication import OAuth2ClientCredentialsAuth
from millrace.domain.base import Clock, Json
from millrace.domain.connection import Connection
from millrace.domain.errors import StepError, StepFailed, StepTransient

LIFETIME_SECONDS: Final = 300.0
"""Of a token whose endpoint does not say."""

LIFETIME_SECONDS_MAX: Final = 86_400.0

MARGIN_SECONDS: Final = 60.0
"""A token is not used in its last minute, nor in the last half of a shorter life."""

_ERROR_CODES: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
    }
)
"""RFC 6749, section 5.2, and RFC 8707. Only these are repeated of what an endpoint says."""


@dataclass(frozen=True, slots=True)
class _Token:
    fingerprint: tuple[str | None, OAuth2ClientCredentialsAuth]
    """What it was asked for with: another secret or another scope needs another token."""
    text: str
    usable_until: float


class AccessTokens:
    """The tokens of a process, one a connection, each asked for by one thread at a time.

    Threads that wait for it get what comes of that, be it a failure: a token endpoint in trouble
    is not asked by each of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self._failures: dict[str, StepError] = {}
        """The last ones, of connections that have no token since."""
        self._locks: dict[str, Lock] = {}

    def token(self, connection: Connection, secrets: Mapping[str, str], http: HttpClient) -> str:
        """A token that is good for a while yet.

        Raises StepFailed if the endpoint refuses, StepTransient if it is in trouble, StepThrottled.
        """
        auth = connection.auth
        if not isinstance(auth, OAuth2ClientCredentialsAuth):
            raise TypeError(auth.type)
        fingerprint = (connection.secrets_version, auth)
        failure_before = self._failures.get(connection.id)
        with self._locks.setdefault(connection.id, Lock()):
            known = self._tokens.get(connection.id)
            now = self._clock().timestamp()
            if known is None or known.fingerprint != fingerprint or known.usable_until <= now:
                failure = self._failures.get(connection.id)
                if failure is not None and failure is not failure_before:
                    raise failure
                secret = secret_value(connection, secrets, "client_secret")
                try:
                    text, seconds = _ask(http, auth, secret)
                except StepError as error:
                    self._failures[connection.id] = error
                    raise
                self._failures.pop(connection.id, None)
                usable = max(seconds - MARGIN_SECONDS, seconds / 2)
                known = self._tokens[connection.id] = _Token(fingerprint, text, now + usable)
            return known.text

    def forget(self, connection: Connection, token: str) -> None:
        """Use a token no more, since it was refused; one that another thread renewed stays."""
        with self._locks.setdefault(connection.id, Lock()):
            known = self._tokens.get(connection.id)
            if known is not None and known.text == token:
                del self._tokens[connection.id]


def _ask(http: HttpClient, auth: OAuth2ClientCredentialsAuth, secret: str) -> tuple[str, float]:
    """A new token and its life in seconds."""
    try:
        return http.fetch(_request(auth, secret), _granted)
    except ResponseRejected as error:
        code = _error_code(error.response.body)
        message = f"no access token: {error.message}{f' ({code})' if code else ''}"
        raise StepFailed("tokenRefused", message) from error
    except StepTransient as error:
        raise StepTransient("tokenUnavailable", f"no access token: {error.message}") from error
    except StepFailed as error:
        raise StepFailed(error.code, f"no access token: {error.message}") from error


def _request(auth: OAuth2ClientCredentialsAuth, secret: str) -> HttpRequest:
    form = {"grant_type": "client_credentials"}
    if auth.scopes:
        form["scope"] = " ".join(auth.scopes)
    if auth.audience is not None:
        form["audience"] = auth.audience
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": "millrace",
    }
    if auth.credentials_in == "header":
        # Both are form-encoded first (RFC 6749, section 2.3.1).
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    else:
        form |= {"client_id": auth.client_id, "client_secret": secret}
    body = urlencode(form).encode()
    return HttpRequest("POST", auth.token_url, headers, body, is_quotable=False)


def _granted(response: HttpResponse) -> tuple[str, float]:
    answer = _decoded(response.body)
    token = answer.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise BrokenAnswerError("its answer holds no access_token")
    return token, _lifetime(answer.get("expires_in"))


def _lifetime(told: Json) -> float:
    """`expires_in`, which some endpoints send as text."""
    try:
        seconds = float(told) if isinstance(told, int | float | str) else LIFETIME_SECONDS
    except ValueError:
        return LIFETIME_SECONDS
    return min(seconds, LIFETIME_SECONDS_MAX) if seconds > 0 else LIFETIME_SECONDS


def _error_code(body: bytes) -> str | None:
    code = _decoded(body).get("error")
    return code if isinstance(code, str) and code in _ERROR_CODES else None


def _decoded(body: bytes) -> dict[str, Json]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
