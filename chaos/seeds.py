"""One seed from its plan to its verdict."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from random import Random

from chaos.faults import Faults
from chaos.invariants import broken
from chaos.plans import EVERY_DYNAMODB, Plan, plan_of
from chaos.scenario import play
from chaos.world import Stores, World, without_threads_and_waits
from tests.support.aws import TABLE
from tests.support.time_and_ids import FakeClock

from millrace.storage.dynamodb_failed_records import DynamoFailedRecords
from millrace.storage.dynamodb_paces import DynamoPaces
from millrace.storage.dynamodb_resources import DynamoResources
from millrace.storage.dynamodb_runs import DynamoRuns


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
    faults = Faults(Random(f"{seed} faults"), plan.rate, plan.faults, plan.taste)
    quiet = redirect_stdout(StringIO())  # metrics are lines of it
    with quiet, without_threads_and_waits(clock), _stores(plan, faults, clock) as stores:
        try:
            found = broken(play(World(plan, stores, faults, clock)))
        except Exception:  # noqa: BLE001 - the other seeds go on
            found = [f"the harness fell over: {traceback.format_exc()}"]
    return Verdict(seed, plan.told(), tuple(faults.happened), tuple(found))


@contextmanager
def _stores(plan: Plan, faults: Faults, clock: FakeClock) -> Iterator[Stores]:
    if not plan.on_dynamodb:
        yield Stores()
        return
    from chaos.wire import dynamodb  # noqa: PLC0415 - most seeds need no moto

    with dynamodb(faults, TABLE, 1 + plan.seed // EVERY_DYNAMODB % 3) as client:
        yield Stores(
            resources=DynamoResources(lambda: client, TABLE),
            runs=DynamoRuns(lambda: client, TABLE),
            failed_records=DynamoFailedRecords(lambda: client, TABLE),
            paces=DynamoPaces(lambda: client, TABLE, clock),
        )
