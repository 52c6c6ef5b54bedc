"""What the control plane answers when a request is wrong: all faults at once, nothing stored."""

import json
import re
from base64 import b64encode
from typing import Any

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.test_api_resources import CONNECTION, FLOW, STEP, deployed
from tests.support.app import Client, LambdaContext, answer_of, documented, event, http_event
from tests.support.aws import TABLE
from tests.support.collections import SAMPLES
from tests.support.samples import failed_record

from millrace import limits
from millrace.domain.errors import DomainError
from millrace.http.problems import STATUS

JSON_TYPE = {"Content-Type": "application/json"}
PATCH = [{"op": "replace", "path": "/name", "value": "mine"}]


def table() -> list[dict[str, Any]]:
    """Everything that is stored, but for when tokens were used, as each request is a use."""
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=TABLE)
    items: list[dict[str, Any]] = [dict(item) for page in pages for item in page["Items"]]
    for item in items:
        item.pop("lastUsedAt", None)
    return sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"name": "Shop"', "Expecting"),
        (
            b'{"name": "a", "name": "b"}',
            "the key 'name' appears twice in one object: line 1 column 15",
        ),
        (b'{"z": "z",\n"y": [{"z": 1, "\\u007a": 2}]}', "twice in one object: line 2 column 16"),
        (b'{"name": "NaN", "a": NaN}', "NaN is not JSON: line 1 column 22"),
        (b'{"name":\n-Infinity}', "-Infinity is not JSON: line 2 column 1"),
        (b'{"name": 1e999}', "1e999 is too large: line 1 column 10"),
        (
            rb'["\ud83d\ude00", "\ud83d"]',
            "half a surrogate pair, which is no Unicode text: line 1 column 18",
        ),
        (b'{"name": "\xff"}', "utf-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ("{}".encode("utf-16"), "utf-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{} {}", "Extra data"),
        (b" ", "Expecting value"),
    ],
)
def test_p3_a_body_that_is_no_json_is_400(alice: Client, body: bytes, words: str) -> None:
    """The answer says what is wrong with it, whatever the route, and nothing is stored."""
    before = table()
    for path in ("/v1/connections", "/v1/flows", "/v1/apply"):
        answer = alice("POST", path, body, headers={"Content-Type": "application/octet-stream"})
        assert answer.status == 415
        request = http_event("api", "POST", path, None, JSON_TYPE)
        request |= {"body": b64encode(body).decode(), "isBase64Encoded": True}
        answer = answer_of(alice.api(request, LambdaContext()))
        assert (answer.status, answer.body["code"]) == (400, "invalidRequest")
        assert words in answer.body["errors"][0]["message"]
    assert table() == before


@pytest.mark.parametrize("body", ["null", "1", '"text"', "[]", "[{}]", "true"])
@pytest.mark.parametrize("path", ["/v1/connections", "/v1/flows", "/v1/apply"])
def test_json_that_is_no_object_is_422(alice: Client, path: str, body: str) -> None:
    """JSON it is, but not a document of ours."""
    answer = alice("POST", path, body.encode(), headers=JSON_TYPE)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.body["errors"]


def test_a_missing_body_is_422(alice: Client) -> None:
    """A POST without anything says what it needs."""
    assert alice("POST", "/v1/connections").status == 422
    assert alice("POST", "/v1/apply").status == 422


