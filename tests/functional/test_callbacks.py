"""Callbacks over the real handlers: what their callers get, and what it takes."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.test_api_resources import FLOW, deployed
from tests.support.app import Answer, Client, LambdaContext, answer_of, http_event

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import StepError
from millrace.domain.flow import MachineKind
from millrace.domain.ports import Ended
from millrace.http.ingress import Ingress

SYNCHRONOUS: Final = FLOW | {"isSynchronous": True}


@dataclass
class Machines:
    """Step Functions that runs EXPRESS machines in this process, and only accepts others."""

    stack: Stack
    runs: list[str] = field(default_factory=list)
    steps: tuple[str, ...] = ("map",)
    fails: bool = False
    is_slow: bool = False
    meanwhile: Callable[[str], object] = field(default=lambda _: None)
    """What somebody does to a run of a machine that takes its time."""

    def run(self, machine_arn: str, name: str, data: dict[str, Json]) -> Ended | None:
        """Have the real functions do what the compiled machine has them do."""
        assert machine_arn.endswith("-sync")
        self.runs.append(name)
        if self.is_slow:
            return None
        names = {name: data[name] for name in ("workspaceId", "runId", "attempt")}
        if self.fails:
            self.stack.functions["lifecycle"]({"event": "attemptFailed", **names}, LambdaContext())
            return Ended("SUCCEEDED")
        work = {"stepIds": [*self.steps], "endsRun": True, **names, "input": data}
        told = self.stack.functions["run_step"](work, LambdaContext())
        if not told["isOver"]:
            succeeded = {"event": "attemptSucceeded", **names}
            self.stack.functions["lifecycle"](succeeded, LambdaContext())
        return Ended("SUCCEEDED", {**data, "end": {"Payload": told}})

    def start(self, machine_arn: str, name: str, data: dict[str, Json]) -> None:
        """Only remember it."""
        assert not machine_arn.endswith("-sync"), data
        self.runs.append(name)
        self.meanwhile(name)

    def deploy(self, name: str, asl: str, kind: MachineKind) -> str:
        """Not what a public address may do."""
        raise AssertionError(name, asl, kind)

    def outcome(self, machine_arn: str, name: str) -> str | None:
        """Nor this."""
        raise AssertionError(machine_arn, name)

    def end_task(self, token: str, error: StepError | None = None) -> None:
        """Nor this."""
        raise AssertionError(token, error)

    def stop(self, machine_arn: str, name: str) -> None:
        """Nor this."""
        raise AssertionError(machine_arn, name)

    def delete(self, machine_arn: str) -> None:
        """Nor this."""
        raise AssertionError(machine_arn)


@dataclass
class Line:
    """A callback of a deployed flow, and who calls it."""

    machines: Machines
    ingress: Ingress
    callback_id: str
    flow: dict[str, Any]

    def call(self, body: Json = None, method: str = "POST", **headers: str) -> Answer:
        """Call with JSON; header names are written with underscores."""
        given = {"Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = None if body is None else json.dumps(body).encode()
        path = f"/callbacks/{self.callback_id}"
        sent = http_event("ingress", method, path, raw, given, {"page": "2"})
        sent["pathParameters"] = {"callbackId": self.callback_id}
        return answer_of(self.ingress(sent, LambdaContext()))


@pytest.fixture
def line(stack: Stack, alice: Client) -> Callable[..., Line]:
    """Makes a callback with these settings, of a new flow."""
    numbers = count()

    def make(
        callback: dict[str, Json] | None = None,
        expression: str = "body",
        settings: dict[str, Json] = SYNCHRONOUS,
    ) -> Line:
        operations = [{"type": "map", "expression": expression}]
        step = {
            "id": "map",
            "type": "Process",
            "action": {"type": "Process", "operations": operations},
        }
        key = f"orders-{next(numbers)}"
        flow = deployed(alice, settings | {"stableKey": key, "steps": [step]})
        path = f"/v1/flows/{flow['id']}/callbacks"
        made = alice("POST", path, callback or {})
        assert made.status == 201, made.body
        machines = Machines(stack)
        ingress = Ingress(replace(stack.context, machines=machines), sleep=lambda _: None)
        return Line(machines, ingress, made.body["id"], flow)

    return make


def test_a_caller_gets_what_the_flow_hands_on(line: Callable[..., Line], alice: Client) -> None:
    """As an array of records, with the run's id in a header."""
    answer = line().call({"n": 1})
    assert (answer.status, answer.body) == (200, [{"n": 1}])
    assert answer.headers["content-type"] == "application/json"
    run = alice("GET", f"/v1/runs/{answer.headers['millrace-run-id']}").body
    assert (run["status"], run["trigger"]["source"]) == ("succeeded", "callback")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_any_method_calls(line: Callable[..., Line], method: str) -> None:
    """What it was and the query are the flow's to look at."""
    made = line(expression="{'method': method, 'page': query.page, 'body': body}")
    assert made.call(method=method).body == [{"method": method, "page": "2", "body": None}]


