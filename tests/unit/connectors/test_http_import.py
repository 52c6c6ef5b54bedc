"""An import writes each record once, says which ones the receiver refused, and why."""

import json
from itertools import product

import pytest
from tests.support.samples import origins
from tests.unit.connectors.fake_transport import (
    ScriptedTransport,
    client,
    lost,
    ok,
    refused,
    script,
)

from millrace.connectors.http_client import TRIES
from millrace.connectors.http_import import HttpImporter
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed, StepThrottled, StepTransient
from millrace.domain.imports import HttpImport
from millrace.domain.records import Origin, RecordFailure, idempotency_key


def importer(transport: ScriptedTransport, **http: Json) -> HttpImporter:
    """An importer to `/orders` with this much of an action's wire form."""
    return HttpImporter(
        HttpImport.model_validate({"path": "/orders", **http}),
        client(transport),
        lambda origin, body: idempotency_key(origin, "step", body),
    )


def test_one_record_is_the_body_itself() -> None:
    """Without a batch size each record is one request, as compact UTF-8 JSON."""
    transport = script(ok())
    write = importer(transport, method="PUT", headers={"X-Mode": "upsert"})
    assert write.batch_size == 1
    assert write.write([{"id": 1, "name": "Zoë"}], origins(1)).failures == []
    (request,) = transport.requests
    assert (request.method, request.url) == ("PUT", "https://api.example/v1/orders")
    assert request.body == '{"id":1,"name":"Zoë"}'.encode()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Mode"] == "upsert"


@pytest.mark.parametrize("records", [[{"id": 1}], [{"id": 1}, {"id": 2}]], ids=["one", "two"])
def test_batch_is_an_array(records: list[Record]) -> None:
    """With a batch size the body is an array, of one record too."""
    transport = script(ok())
    write = importer(transport, batchSize=2)
    assert write.batch_size == 2
    assert write.write(records, origins(len(records))).failures == []
    assert json.loads(transport.requests[0].body or b"") == records


def test_tries_and_attempts_share_the_idempotency_key() -> None:
    """A receiver can tell that it has seen a request before, and new requests from old ones."""
    transport = script(lost(), refused(503), ok(), ok(), ok())
    write = importer(transport)
    write.write([{"id": 1}], origins(1))
    write.write([{"id": 1}], origins(1))
    write.write([{"id": 1}], origins(1, 1))
    keys = [request.headers["Idempotency-Key"] for request in transport.requests]
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[3]


def test_idempotency_keys_of_different_places_differ() -> None:
    """No two tuples of parts give one key, even where their texts joined would be the same."""
    places = list(
        product(["run", "ru", "", '"'], ["n1", "1", '","'], [0, 1, 11], [b"", b"{}", b"1"])
    )
    keys = {
        idempotency_key(Origin(run, position), step, body) for run, step, position, body in places
    }
    assert len(keys) == len(places)
    assert idempotency_key(Origin("run", 1), "n1", b"{}") in keys
    assert all(len(key) == 64 for key in keys)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 410, 501])
def test_refusal_of_any_request_fails_the_step(status: int) -> None:
    """Wrong credentials or a wrong address would refuse the other records as well."""
    with pytest.raises(StepFailed, match=f"answered {status}: go away") as raised:
        importer(script(refused(status, b"go away"))).write([{"id": 1}], origins(1))
    assert raised.value.code == f"http{status}"


@pytest.mark.parametrize("status", [400, 402, 409, 412, 413, 422])
def test_refusal_of_these_records_is_their_failure(status: int) -> None:
    """The failure carries the receiver's status and words; the step goes on."""
    failures = (
        importer(script(refused(status, b'{"error":"bad qty"}')), batchSize=2)
        .write([{"id": 1}, {"id": 2}], origins(2))
        .failures
    )
    message = f'POST api.example answered {status}: {{"error":"bad qty"}}'
    assert failures == [
        RecordFailure(0, f"http{status}", message),
        RecordFailure(1, f"http{status}", message),
    ]


def test_trouble_that_lasts_is_left_to_the_machine() -> None:
    """Lost connections are transient; a time to come back is handed on."""
    with pytest.raises(StepTransient):
        importer(script(*[lost()] * TRIES)).write([{"id": 1}], origins(1))
    with pytest.raises(StepThrottled):
        importer(script(refused(429, retry_after="60"))).write([{"id": 1}], origins(1))


@pytest.mark.parametrize(
    ("value", "code"),
    [("\ud800", "textNotUnicode"), (float("nan"), "notJson"), (float("inf"), "notJson")],
    ids=["lone surrogate", "NaN", "infinity"],
)
def test_record_that_cannot_be_written_fails_alone(value: Json, code: str) -> None:
    """The others of its batch are sent, and the failure names its place."""
    transport = script(ok())
    failures = (
        importer(transport, batchSize=3)
        .write([{"id": 1}, {"id": value}, {"id": 3}], origins(3))
        .failures
    )
    assert [(failure.index, failure.code) for failure in failures] == [(1, code)]
    assert transport.requests[0].body == b'[{"id":1},{"id":3}]'


def test_nothing_is_sent_when_no_record_can_be_written() -> None:
    """An empty batch is no request."""
    transport = script()
    assert len(importer(transport).write([{"id": "\ud800"}], origins(1)).failures) == 1
    assert transport.requests == []


def test_large_integers_are_written_exactly() -> None:
    """What a double could not hold reaches the receiver digit by digit."""
    transport = script(ok())
    importer(transport).write([{"id": 2**80 + 1}], origins(1))
    assert transport.requests[0].body == b'{"id":1208925819614629174706177}'
