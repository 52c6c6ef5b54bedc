"""Flows leave and come over the real handlers: as JSON, and as a zip behind a signed address."""

from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
from tests.functional.test_api_copies import connection, made, reading_flow
from tests.support.app import Client
from tests.support.aws import BUCKET, REGION, template

from millrace import limits

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


def test_a_template_outlives_its_address_and_no_more(alice: Client) -> None:
    """The bucket's one rule sweeps zips away, and nothing that runs left there."""
    flow = shop_flow(alice)
    alice("GET", f"/v1/flows/{flow['id']}/template")
    (stored,) = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    declared = template()["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]
    (rule,) = declared["Rules"]
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
        ({}, ("valueError", "")),
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
