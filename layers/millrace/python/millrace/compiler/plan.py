"""Decomposes the order of the steps into nested forks and series, the shapes that ASL can say.

A set of steps that falls into unrelated parts becomes a fork of them; one whose parts all wait for
each other, a series; both lose nothing. What remains is prime (it holds an N: a before c, b before
both c and d) and is split by a barrier, a wait that no step asked for (Valdes, Tarjan and Lawler,
"The recognition of series parallel digraphs", 1982). Everything here is about where.

Each part is first planned by the best-priced cut at every level. Then, from the top, the parts that
bear on the makespan are planned again, trying several cuts by planning both halves to the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

from millrace.compiler.cuts import Cuts, Ways, find_cuts
from millrace.compiler.durations import critical_paths
from millrace.compiler.graph import Graph
from millrace.compiler.lanes import longer, total


@dataclass(frozen=True, slots=True)
class Leaf:
    """One step, by its index in the graph."""

    step: int


@dataclass(frozen=True, slots=True)
class Series:
    """Parts that run one after the other.

    `barriers` holds the positions of parts that wait for the part before them without need.
    """

    parts: tuple["Plan", ...]
    barriers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Fork:
    """Parts that run at the same time."""

    parts: tuple["Plan", ...]


type Plan = Leaf | Series | Fork

# How cuts are priced when several are tried.
_EXPONENTS = (1.0, 0.6, 1.4)
# The rounds: how cuts are priced in sketches, and how many of the best by each exponent are tried.
# Rounds end when the work allowed is done; which one does best differs from graph to graph.
_ROUNDS = (
    (1.0, 2),
    (1.5, 6),
    (0.6, 6),
    (1.0, 20),
    (2.0, 20),
    (1.5, 20),
    (0.8, 20),
    (1.2, 40),
    (0.6, 60),
)
# The work allowed, counted in steps of the parts searched for cuts (some 10 microseconds each): it
# grows with the fourth power of the number of steps, from some 4 ms to some 100 ms from 120 steps
# on. Four times as much gains less than half a percent.
_LEAST_WORK, _MOST_WORK = 240, 8_000
_STEPS_TO_THE_FOURTH_PER_WORK = 20_000
# Where durations are known and the plan still takes that much longer than the critical path (one
# graph in five of more than 100 steps), several times the work is allowed, up to some 600 ms: it
# makes them one to four percent shorter, and the worst ones more.
_LOSS, _PATIENCE = 1.08, 4


def make_plan(graph: Graph, packed: list[int], *, durations_known: bool) -> Plan:
    """Cover all steps by one plan that honours their order.

    `packed` holds each step's duration in each scenario, as `durations.scenarios` makes them.
    """
    planner = _Planner(graph, packed)
    work = len(graph.steps) ** 4 // _STEPS_TO_THE_FOURTH_PER_WORK
    work = min(_MOST_WORK, max(_LEAST_WORK, work))
    planned = planner.plan(work)
    if durations_known and total(planned.span) > _LOSS * total(critical_paths(graph, packed)):
        planned = planner.plan(_PATIENCE * work)
    return _built(planned)


type _Shape = Literal["leaf", "fork", "series", "prime"]


class _Planned(NamedTuple):
    """A planned part: its packed makespan, its shape, and what it was decomposed into."""

    span: int
    shape: _Shape
    part: int
    inner: list["_Planned"]


class _Planner:
    def __init__(self, graph: Graph, packed: list[int]) -> None:
        self._graph = graph
        self._packed = packed
        self._related = [b | a for b, a in zip(graph.before, graph.after, strict=True)]
        self._unrelated = [
            graph.everything & ~(mask | 1 << index) for index, mask in enumerate(self._related)
        ]
        self._sketches: dict[int, _Planned] = {}
        self._sketch_exponent = 1.0
        self._shapes: dict[int, tuple[_Shape, list[int]]] = {}
        self._cuts_of: dict[int, Cuts] = {}
        self._ends: dict[int, Ways] = {}
        self._tails: dict[int, Ways] = {}
        self._work_left = 0

    def plan(self, work: int) -> _Planned:
        """The best of all rounds that the work allows; the first is always taken to its end."""
        self._work_left = work
        return min(self._rounds(), key=lambda planned: total(planned.span))

    def _rounds(self) -> Iterator[_Planned]:
        for exponent, tried in _ROUNDS:
            self._sketches.clear()
            self._sketch_exponent = exponent
            yield self.refine(self._graph.everything, 0, tried)
            if self._work_left <= 0:
                return

    def sketch(self, part: int) -> _Planned:
        """Plan a part by the best-priced cut at every level."""
        if part not in self._sketches:
            shape, parts = self._decompose(part)
            if shape == "prime":
                (cut,) = self._cuts(part).best(self._sketch_exponent, 1)
                inner = [*self._halves(part, cut.first)]
            else:
                inner = [self.sketch(p) for p in parts]
            self._sketches[part] = self._join(shape, part, inner)
        return self._sketches[part]

    def refine(self, part: int, floor: int, tried: int) -> _Planned:
        """Plan a part better, as far as that makes it end before `floor`.

        `floor` is what the part's surroundings take in each scenario anyway: there is nothing to be
        gained below it, so most parts keep their sketch.
        """
        sketch = self.sketch(part)
        cost = total(longer(sketch.span, floor))
        shape, parts = self._decompose(part)
        if shape == "leaf" or cost == total(floor) or self._work_left <= 0:
            return sketch
        if shape == "prime":
            if cost == total(longer(self._cuts(part).span, floor)):
                return sketch
            first = self._try_cuts(part, floor, tried)
            parts = [first, part & ~first]
        planned = [self.sketch(p) for p in parts]
        largest_first = sorted(range(len(parts)), key=lambda i: -total(planned[i].span))
        for position in largest_first:
            others = [p.span for i, p in enumerate(planned) if i != position]
            if shape == "fork":
                inner = reduce(longer, others, floor)
            else:
                elsewhere = sum(others)
                inner = longer(floor, elsewhere) - elsewhere
            planned[position] = self.refine(parts[position], inner, tried)
        refined = self._join(shape, part, planned)
        return refined if total(longer(refined.span, floor)) < cost else sketch

    def _try_cuts(self, part: int, floor: int, tried: int) -> int:
        """The cut whose halves, sketched to the end, make the part end first."""
        cuts = self._cuts(part)
        least = total(cuts.span)
        chosen = {cut.first: cut for exponent in _EXPONENTS for cut in cuts.best(exponent, tried)}
        best: tuple[int, int, int] | None = None
        for cut in sorted(chosen.values(), key=lambda cut: (cut.cost, cut.first)):
            if best is not None and (least + cut.cost >= best[1] or self._work_left <= 0):
                break
            span = sum(half.span for half in self._halves(part, cut.first))
            found = (total(longer(span, floor)), total(span), cut.first)
            best = found if best is None else min(best, found)
        if best is None:
            raise AssertionError("a prime part has several ideals")
        return best[2]

    def _cuts(self, part: int) -> Cuts:
        if part not in self._cuts_of:
            self._work_left -= part.bit_count()
            ends, tails = self._ends.get(part), self._tails.get(part)
            self._cuts_of[part] = find_cuts(self._graph, self._packed, part, ends, tails)
        return self._cuts_of[part]

    def _halves(self, part: int, first: int) -> tuple[_Planned, _Planned]:
        """Sketches of the two halves of a prime part."""
        cuts = self._cuts_of[part]
        self._ends[first], self._tails[part ^ first] = cuts.ends, cuts.tails
        return self.sketch(first), self.sketch(part ^ first)

    def _decompose(self, part: int) -> tuple[_Shape, list[int]]:
        if part not in self._shapes:
            self._shapes[part] = shape, parts = self._shape(part)
            if shape != "prime" and part in self._ends:
                for p in parts if shape == "fork" else parts[:1]:
                    self._ends.setdefault(p, self._ends[part])
            if shape != "prime" and part in self._tails:
                for p in parts if shape == "fork" else parts[-1:]:
                    self._tails.setdefault(p, self._tails[part])
        return self._shapes[part]

    def _shape(self, part: int) -> tuple[_Shape, list[int]]:
        if part & (part - 1) == 0:
            return "leaf", []
        parts = _components(part, self._related)
        if len(parts) > 1:
            return "fork", parts
        parts = _components(part, self._unrelated)
        return ("series" if len(parts) > 1 else "prime"), parts

    def _join(self, shape: _Shape, part: int, inner: list[_Planned]) -> _Planned:
        if shape == "leaf":
            span = self._packed[part.bit_length() - 1]
        elif shape == "fork":
            span = reduce(longer, [planned.span for planned in inner])
        else:
            span = sum([planned.span for planned in inner])
        return _Planned(span, shape, part, inner)


def _components(part: int, neighbours: list[int]) -> list[int]:
    """The connected parts of a set under a relation, by ascending lowest index."""
    parts = []
    while part:
        found = frontier = part & -part
        while frontier:
            low = frontier & -frontier
            fresh = neighbours[low.bit_length() - 1] & part & ~found
            found |= fresh
            frontier ^= low | fresh
        parts.append(found)
        part &= ~found
    return parts


def _built(planned: _Planned) -> Plan:
    """The plan itself, without a series directly inside a series."""
    if planned.shape == "leaf":
        return Leaf(planned.part.bit_length() - 1)
    plans = [_built(inner) for inner in planned.inner]
    if planned.shape == "fork":
        return Fork(tuple(plans))
    parts: list[Plan] = []
    barriers: set[int] = set()
    for plan in plans:
        offset = len(parts)
        if planned.shape == "prime" and parts:
            barriers.add(offset)
        if isinstance(plan, Series):
            parts.extend(plan.parts)
            barriers.update(offset + position for position in plan.barriers)
        else:
            parts.append(plan)
    return Series(tuple(parts), frozenset(barriers))
