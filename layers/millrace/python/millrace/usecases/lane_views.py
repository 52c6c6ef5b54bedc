"""Which runs have slots, which wait, why, and until when."""

from typing import TYPE_CHECKING

from pydantic import Field

from millrace import limits
from millrace.domain.base import Model, Moment
from millrace.domain.run import Run, RunStatus
from millrace.domain.token import Caller
from millrace.usecases.context import Context

if TYPE_CHECKING:
    from millrace.domain.lane import Lane


class WaitingRun(Model):
    """Why a run waits."""

    run_id: str
    position: int = Field(description="1 goes next.")
    priority: int
    until: Moment = Field(description="It fails if it has no slot by then.")
    reason: str


class LaneView(Model):
    """The runs of a flow, or of one key of it, that are counted together."""

    flow_id: str
    key: str | None
    limit: int
    taken: int
    waiting: int
    at_work: tuple[str, ...] = Field(description="The oldest runs that have a slot.")
    next: tuple[WaitingRun, ...] = Field(description="The runs that go next.")


def lanes_of(context: Context, caller: Caller, flow_id: str | None) -> tuple[LaneView, ...]:
    """Some of the lanes in which runs are at work or wait."""
    found = context.runs.lanes(caller.workspace_id, flow_id, limit=limits.LANES_SHOWN)
    return tuple(_view(context, key.flow_id, lane) for key, lane in found)


def why_waiting(context: Context, run: Run) -> WaitingRun | None:
    """Why a run waits for a slot, if it does."""
    key = run.lane_key
    if key is None or run.status is not RunStatus.QUEUED:
        return None
    lane = context.runs.lane(key)
    if lane is None or run.id not in lane.waiting:
        return None
    return _waiting(context, lane, run.id, lane.line.index(run.id))


def _view(context: Context, flow_id: str, lane: "Lane") -> LaneView:
    taken, line = lane.taken(context.clock()), lane.line
    return LaneView(
        flow_id=flow_id,
        key=lane.key,
        limit=lane.limit,
        taken=len(taken),
        waiting=len(line),
        at_work=tuple(taken[: limits.LANE_RUNS_SHOWN]),
        next=tuple(
            _waiting(context, lane, id_, place)
            for place, id_ in enumerate(line[: limits.LANE_RUNS_SHOWN])
        ),
    )


def _waiting(context: Context, lane: "Lane", run_id: str, before: int) -> WaitingRun:
    waiting, taken = lane.waiting[run_id], lane.taken(context.clock())
    counted = "the flow" if lane.key is None else f"the flow for the key {lane.key!r}"
    reason = f"{len(taken)} of {lane.limit} runs that {counted} may have at a time are at work"
    if taken:
        reason += f", the oldest is {taken[0]}"
    if before:
        reason += f"; {before} wait before it"
    return WaitingRun(
        run_id=run_id,
        position=before + 1,
        priority=waiting.priority,
        until=waiting.until_moment,
        reason=reason,
    )
