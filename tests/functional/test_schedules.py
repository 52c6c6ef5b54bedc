"""Schedules over the real routes and functions, with the scheduler of the simulated AWS."""

import json
from typing import Any, Final

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.support.app import Client, LambdaContext
from tests.support.aws_moments import unreachable

from millrace.domain.errors import UnavailableError

CONNECTION: Final = {"name": "Shop", "baseUrl": "https://shop.example"}
GROUP: Final = "millrace-flows"
TIME: Final = "<aws.scheduler.scheduled-time>"


def export(id_: str, connection_id: str, **fields: object) -> dict[str, Any]:
    """A step that reads."""
    http = {"path": f"/{id_}"}
    action = {"type": "Export", "connectionId": connection_id, "http": http}
    return {"id": id_, "type": "Export", "action": action, **fields}


@pytest.fixture
def flow(alice: Client) -> dict[str, Any]:
    """A deployed flow with a schedule, and a source with its own."""
    connection_id = alice("POST", "/v1/connections", CONNECTION).body["id"]
    steps = [
        export("orders", connection_id, schedule="at(2099-07-01T02:30)"),
        export("prices", connection_id),
    ]
    given = {"name": "Night", "schedule": "? 0 2 ? * *", "timezone": "Europe/Paris", "steps": steps}
    made = alice("POST", "/v1/flows", given)
    path = f"/v1/flows/{made.body['id']}/versions/{made.body['latestVersionId']}"
    when = {"deployedAt": "2026-01-31T12:00:00Z"}
    assert alice("PUT", path, when, headers=alice("GET", path).etag).status == 200
    found: dict[str, Any] = alice("GET", f"/v1/flows/{made.body['id']}").body
    return found


def stored() -> dict[str, dict[str, Any]]:
    """What the scheduler holds, by expression."""
    scheduler = boto3.client("scheduler")
    names = [each["Name"] for each in scheduler.list_schedules(GroupName=GROUP)["Schedules"]]
    found = (scheduler.get_schedule(Name=name, GroupName=GROUP) for name in names)
    return {each["ScheduleExpression"]: dict(each) for each in found}


def fire(stack: Stack, schedule: dict[str, Any], planned: str) -> dict[str, Any]:
    """What the trigger function makes of an occurrence."""
    event = json.loads(schedule["Target"]["Input"].replace(TIME, planned))
    return stack.functions["trigger"](event, LambdaContext())


def test_the_schedule_of_a_source_starts_it_alone(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """Delivered twice it is one run, and none of those of the flow's schedule."""
    schedules = stored()
    assert schedules.keys() == {"cron(0 2 * * ? *)", "at(2099-07-01T02:30:00)"}
    once = schedules["at(2099-07-01T02:30:00)"]
    first = fire(stack, once, "2099-07-01T00:30:00Z")
    assert fire(stack, once, "2099-07-01T00:30:00Z") == first
    other = fire(stack, schedules["cron(0 2 * * ? *)"], "2099-07-01T00:30:00Z")
    runs = {run["id"]: run for run in alice("GET", f"/v1/flows/{flow['id']}/runs").body["data"]}
    assert runs.keys() == {first["runId"], other["runId"]}
    assert runs[first["runId"]]["stepsToRun"] == ["orders"]
    assert runs[first["runId"]]["trigger"]["stepId"] == "orders"
    assert runs[other["runId"]]["stepsToRun"] == ["prices"]


def test_a_schedule_is_removed_by_patch(alice: Client, flow: dict[str, Any]) -> None:
    """That of the flow; that of the deployed step stays until another version is deployed."""
    path = f"/v1/flows/{flow['id']}"
    patch = [
        {"op": "remove", "path": "/schedule"},
        {"op": "remove", "path": "/steps/0/schedule"},
    ]
    assert alice("PATCH", path, patch, headers=alice("GET", path).etag).status == 200
    assert stored().keys() == {"at(2099-07-01T02:30:00)"}
    draft = alice("GET", path).body["draftVersionId"]
    path = f"{path}/versions/{draft}"
    when = {"deployedAt": "2026-01-31T12:00:00Z"}
    assert alice("PUT", path, when, headers=alice("GET", path).etag).status == 200
    assert stored() == {}


def test_an_orphan_removes_itself(stack: Stack, alice: Client, flow: dict[str, Any]) -> None:
    """The flow is gone, its schedule was left over: it starts nothing, and no second time."""
    (left,) = (each for each in stored().values() if "cron" in each["ScheduleExpression"])
    event = json.loads(left["Target"]["Input"].replace(TIME, "2026-02-01T01:00:00Z"))
    gone = event | {"flowId": "flow_gone"}
    boto3.client("scheduler").create_schedule(
        Name="flow_gone",
        GroupName=GROUP,
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=left["Target"] | {"Input": json.dumps(gone)},
    )
    assert "rate(1 hour)" in stored()
    assert stack.functions["trigger"](gone, LambdaContext()) == {}
    assert stored().keys() == {"cron(0 2 * * ? *)", "at(2099-07-01T02:30:00)"}
    assert alice("GET", f"/v1/flows/{flow['id']}/runs").body["data"] == []


def test_the_next_times_of_a_flow(alice: Client, mallory: Client, flow: dict[str, Any]) -> None:
    """As many as are asked for, ten by default, on the clocks of Paris."""
    path = f"/v1/flows/{flow['id']}/schedule/next"
    told = alice("GET", path).body
    assert (told["fires"], told["obstacles"], len(told["data"])) == (True, [], 10)
    assert all("T02:00:00+0" in each["localTime"] for each in told["data"])
    answer = alice("GET", path, query={"n": "1"})
    assert answer.body["data"] == told["data"][:1]
    assert mallory("GET", path).status == 404


@pytest.mark.parametrize("n", ["0", "101", "many", "-1"])
def test_a_wrong_number_of_next_times_is_refused(
    alice: Client, flow: dict[str, Any], n: str
) -> None:
    """It goes from 1 to 100."""
    answer = alice("GET", f"/v1/flows/{flow['id']}/schedule/next", query={"n": n})
    assert (answer.status, answer.body["errors"][0]["pointer"]) == (400, "n")


def test_r3_an_occurrence_that_comes_50_times_is_one_run(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """All are answered with the same run; two at once are in unit/storage/test_dynamodb_races."""
    (schedule,) = (each for each in stored().values() if "cron" in each["ScheduleExpression"])
    ids = {fire(stack, schedule, "2026-02-01T01:00:00Z")["runId"] for _ in range(50)}
    runs = alice("GET", f"/v1/flows/{flow['id']}/runs").body["data"]
    assert [run["id"] for run in runs] == [*ids]


def test_an_occurrence_that_meets_no_table_is_not_taken_for_done(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """The function fails, so that Lambda tries it again, and then it is one run."""
    (schedule,) = (each for each in stored().values() if "cron" in each["ScheduleExpression"])
    with unreachable("dynamodb"), pytest.raises(UnavailableError):
        fire(stack, schedule, "2026-02-01T01:00:00Z")
    told = fire(stack, schedule, "2026-02-01T01:00:00Z")
    (run,) = alice("GET", f"/v1/flows/{flow['id']}/runs").body["data"]
    assert told == {"runId": run["id"]}
