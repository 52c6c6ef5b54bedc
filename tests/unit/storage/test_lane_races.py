"""Many runs at once for few slots: none is lost, none is over the limit."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from threading import Lock, get_ident

import boto3
import pytest
from tests.support.aws import TABLE
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace.domain.delivery import Delivery
from millrace.domain.errors import FlowBusyError
from millrace.domain.flow import Flow
from millrace.domain.ports import Runs
from millrace.domain.run import LaneKey, Run, RunStatus, Trigger
from millrace.domain.webhook import WebhookInput
from millrace.storage.dynamodb_runs import DynamoRuns
from millrace.usecases.context import Context
from millrace.usecases.deliveries import Accepted, receive_delivery
from millrace.usecases.lifecycle import cancel_run
from millrace.usecases.runs import start_run
from millrace.usecases.webhooks import WEBHOOKS

THREADS = 50
WEBHOOK = Trigger(source="webhook", webhook_id="hook_1")


def one_at_a_time() -> Runs:
    """A store on DynamoDB whose requests are atomic; moto is not made for threads."""
    client = boto3.client("dynamodb")
    lock, holders = Lock(), dict[int, bool]()

    def begin(**_: object) -> None:
        if not holders.get(get_ident()):
            lock.acquire()
            holders[get_ident()] = True

    def end(**_: object) -> None:
        if holders.pop(get_ident(), False):
            lock.release()

    client.meta.events.register_first("before-call.dynamodb", begin)
    client.meta.events.register_last("after-call.dynamodb", end)
    return DynamoRuns(lambda: client, TABLE)


@dataclass(frozen=True)
class Rush:
    """A flow that many want to run at once."""

    world: World
    context: Context

    def flow(self, on_conflict: str, limit: int) -> Flow:
        """The flow, deployed."""
        rule = {"limit": limit, "onConflict": on_conflict}
        return self.world.deployed(process_step("map"), concurrency=rule)

    def all_at_once[T](self, act: Callable[[int], T], times: int = THREADS) -> list[T]:
        """Do something in many threads."""
        with ThreadPoolExecutor(times) as threads:
            return list(threads.map(act, range(times)))

    def now(self, runs: list[Run]) -> Counter[RunStatus]:
        """How many runs are in each state."""
        return Counter(self.context.runs.get(run.key).status for run in runs)

    def started(self, runs: list[Run]) -> set[str]:
        """The runs whose machines were started."""
        machines = self.world.machines
        return {run.id for run in runs if machines.outcome(run.machine_arn, run.id) is not None}


@pytest.fixture
def rush(substrate: str, world: World) -> Rush:
    """A world whose runs are in memory or on DynamoDB."""
    numbers = count(1)
    context = replace(world.context, new_id=lambda prefix: f"{prefix}_{next(numbers):06d}")
    if substrate != "memory":
        context = replace(context, runs=one_at_a_time())
    return Rush(world, context)


@pytest.fixture
def world() -> World:
    """What is beside the runs."""
    return World()


def test_c1_of_many_at_once_as_many_begin_as_may(rush: Rush) -> None:
    """The rest waits, each in the line once."""
    flow = rush.flow("queue", limit=3)
    told = rush.all_at_once(lambda _: start_run(rush.context, flow, WEBHOOK, None)[0])
    assert rush.now(told) == {RunStatus.RUNNING: 3, RunStatus.QUEUED: THREADS - 3}
    lane = rush.context.runs.lane(LaneKey(ALICE.workspace_id, flow.id, "runs"))
    assert lane is not None
    assert rush.started(told) == set(lane.slots)
    assert set(lane.slots) | set(lane.waiting) == {run.id for run in told}


def test_c1_of_two_at_once_for_one_slot_one_is_refused(rush: Rush) -> None:
    """As of fifty: who is refused leaves no run behind."""
    flow = rush.flow("reject", limit=1)

    def ask(_: int) -> Run | None:
        with suppress(FlowBusyError):
            return start_run(rush.context, flow, WEBHOOK, None)[0]
        return None

    (accepted,) = filter(None, rush.all_at_once(ask))
    assert [run.id for run in rush.context.runs.page(ALICE.workspace_id).items] == [accepted.id]


def test_r3_one_delivery_many_times_takes_one_slot(rush: Rush) -> None:
    """All are told the same run."""
    flow = rush.flow("queue", limit=2)
    told = rush.all_at_once(
        lambda _: start_run(rush.context, flow, WEBHOOK, None, dedupe_key="same")
    )
    assert len({run.id for run, _ in told}) == 1
    assert [is_new for _, is_new in told].count(True) == 1
    lane = rush.context.runs.lane(LaneKey(ALICE.workspace_id, flow.id, "runs"))
    assert lane is not None
    assert (len(lane.slots), lane.waiting) == (1, {})


def test_s4_a_hundred_replays_at_once_are_one_run(rush: Rush) -> None:
    """Of a captured request, whatever header the replayer adds; the others are duplicates."""
    flow = rush.flow("queue", limit=2)
    given = WebhookInput.model_validate({"hmacPreset": "stripe", "hmacSecretKey": "s3cret"})
    hook = WEBHOOKS.create(rush.context, ALICE, given, flow_id=flow.id)
    moment = int(rush.context.clock().timestamp())
    signed = hmac.new(b"s3cret", f"{moment}.{{}}".encode(), hashlib.sha256).hexdigest()
    captured = {"content-type": "application/json", "stripe-signature": f"t={moment},v1={signed}"}

    def replay(number: int) -> Accepted:
        delivery = Delivery("POST", captured | {"x-request-id": str(number)}, {}, b"{}")
        return receive_delivery(rush.context, hook.id, delivery)

    told = rush.all_at_once(replay, times=100)
    (run_id,) = {accepted.run.id for accepted in told}
    assert [accepted.is_new for accepted in told].count(True) == 1
    assert [run.id for run in rush.context.runs.page(ALICE.workspace_id).items] == [run_id]
    assert {name for _, name in rush.world.machines.started} == {run_id}


def test_r14_all_are_cancelled_at_once_while_they_wait(rush: Rush) -> None:
    """Twice over, in any order: all are cancelled and every slot is free."""
    flow = rush.flow("queue", limit=2)
    runs = [start_run(rush.context, flow, WEBHOOK, None)[0] for _ in range(THREADS // 2)]
    rush.all_at_once(lambda place: cancel_run(rush.context, runs[place // 2]))
    assert rush.now(runs) == {RunStatus.CANCELLED: THREADS // 2}
    assert rush.context.runs.lanes(ALICE.workspace_id, limit=9) == ()
