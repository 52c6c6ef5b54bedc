"""What requests cost: `python -m benchmarks.api [--json]`.

The real handlers under moto. Requests to DynamoDB are counted where botocore sends them; consumed
units are computed from the items that go over the wire by DynamoDB's published rules, since moto
knows none. Times are CPU of the handler, botocore's part included, without the time within moto,
whose queries take longer the more a table holds. Real DynamoDB's and the network's time is in none
of them. Beside each stands a handler of a few lines that makes the same calls (`baseline_handler`).
"""

import argparse
import json
import statistics
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from time import process_time
from typing import Any, Final, cast
from unittest.mock import patch

import boto3
from benchmarks.cold_start import FirstRequest, cold_starts
from benchmarks.figures import logs_aside
from benchmarks.units import consumed
from moto.core.botocore_stubber import BotocoreStubber
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from tests.functional.conftest import Stack, deployed_stack
from tests.support.app import Event, LambdaContext, answer_of, http_event
from tests.support.aws import ACCOUNT, REGION, TABLE, simulated_aws

from millrace.usecases.includes.catalogue import FLOW
from millrace.usecases.includes.relation import names_of

SIZES: Final = (10, 1_000, 100_000)
PAGE: Final = 100
CURRENT: Final = "currentVersion"
INCLUDES: Final = (
    *FLOW,
    *(name for name in names_of(FLOW) if name.startswith(f"{CURRENT}.")),
)
"""What is included in a list of 100: each relation of a flow, and each of one of its versions."""

STEPS: Final = [
    {
        "id": f"step-{number}",
        "type": "Process",
        "dependsOn": [f"step-{number - 1}"] if number else [],
        "action": {
            "type": "Process",
            "operations": [{"type": "filter", "expression": "amount > 10"}],
        },
    }
    for number in range(10)
]


@dataclass(slots=True)
class Meter:
    """What was sent to DynamoDB, and the CPU that moto took to answer."""

    operations: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    read_units: float = 0.0
    write_units: float = 0.0
    moto_seconds: float = 0.0

    def watch(self, request: Any, answer: Callable[[], Any]) -> Any:  # noqa: ANN401 - moto's
        """Let moto answer one request."""
        start = process_time()
        told = answer()
        body = told.content.decode()
        target = request.headers.get("X-Amz-Target", b"")
        operation = (target if isinstance(target, str) else target.decode()).rpartition(".")[2]
        if operation:
            self.operations.append(operation)
            self.bodies.append(body)
            read, written = consumed(operation, json.loads(request.body), json.loads(body))
            self.read_units += read
            self.write_units += written
        self.moto_seconds += process_time() - start
        return told


@dataclass(frozen=True, slots=True)
class Row:
    """One call: what it sends, and how long the handlers take."""

    calls: str
    read_units: float
    write_units: float
    p50_ms: float
    p99_ms: float
    baseline_p50_ms: float