def test_all_faults_of_shape_are_named_at_once(alice: Client) -> None:
    """Unknown, missing and wrong fields, each with its place in the document."""
    before = table()
    flow = {
        "nmae": "Orders",
        "retryMaxAttempts": 11,
        "timezone": "Mars/Olympus",
        "schedule": "often",
        "steps": [
            {
                "id": "read/orders",
                "type": "Export",
                "action": {
                    "type": "Export",
                    "connectionId": "con_1",
                    "http": {
                        "path": "orders",
                        "pagination": {"type": "offset", "limit": 0, "limt": 5},
                    },
                },
            },
            {"id": "b", "type": "Teleport", "exceptionBehavior": [{"type": "failure"}]},
        ],
    }
    answer = alice("POST", "/v1/flows", flow)
    assert (answer.status, answer.body["code"]) == (422, "ruleViolation")
    assert answer.body["type"] == "urn:millrace:problem:ruleViolation"
    assert answer.errors >= {
        ("unknownField", "/nmae"),
        ("missingField", "/name"),
        ("lessThanEqual", "/retryMaxAttempts"),
        ("valueError", "/timezone"),
        ("valueError", "/schedule"),
        ("stringPatternMismatch", "/steps/0/id"),
        ("stringPatternMismatch", "/steps/0/action/http/path"),
        ("greaterThanEqual", "/steps/0/action/http/pagination/limit"),
        ("unknownField", "/steps/0/action/http/pagination/limt"),
        ("literalError", "/steps/1/type"),
        ("missingField", "/steps/1/exceptionBehavior/0/strategy"),
    }
    assert table() == before


def test_all_broken_rules_are_named_at_once(alice: Client) -> None:
    """Cycles, unknown steps, connections, actions, bad expressions: one answer, nothing stored."""
    before = table()
    process = {"type": "Process", "operations": [{"type": "filter", "expression": "(("}]}
    export = {"type": "Export", "connectionId": "con_9", "http": {"path": "/orders"}}
    steps = [
        {"id": "a", "type": "Process", "action": process, "dependsOn": ["b"]},
        {"id": "b", "type": "Export", "action": export, "dependsOn": ["a", "nowhere"]},
        {"id": "c", "type": "Import", "referrer": "act_9"},
        {"id": "d", "type": "Import", "referrer": ""},
        {"id": "e", "type": "Export", "action": export | {"connectionId": "x" * 3_000}},
    ]
    answer = alice("POST", "/v1/flows", {"name": "Orders", "steps": steps})
    assert (answer.status, answer.body["code"]) == (422, "ruleViolation")
    assert answer.errors >= {
        ("unknownDependency", "/steps/1/dependsOn/1"),
        ("badExpression", "/steps/0/action/operations/0/expression"),
        ("unknownConnection", "/steps/1/action/connectionId"),
        ("unknownAction", "/steps/2/referrer"),
        ("unknownAction", "/steps/3/referrer"),
        ("unknownConnection", "/steps/4/action/connectionId"),
    }
    assert any("cycle" in code for code, _ in answer.errors)
    assert all(error["remedy"] for error in answer.body["errors"])
    assert table() == before


def test_p10_all_faults_of_a_graph_are_named_at_once(alice: Client) -> None:
    """A circle, a step after itself, unknown and repeated ids, each with its pointer."""
    before = table()
    graph = {
        "read": ["last"],
        "sort": ["read"],
        "last": ["sort"],
        "selfish": ["selfish"],
        "lost": ["nowhere", "read", "read"],
    }
    steps = [
        {"id": id_, "type": "Process", "action": STEP, "dependsOn": after}
        for id_, after in graph.items()
    ]
    for method, path, headers in (
        ("POST", "/v1/flows", {}),
        ("PUT", "/v1/flows/{id}", {"If-Match": '"1"'}),
    ):
        made = alice("POST", "/v1/flows", {"name": "Draft"}) if method == "PUT" else None
        place = path.format(id=made.body["id"] if made else "")
        given = {"name": "Orders", "steps": [*steps, steps[1]]}
        answer = alice(method, place, given, headers=headers)
        assert (answer.status, answer.errors) == (
            422,
            {
                ("cycle", "/steps/0/dependsOn/0"),
                ("selfDependency", "/steps/3/dependsOn/0"),
                ("unknownDependency", "/steps/4/dependsOn/0"),
                ("duplicateDependency", "/steps/4/dependsOn/2"),
                ("duplicateId", "/steps/5/id"),
            },
        )
        if made is None:
            assert table() == before


