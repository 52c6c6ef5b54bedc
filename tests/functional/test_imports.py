"""Imports as users have them: a flow by API, run by the real worker, looked at where it writes."""

import json
import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.loopback_server import answer, reset, serving
from tests.support.app import Client, LambdaContext
from tests.support.aws import REGION

RECORDS: list[dict[str, Any]] = [{"id": f"o{number}", "n": number} for number in range(1_000)]
RECORDS[613] = {"n": 613}
"""A thousand orders, one of them without its id."""

type Carry = Callable[..., dict[str, Any]]


@pytest.fixture
def targets(stack: Stack) -> None:
    """A bucket, a table and a queue that are meant for flows."""
    del stack
    where: Any = {"LocationConstraint": REGION}
    boto3.client("s3").create_bucket(Bucket="millrace-data-lake", CreateBucketConfiguration=where)
    boto3.client("dynamodb").create_table(
        TableName="millrace-data-orders",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    boto3.client("sqs").create_queue(QueueName="millrace-data-orders")


def flow_of(client: Client, action: dict[str, Any], **step: object) -> str:
    """The id of a deployed flow with one import."""
    write = {"id": "write", "type": "Import", "action": {"type": "Import", **action}, **step}
    flow = {"name": "Orders", "stableKey": "orders", "steps": [write]}
    connection = {"name": "Shop", "stableKey": "shop", "baseUrl": "https://shop.example"}
    document = {"connections": [connection], "flows": [flow]}
    applied = client("POST", "/v1/apply", document)
    assert applied.status == 200, applied.body
    found: str = applied.body["flows"][0]["id"]
    return found


def carried_out(alice: Client, stack: Stack, run_id: str, step_id: str) -> None:
    """Let the worker do a step of a run."""
    run = alice("GET", f"/v1/runs/{run_id}").body
    task = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}
    stack.functions["run_step"]({"stepId": step_id, **task}, LambdaContext())


@pytest.fixture
def carry(stack: Stack, alice: Client) -> Carry:
    """Runs a flow's import over records, and gives the step as the run shows it."""

    def carry_out(flow_id: str, payload: list[dict[str, Any]]) -> dict[str, Any]:
        run_id = alice("POST", f"/v1/flows/{flow_id}/run", {"payload": payload}).body["runId"]
        carried_out(alice, stack, run_id, "write")
        (step,) = alice("GET", f"/v1/runs/{run_id}").body["steps"]
        found: dict[str, Any] = step
        return found

    return carry_out


def counts(step: dict[str, Any]) -> tuple[int, int, int]:
    """Records in, out and failed."""
    told = step["counts"]
    return told["recordsIn"], told["recordsOut"], told["recordsFailed"]


@pytest.mark.usefixtures("targets")
def test_r13_a_thousand_records_reach_a_table_but_for_the_poison_one(
    alice: Client, carry: Carry
) -> None:
    """It is a record error with its reason; the other 999 are items."""
    target = {"table": "millrace-data-orders", "key": ["id"]}
    flow_id = flow_of(alice, {"dynamodb": target})
    step = carry(flow_id, RECORDS)
    assert (step["status"], counts(step)) == ("partiallySucceeded", (1_000, 999, 1))
    table = boto3.client("dynamodb").describe_table(TableName="millrace-data-orders")["Table"]
    assert table["ItemCount"] == 999
    (entry,) = alice("GET", f"/v1/flows/{flow_id}/errors").body["data"]
    assert (entry["code"], entry["message"]) == (
        "keyMissing",
        "the record has no 'id', part of the key",
    )


@pytest.mark.usefixtures("targets")
def test_records_reach_a_bucket_and_a_queue(alice: Client, carry: Carry) -> None:
    """As objects of so many records, and as messages."""
    target = {"bucket": "millrace-data-lake", "key": "in/{{ part }}.json.gz", "gzip": True}
    step = carry(flow_of(alice, {"s3": {**target, "batchSize": 400}}), RECORDS)
    assert counts(step) == (1_000, 1_000, 0)
    keys = boto3.client("s3").list_objects_v2(Bucket="millrace-data-lake")["Contents"]
    assert [each["Key"].partition("-")[0] for each in keys] == [
        "in/000000000000",
        "in/000000000400",
        "in/000000000800",
    ]
    step = carry(flow_of(alice, {"sqs": {"queue": "millrace-data-orders"}}), RECORDS[:25])
    assert counts(step) == (25, 25, 0)
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="millrace-data-orders")["QueueUrl"]
    attribute: Any = "ApproximateNumberOfMessages"
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])["Attributes"]
    assert told[attribute] == "25"


