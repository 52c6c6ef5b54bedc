"""When schedules fire, worked out and compared with looking at every minute."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.domain.occurrences import Timetable
from millrace.domain.schedule import to_scheduler_expression

PARIS = "Europe/Paris"
MINUTE = timedelta(minutes=1)
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def utc(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def timetable(written: str, zone: str = PARIS, start: str = "", end: str = "") -> Timetable:
    """The timetable of a schedule as a user writes it; rates count from 2026 on."""
    return Timetable(
        to_scheduler_expression(written),
        ZoneInfo(zone),
        utc("2026-01-01T00:00"),
        utc(start) if start else None,
        utc(end) if end else None,
    )


def first(table: Timetable, since: str, number: int = 3) -> list[str]:
    """The next instants, shortly written."""
    return [f"{each:%Y-%m-%dT%H:%M}" for each in islice(table.since(utc(since)), number)]


@pytest.mark.parametrize(
    ("written", "since", "expected"),
    [
        ("? 0 2 ? * *", "2026-06-01T00:01", ["2026-06-02T00:00", "2026-06-03T00:00"]),
        ("30 7 * * 1-5", "2026-11-27T06:31", ["2026-11-30T06:30", "2026-12-01T06:30"]),
        ("0 12 29 2 *", "2026-01-01T00:00", ["2028-02-29T11:00", "2032-02-29T11:00"]),
        ("0 0 L * ?", "2026-02-01T00:00", ["2026-02-27T23:00", "2026-03-30T22:00"]),
        ("0 12 LW 1,5 ?", "2026-01-01T00:00", ["2026-01-30T11:00", "2026-05-29T10:00"]),
        ("0 12 1W 8 ?", "2026-01-01T00:00", ["2026-08-03T10:00", "2027-08-02T10:00"]),
        ("0 12 ? * 5#2", "2026-11-01T00:00", ["2026-11-13T11:00", "2026-12-11T11:00"]),
        ("0 12 ? * FRIL", "2026-11-01T00:00", ["2026-11-27T11:00", "2026-12-25T11:00"]),
        ("0 12 ? * L", "2026-11-25T00:00", ["2026-11-28T11:00", "2026-12-05T11:00"]),
        ("at(2026-12-24T18:00:00)", "2026-01-01T00:00", ["2026-12-24T17:00"]),
        ("at(2026-12-24T18:00:00)", "2026-12-24T17:01", []),
        ("rate(6 hours)", "2026-03-28T19:00", ["2026-03-29T00:00", "2026-03-29T06:00"]),
        ("rate(1 day)", "2025-06-01T00:00", ["2026-01-01T00:00", "2026-01-02T00:00"]),
        ("0 0 30 2 *", "2026-01-01T00:00", []),
    ],
)
def test_the_next_instants_are_worked_out(written: str, since: str, expected: list[str]) -> None:
    """In UTC, whatever the zone of the schedule."""
    assert first(timetable(written), since, 2) == expected


@pytest.mark.parametrize(
    ("written", "zone", "since", "expected", "skipped"),
    [
        # Clocks go from 02:00 to 03:00 on March 29.
        ("30 2 * * *", PARIS, "2026-03-28T00:00", ["03-28T01:30", "03-30T00:30"], ["03-29T02:30"]),
        ("0 3 * * *", PARIS, "2026-03-28T12:00", ["03-29T01:00", "03-30T01:00"], []),
        (
            "*/30 * * * *",
            PARIS,
            "2026-03-29T00:30",
            ["03-29T00:30", "03-29T01:00"],
            ["03-29T02:00"],
        ),
        ("at(2026-03-29T02:30:00)", PARIS, "2026-03-28T00:00", [], ["03-29T02:30"]),
        # From 03:00 back to 02:00 on October 25.
        ("30 2 * * *", PARIS, "2026-10-24T12:00", ["10-25T00:30", "10-26T01:30"], []),
        ("at(2026-10-25T02:30:00)", PARIS, "2026-10-24T12:00", ["10-25T00:30"], []),
        ("0 * * * *", PARIS, "2026-10-25T00:00", ["10-25T00:00", "10-25T02:00"], []),
        ("rate(30 minutes)", PARIS, "2026-10-25T00:30", ["10-25T00:30", "10-25T01:00"], []),
        # Half an hour in October, from 02:00 to 02:30.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00",
            ["10-04T15:15", "10-05T15:15"],
            ["10-04T02:15"],
        ),
    ],
)
def test_daylight_saving_skips_what_is_not_and_repeats_nothing(
    written: str, zone: str, since: str, expected: list[str], skipped: list[str]
) -> None:
    """As EventBridge Scheduler: a time left out is skipped, one that comes twice counts once."""
    table = timetable(written, zone)
    assert [each[5:] for each in first(table, since, 2)] == expected
    begin = utc(since)
    missing = table.skipped(begin, begin + timedelta(hours=36))
    assert [f"{each:%m-%dT%H:%M}" for each in missing][:1] == skipped


def test_a_schedule_holds_from_its_start_to_before_its_end() -> None:
    """The start is in it, the end is not; a rate counts from where it counts from."""
    table = timetable("0 * * * *", start="2026-06-01T10:00", end="2026-06-01T12:00")
    assert first(table, "2026-01-01T00:00") == ["2026-06-01T10:00", "2026-06-01T11:00"]
    table = timetable("rate(7 hours)", start="2026-06-01T10:00", end="2026-06-01T17:00")
    assert first(table, "2026-01-01T00:00") == ["2026-06-01T16:00"]


def every_minute(expression: str, zone: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The same by looking at each minute: local clocks cannot show a time that is left out."""
    while begin < end:
        local = begin.astimezone(ZoneInfo(zone))
        if local.fold == 0 and _fits(expression, local):
            yield begin
        begin += MINUTE


