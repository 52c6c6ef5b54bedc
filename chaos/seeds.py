"""One seed from its plan to its verdict."""

import logging
from dataclasses import dataclass
from random import Random

from chaos.faults import Faults
from chaos.invariants import broken
from chaos.plans import plan_of
from chaos.scenario import play
from chaos.world import Stores, World, without_threads_and_waits
from tests.support.time_and_ids import FakeClock


@dataclass(frozen=True)
class Verdict:
    """What a seed came to."""

    seed: int
    told: str
    faults: tuple[str, ...]
    broken: tuple[str, ...]


def try_seed(seed: int) -> Verdict:
    """Let a seed take place, and look what is broken."""
    logging.disable(logging.CRITICAL)
    plan, clock = plan_of(seed), FakeClock()
    faults = Faults(Random(f"{seed} faults"), plan.rate, plan.faults)
    with without_threads_and_waits(clock):
        world = World(plan, Stores(), faults, clock)
        found = broken(play(world))
    return Verdict(seed, plan.told(), tuple(faults.happened), tuple(found))
