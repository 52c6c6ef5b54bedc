"""A worker that dies before, or after, each single write of a flow that nothing else befalls.

What a write is, is not listed anywhere: every call that is not known to change nothing counts, of a
store, of Step Functions, or on the wire, and so does every request to another system.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, product
from random import Random
from typing import Final

from chaos.faults import Fault, Faults
from chaos.plans import Plan, plan_of
from chaos.seeds import Verdict, try_plan

DEATHS: Final = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)

KINDS: Final[Mapping[str, Callable[[Plan], bool]]] = {
    "webhook": lambda plan: plan.is_fed and not plan.is_called and not plan.is_synchronous,
    "reader": lambda plan: not plan.is_fed and not plan.is_synchronous,
    "caller": lambda plan: plan.is_called and plan.is_synchronous,
    "lane": lambda plan: "concurrency" in plan.settings and plan.is_fed,
    "follower": lambda plan: plan.has_next_flow,
    "error queue": lambda plan: plan.retries_errors and not plan.is_synchronous,
    "on AWS": lambda plan: plan.on_aws and plan.is_fed and not plan.is_synchronous,
}
"""What flows are looked at, each by the first seed that has one."""

_SIZE: Final = 12
_WEIGHT: Final = 3_000


@dataclass
class OneDeath(Faults):
    """Kills the worker at one write, the first being 1, and does nothing else."""

    at: int = 0
    how: Fault = Fault.KILLED_BEFORE
    seen: int = 0
    """How many writes there were so far."""

    def draw[K: str](self, place: str, kinds: Sequence[K]) -> K | None:
        """See Faults."""
        super().draw(place, kinds)
        deaths = [kind for kind in kinds if kind in DEATHS]
        if not self._running or self.left == 0 or len(deaths) < len(DEATHS):
            return None
        self.seen += 1
        if self.seen != self.at:
            return None
        self.happened.append(f"{self._running[-1].name}: {place}: {self.how}")
        return next(kind for kind in deaths if kind == self.how)


def plan_for(kind: str) -> Plan:
    """A plan of the kind, with one run of few records, some of which go by way of the bucket."""
    plan = next(plan for plan in map(plan_of, count()) if KINDS[kind](plan))
    start = replace(plan.starts[0], size=_SIZE, repeats=1)
    return replace(plan, starts=(start,), weight=_WEIGHT, cancels=False)


def writes_of(kind: str) -> int:
    """How many writes a flow of the kind makes if nothing happens."""
    faults = _faults(0, Fault.KILLED_BEFORE)
    verdict = try_plan(plan_for(kind), faults)
    if verdict.broken:
        raise AssertionError(verdict)
    return faults.seen


def try_death(kind: str, at: int, how: Fault) -> Verdict:
    """Let a worker die at that write, and look what is broken."""
    return try_plan(plan_for(kind), _faults(at, how))


def deaths_of(kind: str) -> Iterator[tuple[int, Fault]]:
    """Every death that there is in a flow of the kind."""
    yield from product(range(1, writes_of(kind) + 1), DEATHS)


def try_deaths(kind: str) -> tuple[int, list[Verdict]]:
    """How many deaths there were, and those after which something was broken."""
    verdicts = [try_death(kind, at, how) for at, how in deaths_of(kind)]
    return len(verdicts), [verdict for verdict in verdicts if verdict.broken]


def _faults(at: int, how: Fault) -> OneDeath:
    return OneDeath(Random(0), rate=0.0, left=1, at=at, how=how)
