"""Finds where a barrier through a part of the graph costs least.

A barrier splits a part into an ideal (with each step, all it waits for) that runs first, and the
rest. At least, it costs what the two halves' critical paths take longer than the part's own.
"""

from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import NamedTuple

from millrace.compiler.graph import Graph, bits
from millrace.compiler.lanes import longer, running_longest, total
from millrace.compiler.model import MAX_STEPS


class Cut(NamedTuple):
    """One barrier: the ideal that runs before it, its least cost, the size of its smaller half."""

    first: int
    cost: int
    smaller: int


class Ways(NamedTuple):
    """The longest way to the end (or from the start) of each step, packed, and its total."""

    packed: dict[int, int]
    totals: dict[int, int]


@dataclass(frozen=True, slots=True)
class Cuts:
    """The barriers worth a thought in a part, and the part's critical path in each scenario.

    The steps' longest ways are kept because an ideal's steps end as they do in the part, and what
    follows the rest's steps is what follows them in the part: half of the halves' work is done.
    """

    span: int
    cuts: list[Cut]
    ends: Ways
    tails: Ways

    def best(self, exponent: float, count: int) -> list[Cut]:
        """The cuts of least cost for what they achieve.

        The cost is divided by a power of the smaller half's size: without that, thin slices, each
        cheap and none getting far, add up to bad plans (three times the critical path and more).
        """
        # Where several cost nothing, the more even one is better: hence a price even then.
        least = total(self.span) / 1000
        worth = _worth(exponent)
        priced = [
            ((cost + least) / worth[smaller], -smaller, first, cut)
            for cut in self.cuts
            for first, cost, smaller in (cut,)
        ]
        return [cut for *_, cut in (sorted(priced)[:count] if count > 1 else [min(priced)])]


@cache
def _worth(exponent: float) -> list[float]:
    """What a cost is divided by, for each size of the smaller half."""
    return [float(size**exponent) for size in range(MAX_STEPS)]


def find_cuts(
    graph: Graph, packed: list[int], part: int, ends: Ways | None, tails: Ways | None
) -> Cuts:
    """Cut where the steps in the order of their earliest end, or of latest start too, can be split.

    Each order agrees with the steps' own, so each of its prefixes is an ideal; the critical path of
    a prefix is the latest of its ends, that of the rest the longest way from one of its steps to
    the part's end, so that all prefixes are priced in one pass. `ends` and `tails` are the ways
    through a larger part, where they are known to be those through this one.
    """
    members = list(bits(part))
    ends = ends or _longest_ways(members, graph.waits_for, packed)
    tails = tails or _longest_ways(members[::-1], graph.followed_by, packed)
    early, late = ends.totals, tails.totals
    orders = (
        sorted(members, key=early.__getitem__),
        sorted(members, key={step: early[step] - 2 * late[step] for step in members}.__getitem__),
    )
    count = len(members)
    found: dict[int, tuple[int, int]] = {}
    span = 0
    for order in orders:
        before = running_longest([ends.packed[step] for step in order])
        after = running_longest([tails.packed[step] for step in reversed(order)])
        span = before[-1]
        firsts = accumulate([1 << step for step in order])
        for size, (first, b, a) in enumerate(zip(firsts, before, after[-2::-1], strict=False), 1):
            if first not in found:
                found[first] = total(b + a), min(size, count - size)
    whole = total(span)
    cuts = [Cut(first, cost - whole, smaller) for first, (cost, smaller) in found.items()]
    return Cuts(span, cuts, ends, tails)


def _longest_ways(members: list[int], neighbours: tuple[int, ...], packed: list[int]) -> Ways:
    """For each member, the longest way to its far end through those before it in the list.

    A part holds every step between two of its own, so its direct neighbours suffice.
    """
    ways: dict[int, int] = {}
    for step in members:
        longest = 0
        others = neighbours[step]
        while others:
            low = others & -others
            other = low.bit_length() - 1
            if other in ways:
                longest = longer(longest, ways[other]) if longest else ways[other]
            others ^= low
        ways[step] = longest + packed[step]
    return Ways(ways, {step: total(way) for step, way in ways.items()})