def test_p10_a_graph_may_have_several_roots(alice: Client) -> None:
    """Two sources, and a step that nothing depends on: each is a flow's good right."""
    steps = [
        {"id": id_, "type": "Process", "action": STEP, "dependsOn": after}
        for id_, after in {"one": [], "two": [], "both": ["one", "two"], "alone": []}.items()
    ]
    made = alice("POST", "/v1/flows", {"name": "Orders", "steps": steps})
    assert (made.status, made.body["stepsCount"]) == (201, 4)


def test_faults_of_a_file_point_into_it(alice: Client) -> None:
    """The same for `apply`: nothing of the file is stored, not even its good parts."""
    before = table()
    document = {
        "connections": [CONNECTION],
        "flows": [FLOW | {"steps": [{"id": "a", "type": "Process", "dependsOn": ["a"]}]}],
        "conections": [],
    }
    answer = alice("POST", "/v1/apply", document)
    assert answer.status == 422
    assert answer.errors == {
        ("unknownField", "/conections"),
        ("selfDependency", "/flows/0/steps/0/dependsOn/0"),
        ("actionMissing", "/flows/0/steps/0"),
    }
    assert table() == before


def test_bad_parameters_are_400(alice: Client) -> None:
    """Page sizes, cursors, filters and ETags that make no sense."""
    flow = alice("POST", "/v1/flows", FLOW)
    path = f"/v1/flows/{flow.body['id']}"
    for query in (
        {"perPage": "0"},
        {"perPage": "101"},
        {"perPage": "x"},
        {"cursor": "e30"},
        {"cursor": "x" * 2_000},
        {"filter[stableKey]": "not a key"},
    ):
        answer = alice("GET", "/v1/flows", query=query)
        assert (answer.status, answer.body["code"]) == (400, "invalidRequest"), query
    for etag in ("1", "*", '"x"', '"1", "2"', '"' + "9" * 40 + '"'):
        assert alice("PUT", path, FLOW, headers={"If-Match": etag}).status == 400


def test_c1_a_change_needs_the_revision_that_was_read(alice: Client) -> None:
    """Without If-Match 428, with an old one 412; the resource stays as it is."""
    flow = alice("POST", "/v1/flows", FLOW)
    connection = alice("POST", "/v1/connections", CONNECTION)
    action = alice("POST", "/v1/actions", {"name": "n", "work": STEP})
    hooks = f"/v1/flows/{flow.body['id']}/webhooks"
    hook = alice("POST", hooks, {})
    version = f"/v1/flows/{flow.body['id']}/versions/{flow.body['latestVersionId']}"
    before = table()
    for method, path, body in (
        ("PUT", f"/v1/flows/{flow.body['id']}", FLOW),
        ("PATCH", f"/v1/flows/{flow.body['id']}", PATCH),
        ("DELETE", f"/v1/flows/{flow.body['id']}", None),
        ("PUT", f"/v1/connections/{connection.body['id']}", CONNECTION),
        ("DELETE", f"/v1/connections/{connection.body['id']}", None),
        ("PUT", f"/v1/actions/{action.body['id']}", {"name": "m", "work": action.body["work"]}),
        ("DELETE", f"/v1/actions/{action.body['id']}", None),
        ("PUT", version, {"deployedAt": "2026-01-31T12:00:00Z"}),
        ("PUT", version, {"deployedAt": None}),
        ("DELETE", version, None),
        ("DELETE", f"{hooks}/{hook.body['id']}", None),
    ):
        none = alice(method, path, body)
        assert (none.status, none.body["code"]) == (428, "preconditionRequired"), path
        stale = alice(method, path, body, headers={"If-Match": '"7"'})
        assert (stale.status, stale.body["code"]) == (412, "revisionMismatch"), path
    assert table() == before


