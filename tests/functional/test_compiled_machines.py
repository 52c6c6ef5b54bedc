"""Compiled machines run by moto's interpreter of the Amazon States Language, with recorded delays.

moto is a second opinion on what the definitions mean; the functions behind the Tasks are played by
a dictionary of answers, and no wait really waits.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal

import boto3
import pytest
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import wait_function

from millrace.compiler import Definition, FlowRetry, Retry, Step, Targets, compile_flow

RUN_STEP = "arn:aws:lambda:eu-west-1:123456789012:function:run-step"
LIFECYCLE = "arn:aws:lambda:eu-west-1:123456789012:function:lifecycle"
ROLE = "arn:aws:iam::123456789012:role/machine"

type Handler = Callable[[dict[str, Any]], dict[str, Any]]


class FunctionError(Exception):
    """What a function raises: the error type's name and its message."""

    def __init__(self, error_type: str, message: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type


@dataclass(slots=True)
class Interpreter:
    """moto's Step Functions with the project's two functions behind it."""

    outcomes: dict[str, list[FunctionError]] = field(default_factory=dict)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    retry_delays: list[float] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    is_over: bool = False
    """Whether the worker says that it ended the run."""

    lock: threading.Lock = field(default_factory=threading.Lock)

    def invoke(self, *, parameters: dict[str, Any], **_: object) -> dict[str, Any]:
        """Stands in for Lambda: a step's next outcome, or the lifecycle function's decision."""
        payload = parameters["Payload"]
        if not isinstance(payload, dict):
            payload = json.loads(payload)
        with self.lock:
            self.calls.append(payload)
            if "event" in payload:
                failed = payload["event"] == "attemptFailed"
                answer = self.decisions.pop(0) if failed and self.decisions else {}
                return {"StatusCode": 200, "Payload": answer}
            ids = payload.get("stepIds") or [payload["stepId"]]
            errors = next((left for id_ in ids if (left := self.outcomes.get(id_))), [])
            error = errors.pop(0) if errors else None
        if error is None:
            return {"StatusCode": 200, "Payload": {"isOver": self.is_over}}
        details = {"errorMessage": str(error), "errorType": error.error_type, "stackTrace": ["x"]}
        return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": details}

    def run(self, definition: Definition) -> str:
        """Compile, create, execute, and wait for the status."""
        compiled = compile_flow(definition, Targets(RUN_STEP, LIFECYCLE))
        client = boto3.client("stepfunctions", region_name="eu-west-1")
        # moto does not run EXPRESS machines, whose definitions mean the same.
        machine = client.create_state_machine(
            name="flow", definition=compiled.asl, roleArn=ROLE, type="STANDARD"
        )
        execution = client.start_execution(
            stateMachineArn=machine["stateMachineArn"],
            name="run",
            input=json.dumps({"workspaceId": "ws_1", "runId": "run_1", "attempt": 1}),
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = client.describe_execution(executionArn=execution["executionArn"])
            if found["status"] != "RUNNING":
                return str(found["status"])
            time.sleep(0.01)
        raise AssertionError("the execution did not end")

    def steps(self) -> list[str]:
        """The steps called, in order."""
        return [call["stepId"] for call in self.calls if "stepId" in call]

    def events(self) -> list[tuple[str, int]]:
        """What the lifecycle function was told, and for which attempt."""
        return [(call["event"], call["attempt"]) for call in self.calls if "event" in call]


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interpreter]:
    """A fresh interpreter whose waits are recorded instead of waited."""
    found = Interpreter()
    monkeypatch.setattr(lambda_eval_utils, "_invoke_lambda_function", found.invoke)
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=found.retry_delays.append))
    monkeypatch.setattr(
        wait_function.WaitFunction,
        "_wait_interval",
        lambda _self, env, wait_seconds: found.waits.append(wait_seconds),  # noqa: ARG005  moto's keywords
    )
    config: Any = {
        "stepfunctions": {"execute_state_machine": True},
        "lambda": {"use_docker": False},
        "core": {
            "mock_credentials": True,
            "passthrough": {"urls": [], "services": []},
            "reset_boto3_session": False,
            "service_whitelist": None,
        },
    }
    with mock_aws(config=config):
        yield found


