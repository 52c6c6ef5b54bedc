"""Decomposes the order of the steps into nested forks and sequences, the shapes that ASL can say."""

from collections.abc import Sequence as Seq
from dataclasses import dataclass

from millrace.compiler.graph import Graph, bits


@dataclass(frozen=True, slots=True)
class Leaf:
    """One step, by its index in the graph."""

    step: int


@dataclass(frozen=True, slots=True)
class Series:
    """Parts that run one after the other.

    `barriers[i]` stands between part i and the next: None where the order of the steps demands it
    anyway, else the estimated seconds that waiting there adds to these parts' critical path.
    """

    parts: tuple["Plan", ...]
    barriers: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Fork:
    """Parts that run at the same time."""

    parts: tuple["Plan", ...]


type Plan = Leaf | Series | Fork


def make_plan(graph: Graph, seconds: Seq[float]) -> Plan:
    """Cover all steps by one plan that honours their order; `seconds` estimates each step."""
    return _Planner(graph, seconds).plan(graph.everything)


class _Planner:
    def __init__(self, graph: Graph, seconds: Seq[float]) -> None:
        self._graph = graph
        self._seconds = seconds
        everything = graph.everything
        self._related = [b | a for b, a in zip(graph.before, graph.after, strict=True)]
        self._unrelated = [
            everything & ~(mask | 1 << index) for index, mask in enumerate(self._related)
        ]

    def plan(self, steps: int) -> Plan:
        if steps & (steps - 1) == 0:
            return Leaf(steps.bit_length() - 1)
        parts = _components(steps, self._related)
        if len(parts) > 1:
            return Fork(tuple(map(self.plan, parts)))
        parts = _components(steps, self._unrelated)
        if len(parts) > 1:
            return _series([self.plan(part) for part in parts], [None] * (len(parts) - 1))
        first, cost = self._cut(steps)
        return _series([self.plan(first), self.plan(steps & ~first)], [cost])

    def _cut(self, steps: int) -> tuple[int, float]:
        ends = self._ends(steps)
        critical = max(ends.values())
        found = []
        for limit in sorted(set(ends.values()))[:-1]:
            first = sum(1 << step for step, end in ends.items() if end <= limit)
            second = steps & ~first
            cost = max(self._ends(first).values()) + max(self._ends(second).values()) - critical
            found.append((cost, abs(first.bit_count() - second.bit_count()), first))
        if not found:
            first = sum(1 << step for step in bits(steps) if not self._graph.before[step] & steps)
            return first, 0.0
        cost, _, first = min(found)
        return first, cost

    def _ends(self, steps: int) -> dict[int, float]:
        ends: dict[int, float] = {}
        for step in bits(steps):
            start = max((ends[b] for b in bits(self._graph.before[step] & steps)), default=0.0)
            ends[step] = start + self._seconds[step]
        return ends


def _components(steps: int, neighbours: Seq[int]) -> list[int]:
    """The connected parts of a set under a relation, by ascending lowest index."""
    parts = []
    while steps:
        part = frontier = steps & -steps
        while frontier:
            reached = 0
            for step in bits(frontier):
                reached |= neighbours[step]
            frontier = reached & steps & ~part
            part |= frontier
        parts.append(part)
        steps &= ~part
    return parts


def _series(plans: Seq[Plan], barriers: Seq[float | None]) -> Series:
    """A series without series directly inside."""
    parts: list[Plan] = []
    between: list[float | None] = []
    for position, plan in enumerate(plans):
        if position:
            between.append(barriers[position - 1])
        if isinstance(plan, Series):
            parts.extend(plan.parts)
            between.extend(plan.barriers)
        else:
            parts.append(plan)
    return Series(tuple(parts), tuple(between))
