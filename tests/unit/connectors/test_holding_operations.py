"""Split, sort and group: what Python would do, in bounded memory, and the same after a crash."""

from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pipelines import RUN, FedPipeline, fed_pipeline

from millrace import limits
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.records import Batch, Origin

SPLIT = {"type": "split", "expression": "lines.{'order': %.id, 'sku': sku, 'n': n}"}
GROUP = {"type": "group", "by": {"kind": "kind"}, "into": "all"}

COUNT_BY_TEXT = {
    "type": "aggregate",
    "groupBy": {"n": "n & 'six b'"},
    "figures": {"c": {"function": "count"}},
}

RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["a", "b", "c", 1, 2.5, True, None]),
            "n": st.integers(-3, 3),
            "id": st.integers(0, 2**70),
        }
    ),
    max_size=25,
)


def sort(*keys: tuple[str, str]) -> Json:
    """A sort in its wire form."""
    by = [{"expression": expression, "order": order} for expression, order in keys]
    return {"type": "sort", "by": by}


def fed(flow: FedPipeline, records: list[Record], crashes: set[int]) -> FedPipeline:
    """A pipeline fed one by one, which dies before some of the records."""
    for place, record in enumerate(records):
        if place in crashes:
            flow = flow.crashed()
        flow.feed([record])
    return flow


def test_split_makes_a_record_of_each_object() -> None:
    """One, several or none; none counts as ignored."""
    flow = fed_pipeline({"type": "split", "expression": "lines"})
    batch = flow.feed([{"lines": [{"n": 1}, {"n": 2}]}, {"lines": []}, {"lines": [{"n": 3}]}, {}])
    assert batch == Batch([{"n": 1}, {"n": 2}, {"n": 3}], 2, [])


@pytest.mark.parametrize("lines", [[{"n": 1}, 2], "text", 7, [[{"n": 1}]]])
def test_split_into_what_is_no_object_is_a_failure(lines: Json) -> None:
    """Nothing of such a record goes on."""
    batch = fed_pipeline({"type": "split", "expression": "lines"}).feed([{"lines": lines}])
    assert batch.records == []
    assert [(each.index, each.code) for each in batch.failures] == [(0, "notAnObject")]


def test_a_part_that_fails_holds_its_record_back() -> None:
    """A record is tried again as a whole, so none of its parts goes on before."""
    flow = fed_pipeline(
        {"type": "split", "expression": "lines"}, {"type": "map", "expression": '{"n": n + 1}'}
    )
    batch = flow.feed(
        [{"lines": [{"n": 1}]}, {"lines": [{"n": 2}, {"n": "x"}, {"n": "y"}]}, {"lines": {"n": 4}}]
    )
    assert batch.records == [{"n": 2}, {"n": 5}]
    assert [(each.index, each.code) for each in batch.failures] == [(1, "expressionFailed")]


def test_a_part_that_cannot_be_sorted_holds_its_record_back() -> None:
    """Also where the others wait for the end."""
    flow = fed_pipeline({"type": "split", "expression": "lines"}, sort(("n", "asc")))
    batch = flow.feed([{"lines": [{"n": 3}, {"n": {}}]}, {"lines": [{"n": 2}, {"n": 1}]}])
    assert [(each.index, each.code) for each in batch.failures] == [(0, "notSortable")]
    assert flow.finish().records == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([{"n": 1}, {"n": "x"}], "notANumber"),
        ([{"n": 1, "k": 1}, {"n": 2, "k": "$"}], "expressionFailed"),
        ([{"n": 1e308}, {"n": 1, "k": 5}, {"n": 1e308}], "notANumber"),
    ],
    ids=["no number", "no group", "a sum beyond a double"],
)
def test_a_part_that_is_in_no_figure_holds_its_record_back(lines: Json, code: str) -> None:
    """No part of the record is in a figure, and none makes a group."""
    figures = {
        "total": {"function": "sum", "expression": "n"},
        "count": {"function": "count"},
    }
    flow = fed_pipeline(
        {"type": "split", "expression": "lines"},
        {"type": "aggregate", "groupBy": {"k": "k + 0"}, "figures": figures},
    )
    batch = flow.feed([{"lines": lines}, {"lines": [{"n": 5}, {"n": 2}]}])
    assert [(each.index, each.code) for each in batch.failures] == [(0, code)]
    assert flow.finish().records == [{"k": None, "total": 7, "count": 2}]


