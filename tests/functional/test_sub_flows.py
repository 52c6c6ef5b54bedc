"""Flows that other flows wait for, over the real functions: what is left when both are over."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.test_engine import ONCE, Calling, Engine, engine, ids, steps_of, write
from tests.functional.test_ingress import HOOK, deliver
from tests.functional.test_queues import QUEUE, messages
from tests.support.app import Client, LambdaContext
from tests.support.aws import BUCKET
from tests.support.aws_moments import once_after
from tests.unit.orchestration.test_queue_mappings import make_function

__all__ = ["engine"]

type Json = Any

LETTERS = "".join(Random(7).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=30_000))


def process(id_: str, expression: str = "$") -> dict[str, Json]:
    """A step that maps."""
    operations = [{"type": "map", "expression": expression}]
    return {"id": id_, "type": "Process", "action": {"type": "Process", "operations": operations}}


def caller_of(client: Client, *steps: dict[str, Json], **settings: Json) -> str:
    """The id of a flow that waits for one with these steps."""
    call = {"id": "call", "type": "Flow", "flowId": "child"}
    child = {"name": "Child", "stableKey": "child", "steps": steps} | settings
    parent = {"name": "Parent", "stableKey": "parent", "steps": [call]}
    answer = client("POST", "/v1/apply", {"flows": [child, parent]})
    assert answer.status == 200, answer.body
    return str(answer.body["flows"][1]["id"])


def task(client: Client, run_id: str) -> dict[str, Json]:
    """What a run's machine says of itself."""
    run = client("GET", f"/v1/runs/{run_id}").body
    return {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}


def begin_call(stack: Stack, client: Client, flow_id: str, payload: Json) -> tuple[str, str]:
    """The ids of a new run of the flow, and of the run that it waits for."""
    asked = {"payload": payload}
    run_id: str = client("POST", f"/v1/flows/{flow_id}/run", asked).body["runId"]
    waits = {"stepId": "call", "taskToken": "token-1", **task(client, run_id)}
    stack.functions["run_step"](waits, LambdaContext())
    (step,) = client("GET", f"/v1/runs/{run_id}").body["steps"]
    return run_id, step["childRunId"]


def statuses() -> dict[str, str]:
    """The status of each run's machine."""
    client = boto3.client("stepfunctions")
    machines = client.list_state_machines()["stateMachines"]
    arns = [machine["stateMachineArn"] for machine in machines]
    found = [client.list_executions(stateMachineArn=arn)["executions"] for arn in arns]
    return {each["name"]: each["status"] for executions in found for each in executions}


def test_a_sub_flow_that_is_over_before_it_is_waited_for_lets_its_caller_go_on(
    engine: Engine,
) -> None:
    """Nobody else would tell the machine that waits: its end came before there was a token."""
    calling = Calling(engine, write("after", dependsOn=["call"]))
    started = engine.client("POST", f"/v1/flows/{calling.flow['id']}/run", {})

    def run_child() -> None:
        engine.until(lambda: [child["status"] for child in calling.children()] == ["succeeded"])

    with once_after("StartExecution", run_child):
        run = engine.ended(started.body["runId"])
    assert (run["status"], steps_of(run)["call"]["status"]) == ("succeeded", "succeeded")
    assert ids(engine.shop.received["/inner"]) == ids(engine.shop.received["/after"]) == ONCE


def test_r18_a_sub_flow_whose_caller_is_cancelled_as_it_begins_is_cancelled_too(
    stack: Stack, alice: Client
) -> None:
    """Who cancelled it could not know of the other run; the worker that began it finds out."""
    flow_id = caller_of(alice, process("map"))
    run_id: str = alice("POST", f"/v1/flows/{flow_id}/run", {}).body["runId"]
    waits = {"stepId": "call", "taskToken": "token-1", **task(alice, run_id)}

    def cancel() -> None:
        assert alice("POST", f"/v1/runs/{run_id}/cancel").status == 200

    with once_after("StartExecution", cancel):
        told = stack.functions["run_step"](waits, LambdaContext())
    assert told["status"] == "cancelled"
    runs = alice("GET", "/v1/runs").body["data"]
    assert [run["status"] for run in runs] == ["cancelled", "cancelled"]
    assert statuses() == {run["id"]: "ABORTED" for run in runs}


def by_webhook(stack: Stack, client: Client, child_id: str, _: str) -> None:
    """Start the other flow by a delivery."""
    hook = client("POST", f"/v1/flows/{child_id}/webhooks", HOOK).body["id"]
    assert deliver(stack, hook, b"{}").status == 202


def by_message(stack: Stack, client: Client, child_id: str, _: str) -> None:
    """Start the other flow by a message of its queue."""
    make_function(boto3.client("lambda"))
    boto3.client("sqs").create_queue(QueueName=QUEUE)
    path = f"/v1/flows/{child_id}"
    patch = [{"op": "replace", "path": "/trigger", "value": {"kind": "queue", "queue": QUEUE}}]
    assert client("PATCH", path, patch, headers=client("GET", path).etag).status == 200
    event = {"Records": messages()["Records"][:1]}
    assert stack.functions["trigger"](event, LambdaContext()) == {"batchItemFailures": []}


def by_another_caller(stack: Stack, client: Client, _: str, parent_id: str) -> None:
    """Have another run wait for the other flow."""
    begin_call(stack, client, parent_id, [{}])


@pytest.mark.parametrize("newer", [by_webhook, by_message, by_another_caller])
def test_a_sub_flow_that_makes_way_for_another_run_fails_its_caller(
    stack: Stack, alice: Client, newer: Callable[[Stack, Client, str, str], None]
) -> None:
    """At once, whoever started the other one: its machine would wait for a run that is over."""
    concurrency = {"limit": 1, "onConflict": "cancelPrevious"}
    parent_id = caller_of(alice, process("map"), concurrency=concurrency)
    run_id, called_id = begin_call(stack, alice, parent_id, [{}])
    child_id = alice("GET", f"/v1/runs/{called_id}").body["flowId"]
    newer(stack, alice, child_id, parent_id)
    assert alice("GET", f"/v1/runs/{called_id}").body["status"] == "cancelled"
    (step,) = alice("GET", f"/v1/runs/{run_id}").body["steps"]
    assert (step["status"], step["error"]["code"]) == ("failed", "subflowCancelled")
    assert [run["status"] for run in alice("GET", f"/v1/flows/{child_id}/runs").body["data"]] == [
        "running",
        "cancelled",
    ]


def test_results_of_a_sub_flow_that_are_large_together_are_handed_on_whole(
    stack: Stack, alice: Client
) -> None:
    """Each of its last steps had room for its own; the step that takes over all has not."""
    half = len(LETTERS) // 2
    texts = [{"text": LETTERS[:half]}, {"text": LETTERS[half:]}]
    flow_id = caller_of(alice, process("first", json.dumps(texts[0])), process("second"))
    run_id, child_id = begin_call(stack, alice, flow_id, texts[1:])
    child = task(alice, child_id)
    for step_id in ("first", "second"):
        stack.functions["run_step"]({"stepId": step_id, **child}, LambdaContext())
    assert boto3.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    stack.functions["lifecycle"]({"event": "attemptSucceeded", **child}, LambdaContext())
    output = alice("GET", f"/v1/runs/{run_id}/steps/call/output").body["data"]
    assert output == texts
    kept = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert all(f"/{run_id}/" in each["Key"] for each in kept)
