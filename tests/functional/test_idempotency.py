"""A POST that is sent again, over the real handlers: carried out once, answered alike."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.model import OperationModel
from tests.functional.conftest import Stack
from tests.functional.test_api_errors import table
from tests.functional.test_api_resources import CONNECTION, FLOW, deployed
from tests.support.app import Client, LambdaContext, answer_of, http_event
from tests.support.aws import TABLE

from millrace import limits
from millrace.http.api import Api
from millrace.http.openapi import document

KEY = {"Idempotency-Key": "order 4711, first try"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/connections", {"name": "Shop", "baseUrl": "https://shop.example"}),
        ("/v1/flows", {"name": "Orders"}),
        ("/v1/apply", {"connections": [CONNECTION], "flows": [FLOW]}),
        ("/v1/flows/{flow_id}/webhooks", {}),
        ("/v1/flows/{flow_id}/run", {"payload": [1]}),
        ("/v1/flows/{flow_id}/run", None),
    ],
)
def test_the_first_answer_is_given_again(alice: Client, path: str, body: object) -> None:
    """Status, body, ETag and Location, and nothing is stored a second time."""
    path = path.format(flow_id=deployed(alice, FLOW | {"stableKey": "other"})["id"])
    first = alice("POST", path, body, headers=KEY)
    assert first.status in {200, 201, 202}
    before = table()
    assert alice("POST", path, body, headers=KEY) == first
    assert table() == before
    again = alice("POST", path, body, headers={"Idempotency-Key": "another"})
    assert again.body != first.body or path == "/v1/apply"


def test_a_key_belongs_to_one_request(alice: Client, mallory: Client) -> None:
    """Another body or another route is refused; another workspace has keys of its own."""
    assert alice("POST", "/v1/flows", {"name": "Orders"}, headers=KEY).status == 201
    for path, body in (("/v1/flows", {"name": "Other"}), ("/v1/connections", {"name": "Orders"})):
        answer = alice("POST", path, body, headers=KEY)
        assert (answer.status, answer.errors) == (422, {("keyTwice", "Idempotency-Key")})
    assert mallory("POST", "/v1/flows", {"name": "Orders"}, headers=KEY).status == 201


def test_a_refused_request_leaves_its_key_free(alice: Client) -> None:
    """Nothing was stored, so the corrected request may use the key."""
    assert alice("POST", "/v1/connections", {"name": "Shop"}, headers=KEY).status == 422
    assert alice("POST", "/v1/connections", CONNECTION, headers=KEY).status == 201


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb", "é"])
def test_a_key_that_is_none_is_400(alice: Client, key: str) -> None:
    """Refused before anything is done."""
    before = table()
    answer = alice("POST", "/v1/flows", FLOW, headers={"Idempotency-Key": key})
    assert (answer.status, answer.errors) == (400, {("badKey", "Idempotency-Key")})
    assert table() == before


def test_other_methods_have_no_use_for_a_key(alice: Client) -> None:
    """A PUT is idempotent by its If-Match."""
    made = alice("POST", "/v1/connections", CONNECTION, headers=KEY)
    path = f"/v1/connections/{made.body['id']}"
    for method in ("GET", "PUT"):
        assert alice(method, path, CONNECTION, headers=KEY | made.etag).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/connections", CONNECTION),
        ("/v1/flows", {"name": "Orders"}),
        ("/v1/flows/{flow_id}/webhooks", {}),
        ("/v1/flows/{flow_id}/run", {"payload": [1]}),
    ],
)
def test_r4_an_answer_that_a_timeout_swallowed_is_given_later(
    stack: Stack, alice: Client, path: str, body: object
) -> None:
    """The function is ended when all is done but said: within a minute 409, then the answer."""
    path = path.format(flow_id=deployed(alice, FLOW | {"stableKey": "other"})["id"])
    times = [datetime.now(UTC)]
    api = Api(replace(stack.context, clock=lambda: times[-1]))
    client = Client(api, alice.authorizer, alice.token)  # type: ignore[arg-type]  # takes any context
    before = len(table())

    def die(**_: object) -> None:
        raise SystemExit("Task timed out after 29.00 seconds")

    # What is told is remembered last; the write before it has done all there was to do.
    writes: list[str] = []

    def count(model: OperationModel, **_: object) -> None:
        if model.name == "TransactWriteItems":
            writes.append(model.name)
            if len(writes) == 2:
                die()

    events = stack.context.resources._client.meta.events  # type: ignore[attr-defined]
    events.register("before-call.dynamodb", count)
    with pytest.raises(SystemExit):
        client("POST", path, body, headers=KEY)
    events.unregister("before-call.dynamodb", count)
    done = table()
    assert len(done) > before
    first = client("POST", path, body, headers=KEY)
    assert first.status == 409 or path.endswith("/run")
    times.append(times[-1] + timedelta(seconds=limits.REQUEST_LEASE_SECONDS))
    told = [client("POST", path, body, headers=KEY) for _ in range(2)]
    assert {answer.status for answer in told} <= {201, 202}
    assert told[0].body == told[1].body


def test_the_table_forgets_by_itself(alice: Client) -> None:
    """Each record has the time from which DynamoDB may remove it."""
    alice("POST", "/v1/connections", CONNECTION, headers=KEY)
    (item,) = [item for item in table() if item["pk"]["S"].endswith("#once")]
    record = json.loads(item["data"]["S"])
    expires = datetime.fromisoformat(record["expiresAt"])
    assert expires - datetime.fromisoformat(record["createdAt"]) == timedelta(hours=24)
    assert int(item["expiresAt"]["N"]) == int(expires.timestamp())


def test_a_fault_outside_the_application_is_500_too(alice: Client) -> None:
    """The record is looked up before any route is called."""
    request = http_event("api", "POST", "/v1/flows", b"{}", KEY)
    boto3.client("dynamodb").delete_table(TableName=TABLE)
    answer = answer_of(alice.api(request, LambdaContext()))
    assert (answer.status, answer.body["code"]) == (500, "internal")


def test_every_post_is_documented_to_take_a_key() -> None:
    """And no other method is; only the making of tokens takes none."""
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            names = {parameter["name"] for parameter in operation.get("parameters", [])}
            takes_key = method == "post" and path != "/v1/tokens"
            assert ("Idempotency-Key" in names) == takes_key, (method, path)
            assert not takes_key or {"409", "422", "400"} <= operation["responses"].keys(), path


def test_a_token_is_never_remembered(alice: Client) -> None:
    """Its answer holds a credential, so the key is refused and nothing is made."""
    before = alice("GET", "/v1/tokens").body["data"]
    given = {"name": "robot", "role": "viewer"}
    answer = alice("POST", "/v1/tokens", given, headers=KEY)
    assert (answer.status, answer.body["code"]) == (400, "invalidRequest")
    assert alice("GET", "/v1/tokens").body["data"] == before
