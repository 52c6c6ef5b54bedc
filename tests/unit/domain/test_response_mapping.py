"""What a system answered is merged into the record where the mapping says."""

import pytest
from pydantic import ValidationError

from millrace.domain.base import Json, Record
from millrace.domain.flow_parts import ResponseMapping
from millrace.domain.response_mapping import merged

ANSWER: Record = {
    "_json": {
        "order": {"id": 7, "First Name": "Zoë"},
        "lines": [{"sku": "a", "qty": 1}, {"sku": "b"}],
    },
    "id": "o-7",
    "statusCode": 201,
    "errors": [],
    "ignored": False,
}


def mapping(**given: Json) -> ResponseMapping:
    """A mapping in its wire form."""
    return ResponseMapping.model_validate(given)


def field(extract: str, generate: str) -> Json:
    """One field of a mapping."""
    return {"extract": extract, "generate": generate}


@pytest.mark.parametrize(
    ("extract", "value"),
    [
        ("_json.order.id", 7),
        ("_json.order.[First Name]", "Zoë"),
        ("_json.lines[1].sku", "b"),
        ("id", "o-7"),
        ("statusCode", 201),
        ("errors", []),
        ("ignored", False),
    ],
)
def test_a_field_takes_a_value_of_the_answer(extract: str, value: Json) -> None:
    """Names lead through objects, numbers through arrays, brackets around any other name."""
    record: Record = {"a": 1}
    out = merged(record, mapping(fields=[field(extract, "shop.found")]), ANSWER)
    assert out == {"a": 1, "shop": {"found": value}}
    assert record == {"a": 1}


@pytest.mark.parametrize("extract", ["_json.none", "_json.lines[9]", "id.deeper", "_json[0]"])
def test_what_the_answer_does_not_have_leaves_the_record_alone(extract: str) -> None:
    """A field that a system leaves out does not wipe what is there."""
    assert merged({"a": 1}, mapping(fields=[field(extract, "a")]), ANSWER) == {"a": 1}


def test_other_members_of_an_object_stay() -> None:
    """Only the named place is written; a text in its way is replaced."""
    fields = [field("id", "shop.id"), field("id", "note.id")]
    out = merged({"shop": {"name": "A"}, "note": "text"}, mapping(fields=fields), ANSWER)
    assert out == {"shop": {"name": "A", "id": "o-7"}, "note": {"id": "o-7"}}


def test_a_list_is_made_of_the_elements_of_the_answer() -> None:
    """Each element is an object; a place without [*] has the same value in each."""
    fields = [
        field("_json.lines[*].sku", "sku"),
        field("_json.lines[*].qty", "count.ordered"),
        field("id", "order"),
    ]
    out = merged({}, mapping(lists=[{"generate": "lines", "fields": fields}]), ANSWER)
    assert out == {
        "lines": [
            {"sku": "a", "count": {"ordered": 1}, "order": "o-7"},
            {"sku": "b", "order": "o-7"},
        ]
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fields": [field(".id", "a")]}, "is no place"),
        ({"fields": [field("a..b", "a")]}, "is no place"),
        ({"fields": [field("a[", "a")]}, "is no place"),
        ({"fields": [field("a[*].b", "a")]}, "has many values"),
        ({"fields": [field("a", "b[0]")]}, "names only"),
        ({"lists": [{"generate": "a", "fields": [field("a[*].b[*]", "c")]}]}, "more than once"),
    ],
)
def test_a_place_that_leads_nowhere_is_refused(given: Json, words: str) -> None:
    """The author is told before anything runs."""
    with pytest.raises(ValidationError, match=words):
        mapping(**given)
