"""What nobody else makes up for: runs that lost their machine, slots that nobody gives back.

It comes every few minutes and looks at all runs that are not over.
"""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from millrace import limits
from millrace.compiler.rules import EXPRESS_SECONDS
from millrace.domain.errors import ConflictError, NotFoundError, UnavailableError
from millrace.domain.lane import Lane
from millrace.domain.run import LaneKey, Run, RunError, RunKey, RunStatus
from millrace.usecases.context import Context
from millrace.usecases.deployed import is_synchronous
from millrace.usecases.lanes import rule_of, take_turns
from millrace.usecases.lifecycle import cancel_run, conclude, finish_run, on_execution_end
from millrace.usecases.runs import start_execution
from millrace.usecases.trigger_sync import settle_flows

_EXPRESS_TIME: Final = timedelta(seconds=EXPRESS_SECONDS)
_START_WITHIN: Final = timedelta(hours=1)
_SWEEP_AFTER: Final = timedelta(minutes=2)
_RUNNING: Final = "RUNNING"
_WAITED: Final = RunError(
    code="waitedTooLong",
    message=f"the run had no slot within {limits.QUEUE_WAIT_HOURS} h; "
    "GET /v1/limits tells which runs have them",
)
_DISABLED: Final = RunError(
    code="flowDisabled", message="the flow was disabled while the run waited for a slot"
)


@dataclass(slots=True)
class _Seen:
    """The runs of a lane that the sweeper came across."""

    waiting: list[Run] = field(default_factory=list)
    at_work: list[Run] = field(default_factory=list)


def sweep(context: Context) -> int:
    """Repair runs that lost their machine: start what never started, end what has ended.

    What was to follow an end and was lost is started too. Slots of what is at work are renewed,
    and what waits begins if there is a slot for it, or ends if it waited too long. Schedules and
    queues are brought in step with flows whose change nobody followed.

    Returns the number of runs repaired.
    """
    settle_flows(context, context.clock() - _SWEEP_AFTER)
    repaired = 0
    lanes: defaultdict[LaneKey, _Seen] = defaultdict(_Seen)
    for run in context.runs.unfinished(context.clock() - _SWEEP_AFTER):
        key = run.lane_key
        if key is not None and run.status is RunStatus.QUEUED:
            lanes[key].waiting.append(run)
            continue
        with suppress(UnavailableError):  # the next sweep tries again
            is_repaired = _repair(context, run)
            repaired += is_repaired
            if key is not None and not is_repaired:
                lanes[key].at_work.append(run)
    for key, seen in lanes.items():
        with suppress(UnavailableError):
            repaired += _tidy(context, key, seen)
    return repaired


def _tidy(context: Context, key: LaneKey, seen: _Seen) -> int:
    """Bring a lane in step with its runs; how many of them ended or began."""
    waiting = {run.id: run for run in seen.waiting}
    at_work = [run.id for run in seen.at_work]
    forgotten = _forgotten(context, key, [*waiting, *at_work])
    readmitted = [run.id for run in forgotten if run.status is not RunStatus.QUEUED]
    rejoined = {
        run.id: (run.place, run.waits_until)
        for run in forgotten
        if run.status is RunStatus.QUEUED and run.place is not None
    }

    def change(lane: Lane) -> Lane:
        now = context.clock()
        return lane.renewed(at_work, now).readmitted(readmitted, now).rejoined(rejoined)

    begun = take_turns(context, key, change, not_begun=[*waiting])
    lane = context.runs.lane(key) or Lane()
    still = [waiting[id_] for id_ in lane.line if id_ in waiting]
    if not still:
        return begun
    is_disabled = not rule_of(context, key).is_enabled
    now = context.clock()
    too_old = {run.id for run in still if run.waits_until <= now}
    # What a caller started runs whether the flow is enabled or not.
    unwanted = {run.id for run in still if is_disabled and run.trigger.source != "manual"}
    over = too_old | unwanted
    if over or is_disabled:
        # At once, because each end by itself would write the lane.
        begun += take_turns(context, key, lambda lane: lane.left(over), is_drained=True)
    for id_ in sorted(over):
        if id_ in too_old:
            finish_run(context, waiting[id_], failure=_WAITED)
        else:
            cancel_run(context, waiting[id_], _DISABLED)
    return begun + len(over)


def _forgotten(context: Context, key: LaneKey, run_ids: list[str]) -> list[Run]:
    """Runs that are not over and not in their lane, looked at again: others ended meanwhile."""
    lane = context.runs.lane(key) or Lane()
    unknown = [id_ for id_ in run_ids if id_ not in lane.slots and id_ not in lane.waiting]
    if not unknown:
        return []
    runs = context.runs.get_many(key.workspace_id, unknown)
    return [run for run in runs if not run.status.is_terminal]


def _synchronous_outcome(context: Context, run: Run) -> str | None:
    """What can be told of an EXPRESS execution, of which Step Functions tells nothing.

    It ends after five minutes anyway; if no step has begun by now, it never started.
    """
    age = context.clock() - (run.started_at or run.created_at)
    if age <= _START_WITHIN and not context.runs.steps(run.key, run.attempt):
        return None
    return "TIMED_OUT" if age > _EXPRESS_TIME else _RUNNING


def _is_abandoned(context: Context, run: Run) -> bool:
    """Whether a step was to wait for the run, and the attempt that it belongs to is over."""
    if run.trigger.run_id is None or not run.trigger.is_call:
        return False
    try:
        caller = context.runs.get(RunKey(run.workspace_id, run.trigger.run_id))
    except NotFoundError:
        return True
    return caller.status.is_terminal or caller.attempt != run.trigger.attempt


def _repair(context: Context, run: Run) -> bool:
    """Whether there was something to repair."""
    if run.status.is_terminal:
        conclude(context, run)
        return True
    if _is_abandoned(context, run):
        cancel_run(context, run)
        return True
    outcome: str | None
    if is_synchronous(run.machine_arn):
        outcome = _synchronous_outcome(context, run)
    else:
        outcome = context.machines.outcome(run.machine_arn, run.id)
    if outcome == _RUNNING:
        return False
    if outcome is None:
        try:
            start_execution(context, run)
        except ConflictError as error:
            finish_run(context, run, failure=RunError(code="machineMissing", message=error.message))
    else:
        on_execution_end(context, run.key, outcome)
    return True
