"""Every route of the control plane, over the real handlers: what it answers when all is well."""

import json
from typing import Any

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.support.app import Client, LambdaContext
from tests.support.aws import TABLE
from tests.support.collections import SAMPLES, Sample

CONNECTION = {"name": "Shop", "stableKey": "shop", "baseUrl": "https://shop.example"}
STEP = {"type": "Process", "operations": [{"type": "map", "expression": "$"}]}
FLOW = {
    "name": "Orders",
    "stableKey": "orders",
    "steps": [{"id": "map", "type": "Process", "action": STEP}],
}


def deployed(client: Client, flow: dict[str, Any] | None = None) -> dict[str, Any]:
    """A new flow, deployed."""
    made = client("POST", "/v1/flows", flow or FLOW).body
    path = f"/v1/flows/{made['id']}/versions/{made['latestVersionId']}"
    version = client("GET", path)
    deploy = {"deployedAt": "2026-01-31T12:00:00Z"}
    assert client("PUT", path, deploy, headers=version.etag).status == 200
    found: dict[str, Any] = client("GET", f"/v1/flows/{made['id']}").body
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.collection)
def test_a_plain_resource_lives(alice: Client, sample: Sample) -> None:
    """Created, read, listed, changed, deleted; its secret, if any, is taken and never shown."""
    made = alice("POST", f"/v1/{sample.collection}", sample.given)
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    path = f"/v1/{sample.collection}/{made.body['id']}"
    assert alice("GET", path).body == made.body
    listed = alice("GET", f"/v1/{sample.collection}")
    assert (listed.body["data"], listed.body["meta"]["total"]) == ([made.body], 1)

    changed = alice("PUT", path, sample.changed, headers=made.etag)
    assert (changed.status, changed.headers["etag"]) == (200, '"2"')
    assert alice("GET", path).body == changed.body
    if sample.secret is not None:
        table = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
        shown = json.dumps([made.body, listed.body, changed.body]) + str(table)
        assert sample.secret not in shown
    gone = alice("DELETE", path, headers=changed.etag)
    assert (gone.status, gone.body) == (204, None)
    assert alice("GET", path).status == 404
    assert boto3.client("ssm").describe_parameters()["Parameters"] == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.collection)
def test_a_plain_resource_may_be_sent_back_as_it_was_read(alice: Client, sample: Sample) -> None:
    """What is told of it, who made it and when, is left aside; only a POST refuses it."""
    made = alice("POST", f"/v1/{sample.collection}", sample.given)
    path = f"/v1/{sample.collection}/{made.body['id']}"
    same = alice("PUT", path, made.body, headers=made.etag)
    assert (same.status, same.body, same.headers["etag"]) == (200, made.body, '"1"')
    changed = alice("PUT", path, {**made.body, **sample.change, "id": "x"}, headers=made.etag)
    assert (changed.status, changed.body["id"]) == (200, made.body["id"])
    again = alice("POST", f"/v1/{sample.collection}", made.body)
    assert ("unknownField", "/id") in again.errors


def test_a_flow_may_be_sent_back_as_it_was_read(alice: Client) -> None:
    """Read, changed in one place, and sent back whole; a version is deployed that way too."""
    made = alice("POST", "/v1/flows", FLOW)
    path = f"/v1/flows/{made.body['id']}"
    same = alice("PUT", path, made.body, headers=made.etag)
    assert (same.status, same.body) == (200, made.body)
    changed = alice("PUT", path, {**made.body, "name": "New", "free": True}, headers=made.etag)
    assert (changed.status, changed.body["name"], changed.body["free"]) == (200, "New", False)
    wrong = {**made.body, "name": 1, "schedule": "never", "labels": ["lbl_9"], "nmae": 1}
    told = alice("PUT", path, wrong, headers=changed.etag)
    assert told.errors >= {("wrongType", "/name"), ("unknownField", "/nmae")}
    assert all(not pointer.startswith("/id") for _, pointer in told.errors)
    place = f"{path}/versions/{made.body['latestVersionId']}"
    draft = alice("GET", place)
    at = {**draft.body, "deployedAt": "2026-01-31T12:00:00Z"}
    assert alice("PUT", place, at, headers=draft.etag).body["status"] == "deployed"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.collection)
