"""What the functions log and measure of a run, and the trace that it is a part of."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.test_engine import Engine, engine, read, write
from tests.functional.test_ingress import deliver, flow, webhook_id
from tests.support.app import Client
from tests.support.logs import Line, logged, measured, values

from millrace.connectors.http_client import TRIES
from millrace.connectors.http_messages import HttpResponse

__all__ = ["engine", "flow", "webhook_id"]

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = {
    "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01",
    "tracestate": "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE",
}
MARKED = "canary-s3cret"
CONTENT = "canary-c0ntent"


def of_step(lines: list[Line], step_id: str) -> list[Line]:
    """What was logged about a step."""
    return [line for line in lines if line.get("stepId") == step_id]


def test_the_trace_of_who_starts_a_run_goes_on_in_its_requests(engine: Engine) -> None:
    """Each request is a span of its own; the run and all log lines of its steps name the trace."""
    made = engine.flow(read(), write())
    with logged() as lines:
        started = engine.client("POST", f"/v1/flows/{made['id']}/run", {}, headers=TRACE)
        run = engine.ended(started.body["runId"])
    assert run["traceId"] == TRACE_ID
    sent = [headers["traceparent"] for headers in engine.shop.headers_seen]
    assert len(sent) == len({*sent}) == len(engine.shop.requests)
    assert all(re.fullmatch(f"00-{TRACE_ID}-[0-9a-f]{{16}}-01", parent) for parent in sent)
    assert "00f067aa0ba902b7" not in " ".join(sent)
    states = {headers["tracestate"] for headers in engine.shop.headers_seen}
    assert states == {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}
    (told,) = of_step(lines, "write")
    assert (
        told.items()
        >= {
            "message": "step ended",
            "level": "INFO",
            "service": "run_step",
            "correlation_id": TRACE_ID,
            "workspaceId": run["workspaceId"],
            "flowId": made["id"],
            "runId": run["id"],
            "attempt": 1,
        }.items()
    )


@pytest.mark.parametrize("parent", [None, "00-hello-there-01", f"00-{'0' * 32}-{'1' * 16}-01"])
def test_without_a_valid_trace_one_begins_with_the_run(engine: Engine, parent: str | None) -> None:
    """What is malformed is replaced, and nothing of it goes on."""
    made = engine.flow(read())
    headers = {"tracestate": "rojo=1"} | ({} if parent is None else {"traceparent": parent})
    started = engine.client("POST", f"/v1/flows/{made['id']}/run", {}, headers=headers)
    run = engine.ended(started.body["runId"])
    assert re.fullmatch("[0-9a-f]{32}", run["traceId"])
    assert run["traceId"] != "0" * 32
    for headers_seen in engine.shop.headers_seen:
        assert headers_seen["traceparent"].split("-")[1] == run["traceId"]
        assert "tracestate" not in headers_seen


def test_a_delivery_can_be_followed_from_its_request_to_its_run(
    stack: Stack, alice: Client, flow: dict[str, Any], webhook_id: str
) -> None:
    """The line of the webhook has API Gateway's request id, the run, and the trace of both."""
    with logged() as lines:
        accepted = deliver(stack, webhook_id, None, **TRACE)
    (told,) = [line for line in lines if line["message"] == "delivery accepted"]
    run = alice("GET", f"/v1/runs/{accepted.body['runId']}").body
    assert run["traceId"] == TRACE_ID
    assert told["requestId"]
    assert (
        told.items()
        >= {
            "service": "ingress",
            "correlation_id": TRACE_ID,
            "flowId": flow["id"],
            "runId": run["id"],
            "workspaceId": run["workspaceId"],
        }.items()
    )
    assert "requestId" not in of_next_event(stack)


def of_next_event(stack: Stack) -> Line:
    """The first line about an event that is no request."""
    with logged() as lines:
        stack.functions["lifecycle"]({"event": "sweep"}, None)
    return lines[0]


