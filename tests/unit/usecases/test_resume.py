"""A flow whose worker is killed at any of its calls loses nothing and sends nothing twice."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.samples import ALICE
from tests.support.time_and_ids import NOON
from tests.support.world import AMPLE, World

from millrace import limits
from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.registry import HttpConnectors
from millrace.domain.action import ExportAction, ImportAction, ProcessAction
from millrace.domain.base import Record
from millrace.domain.flow_parts import Concurrency
from millrace.domain.operations import FilterOperation, MapOperation
from millrace.domain.run import Counts, Run
from millrace.domain.step import Step
from millrace.usecases.pages import read_records
from millrace.usecases.run_step import StepTask, run_step

ORDERS = 40
UNREADABLE, REFUSED = 11, 30


class Killed(Exception):  # noqa: N818 - what happened to the worker
    """The worker is no more."""


@dataclass
class Worker:
    """One life of a worker, which ends at one of its calls and then does nothing any more.

    Call number n may fail before it has an effect, as 2n, or after it, as 2n + 1.
    """

    dies_at: int | None = None
    calls: int = 0
    is_dead: bool = False
    _lock: Lock = field(default_factory=Lock)

    def call[T](self, effect: Callable[[], T]) -> T:
        """Do something outside of the worker, if it lives."""
        with self._lock:
            self._live(2 * self.calls)
            result = effect()
            self._live(2 * self.calls + 1)
            self.calls += 1
            return result

    def _live(self, moment: int) -> None:
        self.is_dead |= moment == self.dies_at
        if self.is_dead:
            raise Killed


class Through:
    """A port all calls of which are the worker's."""

    def __init__(self, worker: Worker, port: object) -> None:
        self._worker = worker
        self._port = port

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The port's method."""
        method: Callable[..., Any] = getattr(self._port, name)
        return lambda *args, **named: self._worker.call(partial(method, *args, **named))


@dataclass
class Shop:
    """Gives orders, three a page, and takes each request once by its Idempotency-Key."""

    taken: dict[str, list[Record]] = field(default_factory=dict)

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        if request.method == "GET":
            start = int(parse_qs(urlsplit(request.url).query)["offset"][0])
            orders: list[object] = [order(n) for n in range(start, min(start + 3, ORDERS))]
            page = ["no order" if each == order(UNREADABLE) else each for each in orders]
            return HttpResponse(200, {}, json.dumps(page).encode())
        body = json.loads(request.body or b"")
        records = body if isinstance(body, list) else [body]
        if any(record["order"] == REFUSED for record in records):
            return HttpResponse(422, {}, b"not wanted")
        self.taken.setdefault(request.headers["Idempotency-Key"], records)
        return HttpResponse(201, {}, b"")


def order(number: int) -> Record:
    """An order that hardly compresses."""
    return {"id": number, "text": f"{random.Random(number).getrandbits(400):x}"}


