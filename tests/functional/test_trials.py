"""Testing flows over the real handlers: what is read, what would be sent, what stays as it was."""

import gzip
import json
import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote, quote_plus

import boto3
import pytest
from moto.awslambda_simple.models import lambda_simple_backends
from tests.functional.loopback_server import Reply, answer, serving
from tests.functional.test_api_connections import GRANTED, KINDS, SECRET, created
from tests.functional.test_api_errors import table
from tests.functional.test_lists import follow, link
from tests.support.app import Answer, Client
from tests.support.aws import ACCOUNT, BUCKET, REGION

type Json = Any

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:millrace-fn-twice"
ORDERS = [{"id": 1, "total": 5}, {"id": 2, "total": 50}, {"id": 3, "total": "?"}]
PAGE = json.dumps({"items": ORDERS, "next": "/orders?page=2"}).encode()


def read(connection_id: str, **changes: Json) -> dict[str, Json]:
    """Reads orders from a system that has more than a page of them."""
    http = {"path": "/orders", "recordsPath": "/items", "pagination": {"type": "nextLink"}}
    action = {"type": "Export", "connectionId": connection_id, "http": http}
    return {"id": "read", "type": "Export", "action": action} | changes


def shape(*after: str, **changes: Json) -> dict[str, Json]:
    """Keeps large orders; one total is no number."""
    operations = [
        {"type": "filter", "expression": "$number(total) > 10"},
        {"type": "map", "expression": "{'order': id}"},
    ]
    action = {"type": "Process", "operations": operations}
    return {"id": "shape", "type": "Process", "action": action, "dependsOn": after} | changes


def write(connection_id: str, *after: str, **changes: Json) -> dict[str, Json]:
    """Writes to another place of a system."""
    http = {"path": "/in", "method": "PUT", "headers": {"X-Source": "orders"}}
    action = {"type": "Import", "connectionId": connection_id, "http": http}
    return {"id": "write", "type": "Import", "action": action, "dependsOn": after} | changes


def flow(client: Client, *steps: dict[str, Json], **fields: Json) -> dict[str, Json]:
    """A new flow with a draft."""
    made = client("POST", "/v1/flows", {"name": "Orders", "steps": steps, **fields})
    assert made.status == 201, made.body
    found: dict[str, Json] = made.body
    return found


def steps_of(told: Answer) -> dict[str, dict[str, Json]]:
    """What a test tells of each step, by its id."""
    assert told.status == 200, told.body
    return {step["stepId"]: step for step in told.body["steps"]}


def test_a_draft_is_tested_and_nothing_else_happens(alice: Client, mallory: Client) -> None:
    """One page is read, filters and maps are applied, nothing is written; only the result stays."""
    with serving(answer(body=PAGE), answer(500)) as server:
        url = f"{server.url}/v1"
        shop = created(alice, url, {"type": "bearer", "token": "t0k"})
        made = flow(alice, read(shop), shape("read"), write(shop, "shape"))
        before = table()
        told = alice("POST", made["testUrl"], {})
    steps = steps_of(told)
    assert [request.split()[:2] for request in server.requests] == [[b"GET", b"/v1/orders"]]
    assert told.body["status"] == "partiallySucceeded"
    assert told.body["versionId"] == made["latestVersionId"]
    assert steps["read"]["hasMore"] is True
    assert steps["read"]["input"] == {"count": 0, "truncated": False, "data": []}
    assert steps["read"]["output"] == {"count": 3, "truncated": False, "data": ORDERS}
    assert steps["shape"]["input"] == steps["read"]["output"]
    assert steps["shape"]["output"]["data"] == [{"order": 2}]
    assert steps["shape"]["counts"] == {
        "recordsIn": 3,
        "recordsOut": 1,
        "recordsIgnored": 1,
        "recordsFailed": 1,
    }
    (failure,) = steps["shape"]["errors"]["data"]
    assert (failure["record"], failure["code"]) == (ORDERS[2], "expressionFailed")
    (request,) = steps["write"]["requests"]["data"]
    assert (request["method"], request["url"]) == ("PUT", f"{url}/in")
    assert (request["authentication"], json.loads(request["body"])) == ("bearer", {"order": 2})
    assert request["headers"]["X-Source"] == "orders"
    assert not any("authorization" in name.lower() for name in request["headers"])
    (kept,) = [item for item in table() if item not in before]
    assert len(table()) == len(before) + 1
    assert "expiresAt" in kept
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)
    results = f"/v1/flows/{made['id']}/testExecutionResults"
    assert alice("GET", f"{results}/{told.body['id']}").body == told.body
    assert mallory("GET", f"{results}/{told.body['id']}").status == 404


