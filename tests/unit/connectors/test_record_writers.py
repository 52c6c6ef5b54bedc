"""Records are written in the format that the receiver reads; one that cannot be fails alone."""

from collections.abc import Sequence

import pytest

from millrace.connectors.record_writers import writer_of
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.imports import HttpImport
from millrace.domain.quick_json import Unread, dump


def written(records: Sequence[Record], **http: Json) -> tuple[bytes, list[tuple[int, str]]]:
    """What an import sends of these records, and the failures of the others."""
    work = HttpImport.model_validate({"path": "/in", **http})
    body = writer_of(work).body(records)
    places = {*body.sent} | {failure.index for failure in body.failures}
    assert places == set(range(len(records)))
    return body.data, [(failure.index, failure.code) for failure in body.failures]


TWO: list[Record] = [{"id": 1, "name": "Zoë"}, {"id": 2**70, "tags": ["a", 1]}]
POISON: list[Record] = [{"id": 1}, {"id": "\ud800"}, {"id": float("nan")}, {"id": 4}]


@pytest.mark.parametrize(
    ("http", "data"),
    [
        (
            {"batchSize": 9},
            '[{"id":1,"name":"Zoë"},{"id":1180591620717411303424,"tags":["a",1]}]',
        ),
        (
            {"batchSize": 9, "bodyPath": "/records"},
            '{"records":[{"id":1,"name":"Zoë"},{"id":1180591620717411303424,"tags":["a",1]}]}',
        ),
        (
            {"batchSize": 9, "format": "ndjson"},
            '{"id":1,"name":"Zoë"}\n{"id":1180591620717411303424,"tags":["a",1]}\n',
        ),
        (
            {"batchSize": 9, "format": "csv"},
            'id,name,tags\r\n1,Zoë,\r\n1180591620717411303424,,"[""a"",1]"\r\n',
        ),
        (
            {
                "batchSize": 9,
                "format": "csv",
                "csv": {"header": False, "columns": ["tags", "id", "name"], "delimiter": ";"},
            },
            ';1;Zoë\r\n"[""a"",1]";1180591620717411303424;\r\n',
        ),
    ],
    ids=["json", "within", "ndjson", "csv", "csv with columns"],
)
def test_a_batch_is_written_exactly(http: Json, data: str) -> None:
    """Integers digit by digit, text as it is."""
    assert written(TWO, **http) == (data.encode(), [])


@pytest.mark.parametrize("poison", [[], POISON], ids=["good", "poison"])
@pytest.mark.parametrize("http", [{"batchSize": 9}, {"batchSize": 9, "format": "ndjson"}], ids=str)
def test_records_that_nobody_looked_at_are_written_alike(http: Json, poison: list[Record]) -> None:
    """So the Idempotency-Key of the same records is the same; what is no JSON is found there."""
    records = [*TWO, *poison]
    lines = [dump(record) for record in records]
    assert written(Unread(lines, len(lines)), **http) == written(records, **http)


def test_a_record_stands_where_the_body_says() -> None:
    """What is around it stays; the same with a record that cannot be written in the quick way."""
    around = {"body": {"mode": "full", "data": {"kind": "order"}}, "bodyPath": "/data/order"}
    data = b'{"mode":"full","data":{"kind":"order","order":{"text":"NaN"}}}'
    assert written([{"text": "NaN"}], **around) == (data, [])
    data = data.replace(b"NaN", b"x")
    assert written([{"text": "x"}], **around) == (data, [])


@pytest.mark.parametrize(
    ("http", "data"),
    [
        ({}, b'[{"id":1},{"id":4}]'),
        ({"bodyPath": "/r"}, b'{"r":[{"id":1},{"id":4}]}'),
        ({"format": "ndjson"}, b'{"id":1}\n{"id":4}\n'),
        ({"format": "csv"}, b"id\r\n1\r\n4\r\n"),
    ],
    ids=["json", "within", "ndjson", "csv"],
)
def test_a_record_that_cannot_be_written_is_left_out(http: Json, data: bytes) -> None:
    """The others are sent."""
    body, failures = written(POISON, batchSize=9, **http)
    assert body == data
    assert [index for index, _ in failures] == [1, 2]


def test_csv_writes_what_it_has_a_place_for() -> None:
    """A field without a column, or text that the charset does not have, is a failure."""
    records: list[Record] = [{"a": "ü"}, {"a": "日"}, {"b": 1}, {"a": None}, {"a": True}]
    form = {"columns": ["a"], "encoding": "latin-1"}
    body, failures = written(records, batchSize=9, format="csv", csv=form)
    assert body == 'a\r\nü\r\n""\r\ntrue\r\n'.encode("latin-1")
    assert failures == [(1, "textNotEncodable"), (2, "columnMissing")]
    plain: Json = {"columns": ["a", "b"], "quote": "", "header": False}
    body, failures = written([{"a": "x,y"}, {"a": 1}], batchSize=9, format="csv", csv=plain)
    assert (body, failures) == (b"1,\r\n", [(0, "notCsv")])


def test_an_unknown_charset_fails_the_step() -> None:
    """No record could be written."""
    for name in ("utf-99", "rot13"):
        with pytest.raises(StepFailed, match=f"no charset '{name}'") as raised:
            written([], batchSize=9, format="csv", csv={"encoding": name})
        assert raised.value.code == "unknownCharset"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_csv_has_one_byte_order_mark_at_most(encoding: str) -> None:
    """It stands before everything, where the charset has one, and the media type names the charset.

    A text may begin with the same character.
    """
    form = {"encoding": encoding}
    body, failures = written(
        [{"a": "ü"}, {"a": "\ud800"}, {"a": "\ufeffb"}], batchSize=9, format="csv", csv=form
    )
    assert body == "a\r\nü\r\n\ufeffb\r\n".encode(encoding)
    assert failures == [(1, "textNotEncodable")]
    http = {"path": "/in", "batchSize": 9, "format": "csv", "csv": form}
    kind = writer_of(HttpImport.model_validate(http)).content_type
    assert kind == f"text/csv; charset={encoding.removesuffix('-sig')}"


def test_a_form_has_the_fields_of_one_record() -> None:
    """An array repeats its field, an object is JSON."""
    record: Record = {
        "name": "Zoë & Co",
        "tag": ["a", "b"],
        "at": {"x": 1},
        "none": None,
        "ok": False,
    }
    data = b"name=Zo%C3%AB+%26+Co&tag=a&tag=b&at=%7B%22x%22%3A1%7D&none=&ok=false"
    assert written([record], format="form") == (data, [])
    assert written([{"a": "\ud800"}], format="form") == (b"", [(0, "textNotUnicode")])
