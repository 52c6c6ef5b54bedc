"""Finds where a barrier through a part of the graph costs least.

A barrier splits a part into an ideal (with each step, all it waits for) that runs first, and the
rest. At least, it costs what the two halves' critical paths take longer than the part's own.
"""

from dataclasses import dataclass
from typing import NamedTuple

from millrace.compiler.graph import Graph, bits
from millrace.compiler.lanes import longer, running_longest, total


class Cut(NamedTuple):
    """One barrier: the ideal that runs before it, its least cost, the size of its smaller half."""

    first: int
    cost: int
    smaller: int


@dataclass(frozen=True, slots=True)
class Cuts:
    """The barriers worth a thought in a part, and the part's critical path in each scenario."""

    span: int
    cuts: list[Cut]

    def best(self, exponent: float, count: int) -> list[Cut]:
        """The cuts of least cost for what they achieve.

        The cost is divided by a power of the smaller half's size: without that, thin slices, each
        cheap and none getting far, add up to bad plans (three times the critical path and more).
        """
        # Where several cost nothing, the more even one is better: hence a price even then.
        least = total(self.span) / 1000
        priced = [
            ((cut.cost + least) / cut.smaller**exponent, -cut.smaller, cut.first, cut)
            for cut in self.cuts
        ]
        return [cut for *_, cut in (sorted(priced)[:count] if count > 1 else [min(priced)])]


def find_cuts(graph: Graph, packed: list[int], part: int) -> Cuts:
    """Cut where the steps in the order of their earliest end, latest start, or both, can be split.

    Each order agrees with the steps' own, so each of its prefixes is an ideal; the critical path of
    a prefix is the latest of its ends, that of the rest the longest way from one of its steps to
    the part's end, so that all prefixes are priced in one pass.
    """
    members = list(bits(part))
    ends = _longest_ways(members, graph.waits_for, packed)
    tails = _longest_ways(members[::-1], graph.followed_by, packed)
    span = 0
    for end in ends.values():
        span = longer(span, end)
    whole = total(span)
    early = {step: total(end) for step, end in ends.items()}
    late = {step: -total(tail) for step, tail in tails.items()}
    both = {step: early[step] + late[step] for step in members}
    found: dict[int, Cut] = {}
    for key in (early, late, both):
        order = sorted(members, key=key.__getitem__)
        before = running_longest([ends[step] for step in order])
        after = running_longest([tails[step] for step in reversed(order)])
        first = 0
        for size in range(1, len(order)):
            first |= 1 << order[size - 1]
            if first not in found:
                cost = total(before[size - 1] + after[-size - 1]) - whole
                found[first] = Cut(first, cost, min(size, len(order) - size))
    return Cuts(span, list(found.values()))


def _longest_ways(
    members: list[int], neighbours: tuple[int, ...], packed: list[int]
) -> dict[int, int]:
    """For each member, the longest way to its far end through those before it in the list.

    A part holds every step between two of its own, so its direct neighbours suffice.
    """
    ways: dict[int, int] = {}
    for step in members:
        longest = 0
        for other in bits(neighbours[step]):
            if other in ways:
                longest = longer(longest, ways[other])
        ways[step] = longest + packed[step]
    return ways
