"""How fast records move, and in how much memory: `python -m benchmarks.throughput [--json]`.

A flow of three steps, export 500 a page -> filter and map -> import 500 a batch, by the worker's
own `run_step` with the stores in memory and pages on disk; beside it a loop as one would write it
by hand, over the same servers with the same expressions. Both run in turn, and the ratio is the
median of those of each round, so that what else the machine does bears on both alike; beside it
stands that of their CPU, which waiting for the servers is no part of. DynamoDB's and S3's time is
in neither; how often they would be asked is counted.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import jsonatapy
import urllib3
from benchmarks.throughput_servers import serving
from tests.support.aws import ENVIRONMENT
from tests.support.samples import ALICE, surroundings
from tests.support.world import World

from millrace.connectors.process import Pipeline
from millrace.connectors.registry import HttpConnectors
from millrace.domain.action import ExportAction, ImportAction, ProcessAction
from millrace.domain.connection import ConnectionInput
from millrace.domain.networks import AllowedNetworks
from millrace.domain.operations import MapOperation
from millrace.domain.records import Origin
from millrace.domain.step import Step
from millrace.storage.memory_paces import MemoryPaces
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.run_step import StepTask, run_step

LOOPBACK: Final = AllowedNetworks.from_text(ENVIRONMENT["MILLRACE_ALLOWED_NETWORKS"])
PAGE: Final = 500
FILTER: Final = "total >= 10"
MAP: Final = (
    '{"orderId": id, "name": customer, "amount": total * 2, "city": address.city, '
    '"sku": lines[0].sku}'
)
DROPPED: Final = 10
"""Records that the filter holds back: the ids up to 9."""


def by_hand(source: str, sink: str, total: int) -> None:
    """What one would write for this one flow."""
    pool = urllib3.PoolManager()
    keep, change = jsonatapy.compile(FILTER), jsonatapy.compile(MAP)
    batch: list[Any] = []

    def send() -> None:
        body = json.dumps(batch).encode()
        headers = {"Content-Type": "application/json"}
        pool.request("POST", sink, body=body, headers=headers)
        batch.clear()

    for offset in range(0, total + 1, PAGE):
        answer = pool.request("GET", f"{source}/{total}?offset={offset}&limit={PAGE}")
        for record in json.loads(answer.data)["items"]:
            if keep.evaluate(record):
                batch.append(change.evaluate(record))
                if len(batch) == PAGE:
                    send()
    if batch:
        send()


class FileBlobs:
    """The `Blobs` port in a directory, so that what is stored takes no memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, data: bytes) -> None:
        """See Blobs."""
        (self._folder / key.replace("/", "~")).write_bytes(data)

    def get(self, key: str) -> bytes:
        """See Blobs."""
        return (self._folder / key.replace("/", "~")).read_bytes()


class Counted:
    """A store whose calls are counted; each is one request to DynamoDB or S3."""

    def __init__(self, store: object, calls: Counter[str]) -> None:
        self._store = store
        self._calls = calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The store's method, counted."""
        method: Callable[..., Any] = getattr(self._store, name)

        def counted(*args: object, **named: object) -> object:
            self._calls[name] += 1
            return method(*args, **named)

        return counted


def by_millrace(source: str, sink: str, total: int) -> Counter[str]:
    """The three steps; the calls of stores that they made."""
    calls: Counter[str] = Counter()
    with TemporaryDirectory() as folder:
        world = World()
        paces = Counted(MemoryPaces(), calls)
        context = replace(
            world.context,
            blobs=Counted(FileBlobs(Path(folder)), calls),
            connectors=HttpConnectors(paces=lambda: paces, networks=lambda: LOOPBACK),
            clock=lambda: datetime.now(UTC),
        )
        steps = (
            _step("read", ExportAction.model_validate(_export(context, source, total)), ()),
            _step("change", ProcessAction.model_validate(PROCESS), ("read",)),
            _step("write", ImportAction.model_validate(_import(context, sink)), ("change",)),
        )
        started = world.start(world.deployed(*steps))
        context = replace(context, runs=Counted(world.runs, calls))
        for step in steps:
            task = StepTask(
                workspace_id=ALICE.workspace_id, run_id=started.id, attempt=1, step_id=step.id
            )
            record = run_step(context, task, lambda: timedelta(hours=1))
        wanted = total - DROPPED
        if record.counts.records_out != wanted:
            raise SystemExit(f"{record.counts.records_out} records arrived and not {wanted}")
    return calls


PROCESS: Final = {
    "type": "Process",
    "operations": [{"type": "filter", "expression": FILTER}, {"type": "map", "expression": MAP}],
}


