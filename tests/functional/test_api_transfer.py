"""Flows leave and come over the real handlers: as JSON, and as a zip behind a signed address."""

import json
from base64 import b64encode
from copy import deepcopy
from io import BytesIO
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zipfile import ZipFile

import boto3
import pytest
from tests.functional.test_api_copies import connection, made, reading_flow
from tests.functional.test_lists import counted
from tests.support.app import Client
from tests.support.aws import BUCKET, REGION, template

from millrace import limits
from millrace.domain.base import Json
from millrace.usecases.flow_zip import unpack_document

CANARY = "s3cret-canary"


def shop_flow(client: Client) -> dict[str, Any]:
    """A flow that reads by an action over a connection with a secret."""
    shop = made(
        client,
        "/v1/connections",
        {
            "name": "Shop",
            "stableKey": "shop",
            "baseUrl": "https://shop.example",
            "auth": {"type": "bearer", "token": CANARY},
        },
    )
    return reading_flow(client, shop["id"])


def test_a_flow_moves_to_another_workspace(alice: Client, mallory: Client) -> None:
    """What the export answered is sent as it is; it is stored once, and disabled."""
    flow = shop_flow(alice)
    document = alice("POST", "/v1/flows/export", {"flowId": flow["id"]})
    assert (document.status, CANARY in str(document.body)) == (200, False)
    key = {"Idempotency-Key": "import-1"}
    first, again = (
        mallory("POST", "/v1/flows/import", document.body, headers=key) for _ in range(2)
    )
    assert (first.status, again.body) == (200, first.body)
    assert {each["type"]: each["change"] for each in first.body["resources"]} == {
        "flow": "created",
        "connection": "created",
        "action": "created",
    }
    came = mallory("GET", f"/v1/flows/{first.body['resources'][0]['id']}").body
    assert (came["enabled"], came["deployed"], came["name"]) == (False, False, "Orders")
    assert [each["field"] for each in first.body["needsConfiguring"]] == ["auth"]
    trail = mallory("GET", f"/v1/flows/{came['id']}/audit").body["data"]
    assert [entry["event"] for entry in trail] == ["imported"]
    assert len(mallory("GET", "/v1/flows").body["data"]) == 1