def test_a_plain_resource_is_refused_like_any_other(alice: Client, sample: Sample) -> None:
    """Unknown fields by name, a key that is taken, a change without the revision or with an old."""
    path = f"/v1/{sample.collection}"
    unknown = alice("POST", path, {**sample.given, "nmae": 1})
    assert (unknown.status, ("unknownField", "/nmae") in unknown.errors) == (422, True)
    made = alice("POST", path, sample.given)
    assert alice("POST", path, sample.given).status == 409
    for method, body in (("PUT", sample.changed), ("DELETE", None)):
        place = f"{path}/{made.body['id']}"
        assert alice(method, place, body).status == 428
        assert alice(method, place, body, headers={"If-Match": '"7"'}).status == 412
    assert alice("GET", f"{path}/{made.body['id']}").body == made.body


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.collection)
def test_a_plain_resource_is_patched(alice: Client, sample: Sample) -> None:
    """All that a patch names or nothing, over the revision that was read, by either type."""
    made = alice("POST", f"/v1/{sample.collection}", sample.given)
    path = f"/v1/{sample.collection}/{made.body['id']}"
    patch = [
        {"op": "replace", "path": f"/{name}", "value": sample.change[name]}
        for name in sample.change
    ]
    assert alice("PATCH", path, patch).status == 428
    assert alice("PATCH", path, patch, headers={"If-Match": '"7"'}).status == 412
    test = {"op": "test", "path": f"/{sample.key}", "value": "other"}
    refused = alice("PATCH", path, [*patch, test], headers=made.etag)
    assert (refused.status, refused.errors) == (409, {("testFailed", f"/{len(patch)}/value")})
    unknown = alice("PATCH", path, [*patch, {**test, "path": "/id"}], headers=made.etag)
    assert (unknown.status, unknown.errors) == (422, {("notPatchable", f"/{len(patch)}/path")})
    assert alice("GET", path).body == made.body

    headers = {"Content-Type": "application/json-patch+json", **made.etag}
    changed = alice("PATCH", path, json.dumps(patch).encode(), headers=headers)
    assert (changed.status, changed.headers["etag"]) == (200, '"2"')
    assert alice("GET", path).body == changed.body
    assert alice("PUT", path, sample.changed, headers=changed.etag).body == changed.body


def test_a_patched_secret_is_kept_where_secrets_are(alice: Client) -> None:
    """It takes the place of the old one in Parameter Store, and stands nowhere else."""
    given = {**CONNECTION, "auth": {"type": "bearer", "token": "s3cret-old"}}
    made = alice("POST", "/v1/connections", given)
    path = f"/v1/connections/{made.body['id']}"
    look = [{"op": "copy", "from": "/auth/token", "path": "/description"}]
    refused = alice("PATCH", path, look, headers=made.etag)
    assert (refused.status, refused.errors) == (422, {("writeOnly", "/0/from")})
    patch = [{"op": "replace", "path": "/auth/token", "value": "s3cret-new"}]
    changed = alice("PATCH", path, patch, headers=made.etag)
    table = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    assert "s3cret" not in json.dumps([changed.body, alice("GET", path).body]) + str(table)
    ssm = boto3.client("ssm")
    (parameter,) = ssm.describe_parameters()["Parameters"]
    value = ssm.get_parameter(Name=parameter["Name"], WithDecryption=True)["Parameter"]["Value"]
    assert json.loads(value) == {"token": "s3cret-new"}


