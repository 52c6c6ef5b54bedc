"""EventBridge Scheduler: zones, start dates, context attributes, refusals, a tick of a second."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ministack.services import eventbridge, scheduler

from millrace_local.launcher.patching import rewrite

TICK_SECONDS = 1


def schedule_zone(schedule: dict[str, Any]) -> ZoneInfo:
    """Return the zone in which the schedule's cron or at expression is meant."""
    return ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")


def at_epoch(expression: str, zone: ZoneInfo) -> float | None:
    """Return the moment of an ``at(...)`` expression, or None when it is another kind.

    A time that the zone's clocks leave out never comes.
    """
    body = expression.strip()
    if not (body.startswith("at(") and body.endswith(")")):
        return None
    try:
        local = datetime.fromisoformat(body[3:-1].strip()).replace(tzinfo=zone)
    except ValueError:
        return None
    return local.timestamp() if is_on_clocks(local) else float("inf")


def is_on_clocks(local: datetime) -> bool:
    """Tell whether the clocks of its zone show this time, which they leave out in spring."""
    return local.astimezone(UTC).astimezone(local.tzinfo).replace(fold=0) == local.replace(fold=0)


def cron_after(fields: Any, after: datetime) -> datetime | None:  # noqa: ANN401 - MiniStack's
    """Return the next time on the clocks of a zone: a time that comes twice counts once."""
    due: datetime | None = eventbridge._cron_next_fire(fields, after)
    while due is not None and (not is_on_clocks(due) or due.timestamp() <= after.timestamp()):
        due = eventbridge._cron_next_fire(fields, due)
    return due


def rate_due(schedule: dict[str, Any], interval: int, last: float, now: float) -> float | None:
    """Return the moment that is due: a rate counts from its start date, if it has one."""
    start = scheduler._to_epoch(schedule.get("StartDate"))
    due: float = last + interval if start is None else start + (now - start) // interval * interval
    return due if last < due <= now else None


def refusal(request: dict[str, Any]) -> Any:  # noqa: ANN401 - MiniStack's response, or None
    """Return AWS's answer to a schedule that cannot be understood; None if it can."""
    expression = request["ScheduleExpression"]
    try:
        zone = schedule_zone(request)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last two: not even a zone's name
        return scheduler._error(400, "ValidationException", "Invalid Schedule Expression Timezone.")
    understood = (
        at_epoch(expression, zone) is not None
        or eventbridge._parse_rate_seconds(expression) is not None
        or eventbridge._parse_cron_fields(expression) is not None
    )
    if understood:
        return None
    return scheduler._error(
        400, "ValidationException", f"Invalid Schedule Expression {expression}."
    )


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


def cure_refusals() -> None:
    """Refuse expressions and zones that AWS refuses; MiniStack keeps them and never fires."""
    check = 'if not body.get("FlexibleTimeWindow"):'
    for name, digest in {
        "_create_schedule": "5b205607c15c",
        "_update_schedule": "93f7fec4f7d8",
    }.items():
        rewrite(
            scheduler,
            name,
            {check: f"if refused := refusal(body):\n        return refused\n    {check}"},
            digest=digest,
            helpers={"refusal": refusal},
        )


def cure_firing() -> None:
    """Read schedules in their zone (MiniStack: UTC) and substitute context attributes.

    Clocks that change are followed as AWS does, and a rate counts from its start date. Made anew
    under an old name, a schedule does not make up for the time in which it was not there.

    When a schedule last fired is kept in the schedule, so that a restart does not fire a past
    ``at()`` once more.
    """
    rewrite(
        scheduler,
        "_tick_schedules",
        {
            "at_epoch = _at_time_epoch(expr)": (
                "zone = schedule_zone(sched)\n            at_epoch = _at_time_epoch(expr, zone)"
            ),
            "if now < at_epoch or state_key in _schedule_last_fired:": (
                'if now < at_epoch or "FiredAt" in sched:'
            ),
            '_schedule_last_fired[state_key] = sched.get("CreationDate", now)': (
                '_schedule_last_fired[state_key] = sched.get("FiredAt") or sched["CreationDate"]'
            ),
            "_schedule_last_fired[state_key] = now\n            target =": (
                'sched["FiredAt"] = _schedule_last_fired[state_key] = now\n            target ='
            ),
            "one_shot = True\n": "one_shot = True\n                due = at_epoch\n",
            "if now - _schedule_last_fired[state_key] < interval:\n": (
                "due = rate_due(sched, interval, _schedule_last_fired[state_key], now)\n"
                "                    if due is None:\n"
            ),
            "datetime.fromtimestamp(_schedule_last_fired[state_key], tz=timezone.utc)": (
                "datetime.fromtimestamp(max("
                '_schedule_last_fired[state_key], sched["CreationDate"]), tz=zone)'
            ),
            "_eb._cron_next_fire(fields, last_dt)": "cron_after(fields, last_dt)",
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
            "cron_after": cron_after,
            "rate_due": rate_due,
        },
    )


def cure() -> None:
    """Apply all cures of the scheduler, and look every second for what is due (MiniStack: 10)."""
    scheduler._SCHEDULE_TICK_INTERVAL = TICK_SECONDS
    cure_refusals()
    cure_firing()
