"""Whole flows through compiled machines: the real functions and stores, and a shop that misbehaves.

moto interprets the machine, its Lambda calls reach the real handlers, and waits are recorded
instead of waited. Outbound HTTP ends at a scripted transport.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import timedelta
from queue import Empty, Queue
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import wait_function
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import TimestampPath
from tests.functional.conftest import deployed_stack
from tests.support.app import Client, Handler, LambdaContext
from tests.support.aws import ENVIRONMENT, TABLE, create_notify_machine, simulated_aws

from millrace.connectors.expressions import Expression
from millrace.connectors.http_client import TRIES, HttpClient
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.registry import HttpConnectors
from millrace.domain.base import Record
from millrace.observability import Observed
from millrace.storage.dynamodb_paces import DynamoPaces
from millrace.tasks import StepWorker
from millrace.wiring import now

type Json = Any
type Call = tuple[Handler, dict[str, Json], Future[dict[str, Json]]]

PAGE = 2
LONGEST_SECONDS = 20
SIX_HOURS = 6 * 3600
DOWN = HttpResponse(503, {}, b"down for maintenance")
WRONG_TOKEN = HttpResponse(401, {}, b"wrong token")


@dataclass
class Shop:
    """A system with orders to read and places to write to.

    `trouble` is answered first, in turn, by path; an exception in it is a crash of the worker.
    """

    orders: list[dict[str, Json]] = field(default_factory=list)
    trouble: dict[str, list[HttpResponse | Exception]] = field(default_factory=dict)
    refused_ids: set[int] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    received: dict[str, list[dict[str, Json]]] = field(default_factory=dict)
    keys_seen: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)
    """The key of each request that arrived, repeated ones too."""
    headers_seen: list[Mapping[str, str]] = field(default_factory=list)
    dies_after_receiving: int = 0
    """How many requests are taken in, and then the worker dies before it hears of it."""
    looked_at: Callable[[], None] = field(default=lambda: None)
    """What somebody does meanwhile, before each request is taken in."""
    fails_after: int | None = None
    """After how many requests one is answered with an error that stays, once."""

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        address = urlsplit(request.url)
        self.requests.append(address.path)
        self.headers_seen.append(request.headers)
        if self.trouble.get(address.path):
            trouble = self.trouble[address.path].pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            return trouble
        if request.method == "GET":
            offset = int(parse_qs(address.query)["offset"][0])
            page = self.orders[offset : offset + PAGE]
            return HttpResponse(200, {}, json.dumps({"orders": page}).encode())
        return self._receive(address.path, request)

    def _receive(self, path: str, request: HttpRequest) -> HttpResponse:
        self.looked_at()
        records = json.loads(request.body or b"null")
        batch = records if isinstance(records, list) else [records]
        if any(record.get("id") in self.refused_ids for record in batch):
            return HttpResponse(422, {}, b"not wanted")
        if self.fails_after == 0:
            self.fails_after = None
            return WRONG_TOKEN
        if self.fails_after is not None:
            self.fails_after -= 1
        key = request.headers["Idempotency-Key"]
        self.keys.append(key)
        if key not in self.keys_seen:
            self.keys_seen.add(key)
            self.received.setdefault(path, []).extend(batch)
        if self.dies_after_receiving:
            self.dies_after_receiving -= 1
            raise MemoryError("the worker died")
        return HttpResponse(201, {}, b"")


@dataclass
class Engine:
    """The stack with an interpreter for its machines."""

    client: Client
    shop: Shop
    handlers: dict[str, Handler]
    retry_delays: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    calls: "Queue[Call]" = field(default_factory=Queue)
    answers_lost: dict[str, int] = field(default_factory=dict)
    """How many answers of a step's worker never reach the machine, since it dies just then."""
    tokens: list[str] = field(default_factory=list)
    """By which machines were to be told."""
    lambda_context: LambdaContext = field(default_factory=LambdaContext)

    def invoke(self, *, parameters: dict[str, Json], **_: object) -> dict[str, Json]:
        """Stands in for Lambda: has the handler behind the ARN called, and waits for its answer."""
        payload = parameters["Payload"]
        given = payload if isinstance(payload, dict) else json.loads(payload)
        answer: Future[dict[str, Json]] = Future()
        if "taskToken" in given:
            self.tokens.append(given["taskToken"])
        self.calls.put((self.handlers[parameters["FunctionName"]], given, answer))
        return answer.result(timeout=LONGEST_SECONDS)

    def serve(self) -> None:
        """Call the next handler that a machine asks for, if one does soon.

        On the test's own thread, since Lambda has but one and moto one for each branch.
        """
        try:
            handler, given, answer = self.calls.get(timeout=0.01)
        except Empty:
            return
        try:
            # What does not survive JSON would not survive Lambda.
            told = json.loads(json.dumps(handler(given, self.lambda_context)))
            self._lose_answer(given)
        except Exception as error:  # noqa: BLE001 - Lambda reports every exception by its name
            details = {"errorType": type(error).__name__, "errorMessage": str(error)}
            told = {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": details}
            answer.set_result(told)
        else:
            answer.set_result({"StatusCode": 200, "Payload": told})

    def _lose_answer(self, given: dict[str, Json]) -> None:
        step = given.get("stepId", "")
        if self.answers_lost.get(step):
            self.answers_lost[step] -= 1
            raise MemoryError("the worker died")

    def flow(self, *steps: dict[str, Json], **settings: Json) -> dict[str, Json]:
        """Apply a file with a connection to the shop and a flow of these steps."""
        document = {
            "connections": [
                {"name": "Shop", "stableKey": "shop", "baseUrl": "https://shop.example"}
            ],
            "flows": [{"name": "Orders", "stableKey": "orders", "steps": steps, **settings}],
        }
        applied = self.client("POST", "/v1/apply", document)
        assert applied.status == 200, applied.body
        found: dict[str, Json] = applied.body["flows"][0]
        return found

    def run(self, flow: dict[str, Json], payload: Json = None) -> dict[str, Json]:
        """Run a flow to its end."""
        started = self.client("POST", f"/v1/flows/{flow['id']}/run", {"payload": payload})
        assert started.status == 202, started.body
        return self.ended(started.body["runId"])

    def ended(self, run_id: str) -> dict[str, Json]:
        """The run, once its execution has ended."""
        states = boto3.client("stepfunctions")
        (arn,) = (
            execution["executionArn"]
            for machine in states.list_state_machines()["stateMachines"]
            for execution in states.list_executions(stateMachineArn=machine["stateMachineArn"])[
                "executions"
            ]
            if execution["name"] == run_id
        )
        status, deadline = "RUNNING", time.monotonic() + LONGEST_SECONDS
        while status == "RUNNING" and time.monotonic() < deadline:
            self.serve()
            status = states.describe_execution(executionArn=arn)["status"]
        found = self.seen(run_id)
        prefix = ENVIRONMENT["MILLRACE_MACHINE_ARN_PREFIX"].replace(":stateMachine:", ":execution:")
        arn = f"{prefix}{found['flowId']}-v{found['versionNumber']}:{run_id}"
        self.until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING")
        status = states.describe_execution(executionArn=arn)["status"]
        found = self.seen(run_id)
        ends = {"failed": {"FAILED"}, "cancelled": {"ABORTED", "FAILED"}}
        assert status in ends.get(found["status"], {"SUCCEEDED"}), found
        return found

    def wait(self, of: wait_function.WaitFunction, seconds: int) -> None:
        """Record a wait; one until a time is from what the worker's clock shows by now."""
        is_until = isinstance(of, TimestampPath)
        self.waits.append(max(0, seconds - sum(self.waits)) if is_until else seconds)

    def stop_waiting(self) -> None:
        """End what still waits with a token: moto's StopExecution does not."""
        states = boto3.client("stepfunctions")
        for token in self.tokens:
            states.send_task_failure(taskToken=token, error="Stopped")

    def until(self, is_so: Callable[[], Any]) -> None:
        """Serve the machines until something is so, or for too long."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while not is_so() and time.monotonic() < deadline:
            self.serve()

    def seen(self, run_id: str) -> dict[str, Json]:
        """The run as the API shows it now."""
        found: dict[str, Json] = self.client("GET", f"/v1/runs/{run_id}").body
        return found


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A stack whose machines run, for a shop with five orders."""
    with simulated_aws(machines_run=True):
        stack = deployed_stack()
        shop = Shop(orders=[{"id": number, "total": number * 10} for number in range(5)])
        # Waits take no time, but the worker's clock goes on by them.
        waits: list[float] = []
        slept: list[float] = []
        http = HttpClient(
            shop, sleep=slept.append, clock=lambda: now() + timedelta(seconds=sum(waits + slept))
        )
        client = boto3.client("dynamodb")
        paces = DynamoPaces(lambda: client, TABLE, now)
        context = replace(stack.context, connectors=HttpConnectors(http, lambda: paces))
        worker = cast("Handler", Observed("run_step", StepWorker(context)))
        handlers: dict[str, Handler] = {
            ENVIRONMENT["MILLRACE_RUN_STEP_ARN"]: worker,
            ENVIRONMENT["MILLRACE_LIFECYCLE_ARN"]: stack.functions["lifecycle"],
        }
        engine = Engine(stack.client("Alice"), shop, handlers, waits=waits)
        monkeypatch.setattr(lambda_eval_utils, "_invoke_lambda_function", engine.invoke)
        monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=engine.retry_delays.append))
        monkeypatch.setattr(
            wait_function.WaitFunction,
            "_wait_interval",
            lambda waits, env, wait_seconds: engine.wait(waits, wait_seconds),  # noqa: ARG005 - moto's keywords
        )
        yield engine


