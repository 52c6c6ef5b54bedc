"""The order of the steps as bit masks, which makes set algebra on 200 steps a few nanoseconds.

Step *i* is bit `1 << i`. Indices follow a topological order with ties broken by step id, so the
same flow has the same indices however its document lists the steps.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
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
    order = _topological_order(by_id)
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


def _topological_order(by_id: Mapping[str, Step]) -> list[str]:
    missing = {step.id: len(step.depends_on) for step in by_id.values()}
    dependants: dict[str, list[str]] = {step_id: [] for step_id in by_id}
    for step in by_id.values():
        for dependency in step.depends_on:
            dependants[dependency].append(step.id)
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
