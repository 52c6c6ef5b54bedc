"""What every emitted machine has, beyond what the golden files show."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.simulator.machines import Outcome, Simulator, instant

from millrace.compiler import Definition, FlowRetry, Step, Targets, compile_flow

HISTORY_EVENTS = 25_000
"""Step Functions: events of one execution."""


def states(scope: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All states of a machine with their names, inner ones included."""
    for name, state in scope["States"].items():
        yield name, state
        for inner in state.get("Branches", ()):
            yield from states(inner)


def test_each_step_is_one_task_named_after_it_that_carries_its_id() -> None:
    """A console shows the names the author chose; the worker gets the id and the run."""
    compiled = compile_flow(
        Definition((Step("a", name="Read orders"), Step("b", depends_on=("a",)))),
        Targets("arn:run-step", "arn:lifecycle"),
    )
    tasks = {
        name: state["Parameters"]
        for name, state in states(json.loads(compiled.asl))
        if "stepId" in state.get("Parameters", {}).get("Payload", {})
    }
    payload = {
        "workspaceId.$": "$.workspaceId",
        "runId.$": "$.runId",
        "attempt.$": "$.attempt",
    }
    assert tasks == {
        "Read orders": {"FunctionName": "arn:run-step", "Payload": {"stepId": "a", **payload}},
        "b": {"FunctionName": "arn:run-step", "Payload": {"stepId": "b", **payload}},
    }
    assert compiled.definition == json.loads(compiled.asl)


def test_names_stay_unique_and_short_enough_whatever_the_author_calls_steps() -> None:
    """Two hundred steps of one long name give different state names of at most 80 characters."""
    flow = Definition(
        tuple(
            Step(f"s{number}", name="n" * 128, on_failure="continue", on_partial_success="stop")
            for number in range(200)
        )
    )
    names = [name for name, _ in states(json.loads(compile_flow(flow).asl))]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) == 80


def test_p11_the_widest_flow_stays_far_below_the_limit_on_events() -> None:
    """One step to 198 and back to one, of which each fails three times before it succeeds."""
    middle = tuple(Step(f"s{number}", depends_on=("first",)) for number in range(198))
    last = Step("last", depends_on=tuple(step.id for step in middle))
    compiled = compile_flow(Definition((Step("first"), *middle, last)))
    down = Outcome(error="StepTransient")
    done = Simulator(lambda _step, _attempt, tries, _at: down if tries <= 3 else Outcome()).run(
        compiled.definition
    )
    tries = len(done.starts())
    assert (done.error, tries) == (None, 200 * 4)
    # Of each state its entry and exit, of each try that it was scheduled, began and ended.
    events = 2 * done.transitions() + 3 * tries
    assert events < HISTORY_EVENTS / 6


def test_two_hundred_plain_steps_stay_far_below_the_limit_on_size() -> None:
    """The definition of the largest flow takes a quarter of what Step Functions accepts."""
    chain = tuple(
        Step(f"step-{number}", depends_on=(f"step-{number - 1}",) if number else ())
        for number in range(200)
    )
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:millrace-RunStepFunction-AbCdEfGhIjKl"
    assert len(compile_flow(Definition(chain), Targets(arn, arn)).asl) < 2**20 / 3


def test_a_sub_flow_waits_by_token_or_in_a_synchronous_flow_is_called() -> None:
    """Express machines have no task tokens, so there the worker runs the sub-flow itself."""
    step = Step("sub", type="Flow")
    waiting = dict(states(json.loads(compile_flow(Definition((step,))).asl)))["sub"]
    assert waiting["Resource"].endswith(".waitForTaskToken")
    assert waiting["Parameters"]["Payload"]["taskToken.$"] == "$$.Task.Token"
    called = compile_flow(Definition((step,), is_synchronous=True))
    assert called.type == "EXPRESS"
    assert "waitForTaskToken" not in called.asl


def test_a_happy_run_passes_two_states_besides_the_steps() -> None:
    """A chain costs its steps, the frame around them, and the record of success."""
    chain = (Step("a"), Step("b", depends_on=("a",)), Step("c", depends_on=("b",)))
    machine = json.loads(compile_flow(Definition(chain)).asl)
    assert Simulator(lambda *_: Outcome()).run(machine).transitions() == 3 + 2


def test_a_throttled_step_waits_in_the_machine_and_leaves_its_state_as_it_was() -> None:
    """The worker's time becomes a Wait that uses up no try; afterwards only the ids remain."""

    def worker(step: str, _attempt: int, number: int, now: float) -> Outcome:
        if step == "a" and number == 1:
            return Outcome(1.0, "StepThrottled", instant(now + 600))
        return Outcome(1.0)

    machine = json.loads(compile_flow(Definition((Step("a"), Step("b")))).asl)
    run = Simulator(worker).run(machine)
    assert run.error is None
    assert run.times("end") == {"a": 601.0, "b": 1.0}
    assert run.state == {"workspaceId": "ws_1", "runId": "run_1", "attempt": 1}


@pytest.mark.parametrize("again", [True, False])
def test_the_lifecycle_function_decides_on_another_attempt(again: bool) -> None:  # noqa: FBT001  parametrized
    """After a failure the graph runs again, later and under a new number, or the run fails."""
    told: list[tuple[str, int]] = []

    def lifecycle(payload: dict[str, Any]) -> dict[str, Any]:
        told.append((payload["event"], payload["attempt"]))
        return {"retry": again, "waitSeconds": 60, "attempt": 2}

    def worker(_step: str, attempt: int, _number: int, _now: float) -> Outcome:
        return Outcome(1.0, "StepFailed" if attempt == 1 else None)

    flow = Definition((Step("a"), Step("b", depends_on=("a",))), flow_retry=FlowRetry(1))
    run = Simulator(worker, lifecycle).run(json.loads(compile_flow(flow).asl))
    if again:
        assert told == [("attemptFailed", 1), ("attemptStarted", 2), ("attemptSucceeded", 2)]
        assert (run.error, run.at, run.starts()) == (None, 63.0, ["a", "a", "b"])
    else:
        assert told == [("attemptFailed", 1)]
        assert (run.error, run.starts()) == ("RunFailed", ["a"])