def test_broken_rules_of_plain_resources_have_their_place(alice: Client) -> None:
    """Each rule that goes beyond a shape is told with a pointer."""
    email = {"type": "email", "address": "ops"}
    for path, body, error in (
        (
            "integrations",
            {"name": "n", "groups": [{"id": "a", "name": "A"}, {"id": "a", "name": "B"}]},
            ("groupTwice", "/groups/1/id"),
        ),
        ("variables", {"key": "k", "value": 1}, ("valueType", "/value")),
        ("variables", {"key": "a b", "value": ""}, ("stringPatternMismatch", "/key")),
        (
            "virtualEnvironments",
            {"name": "n", "replacements": {"connections": {"con_9": "con_8"}}},
            ("unknownConnection", "/replacements/connections/con_9"),
        ),
        (
            "virtualEnvironments",
            {"name": "n", "replacements": {"dataPools": {"pool_9": "pool_8"}}},
            ("unknownDataPool", "/replacements/dataPools/pool_9"),
        ),
        (
            "virtualEnvironments",
            {"name": "n", "replacements": {"priority": 6}},
            ("lessThanEqual", "/replacements/priority"),
        ),
        ("labels", {"name": "n", "colour": "red"}, ("stringPatternMismatch", "/colour")),
        (
            "notificationGroups",
            {"name": "n", "targets": [email]},
            ("stringPatternMismatch", "/targets/0/address"),
        ),
        (
            "notificationGroups",
            {"name": "n", "targets": [], "on": ["failed", "failed"]},
            ("valueError", "/on"),
        ),
        ("templates", {"name": "n", "document": []}, ("wrongType", "/document")),
        ("dataPools", {"name": "n", "ttlSeconds": 0}, ("greaterThanEqual", "/ttlSeconds")),
        (
            "tokens",
            {"name": "n", "role": "admin", "expiresAt": "2020-01-01T00:00:00Z"},
            ("alreadyExpired", "/expiresAt"),
        ),
    ):
        answer = alice("POST", f"/v1/{path}", body)
        assert (answer.status, error in answer.errors) == (422, True), (path, answer.body)


def test_a_token_lives(stack: Stack, alice: Client) -> None:
    """Its text is answered once and opens the workspace until the token is deleted."""
    made = alice("POST", "/v1/tokens", {"name": "laptop", "role": "viewer"})
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    text = made.body.pop("token")
    path = f"/v1/tokens/{made.body['id']}"
    assert alice("GET", path).body == made.body
    assert made.body in alice("GET", "/v1/tokens").body["data"]
    laptop = Client(stack.functions["api"], stack.functions["authorizer"], text)
    info = laptop("GET", "/v1/tokenInfo")
    assert (info.status, info.body["tokenId"], info.body["role"]) == (
        200,
        made.body["id"],
        "viewer",
    )
    changed = alice("PUT", path, {"name": "old laptop", "role": "viewer"}, headers=made.etag)
    shown = json.dumps([changed.body, alice("GET", "/v1/tokens").body])
    assert not any(word in shown for word in (text, text.rpartition(".")[2], "ecretHash"))
    assert laptop("GET", "/v1/tokenInfo").body["name"] == "old laptop"
    assert alice("DELETE", path, headers=changed.etag).status == 204
    assert laptop("GET", "/v1/tokenInfo").status == 403


def test_a_flow_lives(alice: Client) -> None:
    """Created with its steps, read, found by key, changed, deleted."""
    made = alice("POST", "/v1/flows", FLOW)
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    assert (made.body["enabled"], made.body["deployed"], made.body["stepsCount"]) == (
        True,
        False,
        1,
    )
    assert made.body["steps"][0]["id"] == "map"
    path = f"/v1/flows/{made.body['id']}"
    assert alice("GET", path).body == made.body
    by_key = alice("GET", "/v1/flows", query={"filter[stableKey]": "orders"})
    assert [flow["id"] for flow in by_key.body["data"]] == [made.body["id"]]
    assert "steps" not in by_key.body["data"][0]
    none = alice("GET", "/v1/flows", query={"filter[stableKey]": "other"})
    assert (none.body["data"], none.body["meta"]["total"]) == ([], 0)

    changed = alice("PUT", path, FLOW | {"name": "Invoices"}, headers=made.etag)
    assert (changed.status, changed.headers["etag"]) == (200, '"2"')
    assert alice("DELETE", path, headers=changed.etag).status == 204
    assert alice("GET", path).status == 404


def test_a_flow_is_patched(alice: Client) -> None:
    """By either content type; the schedule follows a deployed flow at once."""
    flow = deployed(alice)
    path = f"/v1/flows/{flow['id']}"
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/name", "value": "Orders"},
        {"op": "replace", "path": "/schedule", "value": "rate(1 hour)"},
    ]
    headers = {"Content-Type": "application/json-patch+json", **alice("GET", path).etag}
    answer = alice("PATCH", path, json.dumps(patch).encode(), headers=headers)
    assert (answer.status, answer.body["schedule"]) == (200, "rate(1 hour)")
    assert len(boto3.client("scheduler").list_schedules()["Schedules"]) == 1
    patch = [{"op": "replace", "path": "/disabled", "value": True}]
    answer = alice("PATCH", path, patch, headers=answer.etag)
    assert (answer.status, answer.body["enabled"]) == (200, False)
    assert boto3.client("scheduler").list_schedules()["Schedules"] == []


