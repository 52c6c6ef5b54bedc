"""Records that are mapped all at once come out as they would one by one."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.pipelines import fed_pipeline

from millrace.connectors.at_once import HELD_BACK, AtOnce
from millrace.domain.base import Json, Record
from millrace.domain.quick_json import Unread, dump
from millrace.domain.records import Batch
from millrace.domain.run_values import NO_VALUES

MAPS = (
    '{"id": id, "name": name, "twice": a * 2, "city": b.a, "first": c[0].a}',
    '{"a": a, "b": b, "c": c}',
    '{"all": $, "list": [a, b, c]}',
    '{"ratio": a / id, "text": $string(a), "joined": name & "x"}',
    '{"sum": $sum(c.a), "them": c{name: a}, "sorted": $sort(c, function($l, $r){$l.a > $r.a})}',
    '{"function": $sum, "nothing": nothing}',
    "{name: a}",
    '{"last": $$.id, "count": $count($$)}',
    '{"parent": c.{"of": %.id, "n": a}}',
    '{"found": $eval("$$.id")}',
    '($a := a; $b := $a ? b; {"a": $a, "b": $b})',
    '(a = 1 ? $leaked := a; {"leaked": $leaked})',
    '$merge([$, {"a": 1}])',
    "$ ~> |$|{'a': 2}|",
    "$",
    "b",
    "c",
    "a",
    "{}",
    'a > 1 ? {"big": a} : c',
    '{"rest": $sift($, function($v, $k){$k != "a"})}',
    '{"found": **.a, "all": *}',
    '{"flat": c.a, "kept": [c.a], "one": c[a = 1], "second": c.name[1], "deep": a.a}',
    '{"nested": [[a], [[c.a]]], "range": [1..3].{"n": $}, "zip": $zip(c.a, c.name)}',
    '{"keys": $keys(b), "each": $each(b, function($v, $k){$k}), "type": $type(a)}',
    '{"map": $map(c, function($v, $i){$i}), "filter": $filter(c, function($v){$v.a > 1})}',
    '{"fold": $reduce([c.a], function($l, $r){$l + $r}), "some": $distinct(c.name)}',
    '{"text": $string(), "upper": $uppercase(name), "cut": $substring(name, 0, 1)}',
    '{"number": $number(name), "whole": $floor(a), "spread": $spread(b)}',
    '{"sure": a = 2 ? $error("two") : a}',
    '{"asserted": $assert(id > 1, "small"), "id": id}',
    '{"large": a * 1e308 * 10}',
    '{"exact": id * 9007199254740993}',
    '{"f": function($x){$x}, "then": id ~> $string, "part": $substring(?, 0)(name)}',
    '{"null": null, "empty": [], "none": {}, "gone": c[a = 99], "last": [c][-1]}',
    '{"lookup": $lookup(b, "a"), "exists": $exists(b.name), "merged": $merge(c)}',
    '{name: c.{"a": a}, "id": id}',
    '{"matched": $match(name, /x/), "replaced": $replace(name, "x", "y")}',
    'b ~> |$|{"id": 1}, "a"|',
    "[$]",
    "$[0]",
    "c[0]",
    "$map([b], function($v){$v})",
)
FILTERS = ("a >= 1", "a", "$not(b)", "a / id", "c[0].a = 1", "name = ''", "id > 0 and $exists(a)")

numbers = (
    st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1.0, -0.0, 2.5, 1e15, 2.0**53, 1e16, 1e17, 1e22, 1e300, 5e-324, 0.1])
    | st.sampled_from([2**53, -(2**53), 2**53 + 1, 10**30])
)
texts = st.sampled_from(
    ["", "\ud83d", "null", "x", "é\u2028\x00\n", '},{"', "\\u0000", "1.0,", "1" * 20]
)
values = st.none() | st.booleans() | numbers | texts
objects = st.dictionaries(st.sampled_from(["a", "name", "b"]), values, max_size=2)
records = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(-2, 2),
        "name": texts,
        "a": values | st.lists(values | st.lists(values, max_size=2), max_size=2),
        "b": values | objects | st.fixed_dictionaries({"a": objects | st.lists(objects)}),
        "c": st.lists(objects | values, max_size=3) | objects | st.lists(st.lists(objects)),
    },
)

tame_numbers = st.integers(-3, 3) | st.sampled_from([1.0, -0.0, 2.5, 1e14, 1e300, 5e-324, 0.1])
tame_values = tame_numbers | st.sampled_from(["x", "é\u2028\x00\n", '},{"', "1.0,"])
tame = st.fixed_dictionaries(
    {
        "id": st.integers(1, 3),
        "name": st.sampled_from(["x", "y"]),
        "a": tame_numbers,
        "b": st.fixed_dictionaries({"a": tame_values, "name": tame_values}),
        "c": st.lists(st.fixed_dictionaries({"a": tame_numbers, "name": tame_values}), min_size=1),
    }
)
"""Records that nearly all expressions can take."""

tame_lists = st.lists(tame, min_size=10, max_size=14)
strays = st.lists(st.tuples(st.integers(0, 14), records), min_size=1, max_size=4)


@st.composite
def wild_lists(draw: st.DrawFn) -> list[Record]:
    """Records among which some are odd, wherever they stand."""
    many = draw(tame_lists)
    for place, stray in draw(strays):
        many.insert(place, stray)
    return many


def told(batches: Sequence[tuple[int, Batch]]) -> tuple[list[bytes], int, list[Json]]:
    """What batches hold, by the place of their first record: to be compared as it is written."""
    return (
        [dump(record) for _, batch in batches for record in batch.records],
        sum(batch.ignored for _, batch in batches),
        [
            (start + each.index, each.code, each.message)
            for start, batch in batches
            for each in batch.failures
        ],
    )


@pytest.mark.parametrize("expression", MAPS)
@settings(max_examples=30)
@given(
    many=tame_lists | wild_lists(),
    filters=st.just([]) | st.lists(st.sampled_from(FILTERS), max_size=2),
)
@example(many=[{"a": 1.0, "b": {"a": -0.0}, "c": [{"a": 3.0}], "id": 1}] * 12, filters=[])
@example(many=[{"a": 1, "id": 1}, {}] * 6, filters=["a >= 1"])
@example(many=[{"a": 1, "id": 0}, *[{"a": 1, "id": 1}] * 11], filters=[])
def test_all_at_once_is_one_by_one(expression: str, many: list[Record], filters: list[str]) -> None:
    """The same records, numbers and failures, whatever the records and the expressions are."""
    operations = [
        *({"type": "filter", "expression": each} for each in filters),
        {"type": "map", "expression": expression},
    ]
    together = told([(0, fed_pipeline(*operations).feed(many))])
    single = told(
        [(place, fed_pipeline(*operations).feed([each])) for place, each in enumerate(many)]
    )
    assert together == single


def test_records_are_told_from_those_held_back_and_those_in_doubt() -> None:
    """A null may be an infinite number, so its record is looked at; the others are not read."""
    many: list[Record] = [{"id": number, "name": "x"} for number in range(20)]
    many[7]["name"] = None
    at_once = AtOnce(["id > 1"], '{"n": id, "name": name}', NO_VALUES)
    texts = at_once.texts(Unread([dump(many)], len(many)))
    assert texts is not None
    assert texts[:3] == [HELD_BACK, HELD_BACK, b'{"n":2,"name":"x"}']
    assert [place for place, text in enumerate(texts) if text is None] == [7]


def test_what_is_in_vain_is_not_tried_each_time() -> None:
    """After a page that had to be gone through one by one, the next ones are as well."""
    good: list[Record] = [{"n": number} for number in range(20)]
    at_once = AtOnce([], '{"next": n + 1}', NO_VALUES)
    assert at_once.texts(good) is not None
    assert at_once.texts([*good, {"n": "x"}]) is None
    assert [at_once.texts(good) is None for _ in range(11)] == [True] * 10 + [False]


@pytest.mark.parametrize("count", [0, 1, 9])
def test_few_records_are_not_worth_it(count: int) -> None:
    """They are evaluated one by one."""
    assert AtOnce([], '{"a": a}', NO_VALUES).texts([{"a": 1}] * count) is None
