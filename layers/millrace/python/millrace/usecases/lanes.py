"""Whose turn it is: a run that is over gives its slot back, and the next one begins.

A crash in between loses nothing: the end is told again, or the slot's lease runs out, and the
sweeper begins what has a slot and has not begun.
"""

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NamedTuple

from millrace import limits
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.flow import Flow
from millrace.domain.lane import Lane, LaneChange
from millrace.domain.run import LaneKey, Run, RunKey
from millrace.usecases.context import Context
from millrace.usecases.lane_entry import SCHEDULED
from millrace.usecases.pauses import pauses
from millrace.usecases.runs import begin_run

logger = logging.getLogger(__name__)


def release(context: Context, run: Run) -> None:
    """Give back the slot of a run that is over, or its place in the line; may be repeated."""
    key = run.lane_key
    if key is not None and run.status.is_terminal:
        take_turns(context, key, lambda lane: lane.left([run.id]))


def take_turns(
    context: Context,
    key: LaneKey,
    change: Callable[[Lane], Lane],
    *,
    not_begun: Collection[str] = (),
    is_drained: bool = False,
) -> int:
    """Change a lane and begin the runs whose turn it is then, and those that have a slot already.

    Where the flow is disabled nobody's turn comes until the sweeper has drained the lane of what
    may not begin any more. Returns how many began; what cannot be done now is the sweeper's.
    """
    started = 0
    gone: list[str] = []
    for _ in pauses():
        before = context.runs.lane(key)
        there = before or Lane()
        after = change(there).left(gone)
        turn: tuple[str, ...] = ()
        if after.waiting:
            rule = rule_of(context, key)
            if rule.is_enabled or is_drained:
                after, turn = after.advanced(rule.limit, context.clock())
        if after != there and not context.runs.swap_lane(LaneChange(key, before, after.revised())):
            continue
        begin = {*turn, *(id_ for id_ in not_begun if id_ in after.slots)} - {*gone}
        over = [id_ for id_ in sorted(begin) if not _begin(context, key, id_)]
        started += len(begin) - len(over)
        if not over:
            return started
        gone += over
        not_begun = ()
    logger.warning("the slots of %s change all the time; left to the sweeper", key.flow_id)
    return started


class Rule(NamedTuple):
    """What a flow says of a lane now."""

    limit: int
    is_enabled: bool


def rule_of(context: Context, key: LaneKey) -> Rule:
    """How many runs of a lane may be at work; without a flow they fail by themselves."""
    try:
        flow = context.resources.get(Flow, key.workspace_id, key.flow_id)
    except NotFoundError:
        return Rule(limits.CONCURRENCY_MAX, is_enabled=True)
    if key.name == SCHEDULED:
        return Rule(1, flow.is_enabled)
    limit = limits.CONCURRENCY_MAX if flow.concurrency is None else flow.concurrency.limit
    return Rule(limit, flow.is_enabled)


def _begin(context: Context, key: LaneKey, run_id: str) -> bool:
    """Begin a run that has its slot; False if it is over and needs none."""
    try:
        run, is_ours = context.runs.dequeue(RunKey(key.workspace_id, run_id), context.clock())
    except NotFoundError:
        return False
    if is_ours:
        # The sweeper finds out that its machine is gone.
        with suppress(ConflictError):
            begin_run(context, run)
    return not run.status.is_terminal
