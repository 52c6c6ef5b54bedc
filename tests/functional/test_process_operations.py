"""Operations of processes over the API and by the real worker, over the table and Lambda."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.awslambda_simple.models import lambda_simple_backends
from tests.functional.conftest import Stack
from tests.support.app import Answer, Client, LambdaContext
from tests.support.aws import ACCOUNT, REGION

from millrace.domain.errors import StepFailed
from millrace.domain.run import RunKey
from millrace.usecases.pages import read_records

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:millrace-fn-twice"

type Json = Any
type Carry = Callable[[str, Json], tuple[dict[str, Json], list[Json]]]


def flow_of(client: Client, *operations: Json) -> Answer:
    """The answer to a new flow of one step with these operations, deployed."""
    step = {
        "id": "change",
        "type": "Process",
        "action": {"type": "Process", "operations": list(operations)},
    }
    document = {"flows": [{"name": "Change", "stableKey": "change", "steps": [step]}]}
    return client("POST", "/v1/apply", document)


@pytest.fixture
def carry(stack: Stack, alice: Client) -> Carry:
    """Runs a flow with a payload; gives the step as the API shows it, and what it handed on."""

    def carry_out(flow_id: str, payload: Json) -> tuple[dict[str, Json], list[Json]]:
        run_id = alice("POST", f"/v1/flows/{flow_id}/run", {"payload": payload}).body["runId"]
        run = alice("GET", f"/v1/runs/{run_id}").body
        task = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}
        stack.functions["run_step"]({"stepId": "change", **task}, LambdaContext())
        key = RunKey(run["workspaceId"], run_id)
        record = stack.context.runs.step(key, 1, "change")
        assert record is not None
        (shown,) = alice("GET", f"/v1/runs/{run_id}").body["steps"]
        pages = read_records(stack.context.blobs, record.output)
        return shown, [record for page in pages for record in page]

    return carry_out


def test_a_data_pool_tells_what_is_new_from_run_to_run(alice: Client, carry: Carry) -> None:
    """Named by its stable key in the file; duplicates are ignored; values enrich later runs."""
    pool = {"name": "Seen", "stableKey": "seen", "ttlSeconds": 3_600}
    pool_id = alice("POST", "/v1/dataPools", pool).body["id"]
    applied = flow_of(
        alice,
        {"type": "dedupe", "key": "id", "dataPoolId": "seen"},
        {"type": "remember", "key": "id", "value": "name", "dataPoolId": pool_id},
    )
    flow_id = applied.body["flows"][0]["id"]
    first = [{"id": number, "name": f"N{number}"} for number in range(250)]
    shown, out = carry(flow_id, first)
    assert (out, shown["counts"]["recordsOut"]) == (first, 250)
    shown, out = carry(flow_id, [{"id": number} for number in range(240, 260)])
    assert out == [{"id": number} for number in range(250, 260)]
    assert shown["counts"]["recordsIgnored"] == 10
    enrich = {"type": "enrich", "key": "id", "dataPoolId": pool_id, "into": "name"}
    applied = flow_of(alice, enrich)
    _, out = carry(applied.body["flows"][0]["id"], [{"id": 7}, {"id": 999}])
    assert out == [{"id": 7, "name": "N7"}, {"id": 999}]


def test_a_sort_behind_a_split_and_a_schema(alice: Client, carry: Carry) -> None:
    """Many records through all, the bad ones kept as record errors."""
    applied = flow_of(
        alice,
        {"type": "validate", "schema": {"properties": {"id": {"type": "integer"}}}},
        {"type": "split", "expression": "lines.{'order': %.id, 'n': $}"},
        {"type": "sort", "by": [{"expression": "n"}, {"expression": "order", "order": "desc"}]},
        {"type": "group", "by": {"n": "n"}, "into": "of"},
    )
    flow_id = applied.body["flows"][0]["id"]
    payload = [{"id": number, "lines": [number % 3, 7]} for number in range(2_500)]
    payload[42]["id"] = "x"
    shown, out = carry(flow_id, payload)
    assert [group["n"] for group in out] == [0, 1, 2, 7]
    assert [line["order"] for line in out[3]["of"]] == [
        number for number in reversed(range(2_500)) if number != 42
    ]
    assert shown["status"] == "partiallySucceeded"
    (error,) = alice("GET", f"/v1/flows/{flow_id}/errors").body["data"]
    assert (error["code"], error["classification"]) == ("schemaViolation", "value")
    assert error["message"] == '/id: the value is not of type "integer"'


def test_what_operations_name_is_checked_when_they_are_stored(
    alice: Client, mallory: Client
) -> None:
    """Another workspace's pool looks the same as none; an ARN is one of a function."""
    pool_id = mallory("POST", "/v1/dataPools", {"name": "Hers"}).body["id"]
    place = "/flows/0/steps/0/action/operations/0"
    answer = flow_of(alice, {"type": "dedupe", "key": "id", "dataPoolId": pool_id})
    assert (answer.status, answer.errors) == (422, {("unknownDataPool", f"{place}/dataPoolId")})
    answer = flow_of(alice, {"type": "validate", "schema": {"type": "nothing"}})
    assert (answer.status, answer.errors) == (422, {("badSchema", f"{place}/schema/type")})
    answer = flow_of(alice, {"type": "function", "arn": "arn:aws:s3:::bucket"})
    assert answer.status == 422
    answer = flow_of(alice, {"type": "enrich", "key": "id", "into": "name"})
    assert answer.status == 422


def test_a_lambda_function_is_called(alice: Client, carry: Carry) -> None:
    """What it answers goes on; an answer that makes no sense fails the step by name."""
    flow_id = flow_of(alice, {"type": "function", "arn": ARN}).body["flows"][0]["id"]
    # moto runs no code without Docker; it answers what it was told to, else what it was asked.
    answer = {"records": [{"n": 2}, None], "errors": []}
    backend = lambda_simple_backends[ACCOUNT][REGION]
    backend.lambda_simple_results_queue.append(json.dumps(answer))
    shown, out = carry(flow_id, [{"n": 1}, {"n": 3}])
    assert (out, shown["counts"]["recordsIgnored"]) == ([{"n": 2}], 1)
    with pytest.raises(StepFailed) as raised:
        carry(flow_id, [{"n": 1}])
    assert raised.value.code == "badFunctionAnswer"
