"""Records held against a JSON Schema, and schemas that are none."""

import time

import pytest
from tests.support.pipelines import fed_pipeline

from millrace.connectors.schemas import check_schema
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed

SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer"},
        "mail": {"format": "email"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "a/b": {"type": "boolean"},
    },
    "$defs": {"line": {"properties": {"sku": {"pattern": "^[A-Z]+$"}}}},
}


def validate(schema: Json) -> Json:
    """The operation in its wire form."""
    return {"type": "validate", "schema": schema}


def test_records_that_keep_the_schema_go_on_unchanged() -> None:
    """Whatever else they hold."""
    records: list[Record] = [{"id": 2**70, "x": 1.5}, {"id": 1, "lines": [{"sku": "AB"}]}]
    batch = fed_pipeline(validate(SCHEMA)).feed(records)
    assert (batch.records, batch.failures) == (records, [])


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({}, 'the record: "id" is a required property'),
        ({"id": "secret"}, '/id: the value is not of type "integer"'),
        ({"id": 1, "mail": "secret"}, '/mail: the value is not a "email"'),
        (
            {"id": 1, "lines": [{"sku": "A"}, {"sku": "secret"}]},
            '/lines/1/sku: the value does not match "^[A-Z]+$"',
        ),
        ({"id": 1, "a/b": "secret"}, '/a~1b: the value is not of type "boolean"'),
        (
            {"mail": "secret"},
            '/mail: the value is not a "email"; the record: "id" is a required property',
        ),
    ],
)
def test_a_violation_names_place_and_reason_and_no_data(record: Record, told: str) -> None:
    """The pointer of each fault, what the schema says there, and nothing of the value."""
    (failure,) = fed_pipeline(validate(SCHEMA)).feed([record]).failures
    assert failure.code == "schemaViolation"
    assert set(failure.message.split("; ")) == set(told.split("; "))


def test_a_record_with_countless_faults_tells_some() -> None:
    """The first five and how many more."""
    schema = {"properties": {"n": {"items": {"type": "string"}}}}
    (failure,) = fed_pipeline(validate(schema)).feed([{"n": list(range(9))}]).failures
    assert failure.message.count("/n/") == 5
    assert failure.message.endswith("; and 4 more")


def test_text_that_is_not_unicode_fails_alone() -> None:
    """Half a surrogate pair, which no schema can judge."""
    batch = fed_pipeline(validate(SCHEMA)).feed([{"id": 1, "mail": "\ud800"}, {"id": 1}])
    assert [each.code for each in batch.failures] == ["textNotUnicode"]
    assert batch.records == [{"id": 1}]


def test_endless_nesting_fails_alone() -> None:
    """However deep the schema follows it."""
    deep: Record = {}
    inner = deep
    for _ in range(50_000):
        inner["x"] = {}
        inner = inner["x"]
    flow = fed_pipeline(validate({"additionalProperties": {"$ref": "#"}}))
    batch = flow.feed([deep, {"x": {"x": {}}}])
    assert [each.code for each in batch.failures] == ["nestedTooDeep"]
    assert batch.records == [{"x": {"x": {}}}]


@pytest.mark.parametrize(
    ("schema", "pointers"),
    [
        ({"type": "nothing"}, ["/type"]),
        (
            {"properties": {"a": {"type": 3, "minimum": "x"}}},
            ["/properties/a/minimum", "/properties/a/type"],
        ),
        ({"pattern": "("}, ["/pattern"]),
        ({"$ref": "#/$defs/none"}, [""]),
        ({"$ref": "https://schemas.example/order.json"}, [""]),
    ],
)
def test_a_schema_that_cannot_be_used_is_told_by_place(schema: Json, pointers: list[str]) -> None:
    """All faults of its form at once; what it refers to is not fetched."""
    assert sorted(pointer for pointer, _ in check_schema(schema)) == pointers
    with pytest.raises(StepFailed) as raised:
        fed_pipeline(validate(schema))
    assert raised.value.code == "invalidOperation"


def test_a_schema_that_can_be_used_has_no_faults() -> None:
    """Also the one that lets nothing through."""
    assert check_schema(SCHEMA) == []
    assert check_schema({"not": {}}) == []


def test_no_pattern_takes_for_ever() -> None:
    """What hangs other engines is over in no time."""
    flow = fed_pipeline(validate({"properties": {"t": {"pattern": "^(a+)+$"}}}))
    start = time.perf_counter()
    assert len(flow.feed([{"t": "a" * 5_000 + "!"}]).failures) == 1
    assert time.perf_counter() - start < 1