def _step(
    id_: str, action: ExportAction | ProcessAction | ImportAction, after: tuple[str, ...]
) -> Step:
    return Step(id=id_, type=action.type, action=action, depends_on=after)


def _export(context: Context, source: str, total: int) -> dict[str, Any]:
    http = {
        "path": f"/{total}",
        "recordsPath": "/items",
        "pagination": {"type": "offset", "limit": PAGE},
    }
    return {"type": "Export", "connectionId": _connection(context, source), "http": http}


def _import(context: Context, sink: str) -> dict[str, Any]:
    http = {"path": "/orders", "batchSize": PAGE}
    return {"type": "Import", "connectionId": _connection(context, sink), "http": http}


def _connection(context: Context, url: str) -> str:
    return CONNECTIONS.create(context, ALICE, ConnectionInput(name=url, base_url=url)).id


def mapped_per_second(records: int) -> float:
    """Records through a map of five fields, nothing else."""
    page = [
        {
            "id": number,
            "customer": f"Customer {number}",
            "total": number * 1.25,
            "address": {"city": "Bern"},
            "lines": [{"sku": f"A-{number}"}],
        }
        for number in range(PAGE)
    ]
    pipeline = Pipeline((MapOperation(type="map", expression=MAP),), surroundings())
    origins = [Origin("run", position) for position in range(PAGE)]
    times = []
    for _ in range(max(1, records // PAGE)):
        start = time.perf_counter()
        pipeline.feed(page, origins)
        times.append(time.perf_counter() - start)
    return PAGE / statistics.median(times)


class Took(NamedTuple):
    """How long something took, and how much CPU."""

    wall: float
    cpu: float


def _timed(move: Callable[[str, str, int], object], source: str, sink: str, total: int) -> Took:
    start, cpu = time.perf_counter(), time.process_time()
    move(source, sink, total)
    took = Took(time.perf_counter() - start, time.process_time() - cpu)
    answer = urllib3.request("GET", sink)
    if int(answer.data) != total - DROPPED:
        raise SystemExit(f"{move.__name__}: {answer.data.decode()} records arrived")
    return took


def _resident_mb(source: str, sink: str, total: int) -> float:
    """Peak memory of a process of its own that moves so many records."""
    command = [sys.executable, "-m", "benchmarks.throughput", "--move", source, sink, str(total)]
    told = run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this module
    urllib3.request("GET", sink)
    return float(told.stdout)


def measured(records: int, most: int, rounds: int) -> dict[str, float]:
    """All figures."""
    with serving("source") as source, serving("sink") as sink:
        for move in (by_hand, by_millrace):
            _timed(move, source, sink, PAGE)  # which imports what is imported once
        pairs = [
            (_timed(by_hand, source, sink, records), _timed(by_millrace, source, sink, records))
            for _ in range(rounds)
        ]
        calls = by_millrace(source, sink, records)
        return {
            "records": records,
            "hand_records_per_s": round(
                records / statistics.median(hand.wall for hand, _ in pairs)
            ),
            "records_per_s": round(records / statistics.median(own.wall for _, own in pairs)),
            "ratio_to_hand_loop": round(
                statistics.median(hand.wall / own.wall for hand, own in pairs), 3
            ),
            "cpu_ratio_to_hand_loop": round(
                statistics.median(hand.cpu / own.cpu for hand, own in pairs), 3
            ),
            "map_records_per_s": round(mapped_per_second(50_000)),
            "rss_mb_10k": _resident_mb(source, sink, 10_000),
            f"rss_mb_{_short(most)}": _resident_mb(source, sink, most),
            "storage_requests_per_1000": round(calls.total() / records * 1_000, 2),
        }


def peak_mb() -> float:
    """The most memory that this process has held since it began."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: what that tells begins with the peak of the process that started this one.
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) / 1_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000_000


def _short(number: int) -> str:
    return f"{number // 1_000_000}m" if number >= 1_000_000 else f"{number // 1_000}k"  # noqa: PLR2004


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--records", type=int, default=50_000, help="moved in each round")
    parser.add_argument("--most", type=int, default=1_000_000, help="for the second peak of memory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--move", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.move:
        source, sink, total = arguments.move
        by_millrace(source, sink, int(total))
        sys.stdout.write(f"{peak_mb():.1f}\n")
        return
    figures = measured(arguments.records, arguments.most, arguments.rounds)
    if arguments.json:
        json.dump(figures, sys.stdout, indent=2)
    else:
        sys.stdout.write("throughput: export 500 a page, filter and map, import 500 a batch\n")
        sys.stdout.write("\n".join(f"{name}: {value}" for name, value in figures.items()))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
