"""Schedules as users write them become what EventBridge Scheduler takes."""

import pytest
from pydantic import ValidationError

from millrace.domain.flow import FlowInput
from millrace.domain.schedule import to_scheduler_expression


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("rate(1 minute)", "rate(1 minute)"),
        ("rate(1 hours)", "rate(1 hour)"),
        ("rate(5 minute)", "rate(5 minutes)"),
        (" rate( 2  days ) ", "rate(2 days)"),
        ("30 2 * * *", "cron(30 2 * * ? *)"),
        ("30 2 * * 1-5", "cron(30 2 ? * MON-FRI *)"),
        ("0 0 1 * *", "cron(0 0 1 * ? *)"),
        ("*/10 * * * *", "cron(*/10 * * * ? *)"),
        ("0 6 * * 0,6", "cron(0 6 ? * SUN,SAT *)"),
        ("0 6 * * 7", "cron(0 6 ? * SUN *)"),
        ("0 6 * jan mon", "cron(0 6 ? JAN MON *)"),
        ("? */5 * * * *", "cron(*/5 * * * ? *)"),
        ("? 0 2 ? * *", "cron(0 2 * * ? *)"),
        ("0 15 10 ? * 1", "cron(15 10 ? * MON *)"),
        ("? 5 20 1 * ?", "cron(5 20 1 * ? *)"),
        ("? 5 0,6,12,18 ? * *", "cron(5 0,6,12,18 * * ? *)"),
        ("0-30/5 8-17 L JAN-MAR ?", "cron(0-30/5 8-17 L JAN-MAR ? *)"),
        ("0 9 * * FRIL", "cron(0 9 ? * FRIL *)"),
        ("0 9 * * 5#2", "cron(0 9 ? * FRI#2 *)"),
        ("0 9 * * 5-1", "cron(0 9 ? * FRI,SAT,SUN,MON *)"),
        ("0 9 * * 6-7", "cron(0 9 ? * SAT,SUN *)"),
        ("0 9 * * 0-7", "cron(0 9 ? * SUN-SAT *)"),
        ("0 9 * * sun-7", "cron(0 9 ? * SUN-SAT *)"),
        ("0 9 * * 7-7", "cron(0 9 ? * SUN-SUN *)"),
        ("0 9 * * */2", "cron(0 9 ? * SUN,TUE,THU,SAT *)"),
        ("0 9 * * 1-5/2", "cron(0 9 ? * MON,WED,FRI *)"),
        ("at(2026-12-24T18:00:00)", "at(2026-12-24T18:00:00)"),
        (" at( 2026-12-24T18:00 ) ", "at(2026-12-24T18:00:00)"),
    ],
)
def test_a_schedule_is_translated(written: str, expected: str) -> None:
    """Rates, five fields and six fields all reach the scheduler with their meaning."""
    assert to_scheduler_expression(written) == expected


DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
SPANS = [
    *[(f"{first}-{last}", first, last) for first in range(8) for last in range(8)],
    *[(f"{DAYS[first]}-{DAYS[last]}", first, last) for first in range(7) for last in range(7)],
]


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
@pytest.mark.parametrize(("span", "first", "last"), SPANS)
def test_a_range_of_weekdays_is_the_days_from_one_to_the_other(
    span: str, first: int, last: int, step: int | None
) -> None:
    """Sunday is 0 and 7, a range may lead over it, and the whole week is no single day."""
    days = [first]
    while days[-1] % 7 != last % 7 or (last - first == 7 and len(days) == 1):
        days.append(days[-1] + 1)
    expected = {DAYS[day % 7] for day in days[::step]}
    translated = to_scheduler_expression(f"0 9 * * {span}{'' if step is None else f'/{step}'}")
    field = translated.split()[4]
    assert named_days(field) == expected
    assert translated == f"cron(0 9 ? * {field} *)"


def named_days(field: str) -> set[str]:
    """The days of a field of EventBridge Scheduler, whose ranges go from Sunday to Saturday."""
    found: set[str] = set()
    for entry in field.split(","):
        first, _, last = entry.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        assert begin <= end
        found |= {*DAYS[begin : end + 1]}
    return found


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("rate(0 minutes)", "at least one minute"),
        ("rate(5 weeks)", "expected"),
        ("every day", "expected"),
        ("* * * *", "expected"),
        ("30 0 2 * * *", "seconds"),
        ("0 0 1 * 1", "not both"),
        ("? 2 * * *", "may stand only"),
        ("0 0 * * 8", "days of the week"),
        ("", "expected"),
        ("99 0 * * *", "'99' is no minute; it goes from 0 to 59"),
        ("0 24 * * *", "'24' is no hour"),
        ("0 0 32 * *", "'32' is no day of the month"),
        ("0 0 * 13 *", "'13' is no month"),
        ("0 0 * FOO *", "'FOO' is no month"),
        ("0 0 * * XYZ", "'XYZ' is no day of the week"),
        ("*/0 * * * *", "'\\*/0' is no minute"),
        ("5- * * * *", "'5-' is no minute"),
        ("1,,2 * * * *", "'' is no minute"),
        ("30-10 * * * *", "'30-10' goes backwards"),
        ("0 0 L-3 * ?", "'L-3' is no day of the month"),
        ("0 0 * * FRIL-SAT", "'FRIL-SAT' is no day of the week"),
        ("0 0 * * 1#6", "'MON#6' is no day of the week"),
        ("at(2026-12-24T18:00:00Z)", "without an offset"),
        ("at(2026-02-30T18:00:00)", "day"),
    ],
)
def test_what_is_no_schedule_is_refused_in_words(written: str, complaint: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(ValueError, match=complaint):
        to_scheduler_expression(written)


def test_a_flow_takes_only_schedules_and_zones_that_exist() -> None:
    """Both are found out when the flow is saved, not when it should have run."""
    flow = FlowInput(name="n", schedule="? 0 2 ? * *", timezone="Europe/Paris")
    assert (flow.schedule, flow.timezone) == ("? 0 2 ? * *", "Europe/Paris")
    with pytest.raises(ValidationError) as raised:
        FlowInput(name="n", schedule="often", timezone="Mars/Olympus")
    assert {error["loc"] for error in raised.value.errors()} == {("schedule",), ("timezone",)}


@pytest.mark.parametrize("zone", ["", "../etc/passwd", "Europe", "/etc/localtime", "é"])
def test_a_zone_is_a_name_and_not_a_path(zone: str) -> None:
    """Folders, paths and nonsense are refused alike."""
    with pytest.raises(ValidationError):
        FlowInput(name="n", timezone=zone)
