"""A run comes to its lane: it gets a slot, waits for one, or is refused.

The run, its delivery and its lane are written together: of two that want the last slot one gets it,
none is ever counted without being there, and what is refused leaves nothing behind.
"""

import hashlib
import json
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Final

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import (
    FlowBusyError,
    NotFoundError,
    QueueFullError,
    UnavailableError,
)
from millrace.domain.flow import Flow
from millrace.domain.lane import Entry, Lane, LaneChange, LaneChangedError
from millrace.domain.records import RecordError
from millrace.domain.run import SKIPPED, Place, Run, RunError, RunKey, RunStatus
from millrace.usecases.context import Context
from millrace.usecases.pauses import pauses
from millrace.usecases.payloads import Unstored

logger = logging.getLogger(__name__)

SCHEDULED: Final = "schedule"
"""The lane of the occurrences of a flow that sets no limit: they never overlap."""

_ALL_RUNS: Final = "runs"


def place_of(
    context: Context, flow: Flow, payload: Json, *, priority: int, goes_past: bool
) -> Place:
    """The lane of a flow's run; that of scheduled runs if the flow sets no limit."""
    rule = flow.concurrency
    if rule is None:
        return Place(
            lane=SCHEDULED,
            limit=1,
            on_conflict="queue",
            priority=priority,
            uses_queued_time=flow.use_queued_time,
        )
    key = None
    if rule.key_expression is not None:
        key = _key(context, flow, rule.key_expression, payload)
    return Place(
        lane=_ALL_RUNS if key is None else f"key#{_digest(key)}",
        key=key if key is None or len(key) <= limits.LANE_KEY_LENGTH else _digest(key),
        limit=rule.limit,
        on_conflict=rule.on_conflict,
        priority=priority,
        goes_past=goes_past,
        uses_queued_time=flow.use_queued_time,
    )


def create_in_lane(
    context: Context,
    run: Run,
    place: Place,
    values: Unstored,
    dedupe_key: str | None,
    dedupe_for: timedelta,
) -> tuple[Run, bool]:
    """Record a run along with its slot, or as one that waits; or give the one with its dedupe key.

    Raises FlowBusyError or QueueFullError if it is refused, UnavailableError if so many runs begin
    at once that it cannot be told now.
    """
    key = run.lane_key
    if key is None:
        values.store(context.blobs)
        return context.runs.create(run, dedupe_key=dedupe_key, dedupe_for=dedupe_for)
    for _ in pauses():
        now = context.clock()
        before = context.runs.lane(key)
        lane, entry = (before or Lane()).entered(run.id, place, run.waits_until, now)
        if entry in {Entry.BUSY, Entry.FULL}:
            known = context.runs.delivered(run, dedupe_key)
            if known is not None:
                return known, False
            if entry is Entry.BUSY and place.on_conflict == "cancelPrevious":
                _cancel(context, run, lane.previous(place.limit, now))
                continue
            given_up = _refused(run, lane, entry)
            values.store(context.blobs)
            return context.runs.create(given_up, dedupe_key=dedupe_key, dedupe_for=dedupe_for)
        values.store(context.blobs)
        comes = run if entry is Entry.SLOT else _waiting(run)
        change = LaneChange(key, before, lane)
        with suppress(LaneChangedError):
            return context.runs.create(
                comes, dedupe_key=dedupe_key, dedupe_for=dedupe_for, lane=change
            )
    raise UnavailableError("too many runs of the flow begin at once; try again")


def _waiting(run: Run) -> Run:
    return run.model_copy(update={"status": RunStatus.QUEUED, "started_at": None, "attempts": ()})


def _refused(run: Run, lane: Lane, entry: Entry) -> Run:
    """The run as it is recorded all the same, where nobody could be told or nobody minds."""
    counted = "the flow" if lane.key is None else f"the flow for the key {lane.key!r}"
    if entry is Entry.FULL:
        message = f"{len(lane.waiting):,} runs of {counted} wait already, which is the limit"
        error = RunError(code=QueueFullError.code, message=message)
        if run.trigger.source != "schedule":
            raise QueueFullError(message)
    else:
        message = f"as many runs of {counted} as may be ({lane.limit:,}) are at work"
        skips = run.place is not None and run.place.on_conflict == "skip"
        error = RunError(code=SKIPPED if skips else FlowBusyError.code, message=message)
        if not skips and run.trigger.source != "schedule":
            raise FlowBusyError(f"{message}; the flow's concurrency.onConflict is reject")
    logger.warning("%s of %s does not run: %s", run.id, run.flow_id, error.code)
    return run.model_copy(
        update={
            "status": RunStatus.CANCELLED,
            "started_at": None,
            "ended_at": run.created_at,
            "attempts": (),
            "error": error,
        }
    )


def _cancel(context: Context, run: Run, run_ids: list[str]) -> None:
    """Cancel the runs before this one, which frees their slots."""
    # It is rare, and large.
    from millrace.usecases.lifecycle import cancel_run  # noqa: PLC0415

    message = f"a newer run, {run.id}, took its place (concurrency.onConflict is cancelPrevious)"
    for id_ in run_ids:
        # It is cancelled even if its machine cannot be stopped now: no step begins any more.
        with suppress(NotFoundError, UnavailableError):
            previous = context.runs.get(RunKey(run.workspace_id, id_))
            cancel_run(context, previous, RunError(code="cancelled", message=message))


def _key(context: Context, flow: Flow, expression: str, payload: Json) -> str | None:
    """The expression's value as text; runs for which it has none are counted together."""
    record = payload if isinstance(payload, dict) else {"value": payload}
    try:
        value = context.connectors.evaluate(expression, record)
    except RecordError as error:
        logger.warning("no key for a run of %s: %s", flow.id, error.code)
        return None
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
