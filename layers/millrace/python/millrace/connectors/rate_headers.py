"""What answers say of the time to come back: Retry-After, and the headers of rate limits.

| header | says |
|---|---|
| `Retry-After` | seconds, or an HTTP date (RFC 9110, section 10.2.3) |
| `RateLimit` | `"policy";r=0;t=30`: what remains, and seconds until it is reset (IETF draft) |
| `RateLimit-Remaining`, `RateLimit-Reset` | the same in two (older drafts) |
| `X-RateLimit-…`, `X-Rate-Limit-…` | the same; the reset may be a time: (milli)seconds since 1970 |
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from millrace import limits

THROTTLING_STATUSES: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.FORBIDDEN}
)
"""403 is what GitHub says; without a word of the time to come back it is a plain refusal."""

_PREFIXES: Final = ("ratelimit", "x-ratelimit", "x-rate-limit")
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
_REMAINING: Final = re.compile(r";\s*r=([0-9]+)\s*(;|$)")
_RESET: Final = re.compile(r";\s*t=([0-9]+)\s*(;|$)")
_A_TIME: Final = 1_000_000_000
"""From here on a number of seconds is one since 1970, as no limit lasts 30 years."""

_A_TIME_IN_MILLISECONDS: Final = 100_000_000_000
"""From here on it is one of milliseconds; in seconds it would be the year 5138."""


def seconds_to_wait(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """How long no request should be sent after this answer; None if it says nothing of that.

    Header names are in lower case. What cannot be understood says nothing.
    """
    asked = None
    if status in THROTTLING_STATUSES and (value := headers.get("retry-after")):
        asked = retry_after_seconds(value, now)
    return _reset_seconds(headers, now) if asked is None else asked


def retry_after_seconds(value: str, now: datetime) -> float | None:
    """The wait that a Retry-After header asks for, clamped; None if it is bad.

    A date gone by asks for no wait.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        # "-0000" and no zone at all give a naive time; HTTP dates are in UTC.
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = max(0.0, (zoned - now).total_seconds())
    return _clamped(seconds)


def _reset_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """The time until a limit that is used up is reset; the longest, if there are several."""
    found = [_clamped(float(reset)) for reset in _used_up(headers.get("ratelimit", ""))]
    for prefix in _PREFIXES:
        remaining = headers.get(f"{prefix}-remaining", "").strip()
        reset = headers.get(f"{prefix}-reset", "").strip()
        if not _NUMBER.fullmatch(remaining) or float(remaining) > 0:
            continue
        if _NUMBER.fullmatch(reset):
            seconds = float(reset)
            if seconds >= _A_TIME_IN_MILLISECONDS:
                seconds /= 1_000
            is_time = seconds >= _A_TIME
            found.append(_clamped(seconds - now.timestamp() if is_time else seconds))
    return max(found, default=None)


def _used_up(policies: str) -> list[str]:
    """The resets of those policies of a RateLimit header of which nothing remains."""
    resets = []
    for policy in policies.split(","):
        remaining, reset = _REMAINING.search(policy), _RESET.search(policy)
        if remaining and reset and int(remaining[1][:15]) == 0:
            resets.append(reset[1])
    return resets


def _clamped(seconds: float) -> float:
    return min(max(0.0, seconds), limits.RETRY_AFTER_SECONDS_MAX)