@pytest.mark.parametrize(
    ("form", "content_type", "text"),
    [
        ("csv", "text/csv; charset=utf-8", 'a,b c,d\r\nx,"[1, ""é""]",\r\n'),
        (
            "xml",
            "application/xml",
            (
                "<?xml version='1.0' encoding='utf-8'?>\n"
                '<records><record><a>x</a><field name="b c">1</field><field name="b c">é</field>'
                "<d></d></record></records>"
            ),
        ),
        ("txt", "text/plain; charset=utf-8", '{"a": "x", "b c": [1, "é"], "d": null}\n'),
    ],
)
def test_the_result_has_the_format_of_the_callback(
    line: Callable[..., Line], form: str, content_type: str, text: str
) -> None:
    """And its status."""
    answer = line({"format": form, "status": 201}).call({"a": "x", "b c": [1, "é"], "d": None})
    assert (answer.status, answer.headers["content-type"]) == (201, content_type)
    assert answer.body == text


@pytest.mark.parametrize(
    ("said", "status", "headers", "body"),
    [
        (
            {"status": 404, "body": {"why": "gone"}},
            404,
            {"content-type": "application/json"},
            {"why": "gone"},
        ),
        ({"body": "<a/>"}, 200, {"content-type": "application/xml"}, "<a/>"),
        (
            {"headers": {"content-type": "text/html", "X-Made": "by hand"}, "body": "<p>"},
            200,
            {"content-type": "text/html", "x-made": "by hand"},
            "<p>",
        ),
        ({"status": 303, "headers": {"Location": "/x"}}, 303, {"location": "/x"}, None),
        ({"status": 204, "body": "none may have one"}, 204, {}, None),
        ({"headers": {"Millrace-Run-Id": "run_9"}, "body": 1}, 200, {}, 1),
    ],
)
def test_a_step_may_word_the_answer(
    line: Callable[..., Line], said: Json, status: int, headers: dict[str, str], body: Json
) -> None:
    """Status, headers and body; the run's id is ours to tell."""
    made = line({"format": "xml"}, "{'$response': body}")
    answer = made.call(said)
    assert (answer.status, answer.body) == (status, body)
    assert headers.items() <= answer.headers.items()
    assert answer.headers["millrace-run-id"] == made.machines.runs[0]


def test_bytes_are_answered_as_they_are(line: Callable[..., Line]) -> None:
    """What came as base64 can be sent back."""
    made = line(
        expression="{'$response': {'body': body, 'headers': {'Content-Type': 'image/png'}}}"
    )
    path = f"/callbacks/{made.callback_id}"
    sent = http_event("ingress", "POST", path, b"\x89PNG\0", {"Content-Type": "image/png"})
    sent["pathParameters"] = {"callbackId": made.callback_id}
    told = made.ingress(sent, LambdaContext())
    assert told["isBase64Encoded"]
    assert base64.b64decode(told["body"]) == b"\x89PNG\0"
    assert told["headers"]["Content-Type"] == "image/png"


@pytest.mark.parametrize(
    ("form", "record", "expression", "fits"),
    [
        ("json", {"n": "é" * 360}, "body", True),
        ("json", {"n": "é" * 360}, "{'$response': {'body': body}}", True),
        ("json", {"n": '"' * 300}, "body", False),
        ("xml", {"a" * 40: [1] * 40}, "body", False),
        ("csv", {f"c{n}": '"' * 10 for n in range(30)}, "body", False),
        ("json", {"n": '"' * 300}, "{'$response': {'body': body}}", False),
    ],
)
def test_an_answer_that_lambda_would_not_take_is_a_problem(
    line: Callable[..., Line],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    record: Json,
    expression: str,
    *,
    fits: bool,
) -> None:
    """What counts is the finished answer: as XML, or once it is JSON within JSON."""
    made = line({"format": form}, expression)
    monkeypatch.setattr(limits, "ANSWER_BYTES", 1_000)
    answer = made.call(record)
    if fits:
        assert (answer.status, "é" * 360 in str(answer.body)) == (200, True)
    else:
        assert (answer.status, answer.body["code"]) == (502, "resultTooLarge")
        assert answer.body["runId"] == answer.headers["millrace-run-id"]


