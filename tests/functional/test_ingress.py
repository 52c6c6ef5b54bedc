"""The functions beside the control plane, over the real handlers and the sample events."""

import hashlib
import hmac
import json
import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.test_api_resources import FLOW, deployed
from tests.support.app import (
    Answer,
    Client,
    LambdaContext,
    answer_of,
    event,
    http_event,
)
from tests.support.aws import BUCKET, TABLE
from tests.support.aws_moments import once_after, throttled, unreachable

from millrace import limits
from millrace.domain.run import RunKey
from millrace.usecases.payloads import load_payload

SECRET = "sample"
HOOK = {
    "hmacAlgorithm": "sha256",
    "hmacSecretKey": SECRET,
    "deliveryIdHeader": "X-GitHub-Delivery",
}


def deliver(
    stack: Stack,
    webhook_id: str,
    body: bytes | None = None,
    method: str = "POST",
    **headers: str,
) -> Answer:
    """Send the sample delivery, or another body, to a webhook."""
    sample = event("ingress")
    raw = sample["body"].encode() if body is None else body
    signature = "sha256=" + hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = http_event(
        "ingress",
        method,
        f"/hooks/{webhook_id}",
        raw,
        sample["headers"] | {"x-hub-signature-256": signature} | given,
    )
    sent["pathParameters"] = {"webhookId": webhook_id}
    return answer_of(stack.functions["ingress"](sent, LambdaContext()))


@pytest.fixture
def flow(alice: Client) -> dict[str, Any]:
    """A deployed flow that takes an hourly schedule and deliveries."""
    return deployed(alice, FLOW | {"schedule": "rate(1 hour)"})


@pytest.fixture
def webhook_id(alice: Client, flow: dict[str, Any]) -> str:
    """The address of the flow's webhook, with the secret of the sample delivery."""
    made: str = alice("POST", f"/v1/flows/{flow['id']}/webhooks", HOOK).body["id"]
    return made


def runs(client: Client, flow: dict[str, Any]) -> list[dict[str, Any]]:
    """The flow's runs as the API lists them."""
    found: list[dict[str, Any]] = client("GET", f"/v1/flows/{flow['id']}/runs").body["data"]
    return found


def executions(run: dict[str, Any]) -> list[str]:
    """The statuses of the machine's executions that carry the run's name."""
    client = boto3.client("stepfunctions")
    (machine,) = client.list_state_machines()["stateMachines"]
    found = client.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    return [each["status"] for each in found if each["name"] == run["id"]]


def test_a_delivery_is_accepted_and_its_run_started(
    stack: Stack, alice: Client, flow: dict[str, Any], webhook_id: str
) -> None:
    """202 with the run's id, which the owner can follow; the same delivery is the same run."""
    first = deliver(stack, webhook_id)
    assert (first.status, first.body["deduplicated"]) == (202, False)
    (run,) = runs(alice, flow)
    assert run["id"] == first.body["runId"]
    assert run["trigger"] == {
        "source": "webhook",
        "webhookId": webhook_id,
        "callbackId": None,
        "deliveryId": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "scheduledFor": None,
        "stepId": None,
        "triggeredBy": None,
        "runId": None,
        "flowsBefore": 0,
        "queue": None,
        "attempt": None,
        "depth": 0,
    }
    assert executions(run) == ["RUNNING"]
    second = deliver(stack, webhook_id)
    assert (second.status, second.body) == (202, {"runId": run["id"], "deduplicated": True})
    assert len(runs(alice, flow)) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_any_method_delivers(
    stack: Stack, alice: Client, flow: dict[str, Any], webhook_id: str, method: str
) -> None:
    """The flow learns which it was."""
    told = deliver(stack, webhook_id, method=method)
    assert told.status == 202, told.body
    (run,) = runs(alice, flow)
    key = RunKey(run["workspaceId"], told.body["runId"])
    assert load_payload(stack.context, stack.context.runs.get(key))["method"] == method