def test_a_version_is_deployed_and_undeployed(alice: Client) -> None:
    """A time deploys a version, null undeploys it; the list shows where each stands."""
    flow = deployed(alice)
    path = f"/v1/flows/{flow['id']}/versions"
    assert flow["deployedVersionId"] == flow["latestVersionId"]
    (listed,) = alice("GET", path).body["data"]
    assert (listed["status"], listed["number"]) == ("deployed", 1)
    version = alice("GET", f"{path}/{listed['id']}")
    assert version.body == listed
    machines = boto3.client("stepfunctions").list_state_machines()["stateMachines"]
    assert [machine["stateMachineArn"] for machine in machines] == [version.body["machineArn"]]

    undeploy = {"deployedAt": None}
    retired = alice("PUT", f"{path}/{listed['id']}", undeploy, headers=version.etag)
    assert (retired.status, retired.body["status"]) == (200, "inactive")
    assert alice("GET", f"/v1/flows/{flow['id']}").body["deployed"] is False


def test_versions_come_back_and_go(alice: Client) -> None:
    """A draft begun, deployed, rolled back from and deleted with its machine."""
    flow = deployed(alice)
    path = f"/v1/flows/{flow['id']}/versions"
    draft = alice("POST", path)
    assert (draft.status, draft.body["status"], draft.body["number"]) == (201, "draft", 2)
    assert alice("POST", path, {"versionId": flow["latestVersionId"]}).status == 409
    assert alice("POST", f"{path}/{draft.body['id']}/copy").status == 409
    deploy = {"deployedAt": "2026-01-31T12:00:00Z"}
    second = alice("PUT", f"{path}/{draft.body['id']}", deploy, headers=draft.etag)
    back = alice("POST", f"{path}/{flow['latestVersionId']}/rollback")
    assert (back.status, back.body["status"]) == (200, "deployed")
    now = alice("GET", f"{path}/{draft.body['id']}")
    assert (second.status, now.body["status"]) == (200, "inactive")
    assert alice("DELETE", f"{path}/{draft.body['id']}", headers=now.etag).status == 204
    machines = boto3.client("stepfunctions").list_state_machines()["stateMachines"]
    assert [each["stateMachineArn"] for each in machines] == [back.body["machineArn"]]
    copy = alice("POST", f"{path}/{flow['latestVersionId']}/copy")
    assert (copy.status, copy.body["number"]) == (201, 3)


def test_a_schedule_follows_its_flow(alice: Client) -> None:
    """Deployed, changed and disabled over the API, the scheduler has it as it should be."""
    scheduler = boto3.client("scheduler")

    def expressions() -> list[str]:
        names = [each["Name"] for each in scheduler.list_schedules()["Schedules"]]
        found = (scheduler.get_schedule(Name=name, GroupName="millrace-flows") for name in names)
        return [each["ScheduleExpression"] for each in found]

    flow = deployed(alice, FLOW | {"schedule": "rate(1 hour)"})
    assert expressions() == ["rate(1 hour)"]
    path = f"/v1/flows/{flow['id']}"
    now = alice("GET", path)
    changed = alice("PUT", path, FLOW | {"schedule": "0 2 * * *"}, headers=now.etag)
    assert expressions() == ["cron(0 2 * * ? *)"]
    alice("PUT", path, FLOW | {"schedule": "0 2 * * *", "enabled": False}, headers=changed.etag)
    assert expressions() == []


def test_a_webhook_lives(alice: Client) -> None:
    """Created, listed, deleted; its secret is taken and never shown."""
    flow = deployed(alice)
    path = f"/v1/flows/{flow['id']}/webhooks"
    given = {"hmacAlgorithm": "sha256", "hmacSecretKey": "s3cret"}
    made = alice("POST", path, given)
    assert (made.status, made.body["hmacHeader"]) == (201, "X-Hub-Signature-256")
    assert "s3cret" not in json.dumps(made.body)
    assert alice("GET", path).body["data"] == [made.body]
    assert alice("DELETE", f"{path}/{made.body['id']}", headers=made.etag).status == 204
    assert alice("GET", path).body["data"] == []