def read(**changes: Json) -> dict[str, Json]:
    """Reads the orders, two a page; without jitter, so that delays can be told."""
    http = {
        "path": "/orders",
        "recordsPath": "/orders",
        "pagination": {"type": "offset", "limit": PAGE},
    }
    action = {"type": "Export", "connectionId": "shop", "http": http}
    step = {"id": "read", "type": "Export", "action": action, "retry": {"jitter": False}}
    return step | changes


def write(name: str = "write", batch_size: int | None = None, **changes: Json) -> dict[str, Json]:
    """Writes to a place of its own name what the step `read` hands on."""
    http = {"path": f"/{name}"} | ({} if batch_size is None else {"batchSize": batch_size})
    action = {"type": "Import", "connectionId": "shop", "http": http}
    step = {"id": name, "type": "Import", "action": action, "dependsOn": ["read"]}
    return step | {"retry": {"jitter": False}} | changes


def process(name: str, *operations: dict[str, Json], **changes: Json) -> dict[str, Json]:
    """Changes records."""
    action = {"type": "Process", "operations": operations}
    return {"id": name, "type": "Process", "action": action} | changes


def steps_of(run: dict[str, Json]) -> dict[str, dict[str, Json]]:
    """What each step did, by its id."""
    return {step["stepId"]: step for step in run["steps"]}


