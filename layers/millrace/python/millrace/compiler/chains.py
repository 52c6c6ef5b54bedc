"""Which steps that follow each other share one Task of a synchronous machine.

Each call of the worker costs the caller who waits some milliseconds, so one call runs as many steps
as it can. Steps share a Task where that changes nothing but the time: a Task has one Retry, one
time-out, and one way on after a failure. In other machines, whose steps may take hours, none do.
"""

from collections.abc import Sequence
from itertools import groupby

from millrace.compiler.model import Step


def chained(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Steps that run one after the other, those together that share a Task."""
    groups: list[tuple[Step, ...]] = []
    for alike, group in groupby(steps, _may_share):
        if alike is None:
            groups += ((step,) for step in group)
        else:
            groups.append(tuple(group))
    return groups


def _may_share(step: Step) -> object:
    """What steps that share a Task have in common; None for those that have one of their own.

    A failure that leads onward would pass over the rest of the Task, and a time-out of a step's own
    would count for all of them.
    """
    shares = step.type != "Flow" and step.on_failure == "stop" and step.timeout_seconds is None
    return step.retry if shares else None
