"""Starting runs over the API, and waiting for them."""

from threading import Timer

import pytest
from tests.functional.conftest import Stack
from tests.support.app import Client

from millrace.domain.run import RunKey, RunOutcome, RunStatus

STEP = {
    "id": "map",
    "type": "Process",
    "action": {"type": "Process", "operations": [{"type": "map", "expression": "$"}]},
}


@pytest.fixture
def flow(alice: Client) -> dict[str, str]:
    """A flow whose first version is deployed."""
    document = {"flows": [{"name": "Orders", "stableKey": "orders", "steps": [STEP]}]}
    found: dict[str, str] = alice("POST", "/v1/apply", document).body["flows"][0]
    return found


@pytest.mark.parametrize("place", ["run", "start", "manual", "start/{}", "manual/{}", "start/raw"])
def test_each_way_starts_a_run(
    alice: Client, mallory: Client, flow: dict[str, str], place: str
) -> None:
    """202 with the run's address; of another workspace's flow nothing is there."""
    path = f"/v1/flows/{flow['id']}/{place.format(flow['versionId'])}"
    answer = alice("POST", path, {"payload": [{"n": 1}]})
    assert answer.status == 202, answer.body
    run = alice("GET", answer.headers["location"]).body
    assert (run["id"], run["versionId"]) == (answer.body["runId"], flow["versionId"])
    assert mallory("POST", path, {}).status == 404


def test_what_runs_do_not_take_is_refused(alice: Client, flow: dict[str, str]) -> None:
    """By name, rather than left aside in silence; a version that is not there as well."""
    path = f"/v1/flows/{flow['id']}"
    answer = alice("POST", f"{path}/run", {"flowVariables": {"a": 1}, "wait": 26})
    assert answer.status == 422
    assert {pointer for _, pointer in answer.errors} == {"/flowVariables", "/wait"}
    assert alice("POST", f"{path}/run", {"versionId": "ver_9"}).errors == {
        ("unknownVersion", "/versionId")
    }
    assert alice("POST", f"{path}/start/ver_9", {}).status == 404


def test_a_caller_may_wait_for_the_result(
    stack: Stack, alice: Client, flow: dict[str, str]
) -> None:
    """200 with the run when it ends in time, else 202 with where to look."""
    path = f"/v1/flows/{flow['id']}/run"
    late = alice("POST", path, {}, headers={"Prefer": "wait=1"})
    assert (late.status, late.headers["preference-applied"]) == (202, "wait=1")

    def end() -> None:
        (run, *_) = stack.context.runs.unfinished(stack.context.clock())
        key = RunKey(run.workspace_id, run.id)
        stack.context.runs.finish(key, RunOutcome(status=RunStatus.SUCCEEDED), run.created_at)

    key = RunKey(workspace_of(alice), late.body["runId"])
    done = RunOutcome(status=RunStatus.SUCCEEDED)
    stack.context.runs.finish(key, done, stack.context.clock())
    timer = Timer(0.3, end)
    timer.start()
    answer = alice("POST", path, {"wait": 10})
    timer.join()
    assert (answer.status, answer.body["status"], answer.body["steps"]) == (200, "succeeded", [])


def test_a_run_that_is_not_over_is_not_run_again(
    alice: Client, mallory: Client, flow: dict[str, str]
) -> None:
    """One may wait for its end; another workspace's run is none."""
    started = alice("POST", f"/v1/flows/{flow['id']}/run", {})
    path = f"{started.headers['location']}/retry"
    assert alice("POST", path, {}).status == 409
    assert mallory("POST", path, {}).status == 404


def test_the_limits_can_be_asked_for(alice: Client) -> None:
    """The numbers that are enforced."""
    told = alice("GET", "/v1/limits").body["data"]
    assert (told["stepsPerVersion"], told["runWaitSeconds"]) == (200, 25)
    assert isinstance(told["stepsPerVersion"], int)


def workspace_of(client: Client) -> str:
    """Whose token a client has."""
    return str(client("GET", "/v1/tokenInfo").body["workspaceId"])
