"""Schedules as users write them, and as EventBridge Scheduler takes them.

Accepted: `rate(5 minutes)`, `at(2026-12-24T18:00:00)`, five-field cron (`30 2 * * 1-5`) and
six-field cron with seconds first (`? 0 2 ? * *`, where `?` means "any" and the seconds must be `?`
or `0`, because EventBridge Scheduler has a precision of one minute).
Source of the target syntax: EventBridge Scheduler user guide, "Schedule types".
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

_RATE = re.compile(r"^rate\(\s*(\d+)\s+(minute|minutes|hour|hours|day|days)\s*\)$")
_AT = re.compile(r"^at\(\s*(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)\s*\)$")
_FIELD = re.compile(r"^(\*|\?|[A-Za-z0-9,\-*/#]+)$")
_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_WEEK = 7
_FIVE_FIELDS = 5
_SIX_FIELDS = 6


@dataclass(frozen=True, slots=True)
class _Part:
    """A field of a cron expression: its numbers, and the words that may stand for one."""

    name: str
    low: int
    high: int
    words: str = r"(?!)"

    def check(self, field: str) -> None:
        """Raise ValueError for what EventBridge Scheduler would refuse at the deploy."""
        for entry in field.split(","):
            span, slash, step = entry.partition("/")
            ends = span.split("-")
            is_whole = span == "*" or entry == "?" or all(map(self._has, ends))
            if slash or len(ends) > 1:
                is_whole = is_whole and len(ends) <= _ENDS and all(map(_is_plain, ends))
            if not is_whole or (slash and not (step.isdecimal() and int(step) > 0)):
                msg = f"{entry!r} is no {self.name}; it goes from {self.low} to {self.high}"
                raise ValueError(msg)
            if all(map(str.isdecimal, ends)) and ends != sorted(ends, key=int):
                msg = f"{entry!r} goes backwards; write two ranges with a comma between"
                raise ValueError(msg)

    def _has(self, value: str) -> bool:
        if value.isdecimal():
            return self.low <= int(value) <= self.high
        return re.fullmatch(self.words, value) is not None


_ENDS: Final = 2


def _is_plain(value: str) -> bool:
    """Whether a range may begin or end with it, which `L` and `15W` cannot."""
    return value == "*" or value.isdecimal() or re.fullmatch("[A-Z]{3}", value) is not None


_PARTS: Final = (
    _Part("minute", 0, 59),
    _Part("hour", 0, 23),
    _Part("day of the month", 1, 31, r"L|LW|([1-9]|[12]\d|3[01])W"),
    _Part("month", 1, 12, "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"),
    _Part("day of the week", 0, 7, r"L|(SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5])?"),
)


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
    if match := _AT.match(text.strip()):
        return f"at({datetime.fromisoformat(match[1]):%Y-%m-%dT%H:%M:%S})"
    fields = text.split()
    if len(fields) == _SIX_FIELDS:
        seconds, *fields = fields
        if seconds not in {"?", "0"}:
            msg = "the seconds of a six-field cron must be ? or 0: schedules run on the minute"
            raise ValueError(msg)
    if len(fields) != _FIVE_FIELDS or not all(_FIELD.match(field) for field in fields):
        msg = (
            "expected rate(5 minutes), at(2026-12-24T18:00:00) without an offset, a five-field "
            "cron such as 30 2 * * 1-5, or a six-field cron such as ? 30 2 ? * *"
        )
        raise ValueError(msg)
    minute, hour, day, month, weekday = (field.upper() for field in fields)
    if "?" in {minute, hour, month}:
        msg = "? may stand only for the seconds, the day of the month or the day of the week"
        raise ValueError(msg)
    weekday = _named_weekdays(weekday)
    for part, field in zip(_PARTS, (minute, hour, day, month, weekday), strict=True):
        part.check(field)
    weekday = ",".join(map(_plain_weekdays, weekday.split(",")))
    day, weekday = _one_day_field(day, weekday)
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

    # As names, the ends of a week that begins and ends on Sunday are one day.
    field = re.sub(r"(?<![\dA-Z/#])(0+|SUN)-0*7(?!\d)", "SUN-SAT", field)
    return re.sub(r"(?<![/#])(?<!\d)\d+", name, field)


def _plain_weekdays(entry: str) -> str:
    """Name one by one the days that EventBridge Scheduler has no words for.

    Those are steps, and ranges over the end of its week, which begins on Sunday.
    """
    span, slash, step = entry.partition("/")
    first, _, last = span.partition("-")
    begin, end = (_DAY_NAMES.index(day) if day in _DAY_NAMES else 0 for day in (first, last))
    if not slash and not (last and end < begin):
        return entry
    if not last:
        end = _WEEK - 1
    elif end < begin:
        end += _WEEK
    days = range(begin, end + 1, int(step) if slash else 1)
    return ",".join(_DAY_NAMES[day % _WEEK] for day in days)


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
        description="rate(5 minutes), at(2026-12-24T18:00:00), five-field cron, or six-field cron "
        "with seconds first.",
    ),
]

TimeZone = Annotated[str, AfterValidator(_known_zone), Field(description="An IANA time zone.")]