def test_a_flow_finds_its_data_pool_again(alice: Client, mallory: Client) -> None:
    """As a document and as a zip: made where it is not there, and used from then on."""
    seen = {"name": "Seen", "stableKey": "seen", "ttlSeconds": 60}
    dedupe = {"type": "dedupe", "key": "id", "dataPoolId": made(alice, "/v1/dataPools", seen)["id"]}
    work = {"type": "Process", "operations": [dedupe]}
    steps = [{"id": "once", "type": "Process", "action": work}]
    flow = made(alice, "/v1/flows", {"name": "Orders", "stableKey": "orders", "steps": steps})
    document = alice("POST", "/v1/flows/export", {"flowId": flow["id"]}).body
    assert document["dependencies"]["dataPools"] == {"seen": seen}
    assert alice("GET", f"/v1/flows/{flow['id']}/template").status == 200
    (stored,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    data = boto3.client("s3").get_object(Bucket=BUCKET, Key=stored["Key"])["Body"].read()
    first = mallory("POST", "/v1/flows/import", document).body
    again = mallory("POST", "/v1/flows/import", {"template": b64encode(data).decode()}).body
    told = [
        {each["type"]: each["change"] for each in answer["resources"]} for answer in (first, again)
    ]
    assert told == [
        {"flow": "created", "dataPool": "created"},
        {"flow": "unchanged", "dataPool": "used"},
    ]
    (pool,) = mallory("GET", "/v1/dataPools").body["data"]
    assert {name: pool[name] for name in seen} == seen
    flow_id = first["resources"][0]["id"]
    (step,) = mallory("GET", f"/v1/flows/{flow_id}").body["steps"]
    assert step["action"]["operations"][0]["dataPoolId"] == pool["id"]
    (needed,) = mallory("GET", f"/v1/flows/{flow_id}/dependencies").body["dataPools"]
    assert (needed["id"], needed["missing"]) == (pool["id"], False)


def secretive_flow(client: Client) -> dict[str, Any]:
    """A flow that uses one of everything that keeps a secret; each holds the canary."""
    shop = {"name": "Shop", "stableKey": "shop", "baseUrl": "https://shop.example"}
    for name, auth in (
        ("bearer", {"type": "bearer", "token": CANARY}),
        ("basic", {"type": "basic", "username": "u", "password": CANARY}),
        ("apiKey", {"type": "apiKey", "key": CANARY}),
        ("hmac", {"type": "hmac", "signedText": "{body}", "secret": CANARY}),
        (
            "oauth",
            {
                "type": "oauth2ClientCredentials",
                "tokenUrl": "https://shop.example/token",
                "clientId": "c",
                "clientSecret": CANARY,
            },
        ),
    ):
        made(client, "/v1/connections", shop | {"name": name, "stableKey": name, "auth": auth})
    names = ("bearer", "basic", "apiKey", "hmac", "oauth")
    listed = client("GET", "/v1/connections").body["data"]
    connections = {each["name"]: each["id"] for each in listed}
    made(client, "/v1/variables", {"key": "token", "secret": True, "value": CANARY})
    target = {"type": "url", "url": f"https://chat.example/{CANARY}"}
    group = made(
        client,
        "/v1/notificationGroups",
        {"name": "On call", "stableKey": "call", "targets": [target], "signingSecret": CANARY},
    )
    steps = [
        {
            "id": name,
            "type": "Export",
            "action": {
                "type": "Export",
                "connectionId": connections[name],
                "http": {"path": "/orders"},
            },
        }
        for name in names
    ]
    flow = {
        "name": "Orders",
        "stableKey": "orders",
        "trigger": {"kind": "webhook"},
        "endpointSecurityType": "organization",
        "organizationApiKeys": [f"{CANARY}-1234567890"],
        "testHeaders": {"Authorization": CANARY},
        "notificationGroups": [group["id"]],
        "steps": steps,
    }
    created = made(client, "/v1/flows", flow)
    webhook = {"name": "Hook", "stableKey": "hook", "hmacAlgorithm": "sha256"}
    made(client, f"/v1/flows/{created['id']}/webhooks", webhook | {"hmacSecretKey": CANARY})
    return created


def imports_in_audit(client: Client, flow_id: str) -> list[Json]:
    """What the audit trail says of imports into a flow."""
    entries = client("GET", f"/v1/flows/{flow_id}/audit").body["data"]
    return [entry for entry in entries if entry["event"] == "imported"]


def test_no_secret_leaves_by_any_door(alice: Client, mallory: Client) -> None:
    """Of connections, variables, webhooks, API keys and groups; nor does an import repeat one."""
    flow = secretive_flow(alice)
    document = alice("POST", "/v1/flows/export", {"flowId": flow["id"]}).body
    assert alice("GET", f"/v1/flows/{flow['id']}/template").status == 200
    (stored,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    data = boto3.client("s3").get_object(Bucket=BUCKET, Key=stored["Key"])["Body"].read()
    unpacked = json.dumps(unpack_document(data, ""))
    # Whoever imports may write secrets into the document: they are stored, and told to nobody.
    filled = deepcopy(document)
    filled["dependencies"]["connections"]["bearer"]["auth"]["token"] = CANARY
    filled["flow"]["webhooks"][0]["hmacSecretKey"] = CANARY
    over = mallory("POST", "/v1/flows/import", filled)
    back = alice("POST", "/v1/flows/import", filled | {"metadata": {"name": "Renamed"}})
    kept = alice("POST", "/v1/flows/import", filled | {"asMarketplace": True})
    refused = mallory("POST", "/v1/flows/import", filled | {"colour": CANARY[::-1]})
    assert (over.status, back.status, kept.status, refused.status) == (200, 200, 200, 422)
    template = alice("GET", f"/v1/templates/{kept.body['resources'][0]['id']}").body
    audits = [
        imports_in_audit(mallory, over.body["resources"][0]["id"]),
        imports_in_audit(alice, flow["id"]),
    ]
    assert all(audits)
    answers = [each.body for each in (over, back, kept, refused)]
    told = json.dumps([document, unpacked, answers, template, audits])
    assert "On call" in told
    assert CANARY not in told
    assert {each["field"] for each in over.body["needsConfiguring"]} == {
        "auth",
        "notificationGroups",
        "organizationApiKeys",
    }


def test_what_is_left_to_configure_is_told_until_it_is_done(alice: Client, mallory: Client) -> None:
    """Each with the resource and the field to set; a later import has less to tell."""
    document = alice("POST", "/v1/flows/export", {"flowId": secretive_flow(alice)["id"]}).body
    first = mallory("POST", "/v1/flows/import", document)
    flow_id = first.body["resources"][0]["id"]
    left = {(each["type"], each["name"], each["field"]) for each in first.body["needsConfiguring"]}
    assert left == {
        *(("connection", name, "auth") for name in ("bearer", "basic", "apiKey", "hmac", "oauth")),
        ("webhook", "Hook", "hmacSecretKey"),
        ("flow", "Orders", "organizationApiKeys"),
        ("flow", "Orders", "notificationGroups"),
    }
    by_name = {each["name"]: each for each in first.body["needsConfiguring"]}
    place = f"/v1/connections/{by_name['bearer']['id']}"
    there = mallory("GET", place)
    body = {"name": "bearer", "stableKey": "bearer", "baseUrl": there.body["baseUrl"]}
    body |= {"auth": {"type": "bearer", "token": "t"}}
    assert mallory("PUT", place, body, headers=there.etag).status == 200
    place = f"/v1/flows/{flow_id}/webhooks/{by_name['Hook']['id']}"
    hook = {"name": "Hook", "stableKey": "hook", "hmacAlgorithm": "sha256", "hmacSecretKey": "s"}
    etag = {"If-Match": f'"{mallory("GET", place).body["revision"]}"'}
    assert mallory("PUT", place, hook, headers=etag).status == 200
    again = mallory("POST", "/v1/flows/import", document).body
    left -= {("connection", "bearer", "auth"), ("webhook", "Hook", "hmacSecretKey")}
    assert left == {
        (each["type"], each["name"], each["field"]) for each in again["needsConfiguring"]
    }


def test_an_import_by_stable_key_changes_the_flow_in_place(alice: Client) -> None:
    """What runs stays as it is; the answer's ETag is good for the next change of the flow."""
    step = {
        "id": "a",
        "type": "Process",
        "action": {"type": "Process", "operations": [{"type": "filter", "expression": "x > 1"}]},
    }
    flow = made(alice, "/v1/flows", {"name": "Orders", "stableKey": "orders", "steps": [step]})
    place = f"/v1/flows/{flow['id']}"
    version = f"{place}/versions/{flow['latestVersionId']}"
    deployed = {"deployedAt": "2026-01-31T09:00:00Z"}
    etag = alice("GET", version).etag
    assert alice("PUT", version, deployed, headers=etag).status == 200
    document = alice("POST", "/v1/flows/export", {"flowId": flow["id"]}).body
    document["flow"]["name"] = "Late orders"
    document["flow"]["steps"].append(step | {"id": "b", "dependsOn": ["a"]})
    answer = alice("POST", "/v1/flows/import", document)
    assert (answer.status, answer.headers["location"]) == (200, place)
    assert answer.body["resources"][0]["change"] == "updated"
    now = alice("GET", place)
    assert now.headers["etag"] == answer.headers["etag"] == f'"{answer.body["revision"]}"'
    assert (now.body["name"], now.body["enabled"]) == ("Late orders", True)
    assert now.body["deployedVersionId"] == flow["latestVersionId"] != now.body["latestVersionId"]
    assert [step["id"] for step in now.body["steps"]] == ["a", "b"]
    disabled = [{"op": "replace", "path": "/enabled", "value": False}]
    assert alice("PATCH", place, disabled, headers=answer.etag).status == 200
    again = alice("POST", "/v1/flows/import", document)
    assert again.body["resources"][0]["change"] == "unchanged"
    assert alice("GET", place).body["enabled"] is False


def inline_steps(count: int, length: int) -> list[Json]:
    """Steps with an expression of about this length each, none like another."""
    return [
        {
            "id": f"s{number}",
            "type": "Process",
            "action": {
                "type": "Process",
                "operations": [
                    {"type": "map", "expression": f"{{'x': '{token_hex(length // 2)}'}}"}
                ],
            },
        }
        for number in range(count)
    ]


def test_a_big_flow_moves(alice: Client, mallory: Client) -> None:
    """200 steps, most of what one request and one item hold, as a document and as a zip."""
    flow = {"name": "Big", "stableKey": "big", "steps": inline_steps(200, 2_000)}
    created = made(alice, "/v1/flows", flow)
    document = alice("POST", "/v1/flows/export", {"flowId": created["id"]}).body
    first = mallory("POST", "/v1/flows/import", document)
    assert (first.status, first.body["resources"][0]["change"]) == (200, "created")
    assert alice("GET", f"/v1/flows/{created['id']}/template").status == 200
    (stored,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    data = boto3.client("s3").get_object(Bucket=BUCKET, Key=stored["Key"])["Body"].read()
    again = mallory("POST", "/v1/flows/import", {"template": b64encode(data).decode()})
    assert (again.status, again.body["resources"][0]["change"]) == (200, "unchanged")
    kept = mallory("POST", "/v1/flows/import", document | {"asMarketplace": True})
    assert kept.status == 200


def test_a_document_larger_than_a_request_moves_as_a_zip(alice: Client, mallory: Client) -> None:
    """With all its defaults a flow is longer than it was sent; packed it is much shorter."""
    steps = inline_steps(200, 100)
    for step in steps:
        step["action"]["operations"][0]["expression"] = "$ /* " + "a remark " * 520 + "*/"
    created = made(alice, "/v1/flows", {"name": "Long", "steps": steps})
    document = alice("POST", "/v1/flows/export", {"flowId": created["id"]}).body
    answer = mallory("POST", "/v1/flows/import", document)
    assert (answer.status, answer.body["code"]) == (413, "tooLarge")
    assert alice("GET", f"/v1/flows/{created['id']}/template").status == 200
    (stored,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    data = boto3.client("s3").get_object(Bucket=BUCKET, Key=stored["Key"])["Body"].read()
    answer = mallory("POST", "/v1/flows/import", {"template": b64encode(data).decode()})
    assert (answer.status, answer.body["resources"][0]["change"]) == (200, "created")


def test_a_flow_that_is_too_big_is_refused_in_words(alice: Client) -> None:
    """More than an item, more than a request, more steps than a version: each says so."""
    too_big = {"flow": {"name": "Big", "steps": inline_steps(200, 4_500)}}
    answer = alice("POST", "/v1/flows/import", too_big)
    assert answer.status == 413
    assert "400,000 is the limit of one stored item" in answer.body["detail"]
    answer = alice("POST", "/v1/flows/import", too_big | {"metadata": {"name": "x" * 100_000}})
    assert (answer.status, "the limit is 1,000,000" in answer.body["detail"]) == (413, True)
    for count in (201, 10_000):
        step = {"id": "s", "type": "Process"}
        steps = [step | {"id": f"s{number}"} for number in range(count)]
        answer = alice("POST", "/v1/flows/import", {"flow": {"name": "Big", "steps": steps}})
        assert (answer.status, ("tooManySteps", "/flow/steps") in answer.errors) == (422, True)
    labels = {f"l{number}": {"name": "L"} for number in range(99)}
    body = {"flow": {"name": "Big"}, "dependencies": {"labels": labels}}
    answer = alice("POST", "/v1/flows/import", body)
    assert (answer.status, "100 is the limit" in answer.body["detail"]) == (413, True)
    assert alice("GET", "/v1/flows").body["data"] == []
    assert alice("GET", "/v1/labels").body["data"] == []


def calls_of_two(client: Client, path: str, body: Json) -> list[dict[str, int]]:
    """The calls of AWS that a request makes, and those that it makes when it is sent again."""
    found: list[dict[str, int]] = []
    for _ in range(2):
        with counted(client) as (counting, calls):
            answer = counting("POST", path, body)
        assert answer.status == 200, answer.body
        found.append(dict(calls))
    return found


def test_the_reads_of_an_import_do_not_grow_with_the_document(alice: Client) -> None:
    """Nor does the second import, which finds everything, read more than a few times."""
    calls_of: dict[int, list[dict[str, int]]] = {}
    alice("GET", "/v1/flows")  # makes the authorizer's own client, which is not counted
    for count in (2, 12):
        work = {"type": "Export", "connectionId": "c0", "http": {"path": "/o"}}
        body = {
            "flow": {
                "name": "Orders",
                "stableKey": f"orders-{count}",
                "labels": [f"l{number}" for number in range(count)],
                "steps": [
                    {"id": f"s{number}", "type": "Export", "referrer": f"a{number}"}
                    for number in range(count)
                ],
                "webhooks": [{"stableKey": f"w{number}"} for number in range(count)],
            },
            "dependencies": {
                "connections": {
                    "c0": {"name": "C", "stableKey": f"c{count}", "baseUrl": "https://c.example"}
                },
                "labels": {
                    f"l{number}": {"name": "L", "stableKey": f"l{count}-{number}"}
                    for number in range(count)
                },
                "dataPools": {
                    f"p{number}": {"name": "P", "stableKey": f"p{count}-{number}"}
                    for number in range(count // 2)
                },
                "actions": {
                    f"a{number}": {"name": "A", "stableKey": f"a{count}-{number}", "work": work}
                    for number in range(count)
                },
            },
        }
        calls_of[count] = calls_of_two(alice, "/v1/flows/import", body)
    assert calls_of[2] == calls_of[12]
    assert sum(calls_of[12][1].values()) <= 12


def test_the_reads_of_a_file_do_not_grow_with_it(alice: Client) -> None:
    """Neither when it is applied first, nor when everything is there."""
    made(alice, "/v1/virtualEnvironments", {"name": "Test", "stableKey": "test"})
    alice("GET", "/v1/flows")  # makes the authorizer's own client, which is not counted
    calls_of: dict[int, list[dict[str, int]]] = {}
    for count in (2, 10):
        keys = [f"k{count}-{number}" for number in range(count)]
        http = {"path": "/o"}
        body = {
            "connections": [
                {"name": "C", "stableKey": key, "baseUrl": "https://c.example"} for key in keys
            ],
            "actions": [
                {
                    "name": "A",
                    "stableKey": key,
                    "work": {"type": "Export", "connectionId": key, "http": http},
                }
                for key in keys
            ],
            "flows": [
                {
                    "name": "Orders",
                    "stableKey": f"orders-{count}",
                    "deploy": False,
                    "steps": [{"id": key, "type": "Export", "referrer": key} for key in keys],
                    "webhooks": [
                        {"stableKey": key, "virtualEnvironmentId": "test"} for key in keys
                    ],
                    "callbacks": [{"stableKey": key} for key in keys],
                }
            ],
        }
        calls_of[count] = calls_of_two(alice, "/v1/apply", body)
    assert calls_of[2] == calls_of[10]
    assert sum(calls_of[10][1].values()) <= 12


def test_a_template_is_fetched_and_sent_back(alice: Client, mallory: Client) -> None:
    """By GET and by POST; the address is signed, expires within the hour, and is kept nowhere."""
    flow = shop_flow(alice)
    path = f"/v1/flows/{flow['id']}/template"
    for method in ("GET", "POST"):
        told = alice(method, path)
        assert (told.status, told.headers["cache-control"]) == (200, "no-store")
    url = urlsplit(told.body["signedURL"])
    assert url.hostname == f"{BUCKET}.s3.{REGION}.amazonaws.com"
    query = parse_qs(url.query)
    assert query["X-Amz-Expires"] == ["3600"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    (stored,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert url.path == f"/{stored['Key']}"
    data = boto3.client("s3").get_object(Bucket=BUCKET, Key=stored["Key"])["Body"].read()
    assert CANARY.encode() not in data
    result = mallory("POST", "/v1/flows/import", {"template": b64encode(data).decode()})
    assert (result.status, result.body["resources"][0]["change"]) == (200, "created")


def test_a_template_of_an_integration_has_those_of_its_flows(
    alice: Client, mallory: Client
) -> None:
    """Each can be imported; flows of others are not in it, nor is any secret."""
    shop = alice("POST", "/v1/integrations", {"name": "Shop", "groups": [{"id": "a", "name": "A"}]})
    inside = {"integrationId": shop.body["id"]}
    named = alice("POST", "/v1/flows", {"name": "Orders", "stableKey": "orders", **inside})
    plain = alice("POST", "/v1/flows", {"name": "Stock", **inside})
    alice("POST", "/v1/flows", {"name": "Elsewhere"})
    path = f"/v1/integrations/{shop.body['id']}/template"
    for method in ("GET", "POST"):
        told = alice(method, path)
        assert (told.status, told.headers["cache-control"]) == (200, "no-store")
    assert mallory("GET", path).status == 404
    (stored,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    data = boto3.client("s3").get_object(Bucket=BUCKET, Key=stored["Key"])["Body"].read()
    with ZipFile(BytesIO(data)) as archive:
        assert {*archive.namelist()} == {
            "integration.json",
            "flows/orders.zip",
            f"flows/{plain.body['id']}.zip",
        }
        assert json.loads(archive.read("integration.json"))["name"] == "Shop"
        flow = archive.read("flows/orders.zip")
    result = mallory("POST", "/v1/flows/import", {"template": b64encode(flow).decode()})
    imported = {(each["type"], each["name"]) for each in result.body["resources"]}
    assert imported == {("flow", "Orders"), ("integration", "Shop")}
    assert named.status == 201


def test_a_template_of_an_integration_has_an_end(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many flows, or flows too large together, are told before anything is stored."""
    shop = alice("POST", "/v1/integrations", {"name": "Shop"}).body["id"]
    for name in ("Orders", "Stock"):
        alice("POST", "/v1/flows", {"name": name, "integrationId": shop})
    path = f"/v1/integrations/{shop}/template"
    for limit in ("TEMPLATE_FLOWS", "INTEGRATION_TEMPLATE_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(limits, limit, 1)
            assert (alice("GET", path).status, alice("POST", path).status) == (413, 413)
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)
    assert alice("GET", path).status == 200


def test_a_template_outlives_its_address_and_no_more(alice: Client) -> None:
    """The bucket's rule for them sweeps zips away, and nothing that runs left there."""
    flow = shop_flow(alice)
    alice("GET", f"/v1/flows/{flow['id']}/template")
    (stored,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    declared = template()["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]
    (rule,) = (each for each in declared["Rules"] if each["Id"] == "templates")
    assert (rule["Status"], rule["Prefix"]) == ("Enabled", "templates/")
    assert stored["Key"].startswith(rule["Prefix"])
    # Keys of payloads and of output pages begin with the workspace.
    assert not flow["workspaceId"].startswith("templates")
    assert rule["ExpirationInDays"] * 86_400 > limits.TEMPLATE_URL_SECONDS


def test_the_function_may_do_what_its_addresses_do() -> None:
    """An address is signed by the function: it opens only what the function may read."""
    policies = template()["Resources"]["ApiFunction"]["Properties"]["Policies"]
    allowed = {
        action
        for statement in policies[0]["Statement"]
        if statement["Resource"] == "${Bucket.Arn}/*"
        for action in statement["Action"]
    }
    assert allowed == {"s3:GetObject", "s3:PutObject"}


def test_what_is_another_workspaces_is_not_there(alice: Client, mallory: Client) -> None:
    """Neither as a document nor as a zip, nor by its template."""
    flow = reading_flow(alice, connection(alice, "shop"))
    assert mallory("POST", "/v1/flows/export", {"flowId": flow["id"]}).status == 404
    assert mallory("GET", f"/v1/flows/{flow['id']}/template").status == 404
    document = alice("POST", "/v1/flows/export", {"flowId": flow["id"]}).body
    kept = alice("POST", "/v1/flows/import", document | {"asMarketplace": True}).body
    id_ = kept["resources"][0]["id"]
    assert alice("GET", f"/v1/templates/{id_}").body["document"]["flow"]["name"] == "Orders"
    stolen = mallory("POST", "/v1/flows/import", {"templateId": id_})
    assert (stolen.status, stolen.errors) == (422, {("unknownTemplate", "/templateId")})


def test_a_bad_import_is_refused_with_its_faults(alice: Client) -> None:
    """Faults of shape and of rules, each with its place; nothing is stored."""
    for body, fault in (
        ({}, ("missingField", "/flow")),
        ({"flow": {"name": "Orders", "nmae": 1}}, ("unknownField", "/flow/nmae")),
        ({"flow": {}}, ("missingField", "/flow/name")),
        ({"flow": {"name": "n", "labels": ["x"]}}, ("unknownLabel", "/flow/labels/0")),
        ({"template": "AAAA"}, ("badTemplate", "/template")),
        ({"template": "not base64!"}, ("base64Decode", "/template")),
        ({"metadata": {"format": "other"}, "templateId": "tpl_1"}, None),
        ({"templateUrl": "http://169.254.169.254/"}, ("unknownField", "/templateUrl")),
    ):
        answer = alice("POST", "/v1/flows/import", body)
        assert answer.status == 422, answer.body
        assert fault is None or fault in answer.errors, answer.body
    assert alice("GET", "/v1/flows").body["data"] == []


ROUTED = {
    "name": "Sorted",
    "steps": [
        {
            "id": "read",
            "type": "Export",
            "action": {"type": "Export", "connectionId": "shop", "http": {"path": "/orders"}},
        }
    ],
    "routers": [
        {
            "id": "by-state",
            "routeRecordsTo": "first_matching_branch",
            "branches": [
                {
                    "name": "Open",
                    "inputFilter": {
                        "version": "1",
                        "rules": ["equals", ["string", ["extract", "status"]], "open"],
                    },
                    "pageProcessors": [{"type": "import", "_importId": "write"}],
                },
                {"name": "Others"},
            ],
        }
    ],
}
USED = {
    "connections": {"shop": {"name": "Shop", "baseUrl": "https://shop.example"}},
    "actions": {
        "write": {
            "name": "Write",
            "work": {"type": "Import", "connectionId": "shop", "http": {"path": "/open"}},
        }
    },
}


def test_routers_come_in_as_steps(alice: Client) -> None:
    """In another vendor's shape; the first branch that matches takes a record."""
    sent = {"flow": ROUTED, "dependencies": USED}
    answer = alice("POST", "/v1/flows/import", sent)
    assert answer.status == 200, answer.body
    made = {each["type"]: each["id"] for each in answer.body["resources"]}
    flow = alice("GET", f"/v1/flows/{made['flow']}").body
    assert [(step["id"], step["dependsOn"], step["exclusiveGroup"]) for step in flow["steps"]] == [
        ("read", [], None),
        ("by-state.1", ["read"], "by-state"),
        ("by-state.1.1", ["by-state.1"], None),
        ("by-state.2", ["read"], "by-state"),
    ]
    assert flow["steps"][2]["referrer"] == made["action"]
    assert "routers" not in flow


def test_faults_of_routers_point_to_them(alice: Client) -> None:
    """What is wrong with a router, and with the steps that it stands for."""
    branches: list[dict[str, Json]] = [{"name": "a", "nextRouterId": "none"}]
    bad = {**ROUTED, "routers": [{"id": "r", "branches": branches}]}
    answer = alice("POST", "/v1/flows/import", {"flow": bad, "dependencies": USED})
    assert (answer.status, answer.errors) == (
        422,
        {("unknownRouter", "/flow/routers/0/branches/0/nextRouterId")},
    )
    branches = [{"name": "a", "pageProcessors": [{"type": "import", "_importId": "act_9"}]}]
    bad = {**ROUTED, "routers": [{"id": "r", "branches": branches}]}
    answer = alice("POST", "/v1/flows/import", {"flow": bad, "dependencies": USED})
    assert (answer.status, {place for _, place in answer.errors}) == (422, {"/flow/routers"})