def test_a_conflict_is_409(alice: Client) -> None:
    """A stable key that is taken, a flow that is deployed, a run of nothing."""
    alice("POST", "/v1/connections", CONNECTION)
    taken = alice("POST", "/v1/connections", CONNECTION)
    assert (taken.status, taken.body["code"]) == (409, "conflict")
    draft = alice("POST", "/v1/flows", {"name": "Draft"}).body
    assert alice("POST", f"/v1/flows/{draft['id']}/run").status == 409
    flow = deployed(alice)
    path = f"/v1/flows/{flow['id']}"
    assert alice("DELETE", path, headers=alice("GET", path).etag).status == 409


def test_a_body_over_the_limit_is_413(alice: Client) -> None:
    """1 MB is the most that a request holds; exactly that much is read."""
    frame = len(json.dumps(CONNECTION | {"description": ""}))
    fits = CONNECTION | {"description": "x" * (limits.REQUEST_BYTES - frame)}
    assert alice("POST", "/v1/connections", fits).status == 422
    fits["description"] += "x"
    answer = alice("POST", "/v1/connections", fits)
    assert (answer.status, answer.body["code"]) == (413, "tooLarge")
    assert "1,000,000" in answer.body["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "x"],
)
def test_a_body_of_another_type_is_415(alice: Client, content_type: str) -> None:
    """Forms and text are not guessed at."""
    before = table()
    for method, path in (
        ("POST", "/v1/connections"),
        ("POST", "/v1/apply"),
        ("PUT", "/v1/flows/x"),
    ):
        answer = alice(method, path, b"name=Shop", headers={"Content-Type": content_type})
        assert (answer.status, answer.body["code"]) == (415, "unsupportedMediaType")
        assert "application/json" in answer.body["detail"]
    assert table() == before


