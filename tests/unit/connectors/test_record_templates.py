"""A request for a single record may hold expressions over it, in path, headers and body."""

import json
from collections import UserDict
from dataclasses import dataclass

import pytest
from tests.support.samples import connection, origins
from tests.unit.connectors.fake_transport import (
    ScriptedTransport,
    http_client,
    lost,
    ok,
    refused,
    script,
)

from millrace.connectors.registry import HttpConnectors
from millrace.domain.action import ImportAction
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.ports import Importer
from millrace.domain.records import idempotency_key
from millrace.domain.run_values import RunValues

VALUES = RunValues(
    {"run": {"id": "run_7"}, "parameters": {"word": "{{ record.secret }}"}},
    {"region": "eu", "token": "s3cret"},
)
PRIVATE = RunValues(VALUES.fixed, VALUES.variables, frozenset({"token"}))


def importer(transport: ScriptedTransport, values: RunValues = VALUES, **http: Json) -> Importer:
    """An import to the shop."""
    work = {"type": "Import", "connectionId": "con_1", "http": http}
    return HttpConnectors(http_client(transport)).importer(
        ImportAction.model_validate(work),
        connection(),
        {},
        values,
        lambda origin, body: idempotency_key(origin, "step", body),
    )


def sent(record: Record, **http: Json) -> tuple[str, dict[str, str], bytes | None]:
    """Address behind the host, headers and body of the request for a record."""
    transport = script(ok())
    assert importer(transport, **http).write([record], origins(1)).failures == []
    (request,) = transport.requests
    return request.url.partition("shop.example")[2], dict(request.headers), request.body


def test_path_and_headers_follow_the_record() -> None:
    """Beside what the run has; a value stays within its segment, a large integer exact."""
    record: Record = {"id": 2**70 + 1, "shop": {"name": "a/b"}}
    path, headers, body = sent(
        record,
        method="PUT",
        path="/{{ variables.region }}/{{ record.shop.name }}/orders/{{ record.id }}",
        headers={"If-Match": '"{{ record.id }}"'},
    )
    assert path == f"/eu/a%2Fb/orders/{2**70 + 1}"
    assert headers["If-Match"] == f'"{2**70 + 1}"'
    assert json.loads(body or b"") == record


def test_a_body_may_take_the_place_of_the_record() -> None:
    """A text that is one expression has the value's type."""
    record: Record = {"id": 7, "lines": [{"n": 1}]}
    body: Json = {"order": "{{ record.id }}", "at": {"lines": "{{ record.lines }}"}, "v": 1}
    _, headers, data = sent(record, path="/in", body=body)
    assert json.loads(data or b"") == {"order": 7, "at": {"lines": [{"n": 1}]}, "v": 1}
    assert headers["Content-Type"] == "application/json"
    _, _, data = sent(record, path="/in", body={"run": "{{ run.id }}"}, bodyPath="/order")
    assert json.loads(data or b"") == {"run": "run_7", "order": record}


def test_a_deletion_sends_no_body() -> None:
    """Its path says it all."""
    path, headers, body = sent({"id": 7}, method="DELETE", path="/orders/{{ record.id }}")
    assert (path, body) == ("/orders/7", None)
    assert "Content-Type" not in headers


def test_a_value_is_no_template() -> None:
    """Braces that come from a run or a record are text."""
    record: Record = {"id": "{{ variables.token }}", "secret": "x"}
    path, headers, _ = sent(
        record, path="/{{ record.id }}", headers={"X-Word": "{{ parameters.word }}"}
    )
    assert path == "/%7B%7B%20variables.token%20%7D%7D"
    assert headers["X-Word"] == "{{ record.secret }}"


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({}, "templateUndefined"),
        ({"id": ["a"]}, "templateNotText"),
        ({"id": ".."}, "badValue"),
        ({"id": "\ud800"}, "templateNotText"),
    ],
    ids=["missing", "array", "other path", "no Unicode"],
)
def test_a_record_that_makes_no_request_fails_alone(record: Record, code: str) -> None:
    """The next one is sent."""
    transport = script(ok())
    write = importer(transport, path="/orders/{{ record.id }}")
    (failure,) = write.write([record], origins(1)).failures
    assert failure.code == code
    assert failure.message.startswith("http/path: ")
    assert write.write([{"id": 1}], origins(1, 1)).failures == []


def test_a_missing_address_is_the_records_failure() -> None:
    """Where the address is the record's; others may be there."""
    transport = script(refused(404), refused(410), ok())
    write = importer(transport, method="PATCH", path="/orders/{{ record.id }}")
    codes = [
        [failure.code for failure in write.write([{"id": n}], origins(1, n)).failures]
        for n in range(3)
    ]
    assert codes == [["http404"], ["http410"], []]


def test_a_record_that_exists_is_updated_where_it_is() -> None:
    """Both requests follow the record; after a lost answer each comes again with its own key."""
    transport = script(lost(), refused(409), lost(), ok())
    upsert = {"method": "PUT", "path": "/orders/{{ record.id }}"}
    assert (
        importer(transport, path="/orders", upsert=upsert).write([{"id": 7}], origins(1)).failures
        == []
    )
    told = [(each.method, each.url.partition("example")[2]) for each in transport.requests]
    assert told == [("POST", "/orders")] * 2 + [("PUT", "/orders/7")] * 2
    keys = [each.headers["Idempotency-Key"] for each in transport.requests]
    assert keys[0] == keys[1] != keys[2] == keys[3]


@dataclass
class WatchedVariables(UserDict[str, Json]):
    """Variables that count how often they are looked at."""

    data: dict[str, Json]
    looks: int = 0

    def __getitem__(self, name: str) -> Json:
        """A look."""
        self.looks += 1
        return self.data[name]


def test_what_is_secret_is_gathered_once_and_not_for_each_record() -> None:
    """A request looks at a variable where it has it, and no more."""
    variables = WatchedVariables({"token": "s3cret"})
    values = RunValues({}, variables, frozenset({"token"}))
    headers = {"X-Token": "{{ variables.token }}"}
    write = importer(script(ok(), ok()), values, path="/in/{{ record.id }}", headers=headers)
    before = variables.looks
    for number in range(2):
        assert write.write([{"id": number}], origins(1, number)).failures == []
    assert variables.looks == before + 2


def test_a_secret_in_the_request_of_a_record_is_masked() -> None:
    """Also what an expression makes of it; one over both is refused, as nobody could tell."""
    headers = {"X-Token": "{{ $uppercase(variables.token) }}", "X-Id": "{{ record.id }}"}
    transport = script(refused(400, b"no: S3CRET s3cret"))
    (failure,) = (
        importer(transport, PRIVATE, path="/in", headers=headers)
        .write([{"id": "a"}], origins(1))
        .failures
    )
    assert failure.message.endswith("no: *** ***")
    headers = {"X-Token": "{{ variables.token & record.id }}"}
    with pytest.raises(StepFailed, match="both a secret variable and the record"):
        importer(script(), PRIVATE, path="/in", headers=headers)
