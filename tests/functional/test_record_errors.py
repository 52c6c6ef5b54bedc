"""Record errors over the API: looked at, mended, tried again by the real worker."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.support.app import Answer, Client, LambdaContext
from tests.support.aws import BUCKET

from millrace.domain.run import RunError, RunKey

STEPS = [
    {
        "id": id_,
        "type": "Process",
        "dependsOn": after,
        "traceKey": "$string(id)",
        "action": {"type": "Process", "operations": [{"type": "map", "expression": expression}]},
    }
    for id_, after, expression in (
        ("sum", [], '{"id": id, "n": n + 1}'),
        ("twice", ["sum"], '{"id": id, "n": n * 2}'),
        ("beside", [], "$"),
    )
]
RECORDS = [{"id": 1, "n": 1}, {"id": 2, "n": "x"}, {"id": 3, "n": "y"}, {"id": 4, "n": 4}]

type Carry = Callable[[str], dict[str, Any]]


@pytest.fixture
def flow(alice: Client) -> dict[str, str]:
    """A flow that cannot add to text."""
    document = {"flows": [{"name": "Orders", "stableKey": "orders", "steps": STEPS}]}
    found: dict[str, str] = alice("POST", "/v1/apply", document).body["flows"][0]
    return found


@pytest.fixture
def carry(stack: Stack, alice: Client) -> Carry:
    """Carries out a run that was started, as its machine would, and gives it as it ended."""

    def carry_out(run_id: str) -> dict[str, Any]:
        run = alice("GET", f"/v1/runs/{run_id}").body
        task = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}
        for step in ("sum", "twice", "beside"):
            stack.functions["run_step"]({"stepId": step, **task}, LambdaContext())
        stack.functions["lifecycle"]({"event": "attemptSucceeded", **task}, LambdaContext())
        ended: dict[str, Any] = alice("GET", f"/v1/runs/{run_id}").body
        return ended

    return carry_out


@pytest.fixture
def failed(alice: Client, flow: dict[str, str], carry: Carry) -> dict[str, Any]:
    """A run in which two of four records failed."""
    started = alice("POST", f"/v1/flows/{flow['id']}/run", {"payload": RECORDS})
    return carry(started.body["runId"])


def errors(client: Client, flow: dict[str, str], place: str = "errors", **query: str) -> Answer:
    """The flow's errors."""
    return client("GET", f"/v1/flows/{flow['id']}/{place}", query=query)


def ids(answer: Answer) -> list[str]:
    """The ids of the errors of an answer."""
    return [entry["id"] for entry in answer.body["data"]]


def test_failed_records_are_listed(
    alice: Client, flow: dict[str, str], failed: dict[str, Any]
) -> None:
    """Each with what happened, where, and whether it can be tried again."""
    assert failed["status"] == "partiallySucceeded"
    listed = errors(alice, flow)
    assert [entry["position"] for entry in listed.body["data"]] == [2, 1]
    entry = listed.body["data"][1]
    told = {name: value for name, value in entry.items() if value is not None}
    assert told | {"id": "", "message": "", "occurredAt": ""} == {
        "id": "",
        "workspaceId": failed["workspaceId"],
        "flowId": flow["id"],
        "versionId": flow["versionId"],
        "runId": failed["id"],
        "stepId": "sum",
        "attempt": 1,
        "originRunId": failed["id"],
        "position": 1,
        "occurredAt": "",
        "source": "process",
        "code": "expressionFailed",
        "message": "",
        "classification": "value",
        "traceKey": "2",
        "tags": [],
        "retries": 0,
        "retriable": True,
        "revision": 1,
    }
    one = alice("GET", f"/v1/flows/{flow['id']}/errors/{entry['id']}")
    assert (one.body, one.headers["etag"]) == (entry, '"1"')
    record = alice("GET", f"/v1/flows/{flow['id']}/errors/{entry['id']}/record")
    assert record.body == RECORDS[1]


