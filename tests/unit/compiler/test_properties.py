"""Generated flows with injected outcomes: what holds for every machine, whatever the graph."""

import json
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.graphs import (
    ALL,
    as_definition,
    critical_path,
    series_parallel,
    step_id,
)
from tests.simulator.machines import Outcome, Simulator

from millrace.compiler import Definition, FlowRetry, Retry, Step, compile_flow

SETTINGS = settings(max_examples=100, deadline=None)


@st.composite
def edges(draw: st.DrawFn) -> list[set[int]]:
    """A graph of up to 24 steps, from a family or with edges drawn one by one."""
    size = draw(st.integers(1, 24))
    family = draw(st.sampled_from([*ALL.values(), series_parallel, None]))
    if family is not None:
        return family(random.Random(draw(st.integers(0, 10**6))), size)
    return [
        draw(st.sets(st.integers(0, step - 1), max_size=4)) if step else set()
        for step in range(size)
    ]


@st.composite
def flows(draw: st.DrawFn) -> Definition:
    """A flow whose steps differ in strategy, some skipped, listed in any order."""
    # Drawn from one seed: drawing each setting by itself makes Hypothesis many times slower.
    chance = random.Random(draw(st.integers(0, 10**6)))
    steps = [
        replace(
            step,
            type=chance.choice(["Export", "Process", "Import", "Flow"]),
            is_skipped=chance.random() < 0.2,
            on_failure=chance.choice(["stop", "continue"]),
            on_partial_success=chance.choice(["stop", "continue"]),
            retry=Retry(max_attempts=chance.randint(0, 2)),
        )
        for step in as_definition(draw(edges())).steps
    ]
    if all(step.is_skipped for step in steps):
        steps[0] = replace(steps[0], is_skipped=False)
    return Definition(
        tuple(chance.sample(steps, len(steps))),
        flow_retry=FlowRetry(max_attempts=chance.randint(0, 1)),
    )


def needed(definition: Definition) -> dict[str, set[str]]:
    """For each step that runs, all that must end before it starts; skipped ones are transparent."""
    by_id = {step.id: step for step in definition.steps}

    def ancestors(step: Step) -> set[str]:
        found: set[str] = set()
        for dependency in step.depends_on:
            found |= ancestors(by_id[dependency]) | {dependency}
        return found

    skipped = {step.id for step in definition.steps if step.is_skipped}
    return {
        step.id: ancestors(step) - skipped for step in definition.steps if step.id not in skipped
    }


@SETTINGS
@given(flows(), st.builds(random.Random, st.integers(0, 10**6)))
def test_every_step_runs_once_and_after_what_it_depends_on(
    flow: Definition, chance: random.Random
) -> None:
    """A run without failures starts each enabled step exactly once, after all before it."""
    seconds = {step.id: chance.lognormvariate(0, 1) for step in flow.steps}
    run = Simulator(lambda step, *_: Outcome(seconds[step])).run(json.loads(compile_flow(flow).asl))
    order = needed(flow)
    starts, ends = run.times("start"), run.times("end")
    assert run.error is None
    assert sorted(run.starts()) == sorted(order)
    for step, before in order.items():
        assert all(ends[earlier] <= starts[step] for earlier in before)


@SETTINGS
@given(flows(), st.builds(random.Random, st.integers(0, 10**6)))
def test_failures_stop_at_that_instant_or_let_the_rest_run(
    flow: Definition, chance: random.Random
) -> None:
    """A stopping failure starts nothing after it; a continuing one changes nothing for others."""
    by_id = {step.id: step for step in flow.steps}
    errors = ["StepFailed", "StepPartialSuccess", "States.Timeout", "StepTransient", None, None]
    outcome = {
        step.id: Outcome(chance.lognormvariate(0, 1), chance.choice(errors)) for step in flow.steps
    }
    run = Simulator(lambda step, *_: outcome[step]).run(json.loads(compile_flow(flow).asl))

    def stops(step: str) -> bool:
        error = outcome[step].error
        final = error in {"StepFailed", "StepPartialSuccess"}
        # What another flow did in its time is not waited for again.
        final |= by_id[step].type == "Flow" and error == "States.Timeout"
        tries = sum(event.kind == "end" and event.name == step for event in run.events)
        if not final and tries <= by_id[step].retry.max_attempts:
            return False
        if error == "StepPartialSuccess" and by_id[step].on_partial_success == "stop":
            return True
        return error is not None and by_id[step].on_failure == "stop"

    failed_at = [at for step, at in run.times("end").items() if stops(step)]
    lifecycle = [event.name for event in run.events if event.kind == "lifecycle"]
    if failed_at:
        end = min(failed_at)
        assert run.error is not None
        assert lifecycle == ["attemptFailed"]
        assert all(event.at <= end for event in run.events if event.kind == "start")
        assert run.at == end
    else:
        assert run.error is None
        assert lifecycle == ["attemptSucceeded"]
        assert set(run.starts()) == set(needed(flow))
    for step, before in needed(flow).items():
        if step in run.times("start"):
            assert all(run.times("end")[e] <= run.times("start")[step] for e in before)


@SETTINGS
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_series_parallel_graphs_lose_nothing(size: int, seed: int) -> None:
    """A series-parallel graph takes exactly its critical path, whatever its steps take."""
    chance = random.Random(seed)
    graph = series_parallel(chance, size)
    # Whole seconds, so that sums are exact in any order.
    seconds = [float(chance.randint(1, 800)) for _ in graph]
    taken = {step_id(step): value for step, value in enumerate(seconds)}
    compiled = compile_flow(as_definition(graph))
    run = Simulator(lambda step, *_: Outcome(taken[step])).run(json.loads(compiled.asl))
    assert run.at == critical_path(graph, seconds)


@SETTINGS
@given(edges())
def test_transitions_stay_below_five_thirds_a_step(graph: list[set[int]]) -> None:
    """Beyond the two states that frame it, a happy run enters fewer than 5/3 states a step."""
    run = Simulator(lambda *_: Outcome()).run(json.loads(compile_flow(as_definition(graph)).asl))
    assert (run.transitions() - 2) / len(graph) < 5 / 3


@SETTINGS
@given(flows(), st.builds(random.Random, st.integers(0, 10**6)))
def test_the_same_flow_gives_the_same_bytes(flow: Definition, chance: random.Random) -> None:
    """Neither the order in which dependencies are named nor a second compilation changes a byte."""
    again = replace(
        flow,
        steps=tuple(
            replace(step, depends_on=tuple(chance.sample(step.depends_on, len(step.depends_on))))
            for step in flow.steps
        ),
    )
    assert compile_flow(flow).asl == compile_flow(again).asl