@pytest.mark.parametrize(
    ("form", "content_type"),
    [("csv", "text/csv; charset=utf-8"), ("txt", "text/plain; charset=utf-8")],
)
def test_a_webhook_answers_in_its_format(
    stack: Stack, alice: Client, flow: dict[str, Any], form: str, content_type: str
) -> None:
    """The body as it was written, and its type."""
    answer = {"body": "ok,1", "format": form}
    made = alice("POST", f"/v1/flows/{flow['id']}/webhooks", HOOK | answer).body
    told = deliver(stack, made["id"])
    assert (told.body, told.headers["content-type"]) == ("ok,1", content_type)


def test_the_sample_delivery_is_signed_as_it_stands(stack: Stack, webhook_id: str) -> None:
    """events/ingress.json can be sent as it is once a webhook has the sample's secret."""
    sample = event("ingress")
    sample["pathParameters"] = {"webhookId": webhook_id}
    assert answer_of(stack.functions["ingress"](sample, LambdaContext())).status == 202


@pytest.mark.parametrize("signature", ["sha256=" + "0" * 64, "", "sha256=é"])
def test_a_wrong_signature_is_401_and_no_run(
    stack: Stack, alice: Client, flow: dict[str, Any], webhook_id: str, signature: str
) -> None:
    """Who cannot sign starts nothing."""
    answer = deliver(stack, webhook_id, x_hub_signature_256=signature)
    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
    assert answer.headers["content-type"] == "application/problem+json"
    assert runs(alice, flow) == []


