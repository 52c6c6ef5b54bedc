"""One request in a connection's name, to see whether it works."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.gate import Gate
from millrace.connectors.http_client import HttpClient
from millrace.connectors.oauth2 import AccessTokens
from millrace.connectors.patience import within
from millrace.domain.connection import Connection, PingMethod
from millrace.domain.errors import StepError, StepThrottled
from millrace.domain.ports import Pong

_HINTS: Final = {
    HTTPStatus.UNAUTHORIZED: "it does not accept the credentials",
    HTTPStatus.FORBIDDEN: "the credentials do not allow this",
    HTTPStatus.NOT_FOUND: "there is nothing; set another path for the ping",
    HTTPStatus.METHOD_NOT_ALLOWED: "set another method for the ping",
}


def ping(
    connection: Connection,
    secrets: Mapping[str, str],
    method: PingMethod,
    path: str,
    http: HttpClient,
    seconds: float,
    gate: Gate | None = None,
) -> Pong:
    """What became of one request within a time; never raises what the other system is to blame for.

    An access token is asked for anew, so that the secret is tried and not what is remembered. Of
    the answer only its status is told: the rest may repeat what was sent.
    """

    def carry_out() -> Pong:
        try:
            tokens = AccessTokens(http.clock)
            client = ConnectionClient(connection, secrets, http, tokens, gate=gate)
            response = client.once(method, client.url(path))
        except StepThrottled as error:
            return Pong(None, error.code, f"{error.message}: {error}")
        except StepError as error:
            return Pong(None, error.code, error.message)
        return _told(method, connection.base_url.split("/")[2], response.status)

    late = Pong(None, "timedOut", f"no whole answer within {seconds:.0f} s")
    return within(seconds, carry_out, late)


def _told(method: str, host: str, status: int) -> Pong:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Pong(status)
    message = f"{method} {host} answered {status}"
    if status < HTTPStatus.BAD_REQUEST:
        return Pong(status, "redirected", f"{message}; redirects are not followed")
    hint = _HINTS.get(HTTPStatus(status)) if status in HTTPStatus else None
    return Pong(status, f"http{status}", f"{message}: {hint}" if hint else message)