@pytest.mark.parametrize(
    ("patch", "status", "errors"),
    [
        ({}, 422, {("wrongType", "")}),
        ([], 422, {("tooShort", "")}),
        ([PATCH[0]] * 101, 422, {("tooLong", "")}),
        ([{"op": "replace", "path": "/name"}], 422, {("missingField", "/0/value")}),
        ([{"op": "spoil", "path": "/name"}], 422, {("literalError", "/0/op")}),
        ([{"op": "move", "path": "/name"}], 422, {("missingField", "/0/from")}),
        ([{"op": "remove", "path": "/steps"}], 422, {("notPatchable", "/0/path")}),
        ([PATCH[0] | {"value": ""}], 422, {("stringTooShort", "/0/value")}),
        (
            [*PATCH, PATCH[0] | {"op": "test"}, PATCH[0] | {"op": "test", "value": "x"}],
            409,
            {("testFailed", "/2/value")},
        ),
    ],
)
def test_a_patch_that_cannot_be_is_refused(
    alice: Client, patch: object, status: int, errors: set[tuple[str, str]]
) -> None:
    """The answer points to the operation that is wrong, and nothing is changed."""
    flow = alice("POST", "/v1/flows", FLOW)
    path = f"/v1/flows/{flow.body['id']}"
    answer = alice("PATCH", path, patch, headers=flow.etag)
    assert (answer.status, answer.errors) == (status, errors)
    assert alice("GET", path).body == flow.body


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", None]
)
def test_json_by_any_name_is_taken(alice: Client, content_type: str | None) -> None:
    """Parameters, letter case, or no type at all: clients differ."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    body = json.dumps(CONNECTION).encode()
    assert alice("POST", "/v1/connections", body, headers=headers).status == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/connections", {"name": "\ud800", "baseUrl": "https://a.example"}),
        ("/v1/connections", CONNECTION | {"headers": {"X": "a\udfff"}}),
        ("/v1/flows/flow_1/run", {"payload": {"\ud83d": 1}}),
    ],
)
def test_text_that_is_no_unicode_is_400(alice: Client, path: str, body: object) -> None:
    """Half a surrogate pair can be written in JSON, but neither stored nor sent on."""
    answer = alice("POST", path, body)
    assert answer.status == 400
    assert "surrogate" in answer.body["errors"][0]["message"]


def test_a_whole_surrogate_pair_is_a_character(alice: Client) -> None:
    """Escaped or not, an emoji is text like any other."""
    answer = alice("POST", "/v1/connections", CONNECTION | {"name": "Shop \U0001f6d2"})
    assert (answer.status, answer.body["name"]) == (201, "Shop \U0001f6d2")


def test_unknown_routes_are_404(alice: Client) -> None:
    """The answer says where to look."""
    for method, path in (("GET", "/v1/nothing"), ("PATCH", "/v1/flows"), ("GET", "/v1/flows/")):
        answer = alice(method, path)
        assert (answer.status, answer.body["code"]) == (404, "noRoute")
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("id_", ["con_9", "x" * 1_500, "%20", "a,b"])
def test_unknown_ids_are_404(alice: Client, id_: str) -> None:
    """Whatever stands in the address, the answer is that it is not there."""
    for path in ("flows", "runs", "tokens", *(sample.collection for sample in SAMPLES)):
        answer = alice("GET", f"/v1/{path}/{id_}")
        assert (answer.status, answer.body["code"]) == (404, "notFound")


BODIES: dict[tuple[str, str], object] = {
    **{
        ("PUT", f"/v1/{sample.collection}/{{{sample.id_name}}}"): sample.given for sample in SAMPLES
    },
    **{("PATCH", f"/v1/{sample.collection}/{{{sample.id_name}}}"): PATCH for sample in SAMPLES},
    ("PUT", "/v1/tokens/{token_id}"): {"name": "mine", "role": "admin"},
    ("PATCH", "/v1/tokens/{token_id}"): PATCH,
    ("PUT", "/v1/flows/{flow_id}"): {"name": "mine"},
    ("PATCH", "/v1/flows/{flow_id}"): PATCH,
    ("PUT", "/v1/flows/{flow_id}/lastExportDateTime"): {"lastExportDateTime": None},
    ("PUT", "/v1/flows/{flow_id}/versions/{version_id}"): {"deployedAt": None},
    ("POST", "/v1/flows/{flow_id}/webhooks"): {},
    ("PUT", "/v1/flows/{flow_id}/webhooks/{webhook_id}"): {},
    ("POST", "/v1/flows/{flow_id}/callbacks"): {},
    ("PUT", "/v1/flows/{flow_id}/callbacks/{callback_id}"): {},
    ("PATCH", "/v1/flows/{flow_id}/webhooks/{webhook_id}"): PATCH,
    ("PATCH", "/v1/flows/{flow_id}/callbacks/{callback_id}"): PATCH,
    ("POST", "/v1/flows/{flow_id}/run"): {"payload": None},
    ("POST", "/v1/flows/{flow_id}/clone"): {},
    ("PUT", "/v1/flows/{flow_id}/replaceConnection"): {
        "connectionId": "con_1",
        "newConnectionId": "con_2",
    },
    ("PATCH", "/v1/flows/{flow_id}/layoutDirection"): {"layoutDirection": "vertical"},
    ("PUT", "/v1/flows/{flow_id}/errors/{error_id}/record"): {"n": 1},
    ("PUT", "/v1/flows/{flow_id}/errors/resolve"): {"filter": {}},
    ("PUT", "/v1/flows/{flow_id}/errors/assign"): {"filter": {}, "assignedTo": "mallory"},
    ("PUT", "/v1/flows/{flow_id}/errors/tag"): {"filter": {}, "tags": ["mine"]},
    ("POST", "/v1/flows/{flow_id}/errors/retry"): {"filter": {}},
}
"""A good body for each route that has both an id and a body."""


def ids_of(stack: Stack, client: Client) -> dict[str, str]:
    """One of everything in a workspace, by the name of its place in the routes."""
    flow = deployed(client)
    run_id = client("POST", f"/v1/flows/{flow['id']}/run", {"payload": [{"n": 1}]}).body["runId"]
    task = {"workspaceId": flow["workspaceId"], "runId": run_id, "attempt": 1, "stepId": "map"}
    stack.functions["run_step"](task, LambdaContext())
    error = failed_record(
        run_id=run_id, step_id="map", workspace_id=flow["workspaceId"], flow_id=flow["id"]
    )
    stack.context.failed_records.put([error])
    return {
        "error_id": error.id,
        **{
            sample.id_name: client("POST", f"/v1/{sample.collection}", sample.given).body["id"]
            for sample in SAMPLES
        },
        "token_id": client("GET", "/v1/tokenInfo").body["tokenId"],
        "flow_id": flow["id"],
        "version_id": flow["latestVersionId"],
        "webhook_id": client("POST", f"/v1/flows/{flow['id']}/webhooks", {}).body["id"],
        "callback_id": client("POST", f"/v1/flows/{flow['id']}/callbacks", {}).body["id"],
        "run_id": run_id,
        "step_id": "map",
        "test_id": client("POST", f"/v1/flows/{flow['id']}/test", {}).body["id"],
    }


def missing(id_: str) -> str:
    """An id of the same kind that nobody has."""
    return id_[:-4] + "0000"


def test_another_workspaces_ids_answer_as_missing_ones_on_every_route(
    stack: Stack, alice: Client, mallory: Client
) -> None:
    """No route of the document shows, changes or starts what is another workspace's.

    A new route fails here until `ids_of` and `BODIES` know what it takes.
    """
    ids = ids_of(stack, alice)
    routes = [(method, path) for method, path in documented() if "{" in path]
    assert len(routes) > 40
    before = table()
    for method, path in routes:
        names = re.findall(r"{(\w+)}", path)
        place = path.format(**ids)
        nowhere = path.format(**{name: missing(ids[name]) for name in names})
        theirs, none = (
            mallory(method, each, BODIES.get((method, path)), headers={"If-Match": '"1"'})
            for each in (place, nowhere)
        )
        assert (theirs.status, theirs.body["code"]) == (404, "notFound"), (method, path)
        told = json.dumps(none.body)
        for name in names:
            told = told.replace(missing(ids[name]), ids[name])
        assert (none.status, json.loads(told)) == (404, theirs.body), (method, path)
        assert none.headers == theirs.headers
        if method == "GET":
            assert alice(method, place).status == 200, path
    assert table() == before
    for collection in ("flows", *(sample.collection for sample in SAMPLES)):
        assert mallory("GET", f"/v1/{collection}").body["data"] == []


def test_another_workspaces_parts_are_no_parts_of_mine(
    stack: Stack, alice: Client, mallory: Client
) -> None:
    """An own flow does not open the versions, webhooks and callbacks of somebody else's."""
    ids, mine = ids_of(stack, alice), deployed(mallory)
    for part in ("version", "webhook", "callback"):
        path = f"/v1/flows/{mine['id']}/{part}s/{ids[f'{part}_id']}"
        for method in ("GET", "DELETE"):
            assert mallory(method, path, headers={"If-Match": '"1"'}).status == 404


def test_without_the_authorizers_word_nobody_is_anybody(stack: Stack) -> None:
    """An event that did not pass the authorizer is answered 401, not served."""
    request = http_event("api", "GET", "/v1/flows")
    del request["requestContext"]["authorizer"]
    answer = answer_of(stack.functions["api"](request, LambdaContext()))
    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")


def test_a_fault_of_ours_is_500_without_details(stack: Stack) -> None:
    """What nobody foresaw is in the log, not in the answer."""
    boto3.client("dynamodb").delete_table(TableName=TABLE)
    answer = answer_of(stack.functions["api"](event("api"), LambdaContext()))
    assert (answer.status, answer.body["code"]) == (500, "internal")
    assert "DynamoDB" not in json.dumps(answer.body)


def test_every_domain_error_has_its_status() -> None:
    """An error without a status would be a 500."""

    def all_below(kind: type[DomainError]) -> set[type[DomainError]]:
        below = kind.__subclasses__()
        return set(below).union(*map(all_below, below))

    assert set(STATUS) == all_below(DomainError)