def test_the_group_of_a_message_may_be_a_variable(
    stack: Stack, alice: Client, carry: Carry
) -> None:
    """What an import's expression names of the run is read, as what its templates name."""
    del stack
    variable = {"key": "region", "value": "eu"}
    assert alice("POST", "/v1/variables", variable).status == 201
    sqs = boto3.client("sqs")
    attributes: Any = {"FifoQueue": "true"}
    made = sqs.create_queue(QueueName="millrace-data-orders.fifo", Attributes=attributes)
    queue = {"queue": "millrace-data-orders.fifo", "group": "$variables.region & '-' & id"}
    step = carry(flow_of(alice, {"sqs": queue}), RECORDS[:1])
    assert counts(step) == (1, 1, 0)
    asked: Any = {"QueueUrl": made["QueueUrl"], "AttributeNames": ["MessageGroupId"]}
    (message,) = sqs.receive_message(**asked)["Messages"]
    assert message["Attributes"]["MessageGroupId"] == "eu-o0"


def test_the_bundles_own_table_is_no_target(stack: Stack, alice: Client) -> None:
    """A flow of one workspace cannot write into all others."""
    flow_id = flow_of(alice, {"dynamodb": {"table": "millrace-table", "key": ["pk", "sk"]}})
    tried = alice("POST", f"/v1/flows/{flow_id}/test", {"payload": RECORDS[:1]}).body
    (step,) = tried["steps"]
    assert step["error"]["code"] == "targetNotAllowed"
    del stack


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ({"s3": {"bucket": "millrace-data-x", "key": "{{ part }}"}}, "PutObject"),
        ({"dynamodb": {"table": "millrace-data-x", "key": ["id"]}}, "BatchWriteItem"),
        ({"sqs": {"queue": "millrace-data-x"}}, "SendMessageBatch"),
    ],
    ids=["s3", "dynamodb", "sqs"],
)
def test_a_test_shows_what_would_be_written_to_aws(
    alice: Client, action: dict[str, Any], call: str
) -> None:
    """Nothing is sent: there is no such target."""
    flow_id = flow_of(alice, action)
    tried = alice("POST", f"/v1/flows/{flow_id}/test", {"payload": RECORDS[:2]}).body
    (step,) = tried["steps"]
    (request,) = step["requests"]["data"]
    assert step["status"] == "succeeded"
    assert (request["method"], request["authentication"]) == (call, "role")
    assert "o1" in request["body"]


def test_a_batch_is_taken_in_part_after_a_lost_answer(alice: Client, carry: Carry) -> None:
    """Sent again under the same key; the refused record fails with the system's own words."""
    results = {"path": "", "okExpression": "ok", "codePath": "/code", "messagePath": "/text"}
    http = {"path": "/orders", "method": "PATCH", "bodyPath": "/records", "batchSize": 3}
    mapping = {"fields": [{"extract": "_json.nr", "generate": "number"}]}
    flow_id = flow_of(
        alice,
        {"connectionId": "shop", "http": {**http, "results": results}},
        responseMapping=mapping,
        proceedOnFailure=True,
    )
    told = [{"ok": True, "nr": 7}, {"ok": False, "code": "noStock", "text": "sold out"}]
    with serving(reset(), answer(200, json.dumps([*told, {"ok": True}]).encode())) as shop:
        document = {"name": "Shop", "stableKey": "shop", "baseUrl": shop.url}
        assert alice("POST", "/v1/apply", {"connections": [document]}).status == 200
        step = carry(flow_id, RECORDS[:3])
    assert counts(step) == (3, 3, 1)
    lost, sent = shop.requests
    # Each request has a span of its own in the run's trace.
    span = re.compile(rb"(?<=traceparent: 00-.{32}-).{16}")
    assert span.sub(b"", lost) == span.sub(b"", sent)
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"PATCH /orders ")
    assert json.loads(body) == {"records": RECORDS[:3]}
    (entry,) = alice("GET", f"/v1/flows/{flow_id}/errors").body["data"]
    assert (entry["code"], entry["message"]) == ("noStock", "sold out")


