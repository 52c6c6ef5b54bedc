"""A stack in one process: real use cases over stores that may fail, machines that run, a shop."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from unittest import mock

from chaos.cloud import TARGETS, Cloud
from chaos.executions import LiveMachines
from chaos.faults import Faults
from chaos.machines import Loop
from chaos.plans import Plan
from chaos.shop import Shop
from chaos.stores import FaultyStore
from tests.support.functions import ScriptedFunctions
from tests.support.time_and_ids import CountingIds, FakeClock

from millrace.connectors.http_client import HttpClient
from millrace.connectors.registry import HttpConnectors
from millrace.domain.base import rfc3339
from millrace.domain.ports import Blobs, FailedRecords, Paces, Resources, Runs
from millrace.domain.run import Run
from millrace.storage.memory import (
    MemoryBlobs,
    MemoryNotifications,
    MemoryQueues,
    MemoryResources,
    MemoryRuns,
    MemorySchedules,
    MemorySecrets,
    scratch,
)
from millrace.storage.memory_failed_records import MemoryFailedRecords
from millrace.storage.memory_paces import MemoryPaces
from millrace.storage.memory_pool_entries import MemoryPoolEntries
from millrace.usecases import ahead, pages
from millrace.usecases.context import Context

_DEEPEST = 2
"""So many functions at most are under way at once in the middle of another."""


@dataclass(frozen=True)
class Stores:
    """What is kept, as it is: no faults."""

    resources: Resources = field(default_factory=MemoryResources)
    runs: Runs = field(default_factory=MemoryRuns)
    failed_records: FailedRecords = field(default_factory=MemoryFailedRecords)
    paces: Paces = field(default_factory=MemoryPaces)
    blobs: Blobs = field(default_factory=MemoryBlobs)


class World:
    """All that a scenario takes place in."""

    def __init__(self, plan: Plan, stores: Stores, faults: Faults, clock: FakeClock) -> None:
        self.plan = plan
        self.stores = stores
        self.clock = clock
        self.loop = Loop(clock)
        self.faults = faults
        faults.go_on = self._others_go_on
        closed_until = clock() + timedelta(seconds=plan.closed_seconds)
        self.shop = Shop(clock, faults, closed_until=closed_until)
        self.ends: defaultdict[str, set[str]] = defaultdict(set)
        """Every terminal status that anybody saw of a run."""
        self._rng = Random(plan.seed + 1)
        self.cloud = Cloud(self.loop, faults, self._rng, self._worker)
        self.machines = LiveMachines(
            self.loop, self._rng, self.cloud.task, self.cloud.execution_ended
        )
        self._new_id = CountingIds()
        self._kept = {
            "secrets": MemorySecrets(),
            "pool_entries": MemoryPoolEntries(),
            "functions": ScriptedFunctions(),
            "schedules": MemorySchedules(),
            "notifications": MemoryNotifications(),
        }

    @property
    def context(self) -> Context:
        """The context of somebody whom nothing befalls."""
        return self._worker()

    def _worker(self) -> Context:
        """The context of a worker that begins."""
        paces = self._faulty("paces", self.stores.paces)
        http = HttpClient(self.shop, sleep=self._sleep, clock=self.clock, rng=self._rng.random)
        return Context(
            resources=self._faulty("resources", self.stores.resources),
            runs=self._faulty("runs", self.stores.runs),
            failed_records=self._faulty("errors", self.stores.failed_records),
            blobs=self._faulty("blobs", self.stores.blobs),
            machines=self._faulty("machines", self.machines, is_on_wire=False),
            connectors=HttpConnectors(http, lambda: paces),
            targets=TARGETS,
            clock=self.clock,
            new_id=self._new_id,
            scratch=scratch,
            queues=MemoryQueues,
            **{
                name: self._faulty(name, store, is_on_wire=False)
                for name, store in self._kept.items()
            },
        )

    def _faulty(self, name: str, store: object, *, is_on_wire: bool = True) -> Any:  # noqa: ANN401 - stands for a port
        """A store behind faults, unless these happen on its wire."""
        if is_on_wire and self.plan.on_aws:
            return FaultyStore(name, store, Faults(self._rng, 0.0, 0), self._saw)
        return FaultyStore(name, store, self.faults, self._saw)

    def _saw(self, answer: object) -> None:
        runs = answer if isinstance(answer, tuple) else (answer,)
        for run in runs:
            if isinstance(run, Run):
                seen = self.ends[run.id]
                if run.ended_at is not None:
                    seen.add(f"{run.status.value} at {rfc3339(run.ended_at)}")
                elif seen:
                    seen.add(f"{run.status.value} again")

    def _sleep(self, seconds: float) -> None:
        self.clock.forward(seconds=seconds)

    def _others_go_on(self) -> None:
        if self.faults.depth > _DEEPEST:
            return
        for _ in range(self._rng.randint(1, 8)):
            self.loop.step()


class _Inline:
    """Does at once what an executor's thread does some time: threads have no order to repeat."""

    def __init__(self, *_: object) -> None:
        pass

    def submit[**P, T](self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> "Future[T]":
        """See Executor."""
        future: Future[T] = Future()
        try:
            future.set_result(work(*args, **named))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            future.set_exception(error)
        return future

    def shutdown(self, **_: object) -> None:
        """See Executor; nothing is left to do."""


@contextmanager
def without_threads_and_waits(clock: FakeClock) -> Iterator[None]:
    """All happens in one thread, and whoever sleeps moves the clock."""
    with ExitStack() as patches:
        for module in (ahead, pages):
            patches.enter_context(mock.patch.object(module, "ThreadPoolExecutor", _Inline))
        sleep = mock.patch.object(time, "sleep", lambda seconds: clock.forward(seconds=seconds))
        patches.enter_context(sleep)
        yield
