"""The local scheduler fires when Millrace says that schedules do, also when clocks change."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.e2e.local_stacks import ENVIRONMENT, PROJECT

from millrace.domain.occurrences import Timetable
from millrace_local.environment import ensure_environment

SIMULATION: Final = PROJECT / "tests" / "e2e" / "fixtures" / "simulated_schedules.py"
PARIS: Final = "Europe/Paris"
CASES: Final = [
    # expression, zone, when it is created, the start date, in UTC
    ("cron(30 2 * * ? *)", PARIS, "2026-03-28T00:00:05", None),
    ("cron(30 2 * * ? *)", PARIS, "2026-10-24T12:00:05", None),
    ("cron(*/30 * * * ? *)", PARIS, "2026-10-24T23:50:05", None),
    ("cron(*/30 * * * ? *)", PARIS, "2026-10-25T01:10:05", None),
    ("cron(*/30 * * * ? *)", PARIS, "2026-03-29T00:10:05", None),
    ("cron(15 2 * * ? *)", "Australia/Lord_Howe", "2026-10-03T00:00:05", None),
    ("at(2026-03-29T02:30:00)", PARIS, "2026-03-28T00:10:05", None),
    ("at(2026-10-25T02:30:00)", PARIS, "2026-10-24T22:10:05", None),
    ("rate(7 hours)", PARIS, "2026-10-24T22:10:05", "2026-10-24T22:11:00"),
]
SPAN: Final = timedelta(hours=50)


def utc(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def case(expression: str, zone: str, begin: str, start: str | None) -> dict[str, Any]:
    """What the simulation is asked."""
    schedule: dict[str, Any] = {
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": zone,
    }
    if start is not None:
        schedule["StartDate"] = utc(start).timestamp()
    end = utc(begin) + SPAN
    return {"schedule": schedule, "begin": utc(begin).timestamp(), "end": end.timestamp()}


def planned(expression: str, zone: str, begin: str, start: str | None) -> list[str]:
    """What Millrace says of it."""
    end = utc(begin) + SPAN
    table = Timetable(expression, ZoneInfo(zone), utc(start or begin), end=end)
    return [f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in table.since(utc(begin))]


def test_the_local_scheduler_fires_when_it_should(tmp_path: Path) -> None:
    """MiniStack reads schedules in UTC; what cures it follows the clocks of each zone."""
    told = subprocess.run(  # noqa: S603 - our own script
        [ensure_environment(ENVIRONMENT, tmp_path / "log"), SIMULATION],
        input=json.dumps([case(*each) for each in CASES]),
        env={"PYTHONPATH": str(PROJECT / "local")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout) == [planned(*each) for each in CASES]
