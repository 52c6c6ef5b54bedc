"""Trying a connection out: what the other system says is an answer, not a failure."""

from millrace.domain.base import Model
from millrace.domain.connection import Connection, PingMethod
from millrace.domain.errors import NotFoundError
from millrace.domain.ports import Pong
from millrace.domain.request_paths import Path
from millrace.domain.token import Caller
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.write_only import secrets_of


class PingInput(Model):
    """What to ask for this time, in place of what the connection's `ping` says."""

    method: PingMethod | None = None
    path: Path | None = None


class PingFault(Model):
    """What is wrong with a connection."""

    code: str
    message: str


class PingResult(Model):
    """What became of a ping. `status` is that of the answer, if there was one."""

    ok: bool
    status: int | None
    duration_ms: int
    error: PingFault | None = None


def ping_connection(
    context: Context, caller: Caller, connection_id: str, given: PingInput
) -> PingResult:
    """Send one request in a connection's name. Raises NotFoundError."""
    connection = CONNECTIONS.get(context, caller, connection_id)
    started = context.clock()
    pong = _pong(context, connection, given)
    took = context.clock() - started
    fault = None
    if pong.code is not None:
        fault = PingFault(code=pong.code, message=pong.message or pong.code)
    return PingResult(
        ok=fault is None,
        status=pong.status,
        duration_ms=round(took.total_seconds() * 1_000),
        error=fault,
    )


def _pong(context: Context, connection: Connection, given: PingInput) -> Pong:
    try:
        secrets = secrets_of(context.secrets, connection)
    except NotFoundError as error:
        return Pong(None, "missingSecret", error.message)
    method = given.method or connection.ping.method
    path = given.path or connection.ping.path or ""
    return context.connectors.ping(connection, secrets, method, path)
