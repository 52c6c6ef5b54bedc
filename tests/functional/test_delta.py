"""Exports of changes through the API, the worker and the lifecycle function."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
import yaml
from tests.functional.conftest import Stack
from tests.support.app import Client, Handler, LambdaContext
from tests.support.aws import BUCKET, REGION, TARGET_PREFIX

from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.registry import HttpConnectors
from millrace.domain.errors import StepFailed
from millrace.tasks import StepWorker

DOCS = Path(__file__).parents[2] / "docs" / "flows.md"


def example() -> dict[str, Any]:
    """The export of changes that docs/flows.md shows."""
    text = DOCS.read_text().partition("### What has changed")[2]
    block = text.partition("```yaml\n")[2].partition("```")[0]
    found: dict[str, Any] = yaml.safe_load(block)
    return found


@pytest.fixture
def flow(alice: Client) -> dict[str, str]:
    """A flow that exports as the documentation says."""
    step = {"id": "read", "type": "Export", "action": example()}
    document = {
        "connections": [{"name": "Shop", "stableKey": "shop", "baseUrl": "https://shop.example"}],
        "flows": [{"name": "Orders", "stableKey": "orders", "steps": [step]}],
    }
    answer = alice("POST", "/v1/apply", document)
    assert answer.status == 200, answer.body
    found: dict[str, str] = answer.body["flows"][0]
    return found


def test_a_run_moves_it_and_its_owner_sets_it(
    stack: Stack, alice: Client, mallory: Client, flow: dict[str, str]
) -> None:
    """Shown with an ETag before any run, after one that succeeded, and after a change."""
    path = f"/v1/flows/{flow['id']}/lastExportDateTime"
    empty = alice("GET", path)
    assert empty.body["lastExportDateTime"] is None
    assert [each["stepId"] for each in empty.body["exports"]] == ["read"]
    assert empty.headers["etag"] == '"0"'
    assert mallory("GET", path).status == 404
    sent: list[str] = []
    first, second = (carry_out(stack, alice, flow, sent) for _ in range(2))
    assert sent[0].startswith("https://shop.example/orders?since=2026-01-01&until=")
    (read,) = first["steps"]
    assert read["delta"]["end"] == read["startedAt"]
    seen = alice("GET", path)
    assert seen.body["lastExportDateTime"] == second["steps"][0]["startedAt"]
    assert seen.body["exports"][0]["runId"] == second["id"]
    back = seen.body | {"lastExportDateTime": "2026-02-01T00:00:00.000Z"}
    assert alice("PUT", path, back).status == 428
    assert alice("PUT", path, back, headers={"If-Match": '"1"'}).status == 412
    answer = alice("PUT", path, back, headers={"If-Match": seen.headers["etag"]})
    assert answer.body["lastExportDateTime"] == back["lastExportDateTime"], answer.body
    carry_out(stack, alice, flow, sent)
    # The example reads 15 minutes before the mark.
    assert "?since=2026-01-31&until=" in sent[-1]
    trail = alice("GET", f"/v1/flows/{flow['id']}/audit").body["data"]
    assert trail[0]["event"] == "lastExportDateTimeSet"


def test_what_cannot_be_set_is_refused(alice: Client, flow: dict[str, str]) -> None:
    """With its place; of an environment that is not there nothing is told."""
    path = f"/v1/flows/{flow['id']}/lastExportDateTime"
    as_read = {"If-Match": '"0"'}
    assert alice("PUT", path, {}, headers=as_read).errors == {
        ("missingField", "/lastExportDateTime")
    }
    given = {"lastExportDateTime": None, "stepIds": ["read", "write"]}
    assert alice("PUT", path, given, headers=as_read).errors == {("unknownStep", "/stepIds/1")}
    query = {"virtualEnvironmentId": "venv_9"}
    assert alice("GET", path, query=query).status == 404


def carry_out(stack: Stack, alice: Client, flow: dict[str, str], sent: list[str]) -> dict[str, Any]:
    """A run as its machine would carry it out, and what its export asks for."""

    class Shop:
        def exchange(self, request: HttpRequest) -> HttpResponse:
            sent.append(request.url)
            return HttpResponse(200, {}, b"[]")

    started = alice("POST", f"/v1/flows/{flow['id']}/run", {})
    path = f"/v1/runs/{started.body['runId']}"
    task = {
        "workspaceId": alice("GET", path).body["workspaceId"],
        "runId": started.body["runId"],
        "attempt": 1,
    }
    connectors = HttpConnectors(HttpClient(Shop()))
    worker = cast("Handler", StepWorker(replace(stack.context, connectors=connectors)))
    worker({"stepId": "read", **task}, LambdaContext())
    stack.functions["lifecycle"]({"event": "attemptSucceeded", **task}, LambdaContext())
    run: dict[str, Any] = alice("GET", path).body
    assert run["status"] == "succeeded"
    return run


def test_a_flow_reads_a_bucket_and_a_delivery(stack: Stack, alice: Client) -> None:
    """By the deployed worker: objects of a bucket, one that the run names, CSV that was sent."""
    boto3.client("s3").create_bucket(
        Bucket=f"{TARGET_PREFIX}orders",
        CreateBucketConfiguration={"LocationConstraint": REGION},
    )
    boto3.client("s3").put_object(
        Bucket=f"{TARGET_PREFIX}orders", Key="in/a.csv", Body=b"id\n1\n2\n"
    )
    objects = {"bucket": f"{TARGET_PREFIX}orders", "prefix": "in/", "format": "csv"}
    named = {"bucket": f"{TARGET_PREFIX}orders", "key": "in/{{ parameters.file }}", "format": "csv"}
    sources = {
        "objects": {"type": "Export", "s3": objects},
        "named": {"type": "Export", "s3": named},
        "sent": {"type": "Export", "payload": {"path": "/body", "format": "csv"}},
        "theirs": {"type": "Export", "s3": {**objects, "bucket": BUCKET}},
    }
    given = [{"id": id_, "type": "Export", "action": each} for id_, each in sources.items()]
    document = {"flows": [{"name": "Files", "stableKey": "files", "steps": given}]}
    flow = alice("POST", "/v1/apply", document).body["flows"][0]
    assert alice("GET", f"/v1/flows/{flow['id']}/dependencies").body["connections"] == []
    payload = {"body": "id\n3\n"}
    asked = {"payload": payload, "parameters": {"file": "a.csv"}}
    run = alice("POST", f"/v1/flows/{flow['id']}/run", asked).body["runId"]
    workspace = alice("GET", f"/v1/runs/{run}").body["workspaceId"]
    task = {"workspaceId": workspace, "runId": run, "attempt": 1}
    for step, ids in (("objects", ["1", "2"]), ("named", ["1", "2"]), ("sent", ["3"])):
        stack.functions["run_step"]({"stepId": step, **task}, LambdaContext())
        output = alice("GET", f"/v1/runs/{run}/steps/{step}/output").body["data"]
        assert [record["id"] for record in output] == ids
    with pytest.raises(StepFailed):
        stack.functions["run_step"]({"stepId": "theirs", **task}, LambdaContext())
    refused = {
        step["stepId"]: step["error"] for step in alice("GET", f"/v1/runs/{run}").body["steps"]
    }
    assert "do not read from" in refused["theirs"]["message"]
    tried = alice("POST", f"/v1/flows/{flow['id']}/test", asked).body
    outputs = {step["stepId"]: step["output"]["count"] for step in tried["steps"]}
    assert outputs == {"objects": 2, "named": 2, "sent": 1, "theirs": 0}
