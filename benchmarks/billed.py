"""What AWS would bill for a run, counted where the calls are made.

The real functions and machines run under moto. Requests to DynamoDB and S3 are counted where
botocore sends them, transitions in the history of the execution. A function's milliseconds are its
CPU without moto's, plus a typical round trip for each request that it waits for, rounded up as
Lambda rounds: a bill depends on AWS's answers, which nothing on this machine can tell.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, process_time, sleep
from typing import Any, Final
from unittest.mock import patch

import boto3
from benchmarks.units import consumed
from moto.core.botocore_stubber import BotocoreStubber
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from tests.functional.conftest import Stack, deployed_stack
from tests.support.app import Event, Handler, LambdaContext, answer_of, http_event
from tests.support.aws import ENVIRONMENT, simulated_aws

ROUND_TRIP_MS: Final = 5.0
"""Of a request from a function to DynamoDB, S3 or Step Functions in its region."""

MEMORY_GB: Final = 1.0
"""template.yaml's MemorySize."""

PRICES: Final = {
    "transitions": 25.0 / 1e6,
    "invocations": 0.20 / 1e6,
    "gb_seconds": 0.0000133334,
    "read_units": 0.125 / 1e6,
    "write_units": 0.625 / 1e6,
    "s3_puts": 5.0 / 1e6,
    "s3_gets": 0.4 / 1e6,
    "api_requests": 1.0 / 1e6,
}
"""Dollars each, as published for us-east-1 in November 2026: Standard workflows, Lambda on arm64,
DynamoDB on demand, S3 Standard, HTTP API. Logs, and what free tiers leave out, are not counted."""

LONGEST_SECONDS: Final = 60


@dataclass(slots=True)
class Bill:
    """What one run made AWS do."""

    transitions: int = 0
    invocations: int = 0
    function_ms: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """By operation."""
    read_units: float = 0.0
    write_units: float = 0.0
    api_requests: int = 1
    """The delivery itself."""

    @property
    def dynamodb_requests(self) -> int:
        """All that were sent to the table."""
        return sum(number for name, number in self.requests.items() if not name.startswith("s3:"))

    @property
    def dollars_per_1000(self) -> float:
        """For a thousand such runs."""
        used = {
            "transitions": self.transitions,
            "invocations": self.invocations,
            "gb_seconds": self.function_ms / 1_000 * MEMORY_GB,
            "read_units": self.read_units,
            "write_units": self.write_units,
            "s3_puts": self.requests["s3:PUT"],
            "s3_gets": self.requests["s3:GET"],
            "api_requests": self.api_requests,
        }
        return 1_000 * sum(PRICES[name] * number for name, number in used.items())

    def told(self) -> dict[str, Any]:
        """The figures as JSON."""
        return {
            "transitions": self.transitions,
            "invocations": self.invocations,
            "function_ms": self.function_ms,
            "requests": dict(self.requests),
            "read_units": self.read_units,
            "write_units": self.write_units,
            "dynamodb_requests": self.dynamodb_requests,
            "usd_per_1000_runs": round(self.dollars_per_1000, 4),
        }


@dataclass
class Account:
    """A stack under moto whose machines run, and the bill so far."""

    stack: Stack
    bill: Bill = field(default_factory=Bill)
    waited: int = 0
    moto_seconds: float = 0.0

    def call(self, handler: Handler, event: Event) -> dict[str, Any]:
        """One invocation."""
        waited, moto, start = self.waited, self.moto_seconds, process_time()
        answer = handler(event, LambdaContext())
        cpu_ms = 1_000 * (process_time() - start - (self.moto_seconds - moto))
        self.bill.invocations += 1
        self.bill.function_ms += math.ceil(cpu_ms + ROUND_TRIP_MS * (self.waited - waited))
        return answer

    def invoke(self, *, parameters: dict[str, Any], **_: object) -> dict[str, Any]:
        """Stands in for Lambda where a machine calls it."""
        functions = self.stack.functions
        by_arn = {
            ENVIRONMENT["MILLRACE_RUN_STEP_ARN"]: functions["run_step"],
            ENVIRONMENT["MILLRACE_LIFECYCLE_ARN"]: functions["lifecycle"],
        }
        handler = by_arn[parameters["FunctionName"]]
        payload = parameters["Payload"]
        given = payload if isinstance(payload, dict) else json.loads(payload)
        return {"StatusCode": 200, "Payload": json.loads(json.dumps(self.call(handler, given)))}

    def watch(self, request: Any, answer: Any) -> Any:  # noqa: ANN401 - moto's
        """Let moto answer one request, and count it."""
        start = process_time()
        told = answer()
        target = request.headers.get("X-Amz-Target", b"")
        service, _, operation = (target if isinstance(target, str) else target.decode()).rpartition(
            "."
        )
        if service.startswith("DynamoDB"):
            read, written = consumed(
                operation, json.loads(request.body), json.loads(told.content.decode())
            )
            self.bill.requests[operation] += 1
            self.bill.read_units += read
            self.bill.write_units += written
        elif ".s3." in request.url or "//s3." in request.url:
            self.bill.requests[f"s3:{request.method}"] += 1
        self.waited += 1
        self.moto_seconds += process_time() - start
        return told


