"""Every field of a flow and of a step over the real routes: kept, or refused where it stands."""

import json
from typing import Any, Final

import boto3
import pytest
from tests.support.app import Client
from tests.support.aws import TABLE

from millrace.domain.flow import FlowInput
from millrace.domain.step import Step
from millrace.domain.token import Role
from millrace.usecases.patch import PATCHABLE

STEP: Final = {
    "id": "read",
    "type": "Process",
    "action": {"type": "Process", "operations": [{"type": "map", "expression": "$"}]},
}
EXPORT: Final = {
    "id": "read",
    "type": "Export",
    "action": {"type": "Export", "connectionId": "@connection", "http": {"path": "/orders"}},
}
KEY: Final = "k3y-of-sixteen-or-more"
WRITE_ONLY: Final = {"organizationApiKeys"}

FLOW_FIELDS: Final[list[tuple[str, Any, Any, str]]] = [
    # field, a good value, a bad one, where the bad one is complained of
    ("name", "Invoices", "", "/name"),
    ("description", "of today", 1, "/description"),
    ("integrationId", "@integration", "int_9", "/integrationId"),
    ("flowGroupId", "nightly", "daily", "/flowGroupId"),
    ("sortOrder", 7, -1, "/sortOrder"),
    ("stableKey", "invoices", "with space", "/stableKey"),
    ("externalId", "erp-1", "", "/externalId"),
    ("version", "2.0", "1.0", "/version"),
    ("prodFlag", True, "perhaps", "/prodFlag"),
    ("nuxVisible", False, None, "/nuxVisible"),
    ("layoutDirection", "vertical", "upwards", "/layoutDirection"),
    ("labels", ["@label"], ["lbl_9"], "/labels/0"),
    ("settings", {"a": {"b": None}}, {"a": "x" * 70_000}, "/settings"),
    (
        "aliases",
        [{"alias": "shop", "description": "ours", "connectionId": "@connection"}],
        [{"alias": "shop", "connectionId": "con_9"}],
        "/aliases/0/connectionId",
    ),
    (
        "trigger",
        {"kind": "queue", "queue": "millrace-data-orders", "settings": {"of": "a"}},
        {"kind": "magic"},
        "/trigger/kind",
    ),
    ("schedule", "? 0 2 ? * *", "every day", "/schedule"),
    ("timezone", "Europe/Paris", "Europe/Atlantis", "/timezone"),
    ("scheduleStartDate", "2026-12-01T00:00:00.000Z", "2026-12-01", "/scheduleStartDate"),
    ("scheduleEndDate", "2027-12-01T00:00:00.000Z", 1, "/scheduleEndDate"),
    ("isSynchronous", True, None, "/isSynchronous"),
    ("endpointSecurityType", "organization", "open", "/endpointSecurityType"),
    ("organizationApiKeys", [KEY], ["short"], "/organizationApiKeys/0"),
    ("runNextFlowIds", ["@flow"], ["flow_9"], "/runNextFlowIds/0"),
    ("retryMaxAttempts", 10, 11, "/retryMaxAttempts"),
    ("retryDelayMinutes", 60, 61, "/retryDelayMinutes"),
    ("retryUsesExponentialBackoff", True, None, "/retryUsesExponentialBackoff"),
    ("retryUniqueRequestIdField", "headers.id", "headers.(", "/retryUniqueRequestIdField"),
    ("skipRetries", True, None, "/skipRetries"),
    ("autoResolveMatchingTraceKeys", False, None, "/autoResolveMatchingTraceKeys"),
    ("removeFailedPayloads", True, None, "/removeFailedPayloads"),
    ("priority", 1, 6, "/priority"),
    ("useQueuedTime", False, None, "/useQueuedTime"),
    (
        "concurrency",
        {"limit": 1, "onConflict": "reject", "keyExpression": "customer"},
        {"limit": 1, "keyExpression": "customer.("},
        "/concurrency/keyExpression",
    ),
    ("runPageGeneratorsInParallel", True, None, "/runPageGeneratorsInParallel"),
    ("notificationGroups", ["@notificationGroup"], ["ntf_9"], "/notificationGroups/0"),
    ("notificationId", "n-1", "", "/notificationId"),
    (
        "logging",
        {"debugUntil": "2026-01-31T12:00:00.000Z"},
        {"debugUntil": "tomorrow"},
        "/logging/debugUntil",
    ),
    ("testPayload", '{"n": 1}', 1, "/testPayload"),
    ("testContentType", "application/json", "json", "/testContentType"),
    ("testHeaders", {"X-Id": "1"}, {"X-Id": "a\nb"}, "/testHeaders/X-Id"),
    ("enabled", False, None, "/enabled"),
    ("disabled", True, "perhaps", "/disabled"),
    ("enabledAt", None, "yesterday", "/enabledAt"),
    ("steps", [STEP], [{"id": "read", "type": "Read"}], "/steps/0/type"),
]
TOGETHER: Final[dict[str, dict[str, Any]]] = {
    "flowGroupId": {"integrationId": "@integration"},
    "endpointSecurityType": {"organizationApiKeys": [KEY]},
}
"""What a field needs beside it."""