def test_results_are_listed_and_go_with_their_flow(alice: Client) -> None:
    """The newest first, page by page, without records."""
    made = flow(alice, shape(), testPayload=json.dumps(ORDERS))
    ids = [alice("POST", made["testUrl"]).body["id"] for _ in range(3)]
    path = f"/v1/flows/{made['id']}/testExecutionResults"
    first = alice("GET", path, query={"perPage": "2"})
    assert [result["id"] for result in first.body["data"]] == [ids[2], ids[1]]
    (step,) = first.body["data"][0]["steps"]
    assert (step["status"], step["counts"]["recordsOut"]) == ("partiallySucceeded", 1)
    assert not {"input", "output", "errors", "requests"} & step.keys()
    assert first.body["meta"]["perPage"] == 2
    assert f'<{link(first, "next")}>; rel="next"' in first.headers["link"]
    rest = follow(alice, link(first, "next"))
    assert [result["id"] for result in rest.body["data"]] == [ids[0]]
    assert (link(rest, "first"), link(rest, "next")) == (f"{path}?perPage=2", None)
    shown = alice("GET", f"/v1/flows/{made['id']}")
    assert alice("DELETE", f"/v1/flows/{made['id']}", headers=shown.etag).status == 204
    assert not any(item["sk"]["S"] in ids for item in table())
    assert alice("GET", path).status == 404


def test_the_saved_request_is_sent_if_there_is_no_other(alice: Client) -> None:
    """As the flow would get it: the flow of a webhook gets a delivery, without credentials."""
    saved = {
        "testPayload": '{"id": 7}',
        "testContentType": "application/json",
        "testHeaders": {"X-Shop": "eu", "Authorization": "Bearer t0k"},
    }
    step = write(created(alice, "https://shop.example", {"type": "none"}))
    by_hand = flow(alice, step, **saved)["testUrl"]
    hook = flow(alice, step, trigger={"kind": "webhook"}, **saved)["testUrl"]

    def taken(url: str, body: Json = None) -> Json:
        return steps_of(alice("POST", url, body))["write"]["input"]["data"]

    headers = {"x-shop": "eu", "content-type": "application/json"}
    delivery = {"method": "POST", "headers": headers, "query": {}, "body": {"id": 7}}
    assert taken(by_hand) == [{"id": 7}]
    assert taken(hook, {}) == [delivery]
    assert taken(hook, {"payload": [{"id": 8}, {"id": 9}]}) == [{"id": 8}, {"id": 9}]
    assert taken(hook, {"payload": None}) == []
    text = {"payload": "a;b", "payloadContentType": "text/csv"}
    assert taken(by_hand, text) == [{"value": "a;b"}]
    headers["content-type"] = "text/csv"
    assert taken(hook, text) == [delivery | {"body": "a;b"}]


def test_what_cannot_be_tested_is_refused_by_name(alice: Client) -> None:
    """All of it at once, and no result is kept."""
    step = read(created(alice, "https://shop.example", {"type": "none"}))
    made = flow(alice, step, testPayload="{")
    url, step_url = made["testUrl"], f"/v1/flows/{made['id']}/steps/read/test"
    before = table()
    unknown = {"stepsToRun": ["x"], "virtualEnvironmentId": "env_9", "payload": None}
    assert alice("POST", url, unknown).errors == {
        ("unknownStep", "/stepsToRun/0"),
        ("unknownEnvironment", "/virtualEnvironmentId"),
    }
    assert alice("POST", url, {"versionId": "ver_9"}).errors == {("unknownVersion", "/versionId")}
    assert alice("POST", url, {"records": []}).errors == {("unknownField", "/records")}
    assert alice("POST", url, {}).errors == {("badPayload", "")}
    bad = {"payload": "{", "payloadContentType": "application/json"}
    assert alice("POST", url, bad).errors == {("badPayload", "/payload")}
    assert alice("POST", url, bad | {"payload": {}}).errors == {("notText", "/payload")}
    given: Json = {"records": [{}], "payload": None}
    assert alice("POST", step_url, given).errors == {
        ("recordsOfExport", "/records"),
        ("payloadBesideRecords", "/payload"),
    }
    assert alice("POST", f"/v1/flows/{made['id']}/steps/x/test", {}).status == 404
    assert table() == before