def test_lists_are_paged_and_filtered(
    alice: Client, flow: dict[str, str], failed: dict[str, Any]
) -> None:
    """By step, run, code, kind, trace key, time; what is unknown is refused by name."""
    first = errors(alice, flow, perPage="1")
    assert len(first.body["data"]) == 1
    cursor = first.body["links"]["next"].partition("cursor=")[2].partition("&")[0]
    second = errors(alice, flow, perPage="1", cursor=cursor)
    assert {*ids(first), *ids(second)} == {*ids(errors(alice, flow))}
    for query, expected in {
        "runId": failed["id"],
        "stepId": "sum",
        "code": "expressionFailed,http422",
        "classification": "value",
        "source": "process",
        "occurredAfter": "2020-01-01T00:00:00Z",
    }.items():
        assert len(ids(errors(alice, flow, **{f"filter[{query}]": expected}))) == 2, query
    for query, other in {
        "runId": "run_9",
        "stepId": "twice",
        "code": "http422",
        "classification": "missing,duplicate",
        "source": "import",
        "tag": "late",
        "assignedTo": "zoe",
        "occurredBefore": "2020-01-01T00:00:00Z",
    }.items():
        assert ids(errors(alice, flow, **{f"filter[{query}]": other})) == [], query
    assert len(ids(errors(alice, flow, **{"filter[traceKey]": "3"}))) == 1
    assert len(ids(errors(alice, flow, "steps/sum/errors"))) == 2
    assert ids(errors(alice, flow, "steps/twice/errors")) == []
    assert ids(errors(alice, flow, "resolved")) == []
    refused = errors(alice, flow, **{"filter[colour]": "red"})
    assert (refused.status, refused.errors) == (400, {("unknownFilter", "filter[colour]")})
    refused = errors(alice, flow, **{"filter[classification]": "wrong"})
    assert (refused.status, {where for _, where in refused.errors}) == (
        400,
        {"filter[classification]"},
    )


def test_a_mended_record_is_tried_again_from_the_step_on(
    alice: Client, flow: dict[str, str], failed: dict[str, Any], carry: Carry
) -> None:
    """What succeeds is resolved, what fails again stays, and steps beside it do not run."""
    path = f"/v1/flows/{flow['id']}/errors"
    _, bad = ids(errors(alice, flow))
    read = alice("GET", f"{path}/{bad}/record")
    edited = alice("PUT", f"{path}/{bad}/record", {"id": 2, "n": 5}, headers=read.etag)
    assert (edited.status, edited.body["revision"]) == (200, 2)
    assert edited.body["editedBy"].startswith("tok_")

    told = alice("POST", f"{path}/retry", {"filter": {"stepId": ["sum"]}})
    assert (told.status, told.body["leftOut"], told.body["hasMore"]) == (200, [], False)
    ((run_id, size),) = [(run["runId"], run["errors"]) for run in told.body["runs"]]
    assert size == 2
    again = alice("POST", f"{path}/retry", {"filter": {}}).body
    assert {each["reason"] for each in again["leftOut"]} == {"underWay"}

    run = carry(run_id)
    assert run["stepsToRun"] == ["sum", "twice"]
    counts = {step["stepId"]: step["counts"] for step in run["steps"]}
    assert counts["sum"]["recordsIn"] == 2
    assert counts["twice"] == {
        "recordsIn": 1,
        "recordsOut": 1,
        "recordsIgnored": 0,
        "recordsFailed": 0,
    }
    output = alice("GET", f"/v1/runs/{run_id}/steps/twice/output").body
    assert output["data"] == [{"id": 2, "n": 12}]
    (left,) = errors(alice, flow).body["data"]
    assert (left["runId"], left["retries"], left["traceKey"]) == (run_id, 1, "3")
    (over,) = errors(alice, flow, "steps/sum/resolved").body["data"]
    assert (over["id"], over["resolvedBy"], over["retriable"]) == (bad, run_id, False)
    assert failed["id"] != run_id


def test_errors_are_resolved_assigned_and_tagged(
    alice: Client, mallory: Client, flow: dict[str, str], failed: dict[str, Any]
) -> None:
    """By id or by filter; ids that are of nothing are told apart; others' flows are none."""
    assert failed["counts"]["recordsFailed"] == 2
    path = f"/v1/flows/{flow['id']}/errors"
    first, second = ids(errors(alice, flow))
    told = alice("PUT", f"{path}/assign", {"errorIds": [first, "err_9"], "assignedTo": "Zoë"})
    assert (told.status, told.body) == (
        200,
        {"changed": 1, "unknown": ["err_9"], "hasMore": False},
    )
    alice("PUT", f"{path}/tag", {"filter": {}, "tags": ["late", "late"]})
    assert ids(errors(alice, flow, **{"filter[assignedTo]": "Zoë"})) == [first]
    assert len(ids(errors(alice, flow, **{"filter[tag]": "late"}))) == 2
    told = alice("PUT", f"{path}/resolve", {"errorIds": [second]})
    assert told.body["changed"] == 1
    assert ids(errors(alice, flow)) == [first]
    assert ids(errors(alice, flow, "resolved")) == [second]
    assert alice("PUT", f"{path}/resolve", {"errorIds": [second]}).body["changed"] == 0
    left_out = alice("POST", f"{path}/retry", {"errorIds": [second]}).body["leftOut"]
    assert left_out == [{"errorId": second, "reason": "resolved"}]
    for method, place, body in (
        ("GET", "", None),
        ("GET", f"/{first}", None),
        ("GET", f"/{first}/record", None),
        ("PUT", "/resolve", {"filter": {}}),
        ("POST", "/retry", {"filter": {}}),
    ):
        assert mallory(method, f"{path}{place}", body).status == 404


