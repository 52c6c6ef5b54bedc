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
from chaos.plans import EVERY_ON_AWS, Plan, plan_of
from chaos.scenario import play
from chaos.world import Stores, World, without_threads_and_waits
from tests.support.aws import BUCKET, TABLE
from tests.support.time_and_ids import FakeClock

from millrace.storage.dynamodb_failed_records import DynamoFailedRecords
from millrace.storage.dynamodb_paces import DynamoPaces
from millrace.storage.dynamodb_resources import DynamoResources
from millrace.storage.dynamodb_runs import DynamoRuns
from millrace.storage.s3_blobs import S3Blobs


@dataclass(frozen=True)
class Verdict:
    """What a seed came to."""

    seed: int
    told: str
    faults: tuple[str, ...]
    broken: tuple[str, ...]


def try_seed(seed: int) -> Verdict:
    """Let a seed take place, and look what is broken."""
    plan = plan_of(seed)
    return try_plan(
        plan, Faults(Random(f"{seed} faults"), plan.rate, plan.faults, plan.taste, plan.focus)
    )


def try_plan(plan: Plan, faults: Faults) -> Verdict:
    """Let a plan take place under faults, and look what is broken."""
    clock = FakeClock()
    with _quiet(), without_threads_and_waits(clock), _stores(plan, faults, clock) as stores:
        try:
            found = broken(play(World(plan, stores, faults, clock)))
        except Exception:  # noqa: BLE001 - the other seeds go on
            found = [f"the harness fell over: {traceback.format_exc()}"]
    return Verdict(plan.seed, plan.told(), tuple(faults.happened), tuple(found))


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is logged or printed meanwhile; metrics are lines of standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)


@contextmanager
def _stores(plan: Plan, faults: Faults, clock: FakeClock) -> Iterator[Stores]:
    if not plan.on_aws:
        yield Stores()
        return
    from chaos.wire import clients  # noqa: PLC0415 - most seeds need no moto

    with clients(faults, 1 + plan.seed // EVERY_ON_AWS % 3) as made:
        yield Stores(
            resources=DynamoResources(lambda: made.dynamodb, TABLE),
            runs=DynamoRuns(lambda: made.dynamodb, TABLE),
            failed_records=DynamoFailedRecords(lambda: made.dynamodb, TABLE),
            paces=DynamoPaces(lambda: made.dynamodb, TABLE, clock),
            blobs=S3Blobs(lambda: made.s3, BUCKET),
        )