def _fits(expression: str, local: datetime) -> bool:
    minute, hour, day, month, weekday, _ = expression.removeprefix("cron(").rstrip(")").split()
    last = monthrange(local.year, local.month)[1]
    word = DAYS[local.weekday()]
    names = [word, f"{word}#{(local.day + 6) // 7}"]
    names += [f"{word}L"] if local.day + 7 > last else []
    days_fit = (
        _in(day, local.day, 1) or (day == "L" and local.day == last)
        if weekday == "?"
        else weekday == "*" or bool({*names} & {*_spelt(weekday)})
    )
    return (
        days_fit
        and _in(minute, local.minute, 0)
        and _in(hour, local.hour, 0)
        and _in(month, local.month, 1)
    )


def _spelt(weekdays: str) -> Iterator[str]:
    """Each day of ranges that do not go over the end of the week."""
    sunday_first = ("SUN", *DAYS[:6])
    for entry in weekdays.split(","):
        begin, _, end = entry.partition("-")
        if end:
            yield from sunday_first[sunday_first.index(begin) : sunday_first.index(end) + 1]
        else:
            yield entry


def _in(field: str, value: int, low: int) -> bool:
    for entry in field.split(","):
        span, _, step = entry.partition("/")
        begin, _, end = span.partition("-")
        if begin == "L":
            continue
        from_ = low if begin == "*" else int(begin)
        until = int(end) if end else (60 if step or begin == "*" else from_)
        if from_ <= value <= until and (value - from_) % int(step or 1) == 0:
            return True
    return False


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    """A field of a cron expression."""
    one = st.integers(low, high)
    span = st.tuples(one, one).map(sorted)
    return st.one_of(
        st.just("*"),
        one.map(str),
        st.lists(one, min_size=1, max_size=4).map(lambda found: ",".join(map(str, found))),
        span.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.integers(1, 30).map(lambda step: f"*/{step}"),
        st.tuples(one, st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.tuples(span, st.integers(1, 9)).map(lambda pair: f"{pair[0][0]}-{pair[0][1]}/{pair[1]}"),
    )


CRON = st.one_of(
    st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 31), numbers(1, 12), st.just("?")),
    st.tuples(numbers(0, 59), numbers(0, 23), st.just("L"), st.just("*"), st.just("?")),
    st.tuples(
        numbers(0, 59),
        numbers(0, 23),
        st.just("?"),
        numbers(1, 12),
        st.one_of(
            numbers(0, 6),
            st.sampled_from(["FRI-MON", "6-7", "0-6", "SUNL", "1#4", "7#5", "FRI-MON/2"]),
        ),
    ),
).map(" ".join)

CHANGES = st.sampled_from(
    [
        (PARIS, utc("2026-03-28T12:00")),
        (PARIS, utc("2026-10-24T12:00")),
        ("America/New_York", utc("2026-03-07T18:00")),
        ("America/New_York", utc("2026-10-31T18:00")),
        ("Australia/Lord_Howe", utc("2026-04-04T00:00")),
        ("Australia/Lord_Howe", utc("2026-10-03T00:00")),
        ("Asia/Kathmandu", utc("2026-12-31T00:00")),
        ("UTC", utc("2028-02-28T12:00")),
    ]
)


@given(CRON, CHANGES)
@example("*/5 * ? * FRI-MON/2", (PARIS, utc("2026-10-24T12:00")))
def test_it_is_what_looking_at_every_minute_finds(
    written: str, change: tuple[str, datetime]
) -> None:
    """Around changes of clocks, months and years: no instant too many, none lost."""
    zone, begin = change
    end = begin + timedelta(hours=40)
    table = Timetable(to_scheduler_expression(written), ZoneInfo(zone), begin, end=end)
    assert [*table.since(begin)] == [*every_minute(table.expression, zone, begin, end)]
