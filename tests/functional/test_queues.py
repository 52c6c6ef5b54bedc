"""Queues over the real routes and functions, with the Lambda and SQS of the simulated AWS."""

import json
from typing import Any, Final

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.support.app import Client, LambdaContext
from tests.support.aws import ROOT, TARGET_PREFIX
from tests.unit.orchestration.test_queue_mappings import make_function

QUEUE: Final = f"{TARGET_PREFIX}orders"
MAP: Final = {
    "id": "map",
    "type": "Process",
    "action": {"type": "Process", "operations": [{"type": "map", "expression": "body"}]},
}


def messages() -> dict[str, Any]:
    """What Lambda hands over: one message of JSON, one of text."""
    found: dict[str, Any] = json.loads((ROOT / "events/trigger_messages.json").read_text())
    return found


@pytest.fixture
def flow(alice: Client) -> dict[str, Any]:
    """A deployed flow that messages of a queue start."""
    make_function(boto3.client("lambda"))
    boto3.client("sqs").create_queue(QueueName=QUEUE)
    trigger = {"kind": "queue", "queue": QUEUE}
    document = {
        "flows": [{"name": "Orders", "stableKey": "orders", "trigger": trigger, "steps": [MAP]}]
    }
    applied = alice("POST", "/v1/apply", document)
    assert applied.status == 200, applied.body
    found: dict[str, Any] = alice("GET", f"/v1/flows/{applied.body['flows'][0]['id']}").body
    return found


def runs_of(client: Client, flow: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of a flow."""
    listed: list[dict[str, Any]] = client("GET", f"/v1/flows/{flow['id']}/runs").body["data"]
    return listed


def test_messages_start_runs_once(stack: Stack, alice: Client, flow: dict[str, Any]) -> None:
    """Delivered twice it is one run each, found by its trigger."""
    (mapping,) = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert mapping["EventSourceArn"].endswith(QUEUE)
    for _ in range(2):
        answer = stack.functions["trigger"](messages(), LambdaContext())
        assert answer == {"batchItemFailures": []}
    found = runs_of(alice, flow)
    sent = {each["messageId"] for each in messages()["Records"]}
    assert {run["trigger"]["deliveryId"] for run in found} == sent
    assert {(run["trigger"]["source"], run["trigger"]["queue"]) for run in found} == {
        ("queue", QUEUE)
    }
    listed = alice("GET", "/v1/runs", query={"filter[triggerSource]": "queue"})
    assert len(listed.body["data"]) == 2


def test_messages_stay_while_their_flow_does_not_take_them(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """The function names each, so the queue keeps it; the queue itself is disconnected."""
    path = f"/v1/flows/{flow['id']}"
    patch = [{"op": "replace", "path": "/enabled", "value": False}]
    assert alice("PATCH", path, patch, headers=alice("GET", path).etag).status == 200
    assert boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
    answer = stack.functions["trigger"](messages(), LambdaContext())
    sent = [{"itemIdentifier": each["messageId"]} for each in messages()["Records"]]
    assert answer == {"batchItemFailures": sent}
    assert runs_of(alice, flow) == []


def test_a_message_that_cannot_be_taken_keeps_none_of_the_others(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """Only it comes again."""
    event = messages()
    event["Records"][0]["eventSourceARN"] += "-of-nobody"
    answer = stack.functions["trigger"](event, LambdaContext())
    stays = [{"itemIdentifier": event["Records"][0]["messageId"]}]
    assert answer == {"batchItemFailures": stays}
    assert len(runs_of(alice, flow)) == 1


def test_nothing_overtakes_a_message_of_a_fifo_queue(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """What follows one that stays, stays."""
    path = f"/v1/flows/{flow['id']}"
    boto3.client("sqs").create_queue(QueueName=f"{QUEUE}.fifo", Attributes={"FifoQueue": "true"})
    patch = [
        {"op": "replace", "path": "/trigger", "value": {"kind": "queue", "queue": f"{QUEUE}.fifo"}}
    ]
    assert alice("PATCH", path, patch, headers=alice("GET", path).etag).status == 200
    event = messages()
    for record in event["Records"]:
        record["eventSourceARN"] += ".fifo"
        record["attributes"]["MessageGroupId"] = "orders"
    event["Records"][0]["attributes"]["SentTimestamp"] = "soon"
    answer = stack.functions["trigger"](event, LambdaContext())
    sent = [{"itemIdentifier": each["messageId"]} for each in event["Records"]]
    assert answer == {"batchItemFailures": sent}
    assert runs_of(alice, flow) == []


def test_a_large_message_is_kept_whole(stack: Stack, alice: Client, flow: dict[str, Any]) -> None:
    """Beyond what a run's item holds it is in the bucket."""
    event = messages()
    event["Records"] = event["Records"][:1]
    event["Records"][0]["body"] = json.dumps({"text": "x" * 900_000})
    assert stack.functions["trigger"](event, LambdaContext()) == {"batchItemFailures": []}
    (run,) = runs_of(alice, flow)
    task = {"workspaceId": run["workspaceId"], "runId": run["id"], "attempt": 1, "stepId": "map"}
    assert stack.functions["run_step"](task, LambdaContext())["counts"]["recordsOut"] == 1
