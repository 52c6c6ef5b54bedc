"""When a schedule fires: the instants that EventBridge Scheduler plans, worked out here.

Its rules for daylight saving: a local time that a zone leaves out is skipped, one that comes twice
counts once (the first time), and rates count elapsed time.
Source: EventBridge Scheduler user guide, "Schedule types", "Daylight savings time".
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count, dropwhile, takewhile
from typing import Final
from zoneinfo import ZoneInfo

_UNITS: Final = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
_MONTHS: Final = (
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
)
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_WEEK: Final = 7
_BARREN_DAYS: Final = 9 * 366
"""After so many days without one there are no more: leap days are at most eight years apart."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """A schedule in EventBridge Scheduler's syntax, its zone, and the time in which it holds."""

    expression: str
    zone: ZoneInfo
    counted_from: datetime
    """When a rate fires first."""

    start: datetime | None = None
    end: datetime | None = None
    """Not in it itself."""

    @property
    def fires_once(self) -> bool:
        """Whether it names one time."""
        return self.expression.startswith("at(")

    def holds(self, moment: datetime) -> bool:
        """Whether the moment is in the time in which the schedule holds."""
        return (self.start is None or self.start <= moment) and (
            self.end is None or moment < self.end
        )

    def since(self, moment: datetime) -> Iterator[datetime]:
        """The instants planned then or later, in order, in UTC."""
        begin = moment if self.start is None else max(moment, self.start)
        planned = dropwhile(lambda instant: instant < begin, self._planned(begin))
        return takewhile(self.holds, planned)

    def skipped(self, begin: datetime, end: datetime | None) -> Iterator[datetime]:
        """The local times that the zone leaves out, from one instant to before another."""
        ends = [each for each in (end, self.end) if each is not None]
        for local in self._local_times(begin):
            meant = local.replace(tzinfo=self.zone).astimezone(UTC)
            if any(meant >= each for each in ends):
                return
            if begin <= meant and self.holds(meant) and _instant(local, self.zone) is None:
                yield local

    def _planned(self, begin: datetime) -> Iterator[datetime]:
        """The instants from some time before `begin` on."""
        if rate := re.fullmatch(r"rate\((\d+) (\w+?)s?\)", self.expression):
            interval = int(rate[1]) * _UNITS[rate[2]]
            passed = max(0, (begin - self.counted_from) // interval)
            return (self.counted_from + interval * number for number in count(passed))
        instants = (_instant(local, self.zone) for local in self._local_times(begin))
        return (instant for instant in instants if instant is not None)

    def _local_times(self, begin: datetime) -> Iterator[datetime]:
        """The times on the zone's clocks that cron and at name; rates name none."""
        if self.fires_once:
            yield datetime.fromisoformat(self.expression[3:-1])
        elif self.expression.startswith("cron("):
            yield from _cron_times(self.expression[5:-1], begin.astimezone(self.zone).date())


def _instant(local: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant of a local time, the first if it comes twice; None if the zone leaves it out."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    return instant if instant.astimezone(zone).replace(tzinfo=None) == local else None


def _cron_times(fields: str, first: date) -> Iterator[datetime]:
    """The local times of `minutes hours days months weekdays *`, from a day on."""
    minutes, hours, days, months, weekdays, _ = fields.split()
    minutes_of_hour = sorted(_numbers(minutes, range(60)))
    hours_of_day = sorted(_numbers(hours, range(24)))
    in_month = _numbers(months, range(1, 13), _MONTHS)
    fits = _days_of_month(days) if weekdays == "?" else _days_of_week(weekdays)
    barren = 0
    while barren < _BARREN_DAYS and first < date.max:
        barren += 1
        if first.month in in_month and fits(first):
            barren = 0
            for hour in hours_of_day:
                for minute in minutes_of_hour:
                    yield datetime(first.year, first.month, first.day, hour, minute)  # noqa: DTZ001 - local
        first += timedelta(days=1)


def _numbers(field: str, all_: range, words: tuple[str, ...] = ()) -> frozenset[int]:
    """What a field of numbers or words names; words stand for the numbers of `all_`."""

    def number(word: str) -> int:
        return all_[words.index(word)] if word in words else int(word)

    found: set[int] = set()
    for entry in field.split(","):
        span, slash, step = entry.partition("/")
        first, _, last = span.partition("-")
        begin = all_[0] if span == "*" else number(first)
        whole = span == "*" or (slash and not last)
        end = all_[-1] if whole else number(last or first)
        found.update(range(begin, end + 1, int(step) if slash else 1))
    return frozenset(found)


def _days_of_month(field: str) -> Callable[[date], bool]:
    entries = field.split(",")
    special = [entry for entry in entries if entry[-1] in "LW"]
    plain = ",".join(entry for entry in entries if entry not in special)
    numbers = _numbers(plain, range(1, 32)) if plain else frozenset[int]()

    def fits(day: date) -> bool:
        return day.day in numbers or any(_special_day(entry, day) == day.day for entry in special)

    return fits


def _special_day(entry: str, day: date) -> int:
    """The day in a month of `L`, `LW`, or `15W`, the nearest of Monday to Friday in the month."""
    last = monthrange(day.year, day.month)[1]
    wanted = last if entry.startswith("L") else min(int(entry[:-1]), last)
    if entry == "L":
        return wanted
    past_friday = date(day.year, day.month, wanted).isoweekday() - 5
    if past_friday <= 0:
        return wanted
    before, after = wanted - past_friday, wanted + 3 - past_friday
    is_saturday = past_friday == 1
    if entry == "LW" or after > last:
        return before
    return before if is_saturday and before >= 1 else after


def _days_of_week(field: str) -> Callable[[date], bool]:
    entries = field.split(",")
    special = [entry for entry in entries if len(entry) > 1 and (entry[-1] == "L" or "#" in entry)]
    plain = ",".join("SAT" if entry == "L" else entry for entry in entries if entry not in special)
    numbers = _numbers(plain, range(_WEEK), _WEEKDAYS) if plain else frozenset[int]()

    def fits(day: date) -> bool:
        weekday = day.isoweekday() % _WEEK
        return weekday in numbers or any(
            entry.startswith(_WEEKDAYS[weekday]) and _is_that_one(entry, day) for entry in special
        )

    return fits


def _is_that_one(entry: str, day: date) -> bool:
    """Whether a Friday, say, is the last of its month (`FRIL`), or the second (`FRI#2`)."""
    if entry.endswith("L"):
        return day.day + _WEEK > monthrange(day.year, day.month)[1]
    return (day.day - 1) // _WEEK + 1 == int(entry.partition("#")[2])