def test_a_failed_run_is_a_problem_with_its_id(line: Callable[..., Line]) -> None:
    """Why it failed is its owner's to read."""
    made = line()
    made.machines.fails = True
    answer = made.call({})
    assert (answer.status, answer.body["code"]) == (502, "runFailed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["runId"] == answer.headers["millrace-run-id"] == made.machines.runs[0]


def test_a_cancelled_run_is_a_problem_with_its_id(line: Callable[..., Line], alice: Client) -> None:
    """Its caller is not kept until the deadline."""
    made = line(settings=FLOW)
    made.machines.meanwhile = lambda run_id: alice("POST", f"/v1/runs/{run_id}/cancel")
    answer = made.call({})
    assert (answer.status, answer.body["code"]) == (409, "runCancelled")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["runId"] == answer.headers["millrace-run-id"] == made.machines.runs[0]


def test_a_superseded_run_is_a_problem_with_its_id(
    stack: Stack, line: Callable[..., Line], alice: Client
) -> None:
    """A newer run for the same request took its place while it waited for another attempt."""
    retried = {"retryMaxAttempts": 1, "retryDelayMinutes": 30}
    made = line(settings=FLOW | retried | {"retryUniqueRequestIdField": "body.orderId"})
    order = {"orderId": "A-7"}

    def fail_and_ask_anew(run_id: str) -> None:
        run = alice("GET", f"/v1/runs/{run_id}").body
        ids = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}
        failed = {"event": "attemptFailed", **ids, "failure": {"Error": "Lambda.Unknown"}}
        assert stack.functions["lifecycle"](failed, LambdaContext())["retry"]
        path = f"/v1/flows/{made.flow['id']}/run"
        assert alice("POST", path, {"payload": {"body": order}}).status == 202

    made.machines.meanwhile = fail_and_ask_anew
    answer = made.call(order)
    assert (answer.status, answer.body["code"]) == (409, "runSuperseded")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["runId"] == answer.headers["millrace-run-id"] == made.machines.runs[0]


def test_a_partial_success_is_answered_with_what_succeeded(
    line: Callable[..., Line], alice: Client
) -> None:
    """Not as a failure; the run tells of the rest."""
    made = line()
    made.machines.steps = ("each", "add")
    steps = [
        {
            "id": id_,
            "type": "Process",
            "action": {"type": "Process", "operations": [operation]},
            "dependsOn": after,
        }
        for id_, operation, after in (
            ("each", {"type": "split", "expression": "body"}, []),
            ("add", {"type": "map", "expression": "{'n': n + 1}"}, ["each"]),
        )
    ]
    flow = deployed(alice, SYNCHRONOUS | {"stableKey": "parts", "steps": steps})
    made.callback_id = alice("POST", f"/v1/flows/{flow['id']}/callbacks", {}).body["id"]
    answer = made.call([{"n": 1}, {"n": "x"}])
    run = alice("GET", f"/v1/runs/{answer.headers['millrace-run-id']}").body
    assert (answer.status, answer.body, run["status"]) == (200, [{"n": 2}], "partiallySucceeded")


def test_a_badly_worded_answer_is_a_problem(line: Callable[..., Line]) -> None:
    """No part of it gets out."""
    answer = line(expression="{'$response': {'status': 99}}").call({})
    assert (answer.status, answer.body["code"]) == (502, "badResponse")
    assert "status" in answer.body["detail"]
    assert answer.body["runId"]


def test_at_the_deadline_the_caller_learns_where_to_look(
    line: Callable[..., Line], alice: Client
) -> None:
    """202, and the run goes on."""
    for made in (line(settings=FLOW), line()):
        made.machines.is_slow = True
        answer = made.call({})
        run_id = answer.body["runId"]
        assert (answer.status, answer.body) == (202, {"runId": run_id, "deduplicated": False})
        assert answer.headers["location"] == f"/v1/runs/{run_id}"
        assert alice("GET", answer.headers["location"]).body["status"] == "running"