class Bench:
    """A stack under moto, one workspace, and the means to measure calls of it."""

    def __init__(self, stack: Stack) -> None:
        from benchmarks import baseline_handler  # noqa: PLC0415 - it makes its client at import

        self._api = stack.functions["api"]
        self._baseline = baseline_handler.handler
        self._numbers = count()
        self.flow = self._flow_with_relations()
        items = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
        own = f"#{self.flow['id']}#"
        (self.item,) = [
            item
            for item in items
            if item["sk"]["S"] == self.flow["id"] and item["pk"]["S"].endswith("#flow")
        ]
        kinds = ("#ver", "#hook", "#cb")
        self._parts = [
            item for item in items if own in item["pk"]["S"] and item["pk"]["S"].endswith(kinds)
        ]
        """What belongs to the flow: its version and its addresses."""

    def _flow_with_relations(self) -> dict[str, Any]:
        """A deployed flow that has one of everything which may be included."""

        def made(path: str, body: object) -> dict[str, Any]:
            body = self._answer(self.request("POST", path, body)).body
            return cast("dict[str, Any]", body)

        shop = made("/v1/connections", {"name": "Shop", "baseUrl": "https://shop.example"})
        work = {"type": "Export", "connectionId": shop["id"], "http": {"path": "/orders"}}
        action = made("/v1/actions", {"name": "Orders", "work": work})
        targets = [{"type": "email", "address": "zoe@shop.example"}]
        group = made("/v1/notificationGroups", {"name": "Shop", "targets": targets})
        read = {"id": "read", "type": "Export", "referrer": action["id"]}
        first, *others = STEPS
        given = {
            **self.new_flow(),
            "steps": [read, {**first, "dependsOn": ["read"]}, *others],
            "labels": [made("/v1/labels", {"name": "Shop"})["id"]],
            "notificationGroups": [group["id"]],
            "schedule": "rate(1 hour)",
        }
        flow = made("/v1/flows", given)
        place = f"/v1/flows/{flow['id']}"
        for kind in ("webhooks", "callbacks"):
            made(f"{place}/{kind}", {})
        version = f"{place}/versions/{flow['latestVersionId']}"
        deploy = {"deployedAt": "2026-01-31T09:00:00Z"}
        self._answer(self.request("PUT", version, deploy, revision=1))
        return cast("dict[str, Any]", self._answer(self.request("GET", place)).body)

    def new_flow(self) -> dict[str, Any]:
        """The body of a flow that there is not yet."""
        return {"name": f"Flow {next(self._numbers)}", "steps": STEPS}

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        query: dict[str, str] | None = None,
        revision: int | None = None,
    ) -> Event:
        """An event as API Gateway makes it."""
        headers = {"content-type": "application/json"}
        if revision is not None:
            headers["if-match"] = f'"{revision}"'
        encoded = None if body is None else json.dumps(body).encode()
        return http_event("api", method, path, encoded, headers, query)

    def fill(self, flows: int) -> None:
        """Bring the workspace to this many flows, past all routes and DynamoDB's API."""
        table = dynamodb_backends[ACCOUNT][REGION].tables[TABLE]
        # As they go over the wire; what is compressed keeps the first flow's id, for no harm.
        parts = [json.dumps(part, default=_base64) for part in self._parts]
        text = json.dumps(self.item, default=_base64)
        held = len(table.items[DynamoType({"S": self.item["pk"]["S"]})])
        for number in range(held, flows):
            # Before the one that was created, so that a page holds these.
            id_ = f"flow_{number:026}"
            table.put_item(json.loads(text.replace(self.flow["id"], id_)))
            for part in parts if number < SIZES[1] else ():
                table.put_item(json.loads(part.replace(self.flow["id"], id_)))

    def measure(
        self, rounds: int, ask: Callable[[], Event], baseline: Callable[[], Event] | None
    ) -> Row:
        """The figures of one kind of call."""
        meter, times = Meter(), []
        for number in range(rounds + 1):
            event = ask()
            meter = Meter()
            took = self._timed(partial(self._answer, event), meter)
            if number:  # the first builds what is built once
                times.append(took)
        theirs = []
        for _ in range(rounds + 1 if baseline else 0):
            event = baseline() if baseline else {}
            theirs.append(self._timed(partial(self._baseline, event, None), Meter()))
        ordered = sorted(times)
        return Row(
            calls=", ".join(
                f"{meter.operations.count(name)} {name}" for name in dict.fromkeys(meter.operations)
            ),
            read_units=meter.read_units,
            write_units=meter.write_units,
            p50_ms=round(statistics.median(ordered), 3),
            p99_ms=round(ordered[int(0.99 * (len(ordered) - 1))], 3),
            baseline_p50_ms=round(statistics.median(theirs[1:]), 3) if theirs else 0.0,
        )

    def replay(self, event: Event, *, baseline: bool = False) -> FirstRequest:
        """A request, and what DynamoDB answers to it."""
        meter = Meter()
        if baseline:
            self._timed(lambda: self._baseline(event, None), meter)
        else:
            self._timed(lambda: self._answer(event), meter)
        return FirstRequest(event, meter.bodies)

    def _answer(self, event: Event) -> Any:  # noqa: ANN401 - an answer, its body any JSON
        answer = answer_of(self._api(event, LambdaContext()))
        if answer.status >= 400:  # noqa: PLR2004 - where HTTP errors begin
            raise RuntimeError(answer)
        return answer

    def _timed(self, call: Callable[[], object], meter: Meter) -> float:
        real = BotocoreStubber.__call__

        def watched(stubber: BotocoreStubber, event_name: str, request: Any, **rest: Any) -> Any:  # noqa: ANN401 - moto's
            return meter.watch(request, lambda: real(stubber, event_name, request, **rest))

        with patch.object(BotocoreStubber, "__call__", watched):
            start = process_time()
            call()
            return 1000 * (process_time() - start - meter.moto_seconds)


