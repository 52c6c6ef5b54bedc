"""A transport that plays a script, and clients around it that neither wait nor guess."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_messages import HttpRequest, HttpResponse, TransportError
from millrace.connectors.oauth2 import AccessTokens
from millrace.domain.authentication import Auth, NoAuth
from millrace.domain.connection import Connection

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)

type Answer = HttpResponse | TransportError


@dataclass
class ScriptedTransport:
    """Answers by a function of the request and keeps what it was sent."""

    answer: Callable[[HttpRequest], Answer]
    requests: list[HttpRequest] = field(default_factory=list)

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        self.requests.append(request)
        answer = self.answer(request)
        if isinstance(answer, TransportError):
            raise answer
        return answer


@dataclass
class FakeTime:
    """A clock that only sleeping moves."""

    now: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Move the clock at once."""
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def clock(self) -> datetime:
        """The time that is now."""
        return self.now


def script(*answers: Answer) -> ScriptedTransport:
    """A transport that gives these answers in turn; a request too many fails the test."""
    left: Iterable[Answer] = iter(answers)
    return ScriptedTransport(lambda _: next(iter(left)))


def ok(body: bytes = b"") -> HttpResponse:
    """A 200."""
    return HttpResponse(200, {}, body)


def refused(status: int, body: bytes = b"", **headers: str) -> HttpResponse:
    """An answer that is no success; header names are written with underscores."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, names, body)


def lost() -> TransportError:
    """A connection reset."""
    return TransportError("connectionLost", "connection lost (reset)", is_transient=True)


def http_client(transport: ScriptedTransport, time: FakeTime | None = None) -> HttpClient:
    """A client that waits without waiting, always the whole backoff."""
    time = time or FakeTime()
    return HttpClient(transport, sleep=time.sleep, clock=time.clock, rng=lambda: 1.0)


def connection(
    base_url: str = "https://api.example/v1",
    headers: dict[str, str] | None = None,
    auth: Auth | None = None,
) -> Connection:
    """A stored connection."""
    return Connection(
        id="con_1",
        workspace_id="ws_1",
        created_at=NOW,
        created_by="tok_1",
        modified_at=NOW,
        modified_by="tok_1",
        name="Shop",
        base_url=base_url,
        headers=headers or {},
        auth=auth or NoAuth(),
    )


def client(
    transport: ScriptedTransport, stored: Connection | None = None, **secrets: str
) -> ConnectionClient:
    """A connection's client over a script."""
    http = http_client(transport)
    return ConnectionClient(stored or connection(), secrets, http, AccessTokens(http.clock))