def test_a_webhook_is_changed_in_place(alice: Client) -> None:
    """Its address and, left out, its secret stay; the trail tells, without the secret."""
    flow = deployed(alice)
    path = f"/v1/flows/{flow['id']}/webhooks"
    made = alice("POST", path, {"hmacAlgorithm": "sha1", "hmacSecretKey": "s3cret"})
    assert made.body["hmacPrefix"] == "sha1="
    place = f"{path}/{made.body['id']}"
    given = {"status": 200, "body": "ok", "format": "txt", "hmacAlgorithm": "sha512"}
    assert alice("PUT", place, given).status == 428
    put = alice("PUT", place, given, headers=made.etag)
    assert (put.status, put.headers["etag"]) == (200, '"2"')
    assert alice("GET", place).body == put.body
    assert given.items() <= put.body.items()
    assert alice("PUT", place, given, headers=made.etag).status == 412
    assert alice("PUT", place, given, headers=put.etag).headers["etag"] == '"2"'
    trail = alice("GET", f"/v1/flows/{flow['id']}/audit").body
    assert trail["data"][0]["event"] == "webhookReplaced"
    assert "s3cret" not in json.dumps(trail)
    off = alice("PUT", place, {}, headers=put.etag)
    assert off.body["hmacAlgorithm"] is None
    assert boto3.client("ssm").describe_parameters()["Parameters"] == []


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("status", 199),
        ("status", 600),
        ("body", "x" * 10_001),
        ("format", "html"),
        ("hmacAlgorithm", "RIPEMD128"),
        ("hmacAlgorithm", "md5"),
        ("hmacSecretKey", "x" * 129),
    ],
)
def test_a_bad_field_of_a_webhook_is_refused(alice: Client, field: str, bad: object) -> None:
    """By POST and PUT alike, where it stands."""
    path = f"/v1/flows/{deployed(alice)['id']}/webhooks"
    made = alice("POST", path, {})
    for answer in (
        alice("POST", path, {field: bad}),
        alice("PUT", f"{path}/{made.body['id']}", {field: bad}, headers=made.etag),
    ):
        assert answer.status == 422
        assert [at for _, at in answer.errors] == [f"/{field}"]
        if bad == "RIPEMD128":
            assert "ripemd128" in answer.body["errors"][0]["message"]


def test_a_callback_lives(alice: Client) -> None:
    """Created once for a key, read, listed, changed, deleted; the trail tells."""
    flow = alice("POST", "/v1/flows", {"name": "Orders"}).body
    path = f"/v1/flows/{flow['id']}/callbacks"
    given = {"name": "ERP", "stableKey": "erp", "status": 201, "format": "xml"}
    once = {"Idempotency-Key": "k1"}
    made = alice("POST", path, given, headers=once)
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    assert alice("POST", path, given, headers=once).body == made.body
    assert alice("POST", path, given).status == 409
    assert given.items() <= made.body.items()
    place = f"{path}/{made.body['id']}"
    assert alice("GET", place).body == made.body
    assert alice("GET", path).body["data"] == [made.body]
    assert alice("GET", f"/v1/flows/{flow['id']}").body["callbackIds"] == [made.body["id"]]
    assert alice("PUT", place, {}).status == 428
    changed = alice("PUT", place, {"format": "csv"}, headers=made.etag)
    assert (changed.body["status"], changed.body["format"]) == (200, "csv")
    assert alice("PUT", place, {"format": "csv"}, headers=changed.etag).body == changed.body
    assert alice("DELETE", place, headers=made.etag).status == 412
    assert alice("DELETE", place, headers=changed.etag).status == 204
    assert alice("GET", place).status == 404
    events = [e["event"] for e in alice("GET", f"/v1/flows/{flow['id']}/audit").body["data"]]
    assert events == ["callbackDeleted", "callbackReplaced", "callbackCreated", "created"]


