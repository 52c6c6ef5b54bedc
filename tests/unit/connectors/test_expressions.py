"""Expressions compute what JSONata says and never change data silently."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonatapy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.connectors.expressions import (
    EXACT_INTEGER_MAX,
    ExpressionError,
    are_plain,
    check_expression,
    compile_expression,
    matches,
)
from millrace.domain.base import Json, Record
from millrace.domain.records import RecordError

LARGE = EXACT_INTEGER_MAX + 1

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.sampled_from(["", "text", "é😀"]),
    lambda members: (
        st.lists(members, max_size=3) | st.dictionaries(st.sampled_from("xyz"), members, max_size=3)
    ),
    max_leaves=8,
)


def evaluate(text: str, record: Record) -> Json:
    """The value of an expression on a record."""
    return compile_expression(text).evaluate(record)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("price * quantity", 7.5),
        ('{"n": $uppercase(name), "first": tags[0]}', {"n": "ANN", "first": "a"}),
        ("missing", None),
        ("tags[$ != 'a']", "b"),
    ],
    ids=["arithmetic", "object", "undefined", "predicate"],
)
def test_value_is_what_jsonata_says(text: str, value: object) -> None:
    """An expression sees the record's fields and gives plain JSON values."""
    record = {"name": "Ann", "price": 2.5, "quantity": 3, "tags": ["a", "b"]}
    assert evaluate(text, record) == value