@contextmanager
def account() -> Iterator[Account]:
    """Everything within this process."""
    real = BotocoreStubber.__call__
    with simulated_aws(machines_run=True):
        made = Account(deployed_stack())

        def watched(stubber: BotocoreStubber, event_name: str, request: Any, **rest: Any) -> Any:  # noqa: ANN401 - moto's
            return made.watch(request, lambda: real(stubber, event_name, request, **rest))

        with (
            patch.object(BotocoreStubber, "__call__", watched),
            patch.object(lambda_eval_utils, "_invoke_lambda_function", made.invoke),
        ):
            yield made


def bill_of(made: Account, steps: int) -> Bill:
    """The bill of a warm run: a delivery to a webhook, and a flow of steps one after the other."""
    flow = {
        "name": f"{steps} steps",
        "stableKey": f"billed-{steps}",
        "webhooks": [{"name": "in", "stableKey": f"in-{steps}"}],
        "steps": [process_step(number) for number in range(steps)],
    }
    client = made.stack.client("Alice")
    applied = client("POST", "/v1/apply", {"flows": [flow]})
    if applied.status >= 400:  # noqa: PLR2004 - where HTTP errors begin
        raise RuntimeError(applied)
    flow_id = applied.body["flows"][0]["id"]
    hook = client("GET", f"/v1/flows/{flow_id}/webhooks").body["data"][0]
    for _ in range(2):  # the first builds what is built once
        made.bill = Bill()
        delivered = http_event(
            "ingress",
            "POST",
            f"/hooks/{hook['id']}",
            json.dumps(PAYLOAD).encode(),
            {"content-type": "application/json"},
        )
        delivered["pathParameters"] = {"webhookId": hook["id"]}
        answer = answer_of(made.call(made.stack.functions["ingress"], delivered))
        run_id = answer.body["runId"]
        execution = _ended(run_id)
        made.bill.transitions = _transitions(execution)
        counted, made.bill = made.bill, Bill()
    return counted


def process_step(number: int) -> dict[str, Any]:
    """A step that changes each record, after the one before it."""
    action = {
        "type": "Process",
        "operations": [{"type": "map", "expression": '{"id": id, "total": total + 1}'}],
    }
    after = [f"step-{number - 1}"] if number else []
    return {"id": f"step-{number}", "type": "Process", "action": action, "dependsOn": after}


PAYLOAD: Final = {"id": 7, "total": 41}


def _ended(run_id: str) -> str:
    states = boto3.client("stepfunctions")
    deadline = monotonic() + LONGEST_SECONDS
    while monotonic() < deadline:
        for machine in states.list_state_machines()["stateMachines"]:
            arn = machine["stateMachineArn"].replace(":stateMachine:", ":execution:")
            try:
                found = states.describe_execution(executionArn=f"{arn}:{run_id}")
            except states.exceptions.ExecutionDoesNotExist:
                continue
            if found["status"] == "SUCCEEDED":
                return str(found["executionArn"])
        sleep(0.02)
    raise TimeoutError(run_id)


def _transitions(execution: str) -> int:
    """Each entry of a state, which is what a transition is billed for, and the one to the end."""
    states = boto3.client("stepfunctions")
    entered = 0
    for page in states.get_paginator("get_execution_history").paginate(executionArn=execution):
        entered += sum(event["type"].endswith("StateEntered") for event in page["events"])
    return entered + 1


def bills(numbers: tuple[int, ...]) -> dict[int, Bill]:
    """Of flows of so many steps."""
    with account() as made:
        return {steps: bill_of(made, steps) for steps in numbers}
