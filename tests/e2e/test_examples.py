"""The whole product on a stack of its own: the real template, both examples, a schedule."""

import io
import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import urllib3
from rich.console import Console
from tests.e2e.local_stacks import ENVIRONMENT, PROJECT, free_port

from millrace_cli.client import ApiClient
from millrace_local.config import Config
from millrace_local.examples.run import run_examples
from millrace_local.first_run import ensure_token, first_run
from millrace_local.lifecycle import Stack, down, up
from millrace_local.stack import running_stack

PATIENCE_SECONDS = 100.0


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """The project's own template on a port and a state directory of the test's own."""
    state = tmp_path_factory.mktemp("state")
    config = Config(root=PROJECT, state=state, environment=ENVIRONMENT, port=free_port())
    yield config
    down(config)


@pytest.fixture(scope="module")
def stack(config: Config) -> Stack:
    """That stack, up."""
    return up(config)


@pytest.fixture(scope="module")
def api(stack: Stack) -> ApiClient:
    """A client of its API with the first token."""
    assert stack.api_url is not None
    return ApiClient(stack.api_url, ensure_token(stack, stack.api_url))


def run_both(stack: Stack, api_url: str) -> tuple[bool, str]:
    """Run both examples; whether all was right, and what they printed."""
    output = io.StringIO()
    token = ensure_token(stack, api_url)
    passed = run_examples(api_url, token, Console(file=output, width=120))
    return passed, output.getvalue()


def eventually[T](ask: Callable[[], T | None]) -> T:
    """What `ask` gives once it gives something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (answer := ask()) is not None:
            return answer
        time.sleep(0.5)
    pytest.fail(f"nothing came within {PATIENCE_SECONDS} seconds")


def finished(api: ApiClient, run_id: str) -> dict[str, Any]:
    """The run, once it is over."""

    def ask() -> dict[str, Any] | None:
        run = api.run(run_id)
        return run if run["endedAt"] else None

    return eventually(ask)


def test_ctrl_c_amid_make_run_stops_what_it_started(config: Config) -> None:
    """Interrupted after the deployment, it leaves nothing running, and the next start is whole."""

    def interrupt(line: str) -> None:
        if line.startswith("API at"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first_run(config, interrupt)
    assert running_stack(config) is None


def test_both_examples_deliver_exactly_the_expected_records(stack: Stack) -> None:
    """GitHub to Slack and the earthquakes, in spite of faults; then both again, unchanged."""
    assert stack.api_url is not None
    passed, printed = run_both(stack, stack.api_url)
    assert passed, printed
    assert "flow created" in printed
    passed, printed = run_both(stack, stack.api_url)
    assert passed, printed
    assert "flow unchanged" in printed


def test_a_schedule_fires(api: ApiClient) -> None:
    """A deployed flow with a rate of one minute starts by itself and is given the planned time."""
    flow = {
        "stableKey": "tick",
        "name": "Tick",
        "trigger": {"kind": "schedule"},
        "schedule": "rate(1 minute)",
        "steps": [
            {
                "id": "note",
                "type": "Process",
                "action": {
                    "type": "Process",
                    "operations": [{"type": "map", "expression": '{"at": scheduledFor}'}],
                },
            }
        ],
    }
    flow_id = api.apply({"flows": [flow]})["flows"][0]["id"]
    run = finished(api, eventually(lambda: next(api.runs(flow_id), None))["id"])
    api.apply({"flows": [{**flow, "enabled": False}]})
    assert run["status"] == "succeeded"
    assert run["trigger"]["source"] == "schedule"
    (note,) = api.step_output(run["id"], "note")["data"]
    assert note["at"] == run["trigger"]["scheduledFor"]


def counting(id_: str, *after: str, expression: str = "n + 1") -> dict[str, Any]:
    """A step that adds one."""
    operation = {"type": "map", "expression": f'{{"n": {expression}}}'}
    action = {"type": "Process", "operations": [operation]}
    return {"id": id_, "type": "Process", "dependsOn": after, "action": action}


def test_a_flow_waits_for_another(api: ApiClient) -> None:
    """By a task token, which the end of the other flow's run gives back."""
    inner = {"stableKey": "inner", "name": "Inner", "steps": [counting("within")]}
    call = {"id": "call", "type": "Flow", "flowId": "inner", "dependsOn": ["before"]}
    steps = [counting("before"), call, counting("after", "call")]
    outer = {"stableKey": "outer", "name": "Outer", "steps": steps}
    flow_id = api.apply({"flows": [inner, outer]})["flows"][1]["id"]
    run = finished(api, api.start_run(flow_id, {"n": 1})["runId"])
    assert run["status"] == "succeeded"
    assert api.step_output(run["id"], "after")["data"] == [{"n": 4}]
    (called,) = (step["childRunId"] for step in run["steps"] if step["stepId"] == "call")
    assert api.run(called)["trigger"]["runId"] == run["id"]