@pytest.mark.parametrize(
    "operation",
    [{"type": "dedupe", "key": "n"}, {"type": "group", "by": {"n": "n + 0"}}],
    ids=["dedupe", "group"],
)
def test_a_part_without_a_key_holds_its_record_back(operation: Json) -> None:
    """The key of another part of it is still free for a record that is sound."""
    flow = fed_pipeline({"type": "split", "expression": "lines"}, operation)
    bad = {"lines": [{"n": 1}, {"n": {}, "m": 1} if operation["type"] == "group" else {"m": 1}]}
    batch = flow.feed([bad, {"lines": [{"n": 1}]}])
    assert [each.index for each in batch.failures] == [0]
    assert len(batch.records) + len(flow.finish().records) == 1


def test_a_record_may_not_be_split_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit it fails, and the others go on."""
    monkeypatch.setattr(limits, "SPLIT_OBJECTS", 3)
    flow = fed_pipeline({"type": "split", "expression": "[1..n].{'n': $}"})
    batch = flow.feed([{"n": 4}, {"n": 3}])
    assert [each.code for each in batch.failures] == ["tooLarge"]
    assert len(batch.records) == 3


def test_splits_of_splits_may_not_be_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is bounded is all that becomes of one record, however many splits there are."""
    monkeypatch.setattr(limits, "SPLIT_OBJECTS", 6)
    each = {"type": "split", "expression": "lines"}
    two, three = [{"n": 1}, {"n": 2}], [{"n": 1}, {"n": 2}, {"n": 3}]
    flow = fed_pipeline(each, each)
    batch = flow.feed(
        [{"lines": [{"lines": three}] * 2}, {"lines": [{"lines": three}, {"lines": two}] * 2}]
    )
    assert [(failure.index, failure.code) for failure in batch.failures] == [(1, "tooLarge")]
    assert batch.records == three * 2


def test_a_process_that_splits_takes_few_records_at_once() -> None:
    """What one call gives is bounded."""
    assert fed_pipeline(SPLIT).pipeline.batch_size == limits.SPLIT_RECORDS
    assert fed_pipeline(GROUP).pipeline.batch_size == limits.PAGE_RECORDS


@given(RECORDS, st.sampled_from(["asc", "desc"]), st.sets(st.integers(0, 24)))
def test_sort_is_what_python_would_do(records: list[Record], order: str, crashes: set[int]) -> None:
    """By two keys, stable, exact, whatever dies on the way."""
    known = [record for record in records if record["kind"] is None or record["kind"] in {"a", "b"}]
    flow = fed(fed_pipeline(sort(("kind", order), ("n", "desc"))), known, crashes)

    def rank(record: dict[str, Any]) -> tuple[bool, str]:
        return record["kind"] is not None, record["kind"] or ""

    expected = sorted(
        sorted(known, key=lambda record: record["n"], reverse=True),
        key=rank,
        reverse=order == "desc",
    )
    assert flow.finish() == Batch(expected, 0, [])


def test_values_of_all_kinds_have_an_order() -> None:
    """Null and what is missing first, then false and true, numbers, text."""
    values = ["b", 10, True, None, 2, "a", False, 2.5, ""]
    flow = fed_pipeline(sort(("v", "asc")))
    flow.feed([{"v": value} for value in values])
    flow.feed([{}])
    found = [record.get("v") for record in flow.finish().records]
    assert found == [None, None, False, True, 2, 2.5, 10, "", "a", "b"]


@given(RECORDS, st.sets(st.integers(0, 24)))
def test_group_is_what_itertools_would_do(records: list[Record], crashes: set[int]) -> None:
    """One record a key, in the order in which keys were first seen, whatever dies on the way."""
    flow = fed(fed_pipeline(GROUP), records, crashes)
    keys = [(type(record["kind"]), record["kind"]) for record in records]
    order = list(dict.fromkeys(keys))
    pairs = sorted(zip(keys, records, strict=True), key=lambda pair: order.index(pair[0]))
    expected = [
        {"kind": key[1], "all": [record for _, record in members]}
        for key, members in groupby(pairs, key=lambda pair: pair[0])
    ]
    assert flow.finish() == Batch(expected, 0, [])