def priced(
    alice: Client, stack: Stack, shop_url: str, http: dict[str, Any], payload: list[dict[str, Any]]
) -> tuple[str, str]:
    """The ids of a flow that looks up prices, and of its run over a payload, of one step."""
    mapping = {"fields": [{"extract": "data[0].price", "generate": "price"}]}
    step = {
        "id": "price",
        "type": "Export",
        "responseMapping": mapping,
        "action": {"type": "Export", "connectionId": "shop", "http": http},
    }
    connection = {"name": "Shop", "stableKey": "shop", "baseUrl": shop_url}
    flow = {"name": "Prices", "stableKey": "prices", "steps": [step]}
    document = {"connections": [connection], "flows": [flow]}
    flow_id = alice("POST", "/v1/apply", document).body["flows"][0]["id"]
    run_id = alice("POST", f"/v1/flows/{flow_id}/run", {"payload": payload}).body["runId"]
    carried_out(alice, stack, run_id, "price")
    return flow_id, run_id


def test_a_lookup_asks_for_each_record_and_hands_on_what_it_finds(
    alice: Client, stack: Stack
) -> None:
    """Over a real socket; what is not there is the failure of its record alone."""
    http = {"path": "/articles", "query": {"sku": "{{ record.sku }}"}, "recordsPath": "/items"}
    found = answer(200, b'{"items": [{"price": 5}, {"price": 6}]}')
    large: list[dict[str, Any]] = [{"sku": 2**60 + 1}, {"sku": "a b"}, {"sku": "c"}]
    with serving(found, answer(404), answer(200, b'{"items": []}')) as shop:
        flow_id, run_id = priced(alice, stack, shop.url, http, large)
    (told,) = alice("GET", f"/v1/runs/{run_id}").body["steps"]
    assert counts(told) == (3, 2, 1)
    lines = [request.partition(b" HTTP")[0].decode() for request in shop.requests]
    assert lines == [
        f"GET /articles?sku={2**60 + 1}",
        "GET /articles?sku=a+b",
        "GET /articles?sku=c",
    ]
    (entry,) = alice("GET", f"/v1/flows/{flow_id}/errors").body["data"]
    assert (entry["code"], entry["classification"]) == ("http404", "missing")


def test_a_lookup_asks_for_a_batch_and_hands_each_record_its_own(
    alice: Client, stack: Stack
) -> None:
    """Over a real socket; one that the system refuses is found by halves."""
    http = {
        "method": "POST",
        "path": "/articles/search",
        "body": {"skus": "{{ keys }}"},
        "recordsPath": "/items",
        "lookup": {"batchSize": 100, "recordKeyPath": "/sku", "keyPath": "/sku"},
    }
    payload = [{"sku": "a"}, {"sku": "!"}, {"sku": "b"}]
    items = [{"sku": "b", "price": 6}, {"sku": "c", "price": 7}]
    replies = (
        answer(422),
        answer(200, b'{"items": [{"sku": "a", "price": 5}]}'),
        answer(422),
        answer(422),
        answer(200, json.dumps({"items": items}).encode()),
    )
    with serving(*replies) as shop:
        flow_id, run_id = priced(alice, stack, shop.url, http, payload)
    asked = [json.loads(request.partition(b"\r\n\r\n")[2])["skus"] for request in shop.requests]
    assert asked == [["a", "!", "b"], ["a"], ["!", "b"], ["!"], ["b"]]
    output = alice("GET", f"/v1/runs/{run_id}/steps/price/output").body["data"]
    assert output == [{"sku": "a", "price": 5}, {"sku": "b", "price": 6}]
    (entry,) = alice("GET", f"/v1/flows/{flow_id}/errors").body["data"]
    assert entry["code"] == "http422"