@dataclass
class Flow:
    """A flow of three steps in a run, and the shop that it reads and writes."""

    batch_size: int | None
    together: int = 1
    """Requests that are under way at a time."""
    shop: Shop = field(default_factory=Shop)
    world: World = field(default_factory=World)
    ticks: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        """Start the run."""
        self.world.connection()
        self.run: Run = self.world.start(self.world.deployed(*self.steps()))

    def steps(self) -> tuple[Step, ...]:
        """Read orders, drop some of them, write the others."""
        pages = {"type": "offset", "limit": 3}
        source = {"path": "/orders", "pagination": pages}
        sink = {"path": "/sink", "batchSize": self.batch_size}
        shop = {"connectionId": "con_000001"}
        read = ExportAction.model_validate({"type": "Export", "http": source} | shop)
        write = ImportAction.model_validate({"type": "Import", "http": sink} | shop)
        keep = FilterOperation(type="filter", expression="id % 7 != 0")
        rename = MapOperation(type="map", expression='{"order": id, "text": text}')
        change = ProcessAction(type="Process", operations=(keep, rename))
        return (
            Step(id="read", type="Export", action=read),
            Step(id="change", type="Process", action=change, depends_on=("read",)),
            Step(
                id="write",
                type="Import",
                action=write,
                depends_on=("change",),
                concurrency=Concurrency(limit=self.together),
            ),
        )

    def now(self) -> datetime:
        """Time goes on, so that a checkpoint is written now and then."""
        return NOON + timedelta(seconds=0.2) * next(self.ticks)

    def carried_out(self, life: Callable[[], Worker]) -> Worker:
        """Have the steps run, by another worker whenever one dies; the last of them."""
        worker = life()
        for step_id in ("read", "change", "write"):
            while True:
                try:
                    self._step(worker, step_id)
                    break
                except Killed:
                    worker = life()
        return worker

    def _step(self, worker: Worker, step_id: str) -> None:
        task = StepTask(
            workspace_id=ALICE.workspace_id, run_id=self.run.id, attempt=1, step_id=step_id
        )
        shop = HttpClient(Through(worker, self.shop), sleep=lambda _: None)
        context = replace(
            self.world.context,
            runs=Through(worker, self.world.runs),
            blobs=Through(worker, self.world.blobs),
            failed_records=Through(worker, self.world.failed_records),
            connectors=HttpConnectors(shop),
            clock=self.now,
        )
        run_step(context, task, lambda: AMPLE)

    def check(self) -> None:
        """Every order was taken once or has one error, and the counts say so."""
        arrived = [record for request in self.shop.taken.values() for record in request]
        if self.together > 1:
            arrived.sort(key=lambda record: int(record["order"]))
        written = self.world.runs.step(self.run.key, 1, "write")
        assert written is not None
        pages = list(read_records(self.world.blobs, written.output))
        assert [record for page in pages for record in page] == arrived
        errors = self.world.failed_records.page(ALICE.workspace_id, self.run.flow_id).items
        failed = [
            json.loads(error.record.inline)["order"]
            for error in errors
            if error.record is not None and error.record.inline is not None
        ]
        numbers = [record["order"] for record in arrived]
        assert numbers == sorted(numbers)
        assert sorted(numbers + failed) == [n for n in range(ORDERS) if n % 7 and n != UNREADABLE]
        assert REFUSED in failed
        assert [e.position for e in errors if e.step_id == "read"] == [UNREADABLE]
        assert written.counts == Counts(
            records_in=len(numbers) + len(failed),
            records_out=len(numbers),
            records_failed=len(failed),
        )
        assert all(record["text"] == order(record["order"])["text"] for record in arrived)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of few records and short lists of them, so that there are many of each kind."""
    monkeypatch.setattr(limits, "PAGE_RECORDS", 5)
    monkeypatch.setattr(limits, "INLINE_OUTPUT_BYTES", 400)
    monkeypatch.setattr(limits, "OUTPUT_PAGES_LISTED", 3)


@pytest.mark.parametrize(("batch_size", "together"), [(4, 1), (None, 1), (4, 3), (None, 3)])
def test_a_worker_may_die_at_any_call(batch_size: int | None, together: int) -> None:
    """Before or after each request to the shop, to the store and to the bucket."""
    flow = Flow(batch_size, together)
    calls = flow.carried_out(Worker).calls
    flow.check()
    assert calls > 80
    for moment in range(2 * calls):
        flow = Flow(batch_size, together)
        flow.carried_out(dying_at(moment))
        flow.check()


def dying_at(moment: int) -> Callable[[], Worker]:
    """One worker that dies then, and others that do not."""
    moments = iter([moment])
    return lambda: Worker(next(moments, None))


@pytest.mark.parametrize("seed", range(20))
def test_workers_may_die_again_and_again(seed: int) -> None:
    """Each gets some way, and the next goes on from there."""
    chance = random.Random(seed)
    flow = Flow(4)
    flow.carried_out(lambda: Worker(chance.randrange(20, 60)))
    flow.check()
