"""Planning: the arithmetic it rests on, and where barriers go."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.graphs import ALL, as_definition, critical_path, level_barriers, step_id

from millrace.compiler import Definition, Step, compile_flow, explain
from millrace.compiler.durations import PRIOR_SECONDS, estimate
from millrace.compiler.graph import bits, build_graph
from millrace.compiler.lanes import LANES, LONGEST, longer, pack, total, unpack
from millrace.compiler.plan import Leaf, Plan

VALUES = st.lists(st.integers(0, LONGEST), min_size=LANES, max_size=LANES)


@given(VALUES, VALUES)
def test_lanes_compute_as_lists_do(a: list[int], b: list[int]) -> None:
    """Packed sums, maxima and totals are what they are lane by lane."""
    assert list(unpack(pack(a))) == a
    assert unpack(pack(a) + pack(b)) == [x + y for x, y in zip(a, b, strict=True)]
    assert unpack(longer(pack(a), pack(b))) == [max(x, y) for x, y in zip(a, b, strict=True)]
    assert total(pack(a)) == sum(a)


def test_the_graph_is_reduced_and_skipped_steps_are_contracted() -> None:
    """Redundant edges go; a skipped step's dependants wait for its dependencies instead."""
    graph = build_graph(
        (
            Step("d", depends_on=("c", "a")),
            Step("c", depends_on=("b",), is_skipped=True),
            Step("b", depends_on=("a",)),
            Step("a"),
        )
    )
    assert [step.id for step in graph.steps] == ["a", "b", "d"]
    assert [list(bits(mask)) for mask in graph.before] == [[], [0], [0, 1]]
    assert [list(bits(mask)) for mask in graph.waits_for] == [[], [0], [1]]
    assert [list(bits(mask)) for mask in graph.followed_by] == [[1], [2], []]


def test_durations_come_from_history_or_else_from_the_type() -> None:
    """What is known is taken; what is missing or no duration falls back to the prior."""
    graph = build_graph((Step("a", type="Export"), Step("b"), Step("c", type="Flow")))
    known = {"a": 3.5, "b": float("nan"), "c": -1.0, "unheard": 9.0}
    assert estimate(graph, known) == [3.5, PRIOR_SECONDS["Process"], PRIOR_SECONDS["Flow"]]


def leaves(plan: Plan) -> list[int]:
    """The steps of a plan."""
    if isinstance(plan, Leaf):
        return [plan.step]
    return [step for part in plan.parts for step in leaves(part)]


def test_a_barrier_goes_where_it_costs_least() -> None:
    """With a slow b that only d waits for, c does not wait for b."""
    steps = (
        Step("a"),
        Step("b"),
        Step("c", depends_on=("a",)),
        Step("d", depends_on=("a", "b")),
    )
    slow_b = compile_flow(Definition(steps), durations={"a": 1, "b": 60, "c": 60, "d": 1})
    assert slow_b.makespan_seconds == 62
    assert sum(slow_b.seconds[step] for step in slow_b.critical_path) == 61
    even = compile_flow(Definition(steps), durations={"a": 9, "b": 9, "c": 9, "d": 9})
    assert even.makespan_seconds == 18


@pytest.mark.parametrize("family", ALL)
def test_plans_beat_level_barriers(family: str) -> None:
    """On each family the sum of the makespans is smaller than one fork a level takes."""
    ours = levels = shortest = 0.0
    for number in range(8):
        chance = random.Random(f"{family} {number}")
        edges = ALL[family](chance, 30)
        seconds = [chance.lognormvariate(2, 1) for _ in edges]
        known = {step_id(step): value for step, value in enumerate(seconds)}
        compiled = compile_flow(as_definition(edges), durations=known)
        assert sorted(leaves(compiled.plan)) == list(range(30))
        ours += compiled.makespan_seconds
        levels += level_barriers(edges, seconds)
        shortest += critical_path(edges, seconds)
    assert ours < levels
    assert ours < 1.1 * shortest


def test_the_explanation_names_steps_barriers_and_times() -> None:
    """A reader finds the plan as a tree, each barrier's cost, the critical path, the makespan."""
    steps = (
        Step("a", name="Read"),
        Step("b"),
        Step("c", depends_on=("a",)),
        Step("d", depends_on=("a", "b")),
    )
    text = explain(compile_flow(Definition(steps), durations={"a": 1, "b": 60, "c": 60, "d": 1}))
    assert "Read (1.0 s)" in text
    assert "-- barrier, costs 1.0 s --" in text
    assert "Critical path       61.0 s: Read -> c" in text
    assert "Estimated makespan  62.0 s, 1.016 times the critical path" in text