def test_s4_a_repeated_call_gets_the_first_answer(line: Callable[..., Line]) -> None:
    """An EXPRESS machine would run for each start: it is started for one."""
    made = line({"deliveryIdHeader": "X-Id"})
    first, second = made.call({"n": 1}, x_id="1"), made.call({"n": 2}, x_id="1")
    assert first.body == second.body == [{"n": 1}]
    assert second.headers["millrace-run-id"] == first.headers["millrace-run-id"]
    assert ("millrace-deduplicated" in first.headers, second.headers["millrace-deduplicated"]) == (
        False,
        "true",
    )
    assert len(made.machines.runs) == 1


def test_callers_sign_and_have_keys_as_senders_of_webhooks_do(
    line: Callable[..., Line], alice: Client
) -> None:
    """The same rules, and nothing runs for others."""
    signed = line({"hmacPreset": "github", "hmacSecretKey": "s3cret"})
    assert signed.call({}, x_hub_signature_256="sha256=0").status == 401
    key = "k3y-of-sixteen-or-more"
    environment = alice("POST", "/v1/virtualEnvironments", {"name": "Acme", "apiKeys": [key]}).body
    made = line({"virtualEnvironmentId": environment["id"]})
    assert made.call({}).status == 401
    answer = made.call({}, api_key=key)
    assert answer.status == 200
    run = alice("GET", f"/v1/runs/{answer.headers['millrace-run-id']}").body
    assert run["virtualEnvironmentId"] == environment["id"]
    assert (len(signed.machines.runs), len(made.machines.runs)) == (0, 1)


def test_nobodys_callback_is_404(line: Callable[..., Line]) -> None:
    """As is a flow's id, or a webhook's."""
    made = line()
    for id_ in ("cb_9", "hook_9", made.flow["id"], "x" * 3_000, "é"):
        made.callback_id = id_
        assert made.call({}).status == 404


def count_requests(monkeypatch: pytest.MonkeyPatch, counted: Counter[str]) -> None:
    """Count from here on what is asked of AWS, by operation."""
    client = boto3.client("dynamodb")
    make = type(client)._make_api_call  # type: ignore[attr-defined] # botocore's own

    def counting(self: object, name: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - botocore's
        counted[name] += 1
        return make(self, name, arguments)

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", counting)


def test_three_steps_take_few_requests(
    stack: Stack, alice: Client, line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What belongs to the run's end, the end with all results, and its flow."""
    made = line()
    operations = [{"type": "map", "expression": "{'n': n + 1}"}]
    steps = [
        {
            "id": id_,
            "type": "Process",
            "action": {"type": "Process", "operations": operations},
            "dependsOn": after,
        }
        for id_, after in (("a", []), ("b", ["a"]), ("c", ["b"]))
    ]
    first = [{"type": "map", "expression": "{'n': body.n}"}]
    steps[0]["action"] = {"type": "Process", "operations": first}
    flow = deployed(alice, SYNCHRONOUS | {"stableKey": "three", "steps": steps})
    made.callback_id = alice("POST", f"/v1/flows/{flow['id']}/callbacks", {}).body["id"]
    made.machines.steps = ("a", "b", "c")
    assert made.call({"n": 1}).body == [{"n": 3}]
    counted: Counter[str] = Counter()
    work = stack.functions["run_step"]

    def apart(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        with monkeypatch.context() as patched:
            count_requests(patched, counted)
            return work(event, context)

    monkeypatch.setitem(stack.functions, "run_step", apart)
    answer = made.call({"n": 1})
    assert answer.body == [{"n": 3}]
    assert counted == {"BatchGetItem": 1, "TransactWriteItems": 1, "UpdateItem": 1}
    run = alice("GET", f"/v1/runs/{answer.headers['millrace-run-id']}").body
    assert [(step["stepId"], step["status"]) for step in run["steps"]] == [
        ("a", "succeeded"),
        ("b", "succeeded"),
        ("c", "succeeded"),
    ]


def test_a_call_takes_few_requests(
    line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ingress function itself asks of DynamoDB for a synchronous flow, and writes."""
    made = line()
    made.call({})
    counted: Counter[str] = Counter()
    run = made.machines.run

    def apart(machine_arn: str, name: str, data: dict[str, Json]) -> Ended | None:
        before = counted.copy()
        outcome = run(machine_arn, name, data)
        counted.clear()
        counted.update(before)
        return outcome

    made.machines.run = apart  # type: ignore[method-assign] # what the machine does is not counted
    count_requests(monkeypatch, counted)
    assert made.call({}).status == 200
    assert counted == {"BatchGetItem": 1, "PutItem": 1}
