"""Where the requests to a connection wait for their turn, which all its workers share."""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import Final
from uuid import uuid4

from millrace import limits
from millrace.connectors.http_messages import HttpRequest, HttpResponse, Transport
from millrace.connectors.rate_headers import seconds_to_wait
from millrace.domain.base import Clock
from millrace.domain.connection import Connection
from millrace.domain.errors import StepThrottled, UnavailableError
from millrace.domain.pace import MICROS, Pace, Permits, micros, moment
from millrace.domain.ports import Paces

SWAPS_MAX: Final = 20
"""Tries to write what others write at the same time; each is refused only if another succeeded."""

ALONE_SECONDS: Final = 10
"""How long a worker goes on by itself once the table does not answer."""

ASK_AGAIN_SECONDS: Final = 1
"""Between two looks for a free seat, while the worker waits."""

COME_BACK_SECONDS: Final = 10
"""When the machine calls again after no seat became free."""

_OBSERVED: Final = 50
_EXTRA: Final = MICROS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a request has to wait: when to ask again here, and when if nobody can wait here."""

    at: int
    come_back_at: int
    reason: str


class Gate:
    """One worker's way to a connection.

    Nothing is asked of the store but one read at the beginning, as long as the connection has no
    rate limit and the system has no trouble with the requests. With a rate the store is written to
    at most once a second, or twice where workers take turns; with a limit of requests under way,
    once in `limits.SEAT_SECONDS`. A worker counts as one request under way.

    If the store does not answer, the worker keeps to the pace by itself, and says so in the log.
    """

    def __init__(
        self,
        paces: Paces,
        connection: Connection,
        clock: Clock,
        sleep: Callable[[float], None],
        *,
        patience_seconds: float = limits.WAIT_INSIDE_SECONDS_MAX,
    ) -> None:
        self._paces = paces
        self._connection = connection
        self._clock = clock
        self._sleep = sleep
        self._patience = round(patience_seconds * MICROS)
        limit = connection.rate_limit
        self._configured = limit.requests_per_second if limit else None
        self._burst = (limit.burst if limit else None) or 1
        self._seats = limit.max_concurrency if limit else None
        self._worker = uuid4().hex[:12]
        self._lock = Lock()
        self._head = Lock()
        self._under_way = Lock() if self._seats else None
        self._has_looked = False
        self._alone_until = 0
        self._changes = 0
        self._known: Pace | None = None
        self._blocked_until = 0
        self._permits = Permits()
        self._wanted = 1
        self._renew_at = 0
        self._recent: deque[int] = deque(maxlen=_OBSERVED)

    def alone(self) -> AbstractContextManager[object]:
        """Held during a request: where requests under way count, this worker has one of them."""
        return self._under_way or nullcontext()

    def enter(self, seconds: float) -> None:
        """Wait for the turn of a request that may take so long.

        Threads wait behind each other, and each has patience from when it is the first. Raises
        StepThrottled if that takes longer than there is patience for.
        """
        with self._head:
            give_up_at = self._now() + self._patience
            while (wait := self.turn(seconds)) is not None:
                if wait.at > give_up_at:
                    message = f"connection {self._connection.name!r}: {wait.reason}"
                    raise StepThrottled("throttled", message, moment(wait.come_back_at))
                self._sleep(max(0, wait.at - self._now()) / MICROS)

    def turn(self, seconds: float) -> Wait | None:
        """None if the request may be sent now, which it then counts as."""
        with self._lock:
            now = self._now()
            if not self._has_looked:
                self._look()
            if wait := self._block(now):
                return wait
            if self._seats is None and self._rate(now) is None:
                self._recent.append(now)
                return None
            self._drop_void(now)
            if self._lacks_seat(now, seconds) or self._lacks_permit(now):
                self._ask(now, seconds)
                if wait := self._block(now) or self._queued(now):
                    return wait
            if self._rate(now) is not None:
                at = self._permits.next_at
                if at > now or not self._permits.count:
                    return Wait(at, at, "its rate limit is used up until then")
                self._permits = self._permits.used()
            self._recent.append(now)
            return None

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Let all workers of the connection heed what an answer says of their pace."""
        seconds = seconds_to_wait(status, headers, self._clock())
        if not seconds and status != HTTPStatus.TOO_MANY_REQUESTS:
            return
        with self._lock:
            now = self._now()
            if seconds:
                until = now + round(seconds * MICROS)
                self._blocked_until = max(self._blocked_until, until)
                self._change(lambda pace: pace.blocked(until))
            else:
                observed = self._observed(now)
                self._change(lambda pace: pace.slowed(self._configured, observed, now))
                self._permits = Permits()
                self._wanted = 1

    def let_go(self) -> None:
        """Leave the seat to others."""
        with self._lock:
            if self._known is not None:
                self._change(lambda pace: pace.left(self._worker))

    def _now(self) -> int:
        return micros(self._clock())

    def _rate(self, now: int) -> float | None:
        return (self._known or Pace()).rate(self._configured, now)

    def _look(self) -> None:
        self._has_looked = True
        try:
            self._known = self._paces.read(self._connection.workspace_id, self._connection.id)
        except UnavailableError as error:
            self._go_alone(error)

    def _block(self, now: int) -> Wait | None:
        until = max(self._blocked_until, self._known.blocked_until if self._known else 0)
        if until <= now:
            return None
        return Wait(until, until, "the system asked for no requests until then")

    def _queued(self, now: int) -> Wait | None:
        if self._seats is None or (self._known and self._worker in self._known.seats):
            return None
        come_back_at = now + COME_BACK_SECONDS * MICROS
        reason = f"{self._seats} of its requests are under way, which is its limit"
        return Wait(now + ASK_AGAIN_SECONDS * MICROS, come_back_at, reason)

    def _lacks_seat(self, now: int, seconds: float) -> bool:
        if self._seats is None:
            return False
        until = self._known.seats.get(self._worker, 0) if self._known else 0
        return now >= self._renew_at or until < now + round(seconds * MICROS)

    def _lacks_permit(self, now: int) -> bool:
        return not self._permits.count and self._rate(now) is not None

    def _drop_void(self, now: int) -> None:
        """A worker that could not use its permits takes half as many the next time.

        One that used them within a second takes twice as many (`_ask`).
        """
        held = self._permits.count
        if held:
            self._permits = self._permits.without_void(now)
            if self._permits.count < held:
                self._wanted = max(1, self._wanted // 2)

    def _ask(self, now: int, seconds: float) -> None:
        """Ask for a seat and for permits, whatever there is to ask for."""
        needs_permits = self._lacks_permit(now)
        held = self._permits
        if needs_permits and now - held.taken_at < limits.PERMITS_AHEAD_SECONDS * MICROS:
            self._wanted = min(2 * self._wanted, limits.REQUESTS_PER_SECOND_MAX)
        latest = now + self._patience
        self._renew_at = now + limits.SEAT_SECONDS * MICROS
        seated_until = self._renew_at + round(seconds * MICROS) + _EXTRA

        def asked(pace: Pace) -> Pace:
            self._permits = held
            if pace.blocked_until > now:
                return pace
            if self._seats is not None:
                pace = pace.seated(self._worker, now, seated_until, self._seats)
                if self._worker not in pace.seats:
                    return pace
            rate = pace.rate(self._configured, now)
            if needs_permits and rate is not None:
                # While a system is in trouble, requests do not come in bursts.
                burst = self._burst if rate == self._configured else 1
                pace, self._permits = pace.take(rate, burst, self._wanted, now, latest)
            return pace

        self._change(asked)

    def _observed(self, now: int) -> float:
        """Requests a second that this worker sent of late."""
        if not self._recent:
            return 1.0
        return len(self._recent) / max(1.0, (now - self._recent[0]) / MICROS)

    def _change(self, change: Callable[[Pace], Pace]) -> None:
        """Change what all workers know; if that cannot be, what this one does."""
        for _ in range(SWAPS_MAX):
            before = self._known
            start = before or Pace()
            after = change(start)
            if after is start:
                return
            self._changes += 1
            after = after.revised(f"{self._worker}-{self._changes}")
            self._known = after
            if self._now() < self._alone_until:
                return
            try:
                there = self._paces.swap(
                    self._connection.workspace_id, self._connection.id, before, after
                )
            except UnavailableError as error:
                self._go_alone(error)
                return
            self._known = there
            # An answer that was lost on its way looks like a refusal, by what was put there.
            if there is not None and there.revision == after.revision:
                return
        self._go_alone(UnavailableError("too many workers change the pace of a connection"))

    def _go_alone(self, error: UnavailableError) -> None:
        self._alone_until = self._now() + ALONE_SECONDS * MICROS
        logger.warning(
            "keeping the pace of connection %s by itself: %s",
            self._connection.id,
            error.__cause__ or error,
        )


@dataclass(frozen=True, slots=True)
class PacedTransport:
    """A transport whose requests go through a gate."""

    transport: Transport
    gate: Gate

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport. Raises StepThrottled if its turn is too far off to wait here."""
        seconds = (
            limits.OUTBOUND_STREAM_SECONDS if request.is_stream else limits.OUTBOUND_TIMEOUT_SECONDS
        )
        with self.gate.alone():
            self.gate.enter(seconds)
            response = self.transport.exchange(request)
        self.gate.observe(response.status, response.headers)
        return response