def test_messages_of_a_queue_start_runs_that_wait_for_each_other(
    config: Config, api: ApiClient
) -> None:
    """Each message starts one run; of a flow with one slot they run one after the other."""
    sqs = config.session().client("sqs", endpoint_url=config.endpoint)
    queue = sqs.create_queue(QueueName="millrace-data-orders")["QueueUrl"]
    flow = {
        "stableKey": "orders",
        "name": "Orders",
        "trigger": {"kind": "queue", "queue": "millrace-data-orders"},
        "concurrency": {"limit": 1, "onConflict": "queue"},
        "steps": [counting("add", expression="body.n + 1")],
    }
    flow_id = api.apply({"flows": [flow]})["flows"][0]["id"]
    for number in range(4):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"n": number}))

    def all_over() -> list[dict[str, Any]] | None:
        runs = list(api.runs(flow_id))
        return runs if len(runs) == 4 and all(run["endedAt"] for run in runs) else None

    runs = sorted(eventually(all_over), key=lambda run: str(run["startedAt"]))
    assert {(run["status"], run["trigger"]["source"]) for run in runs} == {("succeeded", "queue")}
    for before, after in pairwise(runs):
        assert before["endedAt"] <= after["startedAt"]


def test_a_run_that_is_stopped_from_outside_is_failed_with_the_reason(
    config: Config, api: ApiClient
) -> None:
    """Stopping the execution behind Millrace's back still ends the run, by the status event."""
    source = {
        "stableKey": "nowhere",
        "name": "Nowhere",
        "baseUrl": f"http://127.0.0.1:{free_port()}",
    }
    flow = {
        "stableKey": "stuck",
        "name": "Stuck",
        "steps": [
            {
                "id": "read",
                "type": "Export",
                "retry": {"maxAttempts": 3, "intervalSeconds": 60},
                "action": {"type": "Export", "connectionId": "nowhere", "http": {"path": "/"}},
            }
        ],
    }
    applied = api.apply({"connections": [source], "flows": [flow]})["flows"][0]
    run_id = api.start_run(applied["id"])["runId"]
    eventually(lambda: api.run(run_id)["steps"] or None)
    machines = config.session().client("stepfunctions", endpoint_url=config.endpoint)
    arn = next(
        machine["stateMachineArn"]
        for machine in machines.list_state_machines()["stateMachines"]
        if applied["id"] in machine["name"]
    )
    machines.stop_execution(executionArn=f"{arn.replace(':stateMachine:', ':execution:')}:{run_id}")
    run = finished(api, run_id)
    assert run["status"] == "failed"
    assert run["error"]["code"] == "machineAborted"


def test_flows_runs_and_tokens_survive_a_restart(
    config: Config, stack: Stack, api: ApiClient
) -> None:
    """After stop and start the same token sees the same flows and runs, and webhooks verify."""
    before = [flow["id"] for flow in api.flows()]
    runs = [run["id"] for flow_id in before for run in api.runs(flow_id)]
    assert before
    assert runs
    down(config)
    again = up(config)
    assert again.api_url == stack.api_url
    assert [flow["id"] for flow in api.flows()] == before
    assert [run["id"] for flow_id in before for run in api.runs(flow_id)] == runs
    passed, printed = run_both(again, str(again.api_url))
    assert passed, printed


def test_the_docs_and_the_openapi_document_are_served(stack: Stack) -> None:
    """A new user can open the documentation in a browser without a token."""
    docs = urllib3.request("GET", f"{stack.api_url}/docs", timeout=20.0)
    assert docs.status == 200
    assert b"swagger" in docs.data.lower()
    refused = urllib3.request("GET", f"{stack.api_url}/v1/flows", timeout=20.0)
    assert refused.status == 401
    assert json.loads(refused.data)