def test_a_webhook_answers_as_it_is_told_to(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """Status, body and content type are the webhook's; the run's id stands in a header."""
    path = f"/v1/flows/{flow['id']}/webhooks"
    answer = {"status": 200, "body": "<ok/>", "format": "xml"}
    made = alice("POST", path, HOOK | answer).body
    told = deliver(stack, made["id"])
    assert (told.status, told.body) == (200, "<ok/>")
    assert told.headers["content-type"] == "application/xml"
    (run,) = runs(alice, flow)
    assert told.headers["millrace-run-id"] == run["id"]
    again = deliver(stack, made["id"])
    assert again.headers.pop("millrace-deduplicated") == "true"
    assert again == told
    bare = alice("POST", path, HOOK | {"status": 201}).body
    told = deliver(stack, bare["id"])
    assert (told.status, told.body["runId"]) == (201, told.headers["millrace-run-id"])


@pytest.mark.parametrize(("algorithm", "prefix"), [("sha1", "sha1="), ("sha512", "v=")])
def test_a_webhook_verifies_by_its_own_algorithm(
    stack: Stack, alice: Client, flow: dict[str, Any], algorithm: str, prefix: str
) -> None:
    """And takes no other one's signature."""
    given = HOOK | {"hmacAlgorithm": algorithm, "hmacPrefix": prefix}
    made = alice("POST", f"/v1/flows/{flow['id']}/webhooks", given).body
    assert deliver(stack, made["id"]).status == 401
    signed = prefix + hmac.new(SECRET.encode(), b"{}", algorithm).hexdigest()
    assert deliver(stack, made["id"], b"{}", x_hub_signature_256=signed).status == 202


def test_a_flow_that_asks_for_a_key_starts_for_its_holders(
    stack: Stack, alice: Client, webhook_id: str, flow: dict[str, Any]
) -> None:
    """The signature does not make up for it, and it stays out of the run's payload."""
    key = "k3y-of-sixteen-or-more"
    path = f"/v1/flows/{flow['id']}"
    patch = [
        {"op": "add", "path": "/organizationApiKeys", "value": [key]},
        {"op": "replace", "path": "/endpointSecurityType", "value": "organization"},
    ]
    assert alice("PATCH", path, patch, headers=alice("GET", path).etag).status == 200
    assert deliver(stack, webhook_id).status == 401
    assert deliver(stack, webhook_id, api_key=key + "x").status == 401
    assert runs(alice, flow) == []
    assert deliver(stack, webhook_id, api_key=key).status == 202
    assert key not in str(boto3.client("dynamodb").scan(TableName=TABLE)["Items"])


def test_a_customer_has_keys_and_an_environment(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """The environment of the webhook decides who comes in, and over which connections runs go."""
    key = "k3y-of-sixteen-or-more"
    environment = alice("POST", "/v1/virtualEnvironments", {"name": "Acme", "apiKeys": [key]})
    assert (environment.status, "apiKeys" in environment.body) == (201, False)
    hooks = f"/v1/flows/{flow['id']}/webhooks"
    unknown = alice("POST", hooks, {"virtualEnvironmentId": "venv_9"})
    assert unknown.errors == {("unknownEnvironment", "/virtualEnvironmentId")}
    hook = alice("POST", hooks, {"virtualEnvironmentId": environment.body["id"]}).body
    assert deliver(stack, hook["id"]).status == 401
    assert deliver(stack, hook["id"], api_key=key[:-1]).status == 401
    assert runs(alice, flow) == []
    assert deliver(stack, hook["id"], api_key=key).status == 202
    (run,) = runs(alice, flow)
    assert run["virtualEnvironmentId"] == environment.body["id"]
    path = f"/v1/virtualEnvironments/{environment.body['id']}"
    kept = alice("PUT", path, {"name": "Acme Ltd"}, headers=environment.etag)
    assert deliver(stack, hook["id"]).status == 401
    opened = alice("PUT", path, {"name": "Acme", "apiKeys": []}, headers=kept.etag)
    assert deliver(stack, hook["id"]).status == 202
    assert alice("DELETE", path, headers=opened.etag).status == 204
    assert deliver(stack, hook["id"]).status == 409
    stored = str(boto3.client("dynamodb").scan(TableName=TABLE)["Items"])
    assert key not in stored


def test_a_body_that_arrives_as_base64_is_verified_as_it_was_sent(
    stack: Stack, alice: Client, flow: dict[str, Any], webhook_id: str
) -> None:
    """API Gateway wraps forms; the signature is of the bytes inside."""
    form = b"payload=%7B%7D&snow=%E2%98%83"
    answer = deliver(stack, webhook_id, form, content_type="application/x-www-form-urlencoded")
    assert answer.status == 202
    task = {"workspaceId": flow["workspaceId"], "runId": answer.body["runId"], "attempt": 1}
    stack.functions["run_step"]({"stepId": "map", **task}, LambdaContext())
    output = alice("GET", f"/v1/runs/{answer.body['runId']}/steps/map/output").body["data"]
    assert output[0]["body"] == {"payload": "{}", "snow": "☃"}


def test_a_large_delivery_is_kept_in_the_bucket(stack: Stack, webhook_id: str) -> None:
    """4 MB are taken, more is 413."""
    body = b'"' + b"x" * (limits.WEBHOOK_BYTES - 2) + b'"'
    assert deliver(stack, webhook_id, body).status == 202
    (kept,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert kept["Key"].endswith("/payload.json")
    too_large = deliver(stack, webhook_id, body + b" ", x_github_delivery="other")
    assert (too_large.status, too_large.body["code"]) == (413, "tooLarge")


def test_p1_a_refused_or_repeated_delivery_leaves_no_object(stack: Stack, alice: Client) -> None:
    """What is too large for the item of a run is in the bucket once there is a run, and once."""
    flow = deployed(alice, FLOW | {"concurrency": {"limit": 1, "onConflict": "reject"}})
    webhook_id = alice("POST", f"/v1/flows/{flow['id']}/webhooks", HOOK).body["id"]
    path = f"/v1/flows/{flow['id']}"
    body = json.dumps("x" * limits.INLINE_PAYLOAD_BYTES).encode()

    def objects() -> list[str]:
        found = boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [each["Key"] for each in found]

    run_id = deliver(stack, webhook_id, body).body["runId"]
    kept = [f"runs/{flow['workspaceId']}/{run_id}/payload.json"]
    assert objects() == kept
    for _ in range(2):
        assert deliver(stack, webhook_id, body).body == {"runId": run_id, "deduplicated": True}
    assert objects() == kept
    busy = deliver(stack, webhook_id, body, x_github_delivery="second")
    assert (busy.status, busy.body["code"]) == (409, "flowBusy")
    assert alice("POST", f"{path}/start", {"payload": "x" * len(body)}).status == 409
    too_large = deliver(stack, webhook_id, b"x" * 4_000_001, x_github_delivery="third")
    assert too_large.status == 413
    assert objects() == kept


def test_r5_a_throttled_table_loses_no_delivery(
    stack: Stack, alice: Client, sweep: Callable[[], int]
) -> None:
    """A delivery is refused until its run is there, and accepted from then on; each run starts.

    Each is about the same few orders, so that its run looks for an older one once it is there.
    """
    flow = deployed(alice, FLOW | {"retryUniqueRequestIdField": "body.order"})
    webhook_id = alice("POST", f"/v1/flows/{flow['id']}/webhooks", HOOK).body["id"]
    chance = random.Random(5)
    refusals = 0
    ids: set[str] = set()
    for number in range(20):
        body = json.dumps({"order": number % 5}).encode()
        while True:
            with throttled("dynamodb", chance, 0.3):
                answer = deliver(stack, webhook_id, body, x_github_delivery=str(number))
            if answer.status == 202:
                break
            assert (answer.status, answer.body["code"]) == (503, "unavailable")
            assert answer.headers["content-type"] == "application/problem+json"
            assert len(runs(alice, flow)) == number
            refusals += 1
        ids.add(answer.body["runId"])
    assert refusals > 0
    assert {run["id"] for run in runs(alice, flow)} == ids
    assert len(ids) == 20
    assert sweep() > 0  # not each machine could be started
    assert all(executions(run) for run in runs(alice, flow))


def test_r5_a_call_that_is_recorded_is_told_where_to_look(stack: Stack, alice: Client) -> None:
    """Its result cannot be read just now; who sent it again would not know that it is at work."""
    flow = deployed(alice, FLOW)
    id_ = alice("POST", f"/v1/flows/{flow['id']}/callbacks", {}).body["id"]
    sent = http_event("ingress", "POST", f"/callbacks/{id_}", b"{}", {})
    sent["pathParameters"] = {"callbackId": id_}
    trouble = ExitStack()
    begins = once_after("StartExecution", lambda: trouble.enter_context(unreachable("dynamodb")))
    with begins, trouble:
        answer = answer_of(stack.functions["ingress"](sent, LambdaContext()))
    (run,) = runs(alice, flow)
    assert (answer.status, answer.body["runId"]) == (202, run["id"])
    assert answer.headers["location"] == f"/v1/runs/{run['id']}"


def test_s1_a_refusal_does_not_tell_what_was_wrong(stack: Stack, webhook_id: str) -> None:
    """Nothing, too little, another prefix, digits that are none or the wrong ones: one answer."""
    wrong = ("", "sha256=", "sha1=00", "sha256=zz", "x" * 5_000, f"sha256={'0' * 64}")
    answers = [deliver(stack, webhook_id, x_hub_signature_256=each) for each in wrong]
    answers.append(deliver(stack, webhook_id, b"[]", x_hub_signature_256="", content_type="x/y"))
    assert {answer.status for answer in answers} == {401}
    (told,) = {json.dumps(answer.body) for answer in answers}
    problem = json.loads(told)
    assert (problem["detail"], problem["errors"]) == ("no valid signature", [])


def test_p3_bad_json_is_400_with_its_place(stack: Stack, webhook_id: str) -> None:
    """The sender is told what its body is not, and where."""
    answer = deliver(stack, webhook_id, b'{"a":\n 1e400}')
    assert (answer.status, answer.errors) == (400, {("badBody", "")})
    message = "the number 1e400 is too large: line 2 column 2"
    assert answer.body["errors"][0]["message"] == message


def table_and_bucket() -> tuple[list[dict[str, Any]], list[str]]:
    """All that is stored."""
    items = [
        dict(item)
        for page in boto3.client("dynamodb").get_paginator("scan").paginate(TableName=TABLE)
        for item in page["Items"]
    ]
    objects = boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return sorted(items, key=str), [each["Key"] for each in objects]


def test_p1_a_body_of_any_size_is_taken_whole_or_refused(stack: Stack, webhook_id: str) -> None:
    """From nothing to 4 MB it is taken; one byte more is a problem, and nothing of it is kept."""
    for name, size in (("none", 0), ("all", limits.WEBHOOK_BYTES)):
        body = b"x" * size
        given = {"content_type": "text/plain", "x_github_delivery": name}
        answer = deliver(stack, webhook_id, body, **given)
        assert answer.status == 202, answer.body
    before = table_and_bucket()
    assert len(before[1]) == 1
    for size in (limits.WEBHOOK_BYTES + 1, 6_000_000):
        given = {"content_type": "text/plain", "x_github_delivery": f"{size} bytes"}
        answer = deliver(stack, webhook_id, b"x" * size, **given)
        assert (answer.status, answer.body["code"]) == (413, "tooLarge")
        assert answer.headers["content-type"] == "application/problem+json"
        assert "4,000,000" in answer.body["detail"]
        assert table_and_bucket() == before


@pytest.mark.parametrize("id_", ["hook_9", "x" * 3_000, "é", "%20"])
def test_nobodys_address_is_404(stack: Stack, id_: str) -> None:
    """Anyone may try any address."""
    answer = deliver(stack, id_)
    assert (answer.status, answer.body["code"]) == (404, "notFound")


def test_a_disabled_flow_is_409(
    stack: Stack, alice: Client, flow: dict[str, Any], webhook_id: str
) -> None:
    """The delivery is not taken, so the sender may send it again."""
    path = f"/v1/flows/{flow['id']}"
    alice("PUT", path, FLOW | {"enabled": False}, headers=alice("GET", path).etag)
    assert deliver(stack, webhook_id).status == 409
    assert runs(alice, flow) == []


def authorize(stack: Stack, **headers: str) -> dict[str, Any]:
    """Ask the authorizer about the sample request with other headers."""
    asked = event("authorizer")
    asked["headers"] = headers
    return stack.functions["authorizer"](asked, LambdaContext())


def test_a_token_names_its_caller(stack: Stack, alice: Client) -> None:
    """Workspace and token go to the API; scheme and header name in any letter case."""
    for name, scheme in (("authorization", "Bearer"), ("Authorization", "bearer")):
        told = authorize(stack, **{name: f"{scheme} {alice.token}"})
        assert told["isAuthorized"]
        assert told["context"]["workspaceId"] == alice.token.split(".")[1]
        assert told["context"]["tokenId"] == alice.token.split(".")[2]


def test_whatever_is_no_token_is_refused(stack: Stack, alice: Client) -> None:
    """No header, another scheme, a sample's token, an impossible one: no error, just no."""
    sample = stack.functions["authorizer"](event("authorizer"), LambdaContext())
    assert sample == {"isAuthorized": False}
    assert authorize(stack) == {"isAuthorized": False}
    for value in ("", "Basic eA==", alice.token, "Bearer ", "Bearer mr...", "Bearer é"):
        assert authorize(stack, authorization=value) == {"isAuthorized": False}
    long = f"Bearer mr.{'w' * 3_000}.{'t' * 3_000}.s"
    assert authorize(stack, authorization=long) == {"isAuthorized": False}


def test_a_schedule_fires_once_for_each_planned_time(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """The event as the scheduler sends it, twice."""
    fired = event("trigger") | {"workspaceId": flow["workspaceId"], "flowId": flow["id"]}
    first = stack.functions["trigger"](fired, LambdaContext())
    assert stack.functions["trigger"](fired, LambdaContext()) == first
    (run,) = runs(alice, flow)
    assert first == {"runId": run["id"]}
    assert run["trigger"]["scheduledFor"] == "2026-01-31T12:00:00.000Z"
    assert executions(run) == ["RUNNING"]


def test_the_schedule_holds_the_event_that_the_trigger_takes(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """What was put into the scheduler, with the time filled in, starts a run."""
    scheduler = boto3.client("scheduler")
    stored = scheduler.get_schedule(Name=flow["id"], GroupName="millrace-flows")
    text = stored["Target"]["Input"].replace(
        "<aws.scheduler.scheduled-time>", "2026-01-31T13:00:00Z"
    )
    stack.functions["trigger"](json.loads(text), LambdaContext())
    (run,) = runs(alice, flow)
    assert run["trigger"]["scheduledFor"] == "2026-01-31T13:00:00.000Z"


def test_a_schedule_of_nobody_starts_nothing(stack: Stack) -> None:
    """The sample's flow is not there."""
    assert stack.functions["trigger"](event("trigger"), LambdaContext()) == {}


def started(alice: Client, flow: dict[str, Any]) -> dict[str, Any]:
    """A run, in the words of the machine's input."""
    run_id = alice("POST", f"/v1/flows/{flow['id']}/run").body["runId"]
    return {"workspaceId": flow["workspaceId"], "runId": run_id, "attempt": 1}


def status(client: Client, run_id: str) -> str:
    """A run's status."""
    found: str = client("GET", f"/v1/runs/{run_id}").body["status"]
    return found


def test_a_machine_that_reports_a_failure_ends_its_run(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """The sample event, for a run that is there."""
    run = started(alice, flow)
    assert stack.functions["lifecycle"](event("lifecycle") | run, LambdaContext()) == {
        "retry": False
    }
    assert status(alice, run["runId"]) == "failed"


def test_the_payload_of_a_run_that_failed_is_removed_where_the_flow_says_so(
    stack: Stack, alice: Client
) -> None:
    """From the bucket too; such a run cannot be repeated, and says so."""
    flow = deployed(alice, FLOW | {"removeFailedPayloads": True})
    webhook_id = alice("POST", f"/v1/flows/{flow['id']}/webhooks", HOOK).body["id"]
    body = json.dumps({"text": "x" * limits.INLINE_PAYLOAD_BYTES}).encode()
    run_id = deliver(stack, webhook_id, body).body["runId"]
    s3 = boto3.client("s3")
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    told = {"workspaceId": flow["workspaceId"], "runId": run_id, "attempt": 1}
    stack.functions["lifecycle"](event("lifecycle") | told, LambdaContext())
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    run = alice("GET", f"/v1/runs/{run_id}").body
    assert (run["status"], run["payloadRemoved"]) == ("failed", True)
    again = alice("POST", f"/v1/runs/{run_id}/retry", {})
    assert (again.status, "removeFailedPayloads" in again.body["detail"]) == (409, True)


def test_an_execution_that_was_stopped_ends_its_run(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """The event that EventBridge sends, for a run that is there; for none, nothing happens."""
    sample = event("lifecycle_execution_ended")
    assert stack.functions["lifecycle"](sample, LambdaContext()) == {}
    run = started(alice, flow)
    sample["detail"]["input"] = json.dumps(run)
    assert stack.functions["lifecycle"](sample, LambdaContext()) == {"status": "failed"}
    error = alice("GET", f"/v1/runs/{run['runId']}").body["error"]
    assert error["code"] == "machineAborted"


def test_the_sweeper_leaves_young_runs_alone(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """The sample event; a run that has just begun is nobody's concern."""
    run = started(alice, flow)
    assert stack.functions["lifecycle"](event("lifecycle_sweep"), LambdaContext()) == {
        "repaired": 0
    }
    assert status(alice, run["runId"]) == "running"


def test_the_worker_tells_the_machine_by_the_name_of_its_error(
    stack: Stack, alice: Client, flow: dict[str, Any]
) -> None:
    """The sample's run is not there: final, by the name that the machine goes by."""
    with pytest.raises(Exception, match="runOver") as raised:
        stack.functions["run_step"](event("run_step"), LambdaContext())
    assert raised.type.__name__ == "StepFailed"
    run = started(alice, flow)
    told = stack.functions["run_step"]({"stepId": "map", **run}, LambdaContext())
    assert told == {
        "status": "succeeded",
        "counts": {"recordsIn": 0, "recordsOut": 0, "recordsIgnored": 0, "recordsFailed": 0},
    }


def test_the_api_sample_creates_a_connection(stack: Stack) -> None:
    """events/api.json is a whole request, authorizer's word included."""
    answer = answer_of(stack.functions["api"](event("api"), LambdaContext()))
    assert (answer.status, answer.body["stableKey"]) == (201, "shop")