STEP_FIELDS: Final[list[tuple[str, Any, Any, str]]] = [
    ("id", "read", "with space", "/id"),
    ("name", "Read", "", "/name"),
    ("type", "Export", "Read", "/type"),
    ("referrer", None, "act_9", "/referrer"),
    ("action", EXPORT["action"], {"type": "Export"}, "/action/http"),
    ("flowId", None, "flow_9", "/flowId"),
    ("dependsOn", [], ["nothing"], "/dependsOn/0"),
    ("isSkipped", False, None, "/isSkipped"),
    (
        "exceptionBehavior",
        [{"type": "failure", "strategy": "continue"}],
        [{"type": "failure", "strategy": "sometimes"}],
        "/exceptionBehavior/0/strategy",
    ),
    (
        "retry",
        {
            "maxAttempts": 2,
            "intervalSeconds": 5,
            "backoffRate": 1.5,
            "maxDelaySeconds": 60,
            "jitter": False,
        },
        {"intervalSeconds": 0},
        "/retry/intervalSeconds",
    ),
    ("timeoutSeconds", 60, 0, "/timeoutSeconds"),
    ("filter", "wanted", "wanted.(", "/filter"),
    ("onNotMatching", "pass", "wait", "/onNotMatching"),
    ("exclusiveGroup", "router-1", "with space", "/exclusiveGroup"),
    ("proceedOnFailure", True, None, "/proceedOnFailure"),
    ("skipRetries", True, None, "/skipRetries"),
    ("traceKey", "order.id", "order.(", "/traceKey"),
    (
        "responseMapping",
        {
            "fields": [{"extract": "data", "generate": "found"}],
            "lists": [{"generate": "all", "fields": [{"extract": "id", "generate": "id"}]}],
        },
        {"fields": [{"extract": "data"}]},
        "/responseMapping/fields/0/generate",
    ),
    ("schedule", "rate(5 minutes)", "often", "/schedule"),
    ("keepDeltaBehindFlowId", None, "flow_9", "/keepDeltaBehindFlowId"),
    ("keepDeltaBehindExportId", None, "read", "/keepDeltaBehindExportId"),
    (
        "concurrency",
        {"limit": 2, "onConflict": "queue", "keyExpression": None},
        {"limit": 0},
        "/concurrency/limit",
    ),
    ("position", {"x": 1.5, "y": -2.0}, {"x": 1}, "/position/y"),
    ("modelId", "m-1", 1, "/modelId"),
    ("workspaceId", "w-1", 1, "/workspaceId"),
]
STAMPS: Final = {"createdBy", "createdDate", "modifiedBy", "modifiedDate"}


@pytest.fixture
def ids(alice: Client) -> dict[str, str]:
    """One of everything that a flow may refer to."""
    given: dict[str, dict[str, Any]] = {
        "integration": {"name": "ERP", "groups": [{"id": "nightly", "name": "Nightly"}]},
        "connection": {"name": "Shop", "baseUrl": "https://shop.example"},
        "label": {"name": "Finance", "colour": "#00aa00"},
        "notificationGroup": {
            "name": "On call",
            "targets": [{"type": "email", "address": "ops@shop.example"}],
        },
        "flow": {"name": "Next"},
    }
    return {
        f"@{noun}": alice("POST", f"/v1/{noun}s", body).body["id"] for noun, body in given.items()
    }


