"""How fast the workers of a connection may go, as far as they told each other.

A token bucket is kept as one time, the way of the generic cell rate algorithm (ATM Forum, 1996):
`next_at` is when the next permit would be due if all of them were given out evenly. A worker takes
permits ahead, each with a time before which it may not be used, so that one write is enough for
many requests:

    permits      0    1    2    3        one each interval, the first `burst - 1` of them earlier
    taken by     A    A    A    B        A asked for three, then B for one
    next_at                          ^

Permits are void a while after their time: a worker that dawdles cannot save them up. So by any time
`t` no more than `rate * t + burst` requests went out, and in any span no more than
`rate * (span + limits.PERMITS_AHEAD_SECONDS) + burst`.

Times are whole microseconds since 1970: sums of floats would let some permits slip through.
"""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import Field

from millrace import limits
from millrace.domain.base import Model

MICROS: Final = 1_000_000
"""In a second."""

RATE_MIN: Final = 0.1
"""Requests a second, however often a system says that they are too many."""

RECOVERY_SECONDS: Final = 120
"""What it takes to come back from no requests at all to the usual rate."""

QUEUE_SECONDS: Final = 3
"""How long a worker keeps its place in the queue for a seat without asking again."""

_AHEAD: Final = limits.PERMITS_AHEAD_SECONDS * MICROS
_INTERVAL_MAX: Final = limits.RETRY_AFTER_SECONDS_MAX * MICROS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """A time as the pace knows it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(at: int) -> datetime:
    """A time of the pace as all others know it."""
    return _EPOCH + timedelta(microseconds=at)


@dataclass(frozen=True, slots=True)
class Permits:
    """Permits for some requests, each from its own time on and not for long."""

    first: int = 0
    interval: int = 1
    count: int = 0
    taken_at: int = 0

    @property
    def next_at(self) -> int:
        """When the next one may be used."""
        return max(self.first, self.taken_at)

    def used(self) -> "Permits":
        """Those that are left once the next one is used."""
        return replace(self, first=self.first + self.interval, count=self.count - 1)

    def without_void(self, now: int) -> "Permits":
        """Those that can still be used."""
        if self.taken_at + _AHEAD >= now or self.first + _AHEAD >= now:
            return self
        void = min(self.count, -((self.first + _AHEAD - now) // self.interval))
        return replace(self, first=self.first + void * self.interval, count=self.count - void)


class Slowdown(Model):
    """What is left of the rate since the system said that requests are too many."""

    rate: float
    """At that time."""
    at: int
    usual: float
    """What it grows back to, by the same amount each second."""


class Pace(Model):
    """What all workers of a connection go by. Each change has a revision of its own."""

    revision: str = ""
    next_at: int = 0
    blocked_until: int = 0
    slowdown: Slowdown | None = None
    seats: dict[str, int] = Field(default_factory=dict)
    """The workers that may have a request under way, and until when if they do not ask again."""
    queue: dict[str, int] = Field(default_factory=dict)
    """The workers that wait for a seat, in turn, and until when if they do not ask again."""

    def rate(self, configured: float | None, now: int) -> float | None:
        """Requests a second that may go out; None: any number."""
        slowdown = self.slowdown
        if slowdown is None:
            return configured
        rate = slowdown.rate + slowdown.usual * (now - slowdown.at) / MICROS / RECOVERY_SECONDS
        if rate >= slowdown.usual:
            return configured
        return rate if configured is None else min(rate, configured)

    def slowed(self, configured: float | None, observed: float, now: int) -> "Pace":
        """Half the rate, once for all requests that were under way together.

        Where no rate is in force, it is half of what a worker observed of its own requests.
        """
        if self.slowdown is not None and now - self.slowdown.at < MICROS:
            return self
        current = self.rate(configured, now)
        is_slow = self.slowdown is not None and current != configured
        usual = configured or (self.slowdown.usual if is_slow and self.slowdown else observed)
        rate = max(RATE_MIN, (current or observed) / 2)
        return self._changed(slowdown=Slowdown(rate=rate, at=now, usual=max(usual, rate)))

    def blocked(self, until: int) -> "Pace":
        """Without any request until then."""
        return self if until <= self.blocked_until else self._changed(blocked_until=until)

    def take(
        self, rate: float, burst: int, wanted: int, now: int, latest: int
    ) -> "tuple[Pace, Permits]":
        """Permits for up to so many requests, as many as make up a second, but at least one.

        None at all if the first would be later than `latest`; it still tells when that is.
        """
        interval = min(math.ceil(MICROS / rate), _INTERVAL_MAX)
        start = max(self.next_at, now)
        count = max(1, min(wanted, _AHEAD // interval))
        permits = Permits(start - (burst - 1) * interval, interval, count, now)
        if permits.next_at > latest:
            return self, replace(permits, count=0)
        return self._changed(next_at=start + count * interval), permits

    def seated(self, worker: str, now: int, until: int, most: int) -> "Pace":
        """With a seat for a worker, or with its place in the queue.

        A worker that has a seat goes to the end of the queue: it keeps it if nobody waits.
        """
        seats = {each: end for each, end in self.seats.items() if end > now and each != worker}
        queue = {each: end for each, end in self.queue.items() if end > now}
        queue[worker] = now + QUEUE_SECONDS * MICROS
        if len(seats) + list(queue).index(worker) < most:
            del queue[worker]
            seats[worker] = until
        return self._changed(seats=seats, queue=queue)

    def left(self, worker: str) -> "Pace":
        """Without a worker's seat and its place in the queue."""
        if worker not in self.seats and worker not in self.queue:
            return self
        seats = {each: end for each, end in self.seats.items() if each != worker}
        queue = {each: end for each, end in self.queue.items() if each != worker}
        return self._changed(seats=seats, queue=queue)

    def revised(self, revision: str) -> "Pace":
        """The same under a new revision."""
        return self._changed(revision=revision)

    def _changed(self, **update: object) -> "Pace":
        return self.model_copy(update=update)