def rows(bench: Bench, rounds: int) -> Iterator[tuple[str, Row]]:
    """Each call with its figures, as the workspace grows."""
    flow_id, pk, sk = bench.flow["id"], bench.item["pk"]["S"], bench.item["sk"]["S"]
    pk = pk.replace("#", "%23")
    collection = f"/v1/flows/{flow_id}"

    def list_of(**query: str) -> Callable[[], Event]:
        return lambda: bench.request("GET", "/v1/flows", query={"perPage": str(PAGE), **query})

    def baseline(method: str, path: str, body: object = None) -> Callable[[], Event]:
        return lambda: bench.request(method, path, body)

    def patch_flow() -> Event:
        revision = bench._answer(bench.request("GET", collection)).body["revision"]  # noqa: SLF001
        operation = {"op": "replace", "path": "/name", "value": bench.new_flow()["name"]}
        return bench.request("PATCH", collection, [operation], revision=revision)

    one, partition = f"/items/{pk}/{sk}", f"/items/{pk}"
    yield (
        "get",
        bench.measure(rounds, lambda: bench.request("GET", collection), baseline("GET", one)),
    )
    yield "patch", bench.measure(rounds, patch_flow, None)
    for size in SIZES:
        bench.fill(size)
        times = rounds if size < SIZES[-1] else max(rounds // 10, 5)
        listing = bench.measure(times, list_of(), baseline("GET", partition))
        yield f"list 100 of {size:,}", listing
        if size == SIZES[0]:
            # Before there are many: moto copies the whole table for each transaction.
            yield (
                "create",
                bench.measure(
                    rounds,
                    lambda: bench.request("POST", "/v1/flows", bench.new_flow()),
                    baseline("POST", f"/items/{pk}-baseline/{sk}", bench.new_flow()),
                ),
            )
        if size == SIZES[1]:
            few = max(rounds // 10, 5)
            for relation in INCLUDES:
                yield f"list 100, {relation}", bench.measure(few, list_of(include=relation), None)
            # Of 100 flows it would be more than an answer may have.
            everything = list_of(include=",".join(names_of(FLOW)), perPage=str(PAGE // 4))
            yield f"list {PAGE // 4}, everything", bench.measure(few, everything, None)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def measured(rounds: int, cold_runs: int) -> dict[str, Any]:
    """All figures."""
    with simulated_aws():
        bench = Bench(deployed_stack())
        pk, sk = bench.item["pk"]["S"].replace("#", "%23"), bench.item["sk"]["S"]
        ours = bench.replay(bench.request("GET", f"/v1/flows/{bench.flow['id']}"))
        baseline = bench.replay(bench.request("GET", f"/items/{pk}/{sk}"), baseline=True)
        calls = dict(rows(bench, rounds))
    cold = cold_starts(ours, baseline, cold_runs)
    return {"calls": calls, "cold": cold}


def summary(found: dict[str, Any]) -> dict[str, float]:
    """The figures that the project holds itself to."""
    calls: dict[str, Row] = found["calls"]

    def sent(name: str) -> int:
        return sum(int(call.split()[0]) for call in calls[name].calls.split(", "))

    return {
        "get_reads": sent("get"),
        "list100_queries": sent("list 100 of 100,000"),
        "create_transactions": sent("create"),
        "patch_requests": sent("patch"),
        "list100_p50_ms_at_1000": calls["list 100 of 1,000"].p50_ms,
        "list100_p50_ms_at_100000": calls["list 100 of 100,000"].p50_ms,
        "cold_import_ratio": found["cold"]["as deployed"]["import ratio"],
        "cold_first_answer_ratio": found["cold"]["as deployed"]["both ratio"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=200, help="calls of each kind")
    parser.add_argument("--cold", type=int, default=15, help="cold starts of each handler")
    arguments = parser.parse_args()
    with logs_aside():
        found = measured(arguments.rounds, arguments.cold)
    if arguments.json:
        told = {
            **summary(found),
            "calls": {name: asdict(row) for name, row in found["calls"].items()},
            "cold": found["cold"],
        }
        json.dump(told, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    lines = [
        "api: CPU of the handler without moto's, beside a bare handler that makes the same calls",
        f"{'call':24}{'p50 ms':>9}{'p99 ms':>9}{'bare p50':>10}{'RRU':>7}{'WRU':>7}  DynamoDB",
    ]
    for name, row in found["calls"].items():
        lines.append(
            f"{name:24}{row.p50_ms:>9.2f}{row.p99_ms:>9.2f}{row.baseline_p50_ms or '-':>10}"
            f"{row.read_units:>7.1f}{row.write_units:>7.1f}  {row.calls}"
        )
    for condition, figures in found["cold"].items():
        lines.append(f"cold start {condition}:")
        lines += [f"  {name}: {value}" for name, value in figures.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
