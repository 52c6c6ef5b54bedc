"""Schedules as users write them, and as EventBridge Scheduler takes them.

Accepted: `rate(5 minutes)`, five-field cron (`30 2 * * 1-5`) and six-field cron with seconds
first (`? 0 2 ? * *`, where `?` means "any" and the seconds must be `?` or `0`, because
EventBridge Scheduler has a precision of one minute).
Source of the target syntax: EventBridge Scheduler user guide, "Schedule types".
"""

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

_RATE = re.compile(r"^rate\(\s*(\d+)\s+(minute|minutes|hour|hours|day|days)\s*\)$")
_FIELD = re.compile(r"^(\*|\?|[A-Za-z0-9,\-*/]+)$")
_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_FIVE_FIELDS = 5
_SIX_FIELDS = 6


def to_scheduler_expression(text: str) -> str:
    """Translate to EventBridge Scheduler's syntax.

    Raises:
        ValueError: the text is not a schedule; its message says what is.
    """
    if match := _RATE.match(text.strip()):
        count = int(match[1])
        if count < 1:
            msg = "a rate must be at least one minute"
            raise ValueError(msg)
        unit = match[2].rstrip("s") + ("" if count == 1 else "s")
        return f"rate({count} {unit})"
    fields = text.split()
    if len(fields) == _SIX_FIELDS:
        seconds, *fields = fields
        if seconds not in {"?", "0"}:
            msg = "the seconds of a six-field cron must be ? or 0: schedules run on the minute"
            raise ValueError(msg)
    if len(fields) != _FIVE_FIELDS or not all(_FIELD.match(field) for field in fields):
        msg = (
            "expected rate(5 minutes), a five-field cron such as 30 2 * * 1-5, "
            "or a six-field cron such as ? 30 2 ? * *"
        )
        raise ValueError(msg)
    minute, hour, day, month, weekday = (field.upper() for field in fields)
    if "?" in {minute, hour, month}:
        msg = "? may stand only for the seconds, the day of the month or the day of the week"
        raise ValueError(msg)
    day, weekday = _one_day_field(day, _named_weekdays(weekday))
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


def _one_day_field(day: str, weekday: str) -> tuple[str, str]:
    """AWS wants exactly one of the two day fields to be `?`."""
    if weekday in {"*", "?"}:
        return ("*" if day == "?" else day), "?"
    if day in {"*", "?"}:
        return "?", weekday
    msg = "set the day of the month or the day of the week, not both"
    raise ValueError(msg)


def _named_weekdays(field: str) -> str:
    """Unix counts Sunday as 0 or 7 and AWS as 1, so numbers become names; steps stay numbers."""

    def name(match: re.Match[str]) -> str:
        number = int(match[0])
        if number >= len(_DAY_NAMES):
            msg = "days of the week are 0 (Sunday) to 7 (Sunday), or SUN to SAT"
            raise ValueError(msg)
        return _DAY_NAMES[number]

    return re.sub(r"(?<!/)(?<!\d)\d+", name, field)


def _check(text: str) -> str:
    to_scheduler_expression(text)
    return text


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder
        msg = f"{name!r} is not an IANA time zone such as Europe/Paris"
        raise ValueError(msg) from error
    return name


ScheduleExpression = Annotated[
    str,
    AfterValidator(_check),
    Field(
        max_length=256,
        description="rate(5 minutes), five-field cron, or six-field cron with seconds first.",
    ),
]

TimeZone = Annotated[str, AfterValidator(_known_zone), Field(description="An IANA time zone.")]