def named(value: Any, ids: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """The value with real ids for the names of what they are ids of."""
    text = json.dumps(value)
    for name, id_ in ids.items():
        text = text.replace(f'"{name}"', f'"{id_}"')
    return json.loads(text)


def shows(body: dict[str, Any], field: str, value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether an answer has a field as it was sent, with what we tell beside it."""
    if field in WRITE_ONLY:
        return field not in body and body["organizationApiKeysCount"] == len(value)
    return holds(body[field], value)


def holds(told: Any, sent: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether all that was sent is in what is told; objects have defaults beside it."""
    match told, sent:
        case dict(), dict():
            return all(name in told and holds(told[name], sent[name]) for name in sent)
        case list(), list():
            return len(told) == len(sent) and all(map(holds, told, sent))
        case _:
            return bool(told == sent)


def test_the_tables_name_every_field() -> None:
    """A new field of a flow or a step needs a row."""
    flow = {info.alias or name for name, info in FlowInput.model_fields.items()}
    step = {info.alias or name for name, info in Step.model_fields.items()}
    assert {field for field, *_ in FLOW_FIELDS} == flow
    assert {field for field, *_ in STEP_FIELDS} | STAMPS == step


@pytest.mark.parametrize(
    ("field", "good"), [row[:2] for row in FLOW_FIELDS], ids=[row[0] for row in FLOW_FIELDS]
)
def test_a_field_of_a_flow_round_trips(
    alice: Client, ids: dict[str, str], field: str, good: object
) -> None:
    """Through POST and GET, PUT and GET, PATCH and GET; a PUT without it gives its default back."""
    value = named(good, ids)
    sent = {"name": "Orders", **named(TOGETHER.get(field, {}), ids), field: value}
    made = alice("POST", "/v1/flows", sent)
    assert made.status == 201, made.body
    path = f"/v1/flows/{made.body['id']}"
    assert alice("GET", path).body == made.body
    assert shows(made.body, field, value)

    bare = alice("PUT", path, {"name": "Bare", "organizationApiKeys": []}, headers=made.etag)
    assert bare.status == 200, bare.body
    assert not shows(bare.body, field, value) or field in {"version", "name"}
    put = alice("PUT", path, sent, headers=bare.etag)
    assert put.status == 200, put.body
    assert shows(alice("GET", path).body, field, value)

    if f"/{field}" in PATCHABLE:
        bare = alice("PUT", path, {"name": "Bare", "organizationApiKeys": []}, headers=put.etag)
        patch = [
            {"op": "add", "path": f"/{name}", "value": sent[name]}
            for name in sent
            if name != "name"
        ] or [{"op": "replace", "path": "/name", "value": value}]
        patched = alice("PATCH", path, patch, headers=bare.etag)
        assert patched.status == 200, patched.body
        assert shows(alice("GET", path).body, field, value)
    stored = str(boto3.client("dynamodb").scan(TableName=TABLE)["Items"])
    audit = json.dumps(alice("GET", f"{path}/audit").body)
    assert KEY not in stored + audit + json.dumps(put.body)


@pytest.mark.parametrize(
    ("field", "bad", "pointer"),
    [(field, bad, pointer) for field, _, bad, pointer in FLOW_FIELDS],
    ids=[row[0] for row in FLOW_FIELDS],
)
def test_a_bad_value_of_a_flow_is_refused_where_it_stands(
    alice: Client, ids: dict[str, str], field: str, bad: object, pointer: str
) -> None:
    """By POST, PUT and PATCH alike, and nothing is stored."""
    value = named(bad, ids)
    beside = named(TOGETHER.get(field, {}), ids)
    refused = alice("POST", "/v1/flows", {"name": "Orders", **beside, field: value})
    assert (refused.status, pointer in {at for _, at in refused.errors}) == (422, True), refused
    made = alice("POST", "/v1/flows", {"name": "Orders", **beside})
    path = f"/v1/flows/{made.body['id']}"
    put = alice("PUT", path, {"name": "Orders", **beside, field: value}, headers=made.etag)
    assert (put.status, pointer in {at for _, at in put.errors}) == (422, True), put
    if f"/{field}" in PATCHABLE:
        patch = [{"op": "replace", "path": f"/{field}", "value": value}]
        patched = alice("PATCH", path, patch, headers=made.etag)
        where = f"/0/value{pointer.removeprefix(f'/{field}')}"
        assert (patched.status, where in {at for _, at in patched.errors}) == (422, True), patched
    assert alice("GET", path).body == made.body


def test_all_faults_of_a_flow_are_told_at_once(alice: Client, ids: dict[str, str]) -> None:
    """Those of its shape together, and those of its rules together."""
    by_shape = {"name": "Orders", "priority": 9, "sortOrder": -1, "nmae": 1}
    assert {at for _, at in alice("POST", "/v1/flows", by_shape).errors} >= {
        "/priority",
        "/sortOrder",
        "/nmae",
    }
    by_rule = {
        "name": "Orders",
        "labels": [ids["@label"], "lbl_9"],
        "flowGroupId": "nightly",
        "isSynchronous": True,
        "retryMaxAttempts": 2,
        "retryDelayMinutes": 1,
        "endpointSecurityType": "organization",
        "retryUniqueRequestIdField": "a.(",
        "steps": [{"id": "sub", "type": "Flow"}, {**STEP, "flowId": ids["@flow"]}],
    }
    refused = alice("POST", "/v1/flows", by_rule)
    assert refused.errors == {
        ("unknownLabel", "/labels/1"),
        ("groupWithoutIntegration", "/flowGroupId"),
        ("synchronousFlowRetry", "/retryMaxAttempts"),
        ("synchronousFlowRetry", "/retryDelayMinutes"),
        ("synchronousFlowRetry", "/retryUniqueRequestIdField"),
        ("badExpression", "/retryUniqueRequestIdField"),
        ("apiKeysMissing", "/organizationApiKeys"),
        ("flowMissing", "/steps/0/flowId"),
        ("flowOfNoFlowStep", "/steps/1/flowId"),
    }


@pytest.mark.parametrize(
    ("field", "good", "bad", "pointer"), STEP_FIELDS, ids=[row[0] for row in STEP_FIELDS]
)
def test_a_field_of_a_step_round_trips_or_is_refused(
    alice: Client, ids: dict[str, str], field: str, good: object, bad: object, pointer: str
) -> None:
    """Through POST and PUT; a bad value has its pointer, and nothing is stored."""
    step = named({**EXPORT, field: good}, ids)
    made = alice("POST", "/v1/flows", {"name": "Orders", "steps": [step]})
    assert made.status == 201, made.body
    assert holds(made.body["steps"][0][field], step[field])
    path = f"/v1/flows/{made.body['id']}"
    worse = named({**EXPORT, field: bad}, ids)
    put = alice("PUT", path, {"name": "Orders", "steps": [worse]}, headers=made.etag)
    assert (put.status, f"/steps/0{pointer}" in {at for _, at in put.errors}) == (422, True), put
    assert alice("GET", path).body == made.body
    back = {"name": "Orders", "steps": made.body["steps"]}
    assert alice("PUT", path, back, headers=made.etag).headers["etag"] == made.headers["etag"]


def test_a_flow_is_found_by_its_key_in_its_integration(alice: Client) -> None:
    """By the integration's id or key; without one, among those that are in none."""
    erp = alice("POST", "/v1/integrations", {"name": "ERP", "stableKey": "erp"}).body
    placed = {"name": "Orders", "stableKey": "orders", "integrationId": erp["id"]}
    inside = alice("POST", "/v1/flows", placed).body
    outside = alice("POST", "/v1/flows", {"name": "Orders", "stableKey": "orders"}).body
    for name, found in (
        ("erp/orders", [inside["id"]]),
        (f"{erp['id']}/orders", [inside["id"]]),
        ("orders", [outside["id"]]),
        ("crm/orders", []),
    ):
        listed = alice("GET", "/v1/flows", query={"filter[stableKey]": name})
        assert [flow["id"] for flow in listed.body["data"]] == found
    assert alice("GET", "/v1/flows", query={"filter[stableKey]": "a/b/c"}).status == 400


@pytest.mark.parametrize(
    ("role", "may"), [("viewer", False), ("operator", False), ("editor", True), ("admin", True)]
)
def test_what_the_role_permits_is_told(alice: Client, role: Role, *, may: bool) -> None:
    """Each caller reads of the same flow what it may do with it."""
    flow = alice("POST", "/v1/flows", {"name": "Orders"}).body
    text = alice("POST", "/v1/tokens", {"name": "theirs", "role": role}).body["token"]
    theirs = Client(alice.api, alice.authorizer, text)
    seen = theirs("GET", f"/v1/flows/{flow['id']}").body
    assert (seen["allowUpdate"], seen["allowRemove"]) == (may, may)


def test_a_synchronous_flow_waits_for_no_other(alice: Client, ids: dict[str, str]) -> None:
    """A machine that would wait for ever is not made."""
    steps = [{"id": "sub", "type": "Flow", "flowId": ids["@flow"]}]
    made = alice("POST", "/v1/flows", {"name": "Outer", "steps": steps, "isSynchronous": True})
    assert made.body["steps"][0]["flowId"] == ids["@flow"]
    path = f"/v1/flows/{made.body['id']}/versions/{made.body['latestVersionId']}"
    etag = alice("GET", path).etag
    refused = alice("PUT", path, {"deployedAt": "2026-01-31T12:00:00Z"}, headers=etag)
    assert refused.errors == {("subflowOfSynchronousFlow", "/steps/0/type")}
    assert boto3.client("stepfunctions").list_state_machines()["stateMachines"] == []