def test_no_line_holds_a_secret_or_a_record(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even in detail, of steps that fail because a receiver repeats all that it was sent.

    The run itself quotes the receiver, since that is its owner's to read.
    """
    engine.shop.orders = [{"id": 1, "name": CONTENT}]
    echo = f"no: {MARKED} {CONTENT}".encode()
    engine.shop.trouble["/write"] = [*[HttpResponse(503, {}, echo)] * TRIES * 5]
    made = engine.flow(read(), write(retry={"maxAttempts": 1, "jitter": False}), **in_detail())
    (connection,) = engine.client("GET", "/v1/connections").body["data"]
    path = f"/v1/connections/{connection['id']}"
    auth = {"type": "apiKey", "in": "header", "name": "X-Key", "key": MARKED}
    given = {"name": "Shop", "stableKey": "shop", "baseUrl": connection["baseUrl"], "auth": auth}
    changed = engine.client("PUT", path, given, headers=engine.client("GET", path).etag)
    assert changed.status == 200, changed.body
    capsys.readouterr()
    with logged() as lines:
        run = engine.run(made, {"note": CONTENT})
    assert (run["status"], run["error"]["code"]) == ("failed", "http503")
    assert engine.shop.headers_seen[-1]["X-Key"] == MARKED
    assert CONTENT in run["error"]["message"]
    failed = [line for line in of_step(lines, "write") if line["level"] == "WARNING"]
    assert {line["code"] for line in failed} == {"http503"}
    assert any(line["level"] == "DEBUG" for line in lines)
    history = boto3.client("stepfunctions").get_execution_history(executionArn=execution_of(run))[
        "events"
    ]
    for text in (json.dumps(lines), "".join(capsys.readouterr()), json.dumps(history, default=str)):
        assert MARKED not in text
        assert CONTENT not in text


def execution_of(run: dict[str, Any]) -> str:
    """The ARN of a run's execution."""
    (machine,) = boto3.client("stepfunctions").list_state_machines()["stateMachines"]
    arn = machine["stateMachineArn"].replace(":stateMachine:", ":execution:")
    return f"{arn}:{run['id']}"


def in_detail(until: timedelta = timedelta(minutes=60)) -> dict[str, Any]:
    """The setting of a flow whose runs are logged in detail."""
    return {"logging": {"debugUntil": (datetime.now(UTC) + until).isoformat()}}


@pytest.mark.parametrize(
    ("until", "is_told"), [(timedelta(minutes=60), True), (timedelta(minutes=-1), False)]
)
def test_a_flow_is_logged_in_detail_until_the_time_that_it_says(
    engine: Engine, until: timedelta, *, is_told: bool
) -> None:
    """Then each request is a line, with its span, host and status; otherwise none is."""
    made = engine.flow(read(), **in_detail(until))
    with logged() as lines:
        engine.run(made)
    requests = [line for line in lines if line["message"] == "request"]
    assert bool(requests) is is_told
    spans = {headers["traceparent"].split("-")[2] for headers in engine.shop.headers_seen}
    assert {line["spanId"] for line in requests} == (spans if is_told else set())
    for line in requests:
        assert (line["host"], line["outcome"]) == ("shop.example", 200)
        assert line["stepId"] == "read"


def test_a_run_is_measured_once(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """Its start and end, its steps and records; by stack and status, and by nothing else."""
    engine.shop.refused_ids = {3}
    engine.shop.trouble["/orders"] = [HttpResponse(429, {"retry-after": "120"}, b"")]
    made = engine.flow(read(), write())
    capsys.readouterr()
    run = engine.run(made)
    assert run["status"] == "partiallySucceeded"
    lines = measured(capsys)
    assert values(lines, "RunsStarted") == [1]
    assert values(lines, "RunsEnded") == [1]
    assert values(lines, "Throttles") == [1]
    assert values(lines, "StepErrors") == [1]
    assert values(lines, "RecordsIn") == [5, 5]
    assert values(lines, "RecordsOut") == [5, 4]
    assert values(lines, "RecordsFailed") == [0, 1]
    assert len(values(lines, "StepDuration")) == 2
    (taken,) = values(lines, "RunDuration")
    assert taken >= 0
    (ended,) = [line for line in lines if "RunsEnded" in line]
    assert ended["status"] == "partiallySucceeded"
    assert (ended["runId"], ended["flowId"]) == (run["id"], made["id"])
    for line in lines:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]:
            assert {*dimensions} <= {"service", "status"}


def test_a_retry_that_is_planned_is_measured(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once for each attempt that another follows."""
    engine.shop.trouble["/orders"] = [HttpResponse(404, {}, b"")]
    made = engine.flow(read(), retryMaxAttempts=2, retryDelayMinutes=1)
    capsys.readouterr()
    assert engine.run(made)["status"] == "succeeded"
    lines = measured(capsys)
    assert values(lines, "RetriesPlanned") == [1]
    assert values(lines, "RunsEnded") == [1]


def test_deliveries_are_measured_by_what_becomes_of_them(
    stack: Stack, webhook_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Accepted, sent again, refused; a run starts for the first alone."""
    capsys.readouterr()
    for signature in ({}, {}, {"x_hub_signature_256": "sha256=00"}):
        deliver(stack, webhook_id, None, **signature)
    lines = measured(capsys)
    for name in ("WebhookAccepted", "WebhookDuplicates", "WebhookRefused", "RunsStarted"):
        assert values(lines, name) == [1], name