def test_one_step_is_tested_with_what_comes_before_it_or_with_given_records(
    alice: Client,
) -> None:
    """What does not lead to it is left out; given records spare the other systems."""
    with serving(answer(body=PAGE)) as server:
        shop = created(alice, server.url, {"type": "none"})
        made = flow(alice, read(shop), shape("read"), write(shop, "shape"))
        path = f"/v1/flows/{made['id']}/steps"
        after = steps_of(alice("POST", f"{path}/shape/test"))
        assert [*after] == ["read", "shape"]
        assert after["shape"]["output"]["data"] == [{"order": 2}]
        alone = steps_of(alice("POST", f"{path}/write/test", {"records": [{"id": 9}]}))
    assert [*alone] == ["write"]
    assert [json.loads(each["body"]) for each in alone["write"]["requests"]["data"]] == [{"id": 9}]
    assert len(server.requests) == 1


def test_who_wants_no_requests_gets_none_from_tests_and_pings(alice: Client) -> None:
    """What one was told holds for the whole connection; nobody waits, the time is named."""
    with serving(answer(429, headers="Retry-After: 3600\r\n")) as server:
        shop = created(alice, server.url, {"type": "none"})
        test_url = flow(alice, read(shop))["testUrl"]
        alice("POST", test_url)
        again = steps_of(alice("POST", test_url))["read"]["error"]
        pong = alice("POST", f"/v1/connections/{shop}/ping").body
    assert len(server.requests) == 1
    assert (again["code"], again["transient"]) == ("throttled", True)
    told = "connection 'Shop': the system asked for no requests until then"
    assert again["message"].startswith(told)
    assert "a run would come back at 20" in again["message"]
    assert (pong["ok"], pong["status"], pong["error"]["code"]) == (False, None, "throttled")
    assert pong["error"]["message"].startswith(f"{told}: 20")


def test_trouble_is_told_and_not_waited_for(alice: Client) -> None:
    """Each step is tried once; what depends on it is not reached, the rest is."""
    replies = [answer(503, b"later", "Retry-After: 3600\r\n"), answer(404)]
    with serving(*replies) as server:
        shop, other = (created(alice, server.url, {"type": "none"}) for _ in range(2))
        steps = [
            read(shop, id="busy"),
            read(other, id="gone", exceptionBehavior=[{"type": "failure", "strategy": "continue"}]),
            shape("busy"),
            write(other, "gone"),
        ]
        began = time.monotonic()
        told = alice("POST", flow(alice, *steps)["testUrl"])
    found = steps_of(told)
    assert time.monotonic() - began < 5
    assert len(server.requests) == 2
    assert told.body["status"] == "failed"
    assert {id_: step["status"] for id_, step in found.items()} == {
        "busy": "failed",
        "gone": "failed",
        "shape": "notReached",
        "write": "succeeded",
    }
    busy = found["busy"]["error"]
    assert (busy["code"], busy["transient"]) == ("throttled", True)
    assert "later; a run would come back at 20" in busy["message"]
    assert (found["gone"]["error"]["code"], found["gone"]["error"]["transient"]) == (
        "http404",
        False,
    )
    assert found["shape"]["error"] == {
        "code": "stopped",
        "message": "step 'busy' stopped the flow",
        "transient": False,
    }


