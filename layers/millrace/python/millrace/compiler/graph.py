"""The order of the steps as bit masks, which makes set algebra on 200 steps a few nanoseconds.

Step *i* is bit `1 << i`. Indices follow a topological order with ties broken by step id, so the
same flow has the same indices however its document lists the steps.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from millrace.compiler.model import Step


@dataclass(frozen=True, slots=True)
class Graph:
    """The steps that run and the transitive order between them.

    `before[i]` and `after[i]` are the masks of all steps that must end before *i* starts, and of
    all that wait for it; `waits_for[i]` and `followed_by[i]` are their transitive reductions.
    """

    steps: tuple[Step, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    waits_for: tuple[int, ...]
    followed_by: tuple[int, ...]

    @property
    def everything(self) -> int:
        """The mask of all steps."""
        return (1 << len(self.steps)) - 1


def build_graph(steps: Sequence[Step]) -> Graph:
    """Contract skipped steps and close the order; the steps must have passed `rules.check`."""
    by_id = {step.id: step for step in steps}
    order = topological_order({step.id: step.depends_on for step in steps})
    enabled = [step_id for step_id in order if not by_id[step_id].is_skipped]
    bit = {step_id: 1 << index for index, step_id in enumerate(enabled)}
    closed: dict[str, int] = {}
    for step_id in order:
        mask = 0
        for dependency in by_id[step_id].depends_on:
            mask |= closed[dependency] | bit.get(dependency, 0)
        closed[step_id] = mask
    before = [closed[step_id] for step_id in enabled]
    after = [0] * len(enabled)
    waits_for, followed_by = [], [0] * len(enabled)
    for index, mask in enumerate(before):
        implied = 0
        for earlier in bits(mask):
            after[earlier] |= 1 << index
            implied |= before[earlier]
        waits_for.append(mask & ~implied)
        for earlier in bits(mask & ~implied):
            followed_by[earlier] |= 1 << index
    return Graph(
        steps=tuple(by_id[step_id] for step_id in enabled),
        before=tuple(before),
        after=tuple(after),
        waits_for=tuple(waits_for),
        followed_by=tuple(followed_by),
    )


def bits(mask: int) -> Iterator[int]:
    """The indices in a mask, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def topological_order(depends_on: Mapping[str, Iterable[str]]) -> list[str]:
    """Ids after all they depend on, ties in the order of the ids.

    Dependencies that are not among the ids are passed over; ids on a cycle, or behind one, are left
    out of the order.
    """
    known = {
        step_id: [d for d in found if d in depends_on] for step_id, found in depends_on.items()
    }
    missing = {step_id: len(found) for step_id, found in known.items()}
    dependants: dict[str, list[str]] = {step_id: [] for step_id in known}
    for step_id, found in known.items():
        for dependency in found:
            dependants[dependency].append(step_id)
    ready = [step_id for step_id, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        step_id = heapq.heappop(ready)
        order.append(step_id)
        for dependant in dependants[step_id]:
            missing[dependant] -= 1
            if missing[dependant] == 0:
                heapq.heappush(ready, dependant)
    return order