@given(RECORDS, st.sets(st.integers(0, 24)), st.integers(0, 30))
def test_the_end_can_be_interrupted_between_any_two_parts(
    records: list[Record], crashes: set[int], done: int
) -> None:
    """Sort, then group: what was handed on before a crash is not handed on again."""
    operations = (sort(("n", "asc")), GROUP, {"type": "map", "expression": '{"k": kind, "a": all}'})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "PAGE_RECORDS", 2)
        straight = fed(fed_pipeline(*operations), records, set())
        expected = straight.finish().records
        flow = fed(fed_pipeline(*operations), records, crashes)
        found: list[Record] = []
        parts = flow.pipeline.finish(0)
        number = 0
        for number, rest in enumerate(parts, start=1):
            found += rest.batch.records
            flow.kept += rest.batch.kept
            if number == done:
                break
        found += flow.crashed().finish(number).records
    assert found == expected


def test_failures_of_the_end_name_where_their_records_came_from() -> None:
    """A sorted record its own place, a group that of its first record."""
    bad = {"type": "map", "expression": '{"n": $number(n)}'}
    flow = fed_pipeline(sort(("n", "desc")), bad)
    flow.feed([{"n": "1"}, {"n": "x"}, {"n": "3"}])
    assert flow.finish().records == [{"n": 3}, {"n": 1}]
    assert flow.failed == [(Origin(RUN, 1), "expressionFailed")]
    flow = fed_pipeline(GROUP, {"type": "map", "expression": '{"n": $number(all[0].n)}'})
    flow.feed([{"kind": 1, "n": "1"}, {"kind": 2, "n": "x"}, {"kind": 2, "n": "2"}])
    flow.finish()
    assert flow.failed == [(Origin(RUN, 1), "expressionFailed")]


@pytest.mark.parametrize(
    ("limit", "most", "operation", "code"),
    [
        ("HELD_RECORDS", 5, sort(("n", "asc")), "tooManyRecords"),
        ("HELD_BYTES", 80, sort(("n", "asc")), "tooManyRecords"),
        ("HELD_BYTES", 140, sort(("'ten bytes!'", "asc")), "tooManyRecords"),
        ("HELD_BYTES", 150, {**GROUP, "by": {"n": "n & ' ten bytes'"}}, "tooManyRecords"),
        ("HELD_BYTES", 55, COUNT_BY_TEXT, "tooManyRecords"),
        ("HELD_RECORDS", 5, GROUP, "tooManyRecords"),
        ("GROUP_BYTES", 75, GROUP, "groupTooLarge"),
        (
            "AGGREGATE_GROUPS",
            5,
            {"type": "aggregate", "groupBy": {"n": "n"}, "figures": {"c": {"function": "count"}}},
            "tooManyGroups",
        ),
        ("DEDUPE_KEYS", 5, {"type": "dedupe", "key": "n"}, "tooManyKeys"),
    ],
)
def test_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch, limit: str, most: int, operation: Json, code: str
) -> None:
    """Five records fit, the sixth fails the step with a name for it."""
    monkeypatch.setattr(limits, limit, most)
    flow = fed_pipeline(operation)
    flow.feed([{"n": number, "k": 1} for number in range(5)])
    flow = flow.crashed()
    with pytest.raises(StepFailed) as raised:
        flow.feed([{"n": 5, "k": 1}])
    assert raised.value.code == code


def test_what_one_operation_hands_on_makes_room_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when the end begins anew after a crash."""
    monkeypatch.setattr(limits, "HELD_RECORDS", 5)
    flow = fed_pipeline(sort(("n", "asc")), GROUP)
    flow.feed([{"n": number, "kind": number % 2} for number in range(5)])
    assert len(flow.crashed().finish().records) == 2
    assert len(flow.finish().records) == 2


def test_equal_numbers_are_one_key() -> None:
    """1 and 1.0 are the same in JSON; text of the same digits is not."""
    flow = fed_pipeline({"type": "group", "by": {"k": "k"}})
    flow.feed([{"k": 1}, {"k": 1.0}, {"k": "1"}])
    assert [len(record["records"]) for record in flow.finish().records] == [2, 1]