def test_an_expression_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many records and steps use it."""
    real = jsonatapy.compile
    compiled = []

    def compile_(text: str, **guards: int) -> jsonatapy.JsonataExpression:
        compiled.append(text)
        return real(text, **guards)

    monkeypatch.setattr(jsonatapy, "compile", compile_)
    values = [compile_expression("once.only").evaluate({"once": {"only": n}}) for n in range(3)]
    assert (values, compiled) == ([0, 1, 2], ["once.only"])


def test_an_expression_may_be_used_by_any_thread() -> None:
    """Pages are fetched in a thread of their own, and the engine lends nothing to another."""
    expression = compile_expression("shared.number + 1")
    with ThreadPoolExecutor(1) as other:
        there = other.submit(expression.evaluate, {"shared": {"number": 1}}).result()
    assert (there, expression.evaluate({"shared": {"number": 2}})) == (2, 3)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a b", "line 1, column 3"),
        ('{"id": id,\n "total": qty price}', "line 2, column 19"),
        ("(a; b", "line 1, column 5"),
        ('x & "open', "line 1, column 5"),
        ("a +\n)", "line 2, column 1"),
    ],
)
def test_wrong_expression_is_refused_with_its_place(text: str, place: str) -> None:
    """An author is told where the expression is wrong before it is stored."""
    with pytest.raises(ExpressionError, match=place):
        check_expression(text)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("($f := function($x){1 + $f($x)}; $f(1))", "expressionFailed", "D1011"),
        ("($f := function($x){$f($x)}; $f(1))", "expressionTimeout", "D1012"),
        ("[0..9999999]", "expressionFailed", "D2015"),
        ('"a" + 1', "expressionFailed", "T2001"),
        ("$unknown(1)", "expressionFailed", "non-function"),
        ("1 / 0", "notJson", "infinite"),
    ],
    ids=["deep recursion", "endless", "huge range", "wrong type", "no such function", "infinity"],
)
def test_p12_a_failing_expression_is_a_record_error(text: str, code: str, says: str) -> None:
    """Whatever goes wrong or never ends is an error of the record with a stable code."""
    with pytest.raises(RecordError, match=says) as raised:
        evaluate(text, {})
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /^(a+)+$/)', None),
        ('$replace("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /(a|aa)+$/, "")', "a" * 35 + "!"),
        ('$contains("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /^(a|a?)+$/)', False),
    ],
    ids=["nested", "overlapping", "optional"],
)
def test_p12_no_pattern_takes_long(text: str, expected: Json) -> None:
    """Patterns over which other engines would still be thinking tomorrow are matched at once."""
    assert evaluate(text, {}) == expected


def test_p12_a_text_that_doubles_without_end_runs_out_of_time() -> None:
    """Long before it would take a gigabyte; then the engine goes on with the next record."""
    doubling = '($f := function($s, $n){$n = 0 ? $s : $f($s & $s, $n - 1)}; $length($f("x", 40)))'
    with pytest.raises(RecordError, match="D1012") as raised:
        evaluate(doubling, {})
    assert raised.value.code == "expressionTimeout"
    assert evaluate('$length("alive")', {}) == 5


@pytest.mark.parametrize("number", [LARGE, -LARGE, 2**63, -(10**400)])
def test_large_integer_is_carried_exactly_or_refused(number: int) -> None:
    """An integer that a double cannot hold goes through untouched, and is refused when used."""
    record = {"id": number, "ok": True, "nested": {"id": number}}
    assert evaluate("ok", record) is True
    assert evaluate('{"all": $, "part": nested}', record) == {"all": record, "part": {"id": number}}
    for text in ("id", "id + 1", "$string(id)", "id = 1", "$string(nested)", "*"):
        with pytest.raises(RecordError) as raised:
            evaluate(text, record)
        assert raised.value.code == "numberNotExact"


def test_integers_up_to_the_limit_are_exact() -> None:
    """The largest exact integers are ordinary numbers."""
    record = {"high": EXACT_INTEGER_MAX, "low": -EXACT_INTEGER_MAX}
    assert evaluate('{"high": high, "low": low}', record) == record


def test_lone_surrogate_is_carried_or_refused() -> None:
    """Text that is not Unicode harms only the records whose expression needs it."""
    record = {"text": "\ud800", "n": 1}
    assert evaluate("n", record) == 1
    with pytest.raises(RecordError) as raised:
        evaluate("text", record)
    assert raised.value.code == "textNotUnicode"


def test_deep_nesting_beside_a_large_integer_is_a_record_error() -> None:
    """A hostile record fails alone; the worker lives."""
    nested: Any = LARGE
    for _ in range(5_000):
        nested = [nested]
    with pytest.raises(RecordError) as raised:
        evaluate("a", {"a": nested})
    assert raised.value.code == "nestedTooDeep"


@given(st.dictionaries(st.sampled_from("abc"), json_values))
def test_field_comes_out_as_it_went_in_or_not_at_all(record: Record) -> None:
    """Copying fields never changes a value silently: the copy is the same JSON, or an error."""
    present = {name: value for name, value in record.items() if value is not None}
    text = "{" + ", ".join(f'"{name}": {name}' for name in present) + "}"
    try:
        copy = evaluate(text, present)
    except RecordError:
        return
    assert json.dumps(copy, sort_keys=True) == json.dumps(present, sort_keys=True)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("n > 1", True),
        ("n > 2", False),
        ("missing", False),
        ("empty", False),
        ("zeros", False),
        ("[0, [1]]", True),
        ("text", True),
        ("{}", False),
    ],
)
def test_filter_follows_jsonata_truth(text: str, *, kept: bool) -> None:
    """A filter keeps a record by JSONata's cast to boolean; undefined means no."""
    record = {"n": 2, "empty": "", "zeros": [0, 0], "text": "x"}
    assert matches(text, record) is kept


@given(st.integers(), st.sampled_from([2**53, 2**53 + 1, 10**16, 2**64, 10**40]), st.booleans())
def test_a_large_integer_among_many_records_is_noticed(
    small: int,
    large: int,
    is_negative: bool,  # noqa: FBT001 - given
) -> None:
    """Wherever it stands; what is called plain needs no look at each record."""
    number = -large if is_negative else large
    records: list[Record] = [
        {"id": small % 1_000, "text": "x"},
        {"deep": [{"n": number}]},
        {"f": 1e300},
    ]
    assert not are_plain(records)
    assert are_plain([records[0], records[2]])