def ends(engine: Engine, run: dict[str, Json]) -> list[str]:
    """The ends of a run that its log tells of."""
    log = engine.client("GET", f"/v1/runs/{run['id']}/logs").body["data"]
    return [entry["event"] for entry in log if entry["event"] == "runEnded"]


def ids(records: list[dict[str, Json]]) -> Counter[int]:
    """How often each record is there."""
    return Counter(record["id"] for record in records)


ONCE = Counter(range(5))
CONTINUES: dict[str, Json] = {"exceptionBehavior": [{"type": "failure", "strategy": "continue"}]}
STOPS_PARTIAL: dict[str, Json] = {
    "exceptionBehavior": [{"type": "partial_success", "strategy": "stop"}]
}


def test_a_flow_moves_every_record_once(engine: Engine) -> None:
    """Read in pages, filtered, split into two branches, joined in a summary."""
    keep = {"type": "filter", "expression": "total >= 20"}
    total = {
        "type": "aggregate",
        "figures": {"sum": {"function": "sum", "expression": "total"}},
    }
    flow = engine.flow(
        read(),
        process("keep", keep, dependsOn=["read"]),
        write("warehouse", 2, dependsOn=["keep"]),
        write("alert", dependsOn=["keep"], filter="total > 30"),
        process("summary", total, dependsOn=["warehouse", "alert"]),
        write("report", dependsOn=["summary"]),
    )
    run = engine.run(flow)
    assert (run["status"], run["attempt"], run["error"]) == ("succeeded", 1, None)
    assert ids(engine.shop.received["/warehouse"]) == Counter([2, 3, 4])
    assert ids(engine.shop.received["/alert"]) == Counter([4])
    assert engine.shop.received["/report"] == [{"sum": 20 + 30 + 40 + 40}]
    assert run["counts"] == {
        "recordsIn": 5,
        "recordsOut": 1,
        "recordsIgnored": 2 + 2,
        "recordsFailed": 0,
    }
    assert {step["status"] for step in run["steps"]} == {"succeeded"}
    assert engine.retry_delays == engine.waits == []


def test_trouble_that_passes_is_waited_out_with_growing_delays(engine: Engine) -> None:
    """The machine's waits are those compiled, and afterwards every record arrived once."""
    engine.shop.trouble["/orders"] = [DOWN] * (3 * TRIES)
    engine.shop.trouble["/write"] = [DOWN] * TRIES
    run = engine.run(engine.flow(read(), write()))
    assert run["status"] == "succeeded"
    assert engine.retry_delays == [2, 4, 8, 2]
    assert {name: step["tries"] for name, step in steps_of(run).items()} == {"read": 4, "write": 2}
    assert ids(engine.shop.received["/write"]) == ONCE


def test_trouble_that_stays_fails_the_run(engine: Engine) -> None:
    """After the last try the run says which step failed, and why; nothing was written."""
    engine.shop.trouble["/orders"] = [DOWN] * (4 * TRIES)
    run = engine.run(engine.flow(read(), write()))
    assert run["status"] == "failed"
    assert engine.retry_delays == [2, 4, 8]
    assert (run["error"]["code"], run["error"]["stepId"]) == ("http503", "read")
    assert "down for maintenance" in run["error"]["message"]
    assert steps_of(run)["read"]["status"] == "failed"
    assert "/write" not in engine.shop.requests


def test_a_receiver_that_names_a_time_is_waited_for_without_compute(engine: Engine) -> None:
    """Retry-After becomes a Wait of the machine, and costs none of the retries."""
    engine.shop.trouble["/orders"] = [HttpResponse(429, {"retry-after": "120"}, b"")]
    run = engine.run(engine.flow(read(retry={"maxAttempts": 0}), write()))
    assert run["status"] == "succeeded"
    assert engine.retry_delays == []
    (wait,) = engine.waits
    assert 118 <= wait <= 120
    assert steps_of(run)["read"]["tries"] == 2
    assert ids(engine.shop.received["/write"]) == ONCE


