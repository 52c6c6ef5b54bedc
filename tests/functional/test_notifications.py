"""Notifications from the API to the receiver, and the machine that waits between the tries."""

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import wait_function
from tests.functional.conftest import Stack
from tests.functional.loopback_server import answer, serving
from tests.support.app import Client, event
from tests.support.aws import ENVIRONMENT, ROOT, create_notify_machine, simulated_aws, template

from millrace.compiler.validate import validate_asl

STEP = {
    "id": "map",
    "type": "Process",
    "action": {"type": "Process", "operations": [{"type": "map", "expression": "$"}]},
}
SECRET = f"whsec_{b64encode(b'canary-of-the-signing-secret').decode()}"
CRASHED = {"Error": "Lambda.Unknown", "Cause": "Runtime exited"}


def test_a_failure_reaches_its_receiver(
    stack: Stack, alice: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Signed, once for the run, told by the functions as they are deployed; no secret is logged."""
    machine = create_notify_machine()
    with serving(answer(503), answer(204)) as server:
        target = {"type": "url", "url": f"{server.url}/hook/canary-path"}
        group = {"name": "Ops", "targets": [target], "signingSecret": SECRET}
        made = alice("POST", "/v1/notificationGroups", group)
        assert made.status == 201, made.body
        flow = {"name": "Orders", "steps": [STEP], "notificationGroups": [made.body["id"]]}
        applied = alice("POST", "/v1/apply", {"flows": [flow | {"stableKey": "orders"}]})
        assert applied.status == 200, applied.body
        (applied_flow,) = applied.body["flows"]
        started = alice("POST", f"/v1/flows/{applied_flow['id']}/run", {})
        run = alice("GET", started.headers["location"]).body
        ids = {"workspaceId": run["workspaceId"], "runId": run["id"], "attempt": 1}
        told = {"event": "attemptFailed", **ids, "failure": CRASHED}
        for _ in range(2):
            assert stack.functions["lifecycle"](told, None) == {"retry": False}

        client = boto3.client("stepfunctions")
        (execution,) = client.list_executions(stateMachineArn=machine)["executions"]
        given = client.describe_execution(executionArn=execution["executionArn"])["input"]
        first = stack.functions["notify"](json.loads(given), None)
        assert first["waitSeconds"] == 5
        second = stack.functions["notify"](first, None)
        assert second == {"outcome": "delivered", "waitSeconds": 0}
    assert all(f"webhook-id: {execution['name']}".encode() in each for each in server.requests)
    body = json.loads(server.requests[1].partition(b"\r\n\r\n")[2])
    assert (body["type"], body["data"]["runId"]) == ("run.failed", run["id"])
    out, err = capsys.readouterr()
    for canary in (SECRET, "canary"):
        assert canary not in out + err + given


def test_of_a_target_that_is_gone_the_others_are_told(stack: Stack, alice: Client) -> None:
    """A topic and a mailbox get the failure, and then that an address takes no more."""
    machine = create_notify_machine()
    boto3.client("ses").verify_email_identity(EmailAddress=ENVIRONMENT["MILLRACE_MAIL_SENDER"])
    topic = boto3.client("sns").create_topic(Name="millrace-ops")["TopicArn"]
    with serving(answer(410)) as server:
        targets = [
            {"type": "url", "url": f"{server.url}/hook"},
            {"type": "sns", "topicArn": topic},
            {"type": "email", "address": "ops@example.com"},
        ]
        made = alice("POST", "/v1/notificationGroups", {"name": "Ops", "targets": targets})
        flow = {"name": "Orders", "steps": [STEP], "notificationGroups": [made.body["id"]]}
        applied = alice("POST", "/v1/apply", {"flows": [flow | {"stableKey": "orders"}]})
        started = alice("POST", f"/v1/flows/{applied.body['flows'][0]['id']}/run", {})
        run = alice("GET", started.headers["location"]).body
        ids = {"workspaceId": run["workspaceId"], "runId": run["id"], "attempt": 1}
        told = {"event": "attemptFailed", **ids, "failure": CRASHED}
        assert stack.functions["lifecycle"](told, None) == {"retry": False}

        client = boto3.client("stepfunctions")
        outcomes = []
        done: set[str] = set()
        for _ in ("the failure", "the target that is gone"):
            begun = client.list_executions(stateMachineArn=machine)["executions"]
            for execution in (each["executionArn"] for each in begun):
                if execution not in done:
                    done.add(execution)
                    given = client.describe_execution(executionArn=execution)["input"]
                    outcomes.append(stack.functions["notify"](json.loads(given), None)["outcome"])
    assert sorted(outcomes) == ["delivered"] * 4 + ["the target was disabled"]


def test_the_sample_event_is_one(stack: Stack) -> None:
    """Of a group that is not there, which ends the notification."""
    answered = stack.functions["notify"](event("notify"), None)
    assert answered == {"outcome": "the group was deleted", "waitSeconds": 0}


@dataclass
class Function:
    """Plays the notify function: its answers in turn, an exception where one is raised."""

    answers: list[dict[str, Any] | str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)

    def invoke(self, *, parameters: dict[str, Any], **_: object) -> dict[str, Any]:
        """Stands in for Lambda."""
        payload = parameters["Payload"]
        self.calls.append(payload if isinstance(payload, dict) else json.loads(payload))
        given = self.answers.pop(0)
        if isinstance(given, dict):
            return {"StatusCode": 200, "Payload": given}
        details = {"errorMessage": "", "errorType": given, "stackTrace": ["x"]}
        return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": details}


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:
    """Behind moto's interpreter, whose waits are recorded instead of waited."""
    played = Function()
    monkeypatch.setattr(lambda_eval_utils, "_invoke_lambda_function", played.invoke)
    monkeypatch.setattr(
        wait_function.WaitFunction,
        "_wait_interval",
        lambda _self, env, wait_seconds: played.waits.append(wait_seconds),  # noqa: ARG005  moto's keywords
    )
    with simulated_aws(machines_run=True):
        yield played


def test_the_machine_waits_as_it_is_told(function: Function) -> None:
    """It hands on what the function gave it, until there is nothing to wait for."""
    function.answers = [
        {"waitSeconds": 5, "note": {"tries": 1}},
        {"waitSeconds": 300, "note": {"tries": 2}},
        {"waitSeconds": 0, "outcome": "delivered"},
    ]
    client = boto3.client("stepfunctions")
    execution = client.start_execution(
        stateMachineArn=create_notify_machine(), name="msg_1", input='{"note": {"tries": 0}}'
    )["executionArn"]
    deadline = time.monotonic() + 20
    while (found := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert found["status"] == "SUCCEEDED"
    assert function.calls == [{"note": {"tries": number}} for number in range(3)]
    assert function.waits == [5, 300]


def test_the_machine_is_valid_and_named_apart() -> None:
    """Of the ends of machines of flows the lifecycle function is told; of this one's it is not."""
    definition = (ROOT / "statemachines/notify.asl.json").read_text()
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:notify"
    assert validate_asl(definition.replace("${NotifyFunctionArn}", arn)) == []
    resources = template()["Resources"]
    assert resources["NotifyMachine"]["Properties"]["Name"] == "notifications-${AWS::StackName}"
    prefix = ENVIRONMENT["MILLRACE_MACHINE_ARN_PREFIX"]
    assert not ENVIRONMENT["MILLRACE_NOTIFY_MACHINE_ARN"].startswith(prefix)
