"""EventBridge Scheduler: time zones, context attributes, and a tick of a second."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ministack.services import scheduler

from millrace_local.launcher.patching import rewrite

TICK_SECONDS = 1


def schedule_zone(schedule: dict[str, Any]) -> ZoneInfo:
    """Return the zone in which the schedule's cron or at expression is meant."""
    return ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")


def at_epoch(expression: str, zone: ZoneInfo) -> float | None:
    """Return the moment of an ``at(...)`` expression, or None when it is another kind."""
    body = expression.strip()
    if not (body.startswith("at(") and body.endswith(")")):
        return None
    return datetime.fromisoformat(body[3:-1].strip()).replace(tzinfo=zone).timestamp()


def with_context(target: dict[str, Any], schedule: dict[str, Any], due: float) -> dict[str, Any]:
    """Return the target with Scheduler's context attributes replaced in its input.

    Source: EventBridge Scheduler User Guide, "Adding context attributes".
    """
    text = target.get("Input")
    if not text:
        return target
    attributes = {
        "schedule-arn": schedule["Arn"],
        "scheduled-time": datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": scheduler.new_uuid(),
        "attempt-number": "1",
    }
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return {**target, "Input": text}


def cure() -> None:
    """Read schedules in their zone (MiniStack: UTC), substitute context, look each second (10)."""
    scheduler._SCHEDULE_TICK_INTERVAL = TICK_SECONDS
    rewrite(
        scheduler,
        "_tick_schedules",
        {
            "at_epoch = _at_time_epoch(expr)": (
                "zone = schedule_zone(sched)\n            at_epoch = _at_time_epoch(expr, zone)"
            ),
            "one_shot = True\n": "one_shot = True\n                due = at_epoch\n",
            "if now - _schedule_last_fired[state_key] < interval:\n": (
                "due = _schedule_last_fired[state_key] + interval\n"
                "                    if now < due:\n"
            ),
            "datetime.fromtimestamp(_schedule_last_fired[state_key], tz=timezone.utc)": (
                "datetime.fromtimestamp(_schedule_last_fired[state_key], tz=zone)"
            ),
            "or now_dt < next_fire:\n                        continue\n": (
                "or now_dt < next_fire:\n                        continue\n"
                "                    due = next_fire.timestamp()\n"
            ),
            "_eb._invoke_target(target, event, sched)": (
                "_eb._invoke_target(with_context(target, sched, due), event, sched)"
            ),
        },
        digest="0ece514e9120",
        helpers={
            "schedule_zone": schedule_zone,
            "_at_time_epoch": at_epoch,
            "with_context": with_context,
        },
    )