def test_a_virtual_environments_connections_are_used(alice: Client) -> None:
    """The flow's own system hears nothing of the test."""
    with serving(answer(body=PAGE)) as sandbox:
        live = created(alice, "http://127.0.0.1:9", {"type": "none"})
        url = sandbox.url
        other = created(alice, url, {"type": "none"})
        given = {"name": "Sandbox", "replacements": {"connections": {live: other}}}
        environment = alice("POST", "/v1/virtualEnvironments", given).body["id"]
        made = flow(alice, read(live), write(live, "read"))
        told = alice("POST", made["testUrl"], {"virtualEnvironmentId": environment})
    steps = steps_of(told)
    assert told.body["virtualEnvironmentId"] == environment
    assert steps["read"]["output"]["data"] == ORDERS
    assert steps["write"]["requests"]["data"][0]["url"] == f"{url}/in"


def test_the_same_key_tests_once(alice: Client) -> None:
    """A request that is sent again, with its Idempotency-Key, gets the first answer."""
    made = flow(alice, shape(), testPayload="[]")
    key = {"Idempotency-Key": "k1"}
    first, second = (alice("POST", made["testUrl"], {}, headers=key) for _ in range(2))
    assert first.body == second.body


def echoes(kind: str) -> list[Reply]:
    """A system that repeats in records, and then in a refusal, all that it was sent."""
    sent = f"ann:{SECRET}" if kind == "basic" else SECRET
    texts = [SECRET, quote_plus(SECRET), quote(SECRET), b64encode(sent.encode()).decode()]
    records = [{"you sent": text, text: {"at": [f"Bearer {text}!"]}} for text in texts]
    tokens = [answer(body=GRANTED)] if kind.startswith("oauth2") else []
    records.append({"token": "canary-t0ken"} if tokens else {"token": "none"})
    page = json.dumps({"items": records}).encode()
    refusal = answer(403, f"no: {texts} canary-t0ken".encode() if tokens else str(texts).encode())
    return [*tokens, answer(body=page), refusal]


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_shown_or_kept(alice: Client, kind: str) -> None:
    """Whatever the other system repeats, and whoever hands it on: masked in answers and results."""
    auth, name = KINDS[kind]
    with serving(*echoes(kind)) as server:
        if kind.startswith("oauth2"):
            auth |= {"tokenUrl": f"{server.url}/token"}
        shop = created(alice, server.url, auth | {name: SECRET})
        steps = [
            read(shop),
            read(shop, id="refused", dependsOn=["read"]),
            shape("read", filter="$number($.`you sent`) > 0"),
            write(shop, "read"),
        ]
        told = alice("POST", flow(alice, *steps)["testUrl"])
    found = steps_of(told)
    assert len(server.requests) == len(echoes(kind))
    assert found["read"]["output"]["count"] == 5
    assert found["refused"]["error"]["code"] == "http403"
    assert found["shape"]["errors"]["count"] == 4
    assert found["write"]["requests"]["data"][0]["body"].startswith('{"you sent":"***"')
    results = f"/v1/flows/{told.body['flowId']}/testExecutionResults"
    listed, single = alice("GET", results), alice("GET", f"{results}/{told.body['id']}")
    stored = [item["data"].get("B") for item in table() if "data" in item]
    packed = [gzip.decompress(data).decode() for data in stored if data is not None]
    assert any(told.body["id"] in text for text in packed)
    seen = "\n".join([*map(str, (told, listed, single, table())), *packed])
    forms = {SECRET, quote(SECRET), quote_plus(SECRET), "canary-t0ken"}
    forms |= {b64encode(text.encode()).decode() for text in (SECRET, f"ann:{SECRET}")}
    assert [form for form in forms if form in seen] == []


def test_a_test_calls_the_functions_of_the_flow(alice: Client) -> None:
    """What one answers is what goes on, so it can be seen before anything is deployed."""
    operation = {"type": "function", "arn": FUNCTION}
    action = {"type": "Process", "operations": [operation]}
    made = flow(alice, {"id": "twice", "type": "Process", "action": action})
    # moto runs no code without Docker; it answers what it was told to.
    backend = lambda_simple_backends[ACCOUNT][REGION]
    backend.lambda_simple_results_queue.append(json.dumps({"records": [{"n": 2}], "errors": []}))
    told = alice("POST", made["testUrl"], {"payload": [{"n": 1}]})
    assert steps_of(told)["twice"]["output"]["data"] == [{"n": 2}]
