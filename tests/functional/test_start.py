"""Starting runs over the API, and waiting for them."""

from dataclasses import replace
from threading import Timer
from typing import cast

import pytest
from tests.functional.conftest import Stack
from tests.support.app import Client, Handler, LambdaContext

from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.registry import HttpConnectors
from millrace.domain.run import RunKey, RunOutcome, RunStatus
from millrace.tasks import StepWorker
from millrace.usecases.payloads import load_payload

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


def test_raw_takes_the_body_as_the_payload(
    stack: Stack, alice: Client, flow: dict[str, str]
) -> None:
    """Whatever its fields are called; the other ways take the field `payload`."""
    for place, payload in (("start/raw", {"payload": 1}), ("start", 1)):
        started = alice("POST", f"/v1/flows/{flow['id']}/{place}", {"payload": 1})
        run = stack.context.runs.get(RunKey(workspace_of(alice), started.body["runId"]))
        assert load_payload(stack.context, run) == payload


def test_what_runs_do_not_take_is_refused(alice: Client, flow: dict[str, str]) -> None:
    """By name, rather than left aside in silence; a version that is not there as well."""
    path = f"/v1/flows/{flow['id']}"
    answer = alice("POST", f"{path}/run", {"variables": {"a": 1}, "wait": 26})
    assert answer.status == 422
    assert {pointer for _, pointer in answer.errors} == {"/variables", "/wait"}
    assert alice("POST", f"{path}/run", {"versionId": "ver_9"}).errors == {
        ("unknownVersion", "/versionId")
    }
    assert alice("POST", f"{path}/start/ver_9", {}).status == 404


READ = {
    "id": "read",
    "type": "Export",
    "action": {
        "type": "Export",
        "connectionId": "shop",
        "http": {
            "path": "/items/{{ parameters.sku }}",
            "query": {"since": "{{ startDate }}", "region": "{{ variables.region }}"},
            "headers": {"X-Key": "{{ variables.key }}"},
        },
    },
}


def test_a_run_reads_by_what_its_request_says(stack: Stack, alice: Client) -> None:
    """Through the API to the request that the worker sends; the run shows its dates alone."""
    alice("POST", "/v1/variables", {"key": "region", "value": "eu"})
    alice("POST", "/v1/variables", {"key": "key", "value": "s3cret", "secret": True})
    document = {
        "connections": [{"name": "Shop", "stableKey": "shop", "baseUrl": "https://shop.example"}],
        "flows": [{"name": "Items", "stableKey": "items", "steps": [READ]}],
    }
    flow = alice("POST", "/v1/apply", document).body["flows"][0]
    given = {
        "parameters": {"sku": "a/1"},
        "flowVariables": {"region": "us"},
        "startDate": "2026-01-01T01:00:00+01:00",
        "endDate": "2026-02-01T00:00:00Z",
    }
    started = alice("POST", f"/v1/flows/{flow['id']}/manual", given)
    assert started.status == 202, started.body
    sent: list[HttpRequest] = []

    class Shop:
        def exchange(self, request: HttpRequest) -> HttpResponse:
            sent.append(request)
            return HttpResponse(200, {}, b"[]")

    connectors = HttpConnectors(HttpClient(Shop()))
    worker = cast("Handler", StepWorker(replace(stack.context, connectors=connectors)))
    task = {"runId": started.body["runId"], "workspaceId": workspace_of(alice)}
    worker({**task, "attempt": 1, "stepId": "read"}, LambdaContext())
    (request,) = sent
    query = "since=2026-01-01T00%3A00%3A00.000Z&region=us"
    assert request.url == f"https://shop.example/items/a%2F1?{query}"
    assert request.headers["X-Key"] == "s3cret"
    run = alice("GET", f"/v1/runs/{started.body['runId']}").body
    assert run["startDate"] == "2026-01-01T00:00:00.000Z"
    assert run["endDate"] == "2026-02-01T00:00:00.000Z"
    assert not {"inputs", "parameters", "flowVariables"} & run.keys()


def test_inputs_that_no_run_could_use_are_refused(alice: Client, flow: dict[str, str]) -> None:
    """With the place of each, and nothing runs."""
    path = f"/v1/flows/{flow['id']}/run"
    answer = alice(
        "POST",
        path,
        {
            "flowVariables": {"a": "x" * 70_000},
            "parameters": {"a": "x" * 70_000},
            "startDate": "2026-02-01T00:00:00Z",
            "endDate": "2026-01-01T00:00:00Z",
        },
    )
    assert answer.status == 422
    assert answer.errors == {
        ("inputTooLarge", "/flowVariables"),
        ("inputTooLarge", "/parameters"),
        ("emptyWindow", "/endDate"),
    }
    bad = {"flowVariables": {"not a name": 1}, "parameters": [], "startDate": "yesterday"}
    places = {pointer for _, pointer in alice("POST", path, bad).errors}
    assert places == {"/flowVariables/not a name", "/parameters", "/startDate"}
    assert alice("GET", "/v1/runs").body["data"] == []


def test_templates_are_checked_when_an_action_is_stored(alice: Client) -> None:
    """Of inline actions and stored ones, each at its place."""
    connection = alice("POST", "/v1/connections", {"name": "S", "baseUrl": "https://s.example"})
    work = {
        "type": "Export",
        "connectionId": connection.body["id"],
        "http": {
            "path": "/{{ a + }}",
            "query": {"a/b": "{{ open", "c": "{{ variables.fine }}"},
            "headers": {"X": "{{ ) }}"},
        },
    }
    expected = {"/http/path", "/http/query/a~1b", "/http/headers/X"}
    stored = alice("POST", "/v1/actions", {"name": "a", "work": work})
    assert stored.status == 422
    assert stored.errors == {("badTemplate", f"/work{place}") for place in expected}
    step = {"id": "read", "type": "Export", "action": work}
    flow = alice("POST", "/v1/flows", {"name": "f", "steps": [step]})
    assert flow.errors == {("badTemplate", f"/steps/0/action{place}") for place in expected}
    names = "".join(f"{{{{ variables.v{number} }}}}" for number in range(21))
    many = {**work, "http": {"path": "/", "query": {"q": names}}}
    answer = alice("POST", "/v1/actions", {"name": "a", "work": many})
    assert answer.errors == {("tooManyVariables", "/work/http")}


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
