"""Estimates how long a plan takes and what its barriers cost, for people who ask why."""

from collections.abc import Sequence

from millrace.compiler.graph import Graph, bits
from millrace.compiler.plan import Fork, Leaf, Plan


def makespan(plan: Plan, seconds: Sequence[float]) -> float:
    """How long a plan takes when nothing but the steps takes time."""
    if isinstance(plan, Leaf):
        return seconds[plan.step]
    spans = [makespan(part, seconds) for part in plan.parts]
    return max(spans) if isinstance(plan, Fork) else sum(spans)


def steps_of(plan: Plan) -> int:
    """The mask of a plan's steps."""
    if isinstance(plan, Leaf):
        return 1 << plan.step
    return sum(steps_of(part) for part in plan.parts)


def critical_path(graph: Graph, seconds: Sequence[float], part: int) -> tuple[int, ...]:
    """The steps of the longest way through a part of the graph, in order."""
    ends: dict[int, float] = {}
    came_from: dict[int, int | None] = {}
    for step in bits(part):
        earlier = [e for e in bits(graph.waits_for[step]) if e in ends]
        latest = max(earlier, key=ends.__getitem__, default=None)
        came_from[step] = latest
        ends[step] = seconds[step] + (0.0 if latest is None else ends[latest])
    path = [max(ends, key=ends.__getitem__)]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return tuple(reversed(path))


def barrier_seconds(graph: Graph, seconds: Sequence[float], first: Plan, second: Plan) -> float:
    """What a barrier between two plans costs: both, less the critical path of their steps."""
    both = critical_path(graph, seconds, steps_of(first) | steps_of(second))
    spent = makespan(first, seconds) + makespan(second, seconds)
    return max(0.0, spent - sum(seconds[step] for step in both))
