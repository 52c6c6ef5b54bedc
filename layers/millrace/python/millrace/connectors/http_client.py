"""Outbound HTTP that rides out short trouble and says plainly what longer trouble means.

Trying again costs nothing while it is quick, so it happens here; what takes longer is left to the
state machine, which waits without compute.
"""

import random
import time
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

from millrace import limits
from millrace.connectors.http_messages import (
    HttpRequest,
    HttpResponse,
    Transport,
    TransportError,
)
from millrace.connectors.rate_headers import THROTTLING_STATUSES, seconds_to_wait
from millrace.domain.base import Clock
from millrace.domain.errors import StepFailed, StepThrottled, StepTransient

TRIES: Final = 6
FIRST_BACKOFF_SECONDS: Final = 0.1
BACKOFF_SECONDS_MAX: Final = 2.0
RETRYING_SECONDS_MAX: Final = limits.OUTBOUND_TIMEOUT_SECONDS
"""No new try begins later than this, so that requests that time out are not tried six times."""

SNIPPET_CHARACTERS: Final = 200
SNIPPET_BYTES: Final = 16_384
"""Where in an answer to look for those characters: room for white space and for secrets."""

_TRANSIENT_STATUSES: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


class ResponseRejected(Exception):  # noqa: N818 - named for the answer, not for a fault of ours
    """The receiver refused the request for good; the caller knows what that means."""

    def __init__(self, message: str, response: HttpResponse) -> None:
        super().__init__(message)
        self.message = message
        self.response = response
        self.status = response.status


class BrokenAnswerError(Exception):
    """A decoder's word for an answer that looks cut off, so that the request is tried again."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A try that failed but may succeed later: what to raise if there is no other try."""

    error: Exception
    retry_after_seconds: float | None = None


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class HttpClient:
    """Sends requests; tries again for a short while with exponential backoff and full jitter.

    The jitter is that of "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
    """

    def __init__(
        self,
        transport: Transport,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Clock = utc_now,
        rng: Callable[[], float] = random.random,
        tries: int = TRIES,
    ) -> None:
        self._transport = transport
        self.sleep = sleep
        self.clock = clock
        self._rng = rng
        self._tries = tries

    def through(self, wrapped: Callable[[Transport], Transport]) -> "HttpClient":
        """A client like this one, whose requests go through a transport around its own."""
        other = copy(self)
        other._transport = wrapped(self._transport)  # noqa: SLF001 - its own
        return other

    def once(self, request: HttpRequest) -> HttpResponse:
        """The answer to a single try, whatever its status.

        Raises StepFailed or StepTransient if there is none.
        """
        try:
            return self._transport.exchange(request)
        except TransportError as error:
            message = f"{request.method} {request.host}: {error.message}"
            kind = StepTransient if error.is_transient else StepFailed
            raise kind(error.code, message) from error

    def send(self, request: HttpRequest) -> HttpResponse:
        """The 2xx answer as it is. Raises as `fetch` does."""
        return self.fetch(request, lambda response: response)

    def fetch[T](self, request: HttpRequest, decode: Callable[[HttpResponse], T]) -> T:
        """What the decoder makes of the 2xx answer, which is then never asked for again.

        A decoder raises BrokenAnswerError for an answer that looks cut off.

        Raises:
            ResponseRejected: the receiver answered 4xx or 501.
            StepFailed: it redirected, its answer stays broken, or there is no reaching it.
            StepTransient: trouble that outlasted the tries.
            StepThrottled: the receiver named a time that is too far off to wait here.
        """
        last_start = self.clock() + timedelta(seconds=RETRYING_SECONDS_MAX)
        tries = 0
        outcome = self._try(request, decode)
        while isinstance(outcome, _Trouble):
            wait = self._backoff_seconds(tries)
            tries += 1
            if outcome.retry_after_seconds is not None:
                wait = max(wait, outcome.retry_after_seconds)
            is_too_long = wait > limits.WAIT_INSIDE_SECONDS_MAX
            if is_too_long or tries >= self._tries or self.clock() >= last_start:
                raise self._final(outcome)
            self.sleep(wait)
            outcome = self._try_again(outcome, request, decode)
        return outcome

    def _try_again[T](
        self, trouble: _Trouble, request: HttpRequest, decode: Callable[[HttpResponse], T]
    ) -> T | _Trouble:
        try:
            return self._try(request, decode)
        except StepThrottled as error:
            if trouble.retry_after_seconds is not None:
                raise
            # The receiver named no time. If it does not stop, the machine's retries have to.
            raise trouble.error from error

    def _try[T](self, request: HttpRequest, decode: Callable[[HttpResponse], T]) -> T | _Trouble:
        try:
            response = self.once(request)
        except StepTransient as error:
            return _Trouble(error)
        if HTTPStatus(200) <= response.status < HTTPStatus(300):
            try:
                return decode(response)
            except BrokenAnswerError as error:
                message = f"{request.method} {request.host}: {error}"
                return _Trouble(StepFailed("brokenAnswer", message))
        return self._refused(request, response)

    def _refused(self, request: HttpRequest, response: HttpResponse) -> _Trouble:
        status = response.status
        message = f"{request.method} {request.host} answered {status}"
        if status < HTTPStatus.BAD_REQUEST:
            raise StepFailed("redirected", f"{message}; redirects are not followed")
        if request.is_quotable and (text := _snippet(request, response)):
            message = f"{message}: {text}"
        is_server_trouble = (
            status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED
        )
        retry_after = None
        if is_server_trouble or status in THROTTLING_STATUSES:
            retry_after = seconds_to_wait(status, response.headers, self.clock())
        is_throttled = status in THROTTLING_STATUSES and retry_after is not None
        if not (is_server_trouble or is_throttled or status in _TRANSIENT_STATUSES):
            raise ResponseRejected(message, response)
        return _Trouble(StepTransient(f"http{status}", message), retry_after)

    def _backoff_seconds(self, retries: int) -> float:
        return self._rng() * min(BACKOFF_SECONDS_MAX, FIRST_BACKOFF_SECONDS * 2.0**retries)

    def _final(self, trouble: _Trouble) -> Exception:
        if trouble.retry_after_seconds is None:
            return trouble.error
        until = self.clock() + timedelta(seconds=trouble.retry_after_seconds)
        return StepThrottled("throttled", str(trouble.error), until)


def _snippet(request: HttpRequest, response: HttpResponse) -> str:
    """The beginning of an answer, printable and without the request's secrets."""
    return quotable(response.body[:SNIPPET_BYTES].decode("utf-8", "replace"), request.secrets)


def quotable(text: str, secrets: Iterable[str]) -> str:
    """The beginning of a text, printable and without secrets, in one line."""
    for secret in secrets:
        text = text.replace(secret, "***")
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:SNIPPET_CHARACTERS]