def n_graph(**changes: Any) -> Definition:  # noqa: ANN401  any field of a step
    """Steps a and b, then c after a, d after a and b; `changes` apply to step a."""
    return Definition(
        (
            Step("a", **changes),
            Step("b"),
            Step("c", depends_on=("a",)),
            Step("d", depends_on=("a", "b")),
        )
    )


def test_a_happy_run_calls_each_step_once_in_order(interpreter: Interpreter) -> None:
    """Every step runs once, after what it depends on, and success is recorded last."""
    assert interpreter.run(n_graph()) == "SUCCEEDED"
    steps = interpreter.steps()
    assert sorted(steps) == ["a", "b", "c", "d"]
    assert steps.index("a") < steps.index("c")
    assert max(steps.index("a"), steps.index("b")) < steps.index("d")
    assert interpreter.events() == [("attemptSucceeded", 1)]


def test_a_transient_error_is_tried_again_with_growing_delays(interpreter: Interpreter) -> None:
    """The default backs off 2, 4 and 8 seconds, then the fourth try succeeds."""
    interpreter.outcomes["a"] = [FunctionError("StepTransient") for _ in range(3)]
    assert interpreter.run(Definition((Step("a", retry=Retry(jitter=False)),))) == "SUCCEEDED"
    assert interpreter.retry_delays == [2, 4, 8]
    assert interpreter.steps() == ["a"] * 4


def test_a_crash_counts_as_transient_and_the_cap_holds(interpreter: Interpreter) -> None:
    """An error without a name of ours is tried again, and no wait exceeds maxDelaySeconds."""
    interpreter.outcomes["a"] = [FunctionError("Lambda.Unknown") for _ in range(3)]
    retry = Retry(max_attempts=3, interval_seconds=5, max_delay_seconds=12, jitter=False)
    assert interpreter.run(Definition((Step("a", retry=retry),))) == "SUCCEEDED"
    assert interpreter.retry_delays == [5, 10, 12]


@pytest.mark.parametrize("error", ["StepFailed", "StepPartialSuccess"])
def test_a_final_error_stops_the_flow_at_once(interpreter: Interpreter, error: str) -> None:
    """A final error is not tried again, what depends on the step never runs, the run has failed."""
    interpreter.outcomes["a"] = [FunctionError(error)]
    assert interpreter.run(n_graph(on_partial_success="stop")) == "FAILED"
    assert "c" not in interpreter.steps()
    assert interpreter.steps().count("a") == 1
    assert interpreter.events() == [("attemptFailed", 1)]
    (told,) = (call for call in interpreter.calls if "event" in call)
    assert told["failure"]["Error"] == error


def test_a_failure_that_continues_lets_the_rest_run(interpreter: Interpreter) -> None:
    """With strategy continue all other steps run and the run succeeds."""
    interpreter.outcomes["a"] = [FunctionError("StepFailed")]
    assert interpreter.run(n_graph(on_failure="continue")) == "SUCCEEDED"
    assert sorted(interpreter.steps()) == ["a", "b", "c", "d"]


def test_partial_success_can_stop_a_step_whose_failure_continues(interpreter: Interpreter) -> None:
    """The two strategies are independent of each other."""
    interpreter.outcomes["a"] = [FunctionError("StepPartialSuccess")]
    flow = n_graph(on_failure="continue", on_partial_success="stop")
    assert interpreter.run(flow) == "FAILED"
    assert "c" not in interpreter.steps()
    (told,) = (call for call in interpreter.calls if "event" in call)
    assert told["failure"]["Error"] == "StepPartialSuccess"