def test_addresses_are_patched(alice: Client) -> None:
    """Over their revision, in the trail of the flow; a webhook's secret is nowhere in it."""
    path = f"/v1/flows/{deployed(alice)['id']}"
    signed = {"hmacAlgorithm": "sha256", "hmacSecretKey": "s3cret-old"}
    hook = alice("POST", f"{path}/webhooks", signed)
    place = f"{path}/webhooks/{hook.body['id']}"
    patch = [
        {"op": "test", "path": "/hmacAlgorithm", "value": "sha256"},
        {"op": "replace", "path": "/hmacSecretKey", "value": "s3cret-new"},
        {"op": "replace", "path": "/status", "value": 200},
    ]
    assert alice("PATCH", place, patch).status == 428
    changed = alice("PATCH", place, patch, headers=hook.etag)
    assert (changed.status, changed.body["status"], changed.headers["etag"]) == (200, 200, '"2"')
    assert changed.body == alice("GET", place).body
    unsigned = [{"op": "remove", "path": "/hmacSecretKey"}]
    refused = alice("PATCH", place, unsigned, headers=changed.etag)
    assert (refused.status, refused.errors) == (422, {("writeOnly", "/0/path")})
    bad = [{"op": "remove", "path": "/hmacAlgorithm"}, patch[1]]
    refused = alice("PATCH", place, bad, headers=changed.etag)
    assert (refused.status, refused.errors) == (422, {("algorithmMissing", "/0/path")})

    callback = alice("POST", f"{path}/callbacks", {})
    place = f"{path}/callbacks/{callback.body['id']}"
    patch = [{"op": "replace", "path": "/format", "value": "xml"}]
    changed = alice("PATCH", place, patch, headers=callback.etag)
    assert (changed.status, alice("GET", place).body["format"]) == (200, "xml")
    trail = alice("GET", f"{path}/audit").body["data"]
    assert [entry["event"] for entry in trail[:4]] == [
        "callbackPatched",
        "callbackCreated",
        "webhookPatched",
        "webhookCreated",
    ]
    assert trail[2]["changes"][0]["after"].keys() == {"status", "secretsVersion"}
    assert "s3cret" not in json.dumps(trail)


def test_a_deleted_flow_takes_its_callbacks_along(alice: Client) -> None:
    """And its webhooks, and every secret."""
    key = {"organizationApiKeys": ["k3y-of-sixteen-or-more"]}
    flow = alice("POST", "/v1/flows", {"name": "Orders", **key})
    path = f"/v1/flows/{flow.body['id']}"
    callback = alice("POST", f"{path}/callbacks", {}).body["id"]
    hook = {"hmacAlgorithm": "sha256", "hmacSecretKey": "s3cret"}
    webhook = alice("POST", f"{path}/webhooks", hook).body["id"]
    assert alice("DELETE", path, headers=flow.etag).status == 204
    for part in (f"callbacks/{callback}", f"webhooks/{webhook}"):
        assert alice("GET", f"{path}/{part}").status == 404
    assert boto3.client("ssm").describe_parameters()["Parameters"] == []


def test_a_flows_trail_is_shown(alice: Client) -> None:
    """Who, what and when over the API, newest first, also after the flow is gone."""
    flow = alice("POST", "/v1/flows", FLOW)
    path = f"/v1/flows/{flow.body['id']}"
    alice("DELETE", path, headers=flow.etag)
    listed = alice("GET", f"{path}/audit")
    assert listed.status == 200
    deleted, created = listed.body["data"]
    assert (deleted["event"], created["event"]) == ("deleted", "created")
    assert created["by"].startswith("tok_")
    assert created["requestId"]
    assert created["at"].endswith("Z")
    version = created["changes"][1]
    assert (version["resourceType"], version["before"]) == ("version", None)
    assert version["after"]["steps"][0]["id"] == "map"
    newest = alice("GET", f"{path}/audit", query={"perPage": "1"})
    assert newest.body["data"] == [deleted]
    assert f'<{newest.body["links"]["next"]}>; rel="next"' in newest.headers["link"]


