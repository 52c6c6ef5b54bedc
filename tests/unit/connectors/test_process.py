"""A process changes records one by one, keeps the failures apart, and aggregates as it goes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.pipelines import fed_pipeline

from millrace import limits
from millrace.connectors.expressions import EXACT_INTEGER_MAX
from millrace.connectors.stages import TIMEOUTS_MAX
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.records import Batch, RecordFailure


def filter_(expression: str) -> Json:
    """A filter in its wire form."""
    return {"type": "filter", "expression": expression}


def map_(expression: str) -> Json:
    """A map in its wire form."""
    return {"type": "map", "expression": expression}


def aggregate(figures: Json, **group_by: str) -> Json:
    """An aggregate in its wire form."""
    return {"type": "aggregate", "groupBy": group_by, "figures": figures}


SUMMARY = aggregate(
    {
        "count": {"function": "count"},
        "named": {"function": "count", "expression": "name"},
        "total": {"function": "sum", "expression": "n"},
        "least": {"function": "min", "expression": "n"},
        "most": {"function": "max", "expression": "n"},
        "average": {"function": "mean", "expression": "n"},
    },
    kind="kind",
)


def test_operations_apply_in_order() -> None:
    """A record goes through filter and map as written; what a filter drops counts as ignored."""
    flow = fed_pipeline(filter_("n > 1"), map_('{"twice": n * 2}'), filter_("twice < 8"))
    batch = flow.feed([{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}])
    assert batch == Batch([{"twice": 4}, {"twice": 6}], ignored=2, failures=[])
    assert flow.finish() == Batch([], 0, [])


def test_r13_a_poison_record_fails_alone() -> None:
    """One record that an expression cannot take leaves the other 999 done."""
    records: list[Record] = [{"n": i} for i in range(1_000)]
    records[500] = {"n": "many"}
    batch = fed_pipeline(map_('{"next": n + 1}')).feed(records)
    assert len(batch.records) == 999
    assert [(failure.index, failure.code) for failure in batch.failures] == [
        (500, "expressionFailed")
    ]


@pytest.mark.parametrize(
    ("expression", "found"),
    [("missing", "nothing"), ("null", "nothing"), ("[$, $]", "an array of 2"), ("n", "a number")],
)
def test_map_must_give_an_object(expression: str, found: str) -> None:
    """What is no object is no record, and the failure says what it is instead."""
    batch = fed_pipeline(map_(expression)).feed([{"n": 1}])
    message = f"a map must give an object; it gave {found}"
    assert batch == Batch([], 0, [RecordFailure(0, "notAnObject", message)])


def test_aggregate_gives_one_record_a_group_in_the_order_first_seen() -> None:
    """Groups come out at the end, over all batches, and later operations see them."""
    flow = fed_pipeline(SUMMARY, filter_("count > 1"), map_('{"kind": kind, "total": total}'))
    assert flow.feed([{"kind": "b", "n": 1}, {"kind": "a", "n": 2}]) == Batch([], 0, [])
    assert flow.feed([{"kind": "a", "n": 3}, {"kind": "b", "n": 4}, {"n": 5}]) == Batch([], 0, [])
    assert flow.finish() == Batch(
        [{"kind": "b", "total": 5}, {"kind": "a", "total": 5}], ignored=1, failures=[]
    )


def test_figures_are_what_their_names_say() -> None:
    """Count, sum, min, max and mean over the records of a group."""
    flow = fed_pipeline(SUMMARY)
    flow.feed([{"kind": "a", "n": 4, "name": "x"}, {"kind": "a", "n": -1}, {"kind": "a", "n": 0.5}])
    assert flow.finish().records == [
        {
            "kind": "a",
            "count": 3,
            "named": 1,
            "total": 3.5,
            "least": -1,
            "most": 4,
            "average": 3.5 / 3,
        }
    ]


def test_sums_of_integers_are_exact() -> None:
    """Integers add up exactly even where a double would not hold the sum."""
    flow = fed_pipeline(aggregate({"total": {"function": "sum", "expression": "n"}}))
    flow.feed([{"n": EXACT_INTEGER_MAX}, {"n": 1}, {"n": EXACT_INTEGER_MAX}])
    assert flow.finish().records == [{"total": 2 * EXACT_INTEGER_MAX + 1}]


@pytest.mark.parametrize("value", ["7", None, True, [1]])
def test_figure_of_something_else_than_a_number_is_a_failure(value: Json) -> None:
    """Such a record is in no figure of its group, not even in the count."""
    flow = fed_pipeline(SUMMARY)
    batch = flow.feed([{"kind": "a", "n": 1}, {"kind": "a", "n": value}])
    assert [(failure.index, failure.code) for failure in batch.failures] == [(1, "notANumber")]
    assert flow.finish().records[0]["count"] == 1


def test_sum_beyond_a_double_is_a_failure() -> None:
    """A figure never becomes infinite, which JSON could not hold."""
    flow = fed_pipeline(aggregate({"total": {"function": "sum", "expression": "n"}}))
    assert len(flow.feed([{"n": 1.5e308}, {"n": 1.5e308}]).failures) == 1
    assert flow.finish().records == [{"total": 1.5e308}]


def test_aggregates_can_follow_each_other() -> None:
    """The groups of one aggregate are the records of the next."""
    flow = fed_pipeline(
        aggregate({"n": {"function": "count"}}, kind="kind"),
        aggregate({"kinds": {"function": "count"}, "most": {"function": "max", "expression": "n"}}),
    )
    flow.feed([{"kind": "a"}, {"kind": "a"}, {"kind": "b"}])
    assert flow.finish().records == [{"kinds": 2, "most": 2}]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"kind": st.sampled_from(["a", "b", 1, None]), "n": st.integers(-9, 9)}
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_process_taken_up_from_a_checkpoint_ends_the_same(records: list[Record], cut: int) -> None:
    """A crash between two batches changes nothing: the state travels as JSON."""
    straight = fed_pipeline(filter_("n != 0"), SUMMARY)
    straight.feed(records)
    before = fed_pipeline(filter_("n != 0"), SUMMARY)
    before.feed(records[:cut])
    after = before.crashed()
    after.feed(records[cut:])
    assert after.finish() == straight.finish()


@given(st.lists(st.fixed_dictionaries({"n": st.integers(-50, 50), "s": st.text("ab", max_size=3)})))
def test_filter_and_map_do_what_python_would(records: list[dict[str, Any]]) -> None:
    """Filter and map agree with a plain comprehension on every list of records."""
    flow = fed_pipeline(filter_("n >= 0 and s != ''"), map_('{"k": s & "!", "v": n * n - 1}'))
    batch = flow.feed(records)
    expected = [
        {"k": r["s"] + "!", "v": r["n"] ** 2 - 1} for r in records if r["n"] >= 0 and r["s"]
    ]
    assert batch == Batch(expected, len(records) - len(expected), [])


def test_p12_an_expression_that_never_ends_fails_the_step_in_bounded_time() -> None:
    """A few records that run out of time are failures; then the step gives up."""
    flow = fed_pipeline(map_("($f := function($x){$f($x)}; $f(1))"))
    assert flow.feed([{}] * (TIMEOUTS_MAX - 1)).failures[0].code == "expressionTimeout"
    with pytest.raises(StepFailed) as raised:
        flow.feed([{}])
    assert raised.value.code == "expressionTimeout"


@pytest.mark.parametrize("operation", ["map", "split"])
@pytest.mark.parametrize("count", [3, 20])
def test_p12_what_an_expression_makes_too_large_fails_alone(operation: str, count: int) -> None:
    """A record that grows beyond 4 MB is told by name; the others go on, however many there are."""
    expression = '{"text": $pad("x", width, "x")}'
    many: list[Record] = [{"width": 10} for _ in range(count)]
    many[1] = {"width": limits.RECORD_BYTES}
    batch = fed_pipeline({"type": operation, "expression": expression}).feed(many)
    assert [(each.index, each.code) for each in batch.failures] == [(1, "tooLarge")]
    assert [*batch.records] == [{"text": "x" * 10}] * (count - 1)


def test_an_expression_that_does_not_compile_is_refused_at_once() -> None:
    """A broken operation is a named error of the step, not of each record."""
    with pytest.raises(StepFailed) as raised:
        fed_pipeline(map_("{"))
    assert raised.value.code == "invalidOperation"


def test_a_figure_without_its_expression_is_refused_when_it_is_written() -> None:
    """Only a count can do without; the others are refused with the flow, not in its runs."""
    with pytest.raises(ValidationError, match="sum needs a number"):
        fed_pipeline(aggregate({"total": {"function": "sum"}}))