@pytest.mark.parametrize("on_failure", ["stop", "continue"])
def test_a_throttled_step_waits_until_told_and_runs_again(
    interpreter: Interpreter, on_failure: Literal["stop", "continue"]
) -> None:
    """The time in the error becomes a Wait, costs no try, leaves the machine's state as it was."""
    until = (datetime.now(UTC) + timedelta(seconds=3600)).strftime("%Y-%m-%dT%H:%M:%SZ")
    interpreter.outcomes["a"] = [FunctionError("StepThrottled", until) for _ in range(2)]
    flow = n_graph(on_failure=on_failure, retry=Retry(max_attempts=0))
    assert interpreter.run(flow) == "SUCCEEDED"
    assert interpreter.steps().count("a") == 3
    assert len(interpreter.waits) == 2
    assert interpreter.retry_delays == []
    assert all(call["runId"] == "run_1" and call["attempt"] == 1 for call in interpreter.calls)


def test_a_failed_attempt_runs_again_when_the_lifecycle_function_says_so(
    interpreter: Interpreter,
) -> None:
    """The whole graph runs again under the new attempt's number, after the wait it was given."""
    interpreter.outcomes["b"] = [FunctionError("StepFailed")]
    interpreter.decisions = [{"retry": True, "waitSeconds": 300, "attempt": 2}]
    flow = Definition(n_graph().steps, flow_retry=FlowRetry(max_attempts=1, delay_minutes=5))
    assert interpreter.run(flow) == "SUCCEEDED"
    assert interpreter.waits == [300]
    assert interpreter.events() == [
        ("attemptFailed", 1),
        ("attemptStarted", 2),
        ("attemptSucceeded", 2),
    ]
    attempts = defaultdict(set)
    for call in interpreter.calls:
        if "stepId" in call:
            attempts[call["attempt"]].add(call["stepId"])
    assert attempts[2] == {"a", "b", "c", "d"}


@pytest.mark.parametrize("answer", [{}, {"retry": False, "waitSeconds": 1, "attempt": 2}])
def test_a_run_fails_when_no_attempt_is_left(
    interpreter: Interpreter, answer: dict[str, Any]
) -> None:
    """Neither an answer of no nor an empty one starts another attempt."""
    interpreter.outcomes["a"] = [FunctionError("StepFailed")]
    interpreter.decisions = [answer]
    flow = Definition((Step("a"),), flow_retry=FlowRetry(max_attempts=1))
    assert interpreter.run(flow) == "FAILED"
    assert interpreter.steps() == ["a"]


ROW = (Step("a"), Step("b", depends_on=("a",)), Step("c", depends_on=("b",)))


@pytest.mark.parametrize("is_over", [True, False])
def test_a_synchronous_row_of_steps_is_one_call_that_may_end_the_run(
    interpreter: Interpreter,
    is_over: bool,  # noqa: FBT001  parametrized
) -> None:
    """The lifecycle function is told only of a run that the worker could not end."""
    interpreter.is_over = is_over
    assert interpreter.run(Definition(ROW, is_synchronous=True)) == "SUCCEEDED"
    (call, *told) = interpreter.calls
    assert (call["stepIds"], call["endsRun"]) == (["a", "b", "c"], True)
    assert [each["event"] for each in told] == ([] if is_over else ["attemptSucceeded"])


def test_a_synchronous_row_that_fails_is_told_after_its_tries(interpreter: Interpreter) -> None:
    """A transient error calls for the same steps again; a final one ends the run as failed."""
    interpreter.outcomes["b"] = [FunctionError("StepTransient"), FunctionError("StepFailed")]
    assert interpreter.run(Definition(ROW, is_synchronous=True)) == "FAILED"
    assert [call.get("stepIds") for call in interpreter.calls] == [["a", "b", "c"]] * 2 + [None]
    assert interpreter.events() == [("attemptFailed", 1)]


def test_a_failure_that_leads_on_ends_a_synchronous_run_by_the_other_way(
    interpreter: Interpreter,
) -> None:
    """The worker ends no run whose last step it could not end."""
    last = Step("c", depends_on=("b",), on_failure="continue")
    interpreter.outcomes["c"] = [FunctionError("StepFailed")]
    assert interpreter.run(Definition((*ROW[:2], last), is_synchronous=True)) == "SUCCEEDED"
    assert [call.get("stepIds") for call in interpreter.calls] == [["a", "b"], ["c"], None]
    assert interpreter.events() == [("attemptSucceeded", 1)]
