"""A newer request takes an older one's place, over the real functions: what would be done again."""

import json
from collections.abc import Callable
from typing import Any, Final

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.test_api_resources import FLOW
from tests.functional.test_ingress import HOOK, deliver
from tests.functional.test_queues import messages
from tests.support.app import Client, LambdaContext
from tests.support.aws import TARGET_PREFIX
from tests.unit.orchestration.test_queue_mappings import make_function

type Json = Any

QUEUE: Final = f"{TARGET_PREFIX}orders"
ORDER: Final = {"orderId": "A-7"}
RETRIED: Final = FLOW | {
    "retryMaxAttempts": 2,
    "retryDelayMinutes": 30,
    "retryUniqueRequestIdField": "body.orderId",
}


def applied(client: Client, **settings: Json) -> str:
    """The id of a flow that tries again what failed, deployed."""
    answer = client("POST", "/v1/apply", {"flows": [RETRIED | settings]})
    assert answer.status == 200, answer.body
    return str(answer.body["flows"][0]["id"])


def by_hand(client: Client, flow_id: str) -> str:
    """The id of a new run for the order."""
    answer = client("POST", f"/v1/flows/{flow_id}/run", {"payload": {"body": ORDER}})
    return str(answer.body["runId"])


def fails(stack: Stack, client: Client, run_id: str) -> bool:
    """Have the first attempt of a run fail; whether it is tried again."""
    run = client("GET", f"/v1/runs/{run_id}").body
    told = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}
    event = {"event": "attemptFailed", **told, "failure": {"Error": "Lambda.Unknown"}}
    answer = stack.functions["lifecycle"](event, LambdaContext())
    return bool(answer["retry"])


def executions() -> dict[str, str]:
    """The status of each run's machine."""
    client = boto3.client("stepfunctions")
    (machine,) = client.list_state_machines()["stateMachines"]
    found = client.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    return {each["name"]: each["status"] for each in found}


def delivered(stack: Stack, client: Client) -> tuple[str, Callable[[], str]]:
    """A flow, and how a webhook starts its runs."""
    flow_id = applied(client)
    hook = client("POST", f"/v1/flows/{flow_id}/webhooks", HOOK).body["id"]
    ids = iter("12")

    def start() -> str:
        answer = deliver(stack, hook, json.dumps(ORDER).encode(), x_github_delivery=next(ids))
        return str(answer.body["runId"])

    return flow_id, start


def queued(stack: Stack, client: Client) -> tuple[str, Callable[[], str]]:
    """A flow, and how messages of a queue start its runs."""
    make_function(boto3.client("lambda"))
    boto3.client("sqs").create_queue(QueueName=QUEUE)
    flow_id = applied(client, trigger={"kind": "queue", "queue": QUEUE})
    sent = iter(messages()["Records"])

    def start() -> str:
        message = next(sent) | {"body": json.dumps(ORDER)}
        answer = stack.functions["trigger"]({"Records": [message]}, LambdaContext())
        assert answer == {"batchItemFailures": []}
        runs = client("GET", f"/v1/flows/{flow_id}/runs").body["data"]
        return str(runs[0]["id"])

    return flow_id, start


@pytest.mark.parametrize("manner", [delivered, queued])
def test_a_newer_request_ends_what_waits_to_be_done_again(
    stack: Stack, alice: Client, manner: Callable[..., tuple[str, Callable[[], str]]]
) -> None:
    """An outdated retry does not write over what the newer one wrote: its machine is stopped."""
    _, start = manner(stack, alice)
    older = start()
    assert fails(stack, alice, older)
    newer = start()
    run = alice("GET", f"/v1/runs/{older}").body
    assert (run["status"], run["supersededBy"]) == ("superseded", newer)
    assert executions() == {older: "ABORTED", newer: "RUNNING"}


def test_what_fails_after_a_newer_request_is_not_done_again(stack: Stack, alice: Client) -> None:
    """The newer one came while it was at work."""
    flow_id = applied(alice)
    older, newer = by_hand(alice, flow_id), by_hand(alice, flow_id)
    assert executions() == {older: "RUNNING", newer: "RUNNING"}
    assert not fails(stack, alice, older)
    run = alice("GET", f"/v1/runs/{older}").body
    assert (run["status"], run["supersededBy"]) == ("superseded", newer)
    assert executions() == {older: "ABORTED", newer: "RUNNING"}