def test_r9_a_receiver_down_for_six_hours(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run waits for it without compute or a retry, and its success is told as a recovery."""
    told: list[str] = []
    create_notify_machine()

    def notify(event: dict[str, Json], _: object) -> dict[str, Json]:
        told.append(event["note"]["subject"])
        return {"waitSeconds": 0}

    engine.handlers["${NotifyFunctionArn}"] = notify
    target = {"type": "email", "address": "ops@shop.example"}
    ops = {"name": "Ops", "targets": [target], "on": ["failed", "recovered"]}
    group = engine.client("POST", "/v1/notificationGroups", ops).body["id"]
    flow = engine.flow(read(), write(retry={"maxAttempts": 0}), notificationGroups=[group])
    engine.shop.trouble["/write"] = [WRONG_TOKEN]
    failed = engine.run(flow)
    assert failed["status"] == "failed"
    receive = engine.shop.exchange
    meanwhile: list[str] = []

    def down(request: HttpRequest) -> HttpResponse:
        if urlsplit(request.url).path == "/orders" or sum(engine.waits) >= SIX_HOURS:
            return receive(request)
        newest = engine.client("GET", f"/v1/flows/{flow['id']}/runs").body["data"][0]
        meanwhile.append(newest["status"])
        return HttpResponse(503, {"retry-after": "3600"}, b"down for maintenance")

    monkeypatch.setattr(engine.shop, "exchange", down)
    run = engine.run(flow)
    assert (run["status"], run["attempt"], run["recoveredFrom"]) == ("succeeded", 1, failed["id"])
    assert {*meanwhile} == {"running"}
    assert len(meanwhile) in {6, 7}, "moto waits in whole seconds"
    assert all(3590 <= wait <= 3600 for wait in engine.waits)
    assert engine.retry_delays == []
    assert ids(engine.shop.received["/write"]) == ONCE
    engine.until(lambda: len(told) > 1)
    assert told == ["failed", "recovered"]


def test_r8_what_one_run_is_told_of_a_limit_holds_for_the_next(engine: Engine) -> None:
    """A success that was the last one for two minutes: the next run waits before it sends any."""
    used_up = {"ratelimit-remaining": "0", "ratelimit-reset": "120"}
    engine.shop.trouble["/write"] = [HttpResponse(201, used_up, b"")]
    flow = engine.flow(read(), write(batch_size=10))
    assert engine.run(flow)["status"] == "succeeded"
    assert engine.waits == []
    run = engine.run(flow)
    assert run["status"] == "succeeded"
    (wait,) = engine.waits
    assert 115 <= wait <= 120
    assert steps_of(run)["read"]["tries"] == 2
    assert steps_of(run)["read"]["error"] is None


def test_r1_a_worker_that_dies_is_followed_by_one_that_goes_on(engine: Engine) -> None:
    """Whether it died before or after the receiver took the batch, each record arrives once."""
    engine.shop.trouble["/orders"] = [MemoryError("the worker died")]
    engine.shop.dies_after_receiving = 2
    run = engine.run(engine.flow(read(), write(batch_size=2)))
    assert run["status"] == "succeeded"
    assert engine.retry_delays == [2, 2, 4]
    assert ids(engine.shop.received["/write"]) == ONCE
    assert engine.shop.requests.count("/write") == len(engine.shop.keys) == 3 + 2
    assert len(engine.shop.keys_seen) == 3
    assert run["counts"]["recordsOut"] == 5
    assert ends(engine, run) == ["runEnded"]


def test_r2_a_result_that_the_machine_never_heard_of_is_reused(engine: Engine) -> None:
    """The worker died between writing the result and answering: nothing is sent again."""
    engine.answers_lost = {"read": 1, "write": 2}
    run = engine.run(engine.flow(read(), write(batch_size=2)))
    assert run["status"] == "succeeded"
    assert engine.retry_delays == [2, 2, 4]
    assert engine.shop.requests == ["/orders"] * 3 + ["/write"] * 3
    assert {name: step["tries"] for name, step in steps_of(run).items()} == {"read": 1, "write": 1}
    assert ids(engine.shop.received["/write"]) == ONCE
    assert ends(engine, run) == ["runEnded"]


def test_r13_a_poison_record_among_a_thousand_is_tried_again_alone(engine: Engine) -> None:
    """The others are done, it is in the list of errors, and only it is sent again."""
    engine.shop.refused_ids = {613}
    flow = engine.flow(write("second", dependsOn=[]))
    run = engine.run(flow, [{"id": number} for number in range(1_000)])
    assert (run["status"], run["counts"]["recordsFailed"]) == ("partiallySucceeded", 1)
    assert ids(engine.shop.received["/second"]) == Counter(set(range(1_000)) - {613})
    path = f"/v1/flows/{flow['id']}/errors"
    (entry,) = engine.client("GET", path).body["data"]
    assert (entry["position"], entry["code"], entry["retriable"]) == (613, "http422", True)
    engine.shop.refused_ids = set()
    sent = len(engine.shop.requests)
    (told,) = engine.client("POST", f"{path}/retry", {"errorIds": [entry["id"]]}).body["runs"]
    assert engine.ended(told["runId"])["status"] == "succeeded"
    assert engine.shop.requests[sent:] == ["/second"]
    assert engine.shop.received["/second"][-1] == {"id": 613}
    assert engine.client("GET", path).body["data"] == []


def test_r15_a_run_ends_on_the_version_that_it_began_with(engine: Engine) -> None:
    """While it is at work another version is deployed, and then rolled back."""
    old = (read(), write("first", 5), write("last", 5, dependsOn=["first"]))
    new = (read(), write("second", 5))
    flow = engine.flow(*old)
    path = f"/v1/flows/{flow['id']}"
    runs: list[dict[str, Json]] = []

    def start() -> None:
        run_id = engine.client("POST", f"{path}/run").body["runId"]
        runs.append(engine.client("GET", f"/v1/runs/{run_id}").body)

    def meanwhile() -> None:
        engine.shop.looked_at = lambda: None
        engine.flow(*new)
        start()
        back = engine.client("POST", f"{path}/versions/{flow['versionId']}/rollback")
        assert back.status == 200, back.body
        start()

    start()
    engine.shop.looked_at = meanwhile
    ended = engine.ended(runs[0]["id"])
    assert (ended["status"], ended["versionId"]) == ("succeeded", flow["versionId"])
    newer, after = (engine.ended(run["id"]) for run in runs[1:])
    assert [run["versionNumber"] for run in (ended, newer, after)] == [1, 2, 1]
    assert [sorted(steps_of(run)) for run in (ended, newer, after)] == [
        ["first", "last", "read"],
        ["read", "second"],
        ["first", "last", "read"],
    ]
    assert ids(engine.shop.received["/second"]) == ONCE


def test_p12_a_step_that_eats_its_worker_fails_and_no_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no process survives ends the step in words; the next run is as good as ever."""
    evaluator = Expression.evaluator

    def short_of_memory(self: Expression, *, is_plain: bool) -> Callable[[Record], Json]:
        if "$pad" in self.text:
            raise MemoryError("a gigabyte")
        return evaluator(self, is_plain=is_plain)

    monkeypatch.setattr(Expression, "evaluator", short_of_memory)
    text = {"type": "map", "expression": '{"a": $pad("", 1000000000)}'}
    bomb = process("bomb", text, dependsOn=["read"])
    run = engine.run(engine.flow(read(), bomb, write(dependsOn=["bomb"])))
    assert (run["status"], run["error"]["code"]) == ("failed", "crashed")
    assert run["error"]["stepId"] == "bomb"
    assert (steps_of(run)["bomb"]["tries"], len(engine.retry_delays)) == (4, 3)
    assert "/write" not in engine.shop.requests
    assert engine.run(engine.flow(read(), write()))["status"] == "succeeded"


KB = 1_024


@pytest.mark.parametrize("size", [255 * KB, 256 * KB, 257 * KB, 400_000 - 1, 400_000, 400_000 + 1])
def test_p2_an_output_of_any_size_is_handed_on_by_reference(engine: Engine, size: int) -> None:
    """At the edges of what a state and an item hold: the run fails behind it and is taken up."""
    frame = len('{"id":0,"text":""}')
    record = {"id": 0, "text": Random(size).randbytes(size).hex()[: size - frame]}
    large = process("large", {"type": "map", "expression": "$"})
    flow = engine.flow(large, write("second", dependsOn=["large"]))
    engine.shop.trouble["/second"] = [WRONG_TOKEN]
    failed = engine.run(flow, [record])
    assert (failed["status"], steps_of(failed)["large"]["status"]) == ("failed", "succeeded")
    started = engine.client("POST", f"/v1/runs/{failed['id']}/retry", {"from": "failedStep"})
    run = engine.ended(started.body["runId"])
    assert (run["status"], run["carriedOver"]) == ("succeeded", ["large"])
    assert engine.shop.received["/second"] == [record]
    items = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    assert max(len(str(item)) for item in items) < 20_000


def test_a_step_longer_than_an_invocation_goes_on_in_the_next(engine: Engine) -> None:
    """At once, as often as it takes, and without a retry: here for each page and each batch."""
    engine.shop.orders = [{"id": number} for number in range(19)]
    engine.lambda_context = LambdaContext(milliseconds_left=59_000)
    never = {"maxAttempts": 0}
    run = engine.run(engine.flow(read(retry=never), write(batch_size=2, retry=never)))
    assert run["status"] == "succeeded"
    assert {name: step["tries"] for name, step in steps_of(run).items()} == {
        "read": 11,
        "write": 11,
    }
    assert len(engine.waits) == 10 + 10
    assert max(engine.waits) <= 0
    assert engine.retry_delays == []
    assert ids(engine.shop.received["/write"]) == Counter(range(19))
    assert engine.shop.requests.count("/write") == 10


def test_a_steps_progress_is_seen_while_it_runs(engine: Engine) -> None:
    """What it took, handed on, ignored and what failed, up to the request before."""
    seen: list[tuple[str, dict[str, int]]] = []

    def look() -> None:
        (run,) = engine.client("GET", "/v1/runs").body["data"]
        step = steps_of(engine.client("GET", f"/v1/runs/{run['id']}").body)["write"]
        seen.append((step["status"], step["counts"]))

    engine.shop.looked_at = look
    engine.shop.refused_ids = {3}
    engine.run(engine.flow(read(), write(batch_size=2, filter="id != 1")))
    names = ("recordsIn", "recordsOut", "recordsIgnored", "recordsFailed")
    assert [(status, *map(counts.get, names)) for status, counts in seen] == [
        ("running", 0, 0, 0, 0),
        ("running", 3, 2, 1, 0),
    ]


def test_a_failure_stops_what_depends_on_it(engine: Engine) -> None:
    """Trying again cannot help a wrong token: no retry, no later step, a failed run."""
    engine.shop.trouble["/orders"] = [WRONG_TOKEN]
    run = engine.run(engine.flow(read(), write()))
    assert (run["status"], run["error"]["code"]) == ("failed", "http401")
    assert list(steps_of(run)) == ["read"]
    assert engine.retry_delays == []


def test_a_failure_that_continues_makes_a_partial_success(engine: Engine) -> None:
    """The steps after it run, with nothing from it; the run does not claim to have succeeded."""
    engine.shop.trouble["/orders"] = [WRONG_TOKEN]
    run = engine.run(engine.flow(read(**CONTINUES), write()))
    assert (run["status"], run["error"]) == ("partiallySucceeded", None)
    assert steps_of(run)["read"]["error"]["code"] == "http401"
    assert steps_of(run)["write"]["counts"]["recordsIn"] == 0


def test_records_that_are_refused_make_a_partial_success(engine: Engine) -> None:
    """The others arrive, the steps after it run, and the count says how many did not."""
    engine.shop.refused_ids = {3}
    after = process("after", {"type": "map", "expression": "$"}, dependsOn=["write"])
    run = engine.run(engine.flow(read(), write(), after))
    assert run["status"] == "partiallySucceeded"
    assert run["counts"]["recordsFailed"] == 1
    assert ids(engine.shop.received["/write"]) == Counter([0, 1, 2, 4])
    assert steps_of(run)["write"]["error"]["code"] == "http422"
    assert steps_of(run)["after"]["counts"]["recordsIn"] == 4


def test_partial_success_can_stop_the_flow(engine: Engine) -> None:
    """If the author says so, what follows does not run."""
    engine.shop.refused_ids = {3}
    after = process("after", {"type": "map", "expression": "$"}, dependsOn=["write"])
    run = engine.run(engine.flow(read(), write(**STOPS_PARTIAL), after))
    assert run["status"] == "failed"
    assert sorted(steps_of(run)) == ["read", "write"]
    assert engine.retry_delays == []


def test_a_failed_attempt_is_followed_by_another(engine: Engine) -> None:
    """The whole graph again after the flow's delay; the receiver is not written to twice."""
    engine.shop.trouble["/second"] = [WRONG_TOKEN] * 2
    steps = (read(), write("first"), write("second", dependsOn=["first"]))
    settings = {
        "retryMaxAttempts": 2,
        "retryDelayMinutes": 5,
        "retryUsesExponentialBackoff": True,
    }
    run = engine.run(engine.flow(*steps, **settings))
    assert (run["status"], run["attempt"], run["error"]) == ("succeeded", 3, None)
    assert engine.waits == [300, 600]
    attempts = [(attempt["number"], attempt["status"]) for attempt in run["attempts"]]
    assert attempts == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert ids(engine.shop.received["/first"]) == ids(engine.shop.received["/second"]) == ONCE


def test_the_log_tells_all_attempts_in_order(engine: Engine) -> None:
    """Also what steps did in attempts that failed, and why."""
    engine.shop.trouble["/orders"] = [WRONG_TOKEN]
    run = engine.run(engine.flow(read(), retryMaxAttempts=1))
    log = engine.client("GET", f"/v1/runs/{run['id']}/logs").body["data"]
    assert [(entry["event"], entry["attempt"], entry["status"]) for entry in log] == [
        ("runCreated", None, None),
        ("attemptStarted", 1, None),
        ("stepStarted", 1, None),
        ("stepEnded", 1, "failed"),
        ("attemptEnded", 1, "failed"),
        ("attemptStarted", 2, None),
        ("stepStarted", 2, None),
        ("stepEnded", 2, "succeeded"),
        ("attemptEnded", 2, "succeeded"),
        ("runEnded", None, "succeeded"),
    ]
    assert log[3]["error"]["code"] == "http401"


def test_a_run_that_failed_is_run_again(engine: Engine) -> None:
    """With its payload, on its own version; each run names the other."""
    flow = engine.flow(write("second", dependsOn=[]))
    engine.shop.trouble["/second"] = [WRONG_TOKEN]
    failed = engine.run(flow, [{"id": 7}])
    started = engine.client("POST", f"/v1/runs/{failed['id']}/retry", {"from": "start"})
    run = engine.ended(started.body["runId"])
    assert (run["status"], run["retryOf"]) == ("succeeded", failed["id"])
    assert engine.shop.received["/second"] == [{"id": 7}]
    assert engine.client("GET", f"/v1/runs/{failed['id']}").body["retries"] == [run["id"]]
    refused = engine.client("POST", f"/v1/runs/{run['id']}/retry", {"from": "failedStep"})
    assert (refused.status, refused.errors) == (422, {("nothingFailed", "/from")})


def test_a_run_goes_on_from_the_failed_step(engine: Engine) -> None:
    """The source is not read again, and what the receiver had taken before is not taken twice."""
    flow = engine.flow(read(), write(batch_size=2))
    engine.shop.fails_after = 1
    failed = engine.run(flow)
    assert (failed["status"], len(engine.shop.received["/write"])) == ("failed", 2)
    reads = engine.shop.requests.count("/orders")
    path = f"/v1/runs/{failed['id']}/retry"
    latest = engine.client("POST", path, {"from": "failedStep", "version": "latest"})
    assert (latest.status, latest.errors) == (422, {("notWithLatest", "/version")})
    started = engine.client("POST", path, {"from": "failedStep"})
    run = engine.ended(started.body["runId"])
    assert (run["status"], run["carriedOver"]) == ("succeeded", ["read"])
    assert engine.shop.requests.count("/orders") == reads
    assert steps_of(run)["read"]["counts"] == steps_of(failed)["read"]["counts"]
    assert steps_of(run)["write"]["counts"]["recordsIn"] == 5
    assert ids(engine.shop.received["/write"]) == ONCE


def test_a_retry_runs_on_its_own_version_or_on_the_latest(engine: Engine) -> None:
    """As it is asked to, though another version was deployed since the failure."""
    engine.shop.trouble["/old"] = [WRONG_TOKEN]
    failed = engine.run(engine.flow(write("old", dependsOn=[])), [{"id": 7}])
    engine.flow(write("new", dependsOn=[]))
    ran = {}
    for version in ("original", "latest"):
        asked = {"from": "start", "version": version}
        started = engine.client("POST", f"/v1/runs/{failed['id']}/retry", asked)
        assert started.status == 202, started.body
        run = engine.ended(started.body["runId"])
        ran[version] = (run["status"], run["versionNumber"], [*steps_of(run)])
    assert ran == {"original": ("succeeded", 1, ["old"]), "latest": ("succeeded", 2, ["new"])}
    assert engine.shop.received == {"/old": [{"id": 7}], "/new": [{"id": 7}]}


def test_what_followed_a_failure_runs_again(engine: Engine) -> None:
    """A step that succeeded with nothing to read has something to read now."""
    flow = engine.flow(read(**CONTINUES), write())
    engine.shop.trouble["/orders"] = [WRONG_TOKEN]
    first = engine.run(flow)
    started = engine.client("POST", f"/v1/runs/{first['id']}/retry", {"from": "failedStep"})
    run = engine.ended(started.body["runId"])
    assert (run["status"], run["carriedOver"]) == ("succeeded", [])
    assert ids(engine.shop.received["/write"]) == ONCE


def test_attempts_run_out(engine: Engine) -> None:
    """After the last one the run has failed, with the last one's error."""
    engine.shop.trouble["/orders"] = [WRONG_TOKEN] * 2
    run = engine.run(engine.flow(read(), retryMaxAttempts=1, retryDelayMinutes=1))
    assert (run["status"], run["attempt"]) == ("failed", 2)
    assert engine.waits == [60]
    assert run["error"]["code"] == "http401"


def test_retries_of_the_flow_follow_its_settings_of_today(engine: Engine) -> None:
    """A flow that is given retries after its deploy has them without a new version."""
    flow = engine.flow(read())
    changed = engine.flow(read(), retryMaxAttempts=1)
    assert (changed["change"], changed["versionId"]) == ("updated", flow["versionId"])
    engine.shop.trouble["/orders"] = [WRONG_TOKEN]
    assert engine.run(flow)["attempt"] == 2


def test_every_run_is_counted_as_it_ended(engine: Engine) -> None:
    """Success, partial success, failure, and an attempt after one that failed."""
    flow = engine.flow(read(), write())
    engine.run(flow)
    engine.shop.refused_ids = {3}
    engine.run(flow)
    engine.shop.trouble["/orders"] = [WRONG_TOKEN]
    engine.run(flow)
    engine.flow(read(), write(), retryMaxAttempts=1)
    engine.shop.trouble["/orders"] = [WRONG_TOKEN]
    latest = engine.run(flow)
    query = {"modelType": "flowVersion", "intervalUnit": "month"}
    months = engine.client("GET", f"/v1/flows/{flow['id']}/versionMetrics", query=query).body
    (version,) = months["data"][-1]["versions"]
    counted = {name: value for name, value in version["metrics"].items() if value}
    durations = {name for name in counted if name.startswith("duration")}
    assert {name: value for name, value in counted.items() if name not in durations} == {
        "runs": 4,
        "succeeded": 1,
        "partiallySucceeded": 2,
        "failed": 1,
        "manual": 4,
        "retries": 1,
        "errors": 1,
        "recordsIn": 15,
        "recordsOut": 13,
        "recordsFailed": 2,
    }
    shown = engine.client("GET", f"/v1/flows/{flow['id']}").body["latestRun"]
    assert (shown["runId"], shown["success"]) == (latest["id"], False)
    assert shown["message"] == "records that failed: 1"


def test_only_the_chosen_steps_of_a_machine_run(engine: Engine) -> None:
    """The machine calls each, and those left out are passed through."""
    flow = engine.flow(read(), write("first"), write("second", dependsOn=["first"]))
    asked = {"stepsToRun": ["read", "second"]}
    started = engine.client("POST", f"/v1/flows/{flow['id']}/start", asked)
    run = engine.ended(started.body["runId"])
    assert (run["status"], sorted(steps_of(run))) == ("succeeded", ["read", "second"])
    assert ids(engine.shop.received["/second"]) == ONCE
    assert "/first" not in engine.shop.requests


def test_the_payload_flows_through_skipped_steps(engine: Engine) -> None:
    """A skipped step is no state of the machine, and what comes to it goes past it."""
    flow = engine.flow(
        read(isSkipped=True),
        write("first", isSkipped=True),
        write("second", dependsOn=["first", "read"]),
    )
    run = engine.run(flow, [{"id": 1}, {"id": 2}])
    assert run["status"] == "succeeded"
    assert engine.shop.requests == ["/second", "/second"]
    assert ids(engine.shop.received["/second"]) == Counter([1, 2])


class Calling:
    """A flow that waits for another one, which writes the orders that it is given."""

    def __init__(self, engine: Engine, *after: dict[str, Json], **settings: Json) -> None:
        self.engine = engine
        write_all = write("inner", dependsOn=[])
        call = {"id": "call", "type": "Flow", "flowId": "child", "dependsOn": ["read"]}
        document = {
            "connections": [
                {"name": "Shop", "stableKey": "shop", "baseUrl": "https://shop.example"}
            ],
            "flows": [
                {"name": "Child", "stableKey": "child", "steps": [write_all]},
                {"name": "Parent", "stableKey": "parent", "steps": [read(), call, *after]}
                | settings,
            ],
        }
        applied = engine.client("POST", "/v1/apply", document)
        assert applied.status == 200, applied.body
        self.child_flow, self.flow = applied.body["flows"]

    def children(self) -> list[dict[str, Json]]:
        """The runs of the other flow, newest first."""
        found = self.engine.client("GET", f"/v1/flows/{self.child_flow['id']}/runs").body["data"]
        return cast("list[dict[str, Json]]", found)

    def begun(self) -> str:
        """A run of the flow that waits."""
        started = self.engine.client("POST", f"/v1/flows/{self.flow['id']}/run", {})
        run_id: str = started.body["runId"]

        def is_waiting() -> bool:
            call = steps_of(self.engine.seen(run_id)).get("call")
            return call is not None and call["childRunId"] is not None

        self.engine.until(is_waiting)
        return run_id


def test_a_flow_waits_for_another_and_goes_on_with_what_that_hands_on(engine: Engine) -> None:
    """No record travels by the machines; each run tells of the other."""
    calling = Calling(engine, write("after", dependsOn=["call"]))
    run = engine.run(calling.flow)
    (child,) = calling.children()
    assert (run["status"], child["status"]) == ("succeeded", "succeeded")
    assert ids(engine.shop.received["/inner"]) == ids(engine.shop.received["/after"]) == ONCE
    assert steps_of(run)["call"]["childRunId"] == child["id"]
    trigger = child["trigger"]
    assert (trigger["source"], trigger["runId"], trigger["stepId"]) == ("flow", run["id"], "call")
    assert steps_of(run)["call"]["counts"]["recordsOut"] == 5


def test_r18_a_sub_flow_that_fails_after_a_wait_fails_its_caller(engine: Engine) -> None:
    """The error reaches the parent, with the run that it comes from; a retry goes on from there."""
    told = HttpResponse(429, {"retry-after": "120"}, b"slow down")
    engine.shop.trouble["/inner"] = [told, WRONG_TOKEN]
    calling = Calling(engine, write("after", dependsOn=["call"]))
    run = engine.run(calling.flow)
    (child,) = calling.children()
    assert engine.waits
    assert (run["status"], child["status"]) == ("failed", "failed")
    assert (run["error"]["code"], run["error"]["stepId"]) == ("subflowFailed", "call")
    assert child["id"] in run["error"]["message"]
    assert "wrong token" in run["error"]["message"]
    assert "/after" not in engine.shop.received
    again = engine.client("POST", f"/v1/runs/{run['id']}/retry", {"from": "failedStep"})
    mended = engine.ended(again.body["runId"])
    assert (mended["status"], calling.children()[0]["retryOf"]) == ("succeeded", child["id"])
    assert ids(engine.shop.received["/inner"]) == ids(engine.shop.received["/after"]) == ONCE


def test_r18_a_sub_flow_is_cancelled_with_its_caller(engine: Engine) -> None:
    """Both end, and what the child was about to do is not done."""
    calling = Calling(engine)
    run_id = calling.begun()
    (child,) = calling.children()
    assert engine.client("POST", f"/v1/runs/{run_id}/cancel").status == 200
    assert engine.ended(child["id"])["status"] == "cancelled"
    assert engine.seen(run_id)["status"] == "cancelled"
    assert "/inner" not in engine.shop.received
    engine.stop_waiting()


def test_r18_a_sub_flow_that_is_cancelled_fails_its_caller(engine: Engine) -> None:
    """Which is told so, and may go on if its step says so."""
    calling = Calling(engine)
    run_id = calling.begun()
    (child,) = calling.children()
    assert engine.client("POST", f"/v1/runs/{child['id']}/cancel").status == 200
    run = engine.ended(run_id)
    assert (run["status"], run["error"]["code"]) == ("failed", "subflowCancelled")


def test_each_attempt_of_a_caller_has_a_sub_flow_of_its_own(engine: Engine) -> None:
    """The flow's own retries are the whole graph again."""
    engine.shop.trouble["/inner"] = [WRONG_TOKEN]
    calling = Calling(engine, retryMaxAttempts=1)
    run = engine.run(calling.flow)
    assert (run["status"], run["attempt"]) == ("succeeded", 2)
    assert [child["status"] for child in calling.children()] == ["succeeded", "failed"]
    assert ids(engine.shop.received["/inner"]) == ONCE