def test_a_selection_says_which_in_one_way(alice: Client, flow: dict[str, str]) -> None:
    """Neither nothing nor both, no unknown fields, and no more ids than are dealt with at once."""
    path = f"/v1/flows/{flow['id']}/errors/resolve"
    assert alice("PUT", path, {}).errors == {("missingField", "/errorIds")}
    both = alice("PUT", path, {"errorIds": ["err_1"], "filter": {}})
    assert (both.status, both.errors) == (422, {("contradiction", "/filter")})
    assert alice("PUT", path, {"filter": {"colour": ["red"]}}).errors == {
        ("unknownField", "/filter/colour")
    }
    assert alice("PUT", path, {"errorIds": ["err_1"] * 1_001}).status == 422


def test_the_record_of_an_error_is_changed_over_what_was_read(
    alice: Client, flow: dict[str, str], failed: dict[str, Any]
) -> None:
    """428 without If-Match, 412 with a stale one, 409 once it is resolved, 422 for no object."""
    assert failed["counts"]["recordsFailed"] == 2
    path = f"/v1/flows/{flow['id']}/errors"
    error_id, _ = ids(errors(alice, flow))
    place = f"{path}/{error_id}/record"
    assert alice("PUT", place, {"n": 1}).status == 428
    assert alice("PUT", place, {"n": 1}, headers={"If-Match": '"7"'}).status == 412
    assert alice("PUT", place, [1], headers={"If-Match": '"1"'}).status == 422
    large = {"n": 1, "text": "é" * 10_000}
    assert alice("PUT", place, large, headers={"If-Match": '"1"'}).status == 200
    read = alice("GET", place)
    assert read.body == large
    alice("PUT", f"{path}/resolve", {"errorIds": [error_id]})
    now = alice("GET", f"{path}/{error_id}")
    assert alice("PUT", place, {"n": 1}, headers=now.etag).status == 409
    assert alice("GET", f"{path}/err_1_2_none/record").status == 404


def test_a_record_that_is_kept_no_more_is_left_out_of_a_retry(
    alice: Client, flow: dict[str, str], failed: dict[str, Any]
) -> None:
    """The bucket forgets large ones after a while: the others are tried, and it is said why."""
    assert failed["counts"]["recordsFailed"] == 2
    path = f"/v1/flows/{flow['id']}/errors"
    first, second = ids(errors(alice, flow))
    large = {"n": 1, "text": "é" * 10_000}
    place = f"{path}/{first}/record"
    assert alice("PUT", place, large, headers={"If-Match": '"1"'}).status == 200
    bucket = boto3.resource("s3").Bucket(BUCKET)
    assert len(bucket.objects.all().delete()) == 1
    assert alice("GET", place).status == 404
    told = alice("POST", f"{path}/retry", {"errorIds": [first, second]}).body
    assert told["leftOut"] == [{"errorId": first, "reason": "noRecord"}]
    assert len(told["runs"]) == 1


def test_a_new_attempt_begins_without_the_errors_of_the_last(
    stack: Stack, alice: Client, flow: dict[str, str]
) -> None:
    """It takes every record again, so what failed is noted again or is no more."""
    started = alice("POST", f"/v1/flows/{flow['id']}/run", {"payload": RECORDS})
    run = alice("GET", f"/v1/runs/{started.body['runId']}").body
    task = {"workspaceId": run["workspaceId"], "runId": run["id"], "attempt": 1}
    stack.functions["run_step"]({"stepId": "sum", **task}, LambdaContext())
    assert len(ids(errors(alice, flow))) == 2
    key = RunKey(run["workspaceId"], run["id"])
    error = RunError(code="crashed", message="the worker ended without a result")
    stack.context.runs.plan_retry(key, 1, error, stack.context.clock())
    again = {**task, "attempt": 2}
    stack.functions["lifecycle"]({"event": "attemptStarted", **again}, LambdaContext())
    assert ids(errors(alice, flow)) == []
    stack.functions["run_step"]({"stepId": "sum", **again}, LambdaContext())
    assert {entry["attempt"] for entry in errors(alice, flow).body["data"]} == {2}
