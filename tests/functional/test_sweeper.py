"""What the sweeper of the real lifecycle function makes up for, over the simulated AWS."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, cast

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.test_api_resources import FLOW
from tests.support.app import Answer, Client, Handler, LambdaContext, event
from tests.support.aws import TARGET_PREFIX
from tests.support.aws_moments import unreachable
from tests.unit.orchestration.test_queue_mappings import make_function

from millrace.observability import Observed
from millrace.tasks import Lifecycle

type Json = Any

QUEUE: Final = f"{TARGET_PREFIX}orders"


@pytest.fixture
def sweep(stack: Stack) -> Callable[[], int]:
    """Has the sweeper come five minutes from now; how many runs it repaired."""

    def sweep_later() -> int:
        later = replace(stack.context, clock=lambda: stack.context.clock() + timedelta(minutes=5))
        function = cast("Handler", Observed("lifecycle", Lifecycle(later)))
        repaired: int = function(event("lifecycle_sweep"), LambdaContext())["repaired"]
        return repaired

    return sweep_later


def changed(client: Client, flow_id: str, **values: Json) -> Answer:
    """The answer to a patch of these fields of a flow."""
    path = f"/v1/flows/{flow_id}"
    patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in values.items()]
    return client("PATCH", path, patch, headers=client("GET", path).etag)


def applied(client: Client, **settings: Json) -> str:
    """The id of the flow once it was applied with these settings, whatever came of its triggers."""
    client("POST", "/v1/apply", {"flows": [FLOW | settings]})
    (found,) = client("GET", "/v1/flows").body["data"]
    assert found["deployedVersionId"] is not None
    return str(found["id"])


def schedules() -> dict[str, str]:
    """The expression of each schedule, by name."""
    scheduler = boto3.client("scheduler")
    names = [each["Name"] for each in scheduler.list_schedules()["Schedules"]]
    found = [scheduler.get_schedule(Name=name, GroupName="millrace-flows") for name in names]
    return {each["Name"]: each["ScheduleExpression"] for each in found}


def test_a_schedule_that_could_not_be_made_is_made(alice: Client, sweep: Callable[[], int]) -> None:
    """The flow is deployed and would never fire."""
    with unreachable("scheduler"):
        flow_id = applied(alice, schedule="rate(1 hour)")
    assert schedules() == {}
    sweep()
    assert schedules() == {flow_id: "rate(1 hour)"}


def test_a_schedule_that_could_not_be_changed_is_changed(
    alice: Client, sweep: Callable[[], int]
) -> None:
    """The flow would fire when it used to."""
    flow_id = applied(alice, schedule="rate(1 hour)")
    with unreachable("scheduler"):
        assert changed(alice, flow_id, schedule="rate(2 hours)").status == 503
    assert schedules() == {flow_id: "rate(1 hour)"}
    sweep()
    assert schedules() == {flow_id: "rate(2 hours)"}


def test_a_schedule_that_could_not_be_removed_is_removed(
    alice: Client, sweep: Callable[[], int]
) -> None:
    """Nobody wants it any more."""
    flow_id = applied(alice, schedule="rate(1 hour)")
    with unreachable("scheduler"):
        assert changed(alice, flow_id, enabled=False).status == 503
    assert schedules().keys() == {flow_id}
    sweep()
    assert schedules() == {}


@pytest.fixture
def connected(stack: Stack) -> Callable[[], dict[str, bool]]:  # noqa: ARG001 - AWS has to be simulated
    """The queues that are connected to the trigger function, and whether messages come."""
    client = boto3.client("lambda")
    make_function(client)
    for name in (QUEUE, f"{QUEUE}-new"):
        boto3.client("sqs").create_queue(QueueName=name)

    def look() -> dict[str, bool]:
        found = client.list_event_source_mappings()["EventSourceMappings"]
        return {
            each["EventSourceArn"].rpartition(":")[2]: each["State"] == "Enabled" for each in found
        }

    return look


def of_queue(name: str) -> dict[str, Json]:
    """A trigger."""
    return {"kind": "queue", "queue": name}


def test_a_queue_that_could_not_be_connected_is_connected(
    alice: Client, sweep: Callable[[], int], connected: Callable[[], dict[str, bool]]
) -> None:
    """Its messages would wait for ever."""
    with unreachable("lambda"):
        applied(alice, trigger=of_queue(QUEUE))
    assert connected() == {}
    sweep()
    assert connected() == {QUEUE: True}


def test_a_queue_that_could_not_be_left_is_left_for_the_other(
    alice: Client, sweep: Callable[[], int], connected: Callable[[], dict[str, bool]]
) -> None:
    """The flow takes messages of the one that it names now, and of no other."""
    flow_id = applied(alice, trigger=of_queue(QUEUE))
    with unreachable("lambda"):
        assert changed(alice, flow_id, trigger=of_queue(f"{QUEUE}-new")).status == 503
    assert connected() == {QUEUE: True}
    sweep()
    assert connected() == {f"{QUEUE}-new": True}


def test_a_queue_that_somebody_switched_off_is_switched_on(
    alice: Client, sweep: Callable[[], int], connected: Callable[[], dict[str, bool]]
) -> None:
    """By the next change of the flow, or by the sweeper after it."""
    flow_id = applied(alice, trigger=of_queue(QUEUE))

    def switch_off() -> None:
        client = boto3.client("lambda")
        (mapping,) = client.list_event_source_mappings()["EventSourceMappings"]
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        assert connected() == {QUEUE: False}

    switch_off()
    assert changed(alice, flow_id, name="New").status == 200
    assert connected() == {QUEUE: True}
    switch_off()
    with unreachable("lambda"):
        assert changed(alice, flow_id, name="Newer").status == 503
    sweep()
    assert connected() == {QUEUE: True}


def execution(run: dict[str, Json]) -> str | None:
    """The status of a run's execution, if there is one."""
    client = boto3.client("stepfunctions")
    (machine,) = client.list_state_machines()["stateMachines"]
    found = client.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    return next((each["status"] for each in found if each["name"] == run["id"]), None)


def started(client: Client, flow_id: str) -> dict[str, Json]:
    """A new run of a flow."""
    answer = client("POST", f"/v1/flows/{flow_id}/run", {})
    assert answer.status == 202, answer.body
    found: dict[str, Json] = client("GET", answer.headers["location"]).body
    return found


def test_a_run_that_was_accepted_and_not_started_is_started(
    alice: Client, sweep: Callable[[], int]
) -> None:
    """Whoever asked for it was told that it would run."""
    flow_id = applied(alice)
    with unreachable("stepfunctions"):
        run = started(alice, flow_id)
    assert execution(run) is None
    assert sweep() == 1
    assert execution(run) == "RUNNING"
    assert sweep() == 0


def test_a_run_whose_machine_was_stopped_ends(alice: Client, sweep: Callable[[], int]) -> None:
    """Nobody was told that it was, and the run would be at work for ever."""
    run = started(alice, applied(alice))
    client = boto3.client("stepfunctions")
    (machine,) = client.list_state_machines()["stateMachines"]
    arn = machine["stateMachineArn"].replace(":stateMachine:", ":execution:")
    client.stop_execution(executionArn=f"{arn}:{run['id']}")
    assert sweep() == 1
    found = alice("GET", f"/v1/runs/{run['id']}").body
    assert (found["status"], found["error"]["code"]) == ("failed", "machineAborted")