def test_a_run_is_started_and_seen(stack: Stack, alice: Client) -> None:
    """Started by hand, accepted with its address, listed, and its output looked at."""
    flow = deployed(alice)
    started = alice("POST", f"/v1/flows/{flow['id']}/run", {"payload": [{"n": 1}, {"n": 2}]})
    assert (started.status, started.body["status"]) == (202, "running")
    run_id = started.body["runId"]
    assert started.headers["location"] == f"/v1/runs/{run_id}"
    run = alice("GET", f"/v1/runs/{run_id}").body
    assert (run["status"], run["attempt"], run["steps"]) == ("running", 1, [])
    assert run["trigger"]["source"] == "manual"

    task = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}
    told = stack.functions["run_step"]({"stepId": "map", **task}, LambdaContext())
    assert told["status"] == "succeeded"
    stack.functions["lifecycle"]({"event": "attemptSucceeded", **task}, LambdaContext())

    run = alice("GET", f"/v1/runs/{run_id}").body
    assert (run["status"], run["counts"]["recordsOut"]) == ("succeeded", 2)
    assert [step["stepId"] for step in run["steps"]] == ["map"]
    (listed,) = alice("GET", f"/v1/flows/{flow['id']}/runs").body["data"]
    assert (listed["id"], listed["status"]) == (run_id, "succeeded")
    output = f"/v1/runs/{run_id}/steps/map/output"
    assert alice("GET", output).body == {"data": [{"n": 1}, {"n": 2}], "truncated": False}
    assert alice("GET", output, query={"limit": "1"}).body["truncated"] is True


def test_a_run_needs_no_body(alice: Client) -> None:
    """`curl -X POST .../run` is enough."""
    flow = deployed(alice)
    assert alice("POST", f"/v1/flows/{flow['id']}/run").status == 202
    assert alice("POST", f"/v1/flows/{flow['id']}/run", {}).status == 202


def test_a_file_is_applied(alice: Client) -> None:
    """Connections, actions and flows at once; the second time nothing changes."""
    document = {
        "connections": [CONNECTION],
        "flows": [
            FLOW | {"webhooks": [{"stableKey": "github"}], "callbacks": [{"stableKey": "till"}]}
        ],
    }
    first = alice("POST", "/v1/apply", document)
    assert first.status == 200
    (flow,) = first.body["flows"]
    assert (flow["change"], flow["deployed"], flow["versionNumber"]) == ("created", True, 1)
    assert flow["webhooks"][0]["path"].startswith("/hooks/hook_")
    assert flow["callbacks"][0]["path"].startswith("/callbacks/cb_")
    second = alice("POST", "/v1/apply", document)
    assert [each["change"] for each in second.body["connections"] + second.body["flows"]] == [
        "unchanged",
        "unchanged",
    ]


def test_lists_are_paged_by_their_links(alice: Client) -> None:
    """Following `links.next` gives everything once, in the order of creation."""
    ids = [
        alice("POST", "/v1/connections", {"name": f"{n}", "baseUrl": "https://a.example"}).body[
            "id"
        ]
        for n in range(5)
    ]
    seen: list[str] = []
    path: str | None = "/v1/connections?perPage=2"
    while path is not None:
        bare, _, query = path.partition("?")
        page = alice("GET", bare, query=dict(part.split("=") for part in query.split("&")))
        seen += [each["id"] for each in page.body["data"]]
        path = page.body["links"]["next"]
    assert seen == ids


# Powertools reads the page's scripts without closing the files.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_documentation_is_served(alice: Client) -> None:
    """A page for people and a document for programs."""
    page = alice("GET", "/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html")
    document = alice("GET", "/docs", query={"format": "json"})
    assert "/v1/flows/{flow_id}" in document.body["paths"]


def test_no_secret_is_in_the_table(alice: Client) -> None:
    """Whoever reads the whole table finds neither tokens nor keys."""
    auth = {"auth": {"type": "bearer", "token": "t0ken"}}
    alice("POST", "/v1/connections", CONNECTION | auth)
    flow = deployed(alice)
    hook = {"hmacAlgorithm": "sha256", "hmacSecretKey": "s3cret"}
    alice("POST", f"/v1/flows/{flow['id']}/webhooks", hook)
    items = str(boto3.client("dynamodb").scan(TableName=TABLE)["Items"])
    secret = alice.token.rpartition(".")[2]
    assert not any(text in items for text in ("t0ken", "s3cret", secret))
