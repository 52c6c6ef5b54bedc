"""Writes a plan as a state machine in the Amazon States Language.

The machine's input is `{"workspaceId", "runId", "attempt"}`, and that is all its state ever holds
besides a short-lived error: records travel outside. A happy run passes one state for each step, one
for each fork, and two that frame them. All else lies off the happy path:

- failure, stop: no Catch but the frame's, so the attempt ends at that instant and Step Functions
  aborts the other branches (a function that is running then still ends: the worker ignores it).
- failure, continue: a Catch of everything that leads to the ordinary next state, or from the last
  step of a branch to a Succeed.
- partial success, stop: the worker raises StepPartialSuccess; where failure continues, a first
  catcher leads it to a Fail. Partial success, continue: the worker returns as on success.
- StepFailed, StepPartialSuccess and StepThrottled are not retried; anything else is: StepTransient,
  Lambda's own errors, crashes, time-outs (but not those of steps that wait for another flow).
- StepThrottled: its message is the time (RFC 3339, UTC) until which a Wait holds the step.

The frame is a Parallel because only a Parallel can catch for many states at once.

A synchronous machine, whose caller waits, makes fewer calls: steps that follow each other share a
Task where `chains` says so, and one that never forks has no frame. There the last Task ends the run
as well, and the lifecycle function is told only if something is left to do.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from millrace.compiler.chains import chained
from millrace.compiler.graph import Graph
from millrace.compiler.model import Definition, Step
from millrace.compiler.plan import Fork, Leaf, Plan, Series
from millrace.compiler.rules import EXPRESS_SECONDS, default_max_delay
from millrace.compiler.state_names import StateNames
from millrace.compiler.states import (
    Branch,
    Catcher,
    Fail,
    InvokeParameters,
    Machine,
    Parallel,
    Payload,
    Retrier,
    State,
    Task,
)
from millrace.targets import Targets

INVOKE = "arn:aws:states:::lambda:invoke"
INVOKE_AND_WAIT = "arn:aws:states:::lambda:invoke.waitForTaskToken"
# The longest that Lambda runs a function; a sub-flow, which only waits, gets a day.
STEP_SECONDS = 900
SUBFLOW_SECONDS = 86_400
LIFECYCLE_SECONDS = 60

_IDS: Payload = {
    "workspaceId.$": "$.workspaceId",
    "runId.$": "$.runId",
    "attempt.$": "$.attempt",
}
_FINAL_ERRORS = ["StepFailed", "StepPartialSuccess", "StepThrottled"]


def emit(definition: Definition, graph: Graph, plan: Plan, targets: Targets) -> Machine:
    """The whole machine for a plan of the definition's enabled steps."""
    return _Emitter(definition, graph, targets).machine(plan)


class _Emitter:
    def __init__(self, definition: Definition, graph: Graph, targets: Targets) -> None:
        self._definition = definition
        self._graph = graph
        self._targets = targets
        self._names = StateNames()
        # In the order of the document, so that of two equal names the first keeps its own.
        enabled = [step for step in definition.steps if not step.is_skipped]
        self._name_of = {step.id: self._names.take(step.label) for step in enabled}

    def machine(self, plan: Plan) -> Machine:
        if self._definition.is_synchronous and not _forks(plan):
            return self._short_machine(plan)
        run = self._names.take("Run steps")
        succeeded = self._names.take("Record success")
        failed = self._names.take("Record failure")
        failure = self._names.take("Run failed")
        parts = plan.parts if isinstance(plan, Fork) else (plan,)
        states: dict[str, State] = {
            run: {
                "Type": "Parallel",
                "Branches": [self._branch(part) for part in parts],
                "ResultPath": None,
                "Catch": [_catcher("States.ALL", failed, "$.failure")],
                "Next": succeeded,
            },
            succeeded: {**self._lifecycle("attemptSucceeded"), "End": True},
        }
        if self._definition.flow_retry.max_attempts > 0 and not self._definition.is_synchronous:
            self._attempts(states, run, failed, failure)
        else:
            states[failed] = {**self._lifecycle("attemptFailed", _FAILURE), "Next": failure}
        states[failure] = _run_failed()
        return self._whole(run, states)

    def _short_machine(self, plan: Plan) -> Machine:
        """One whose steps run one after the other, and whose last Task ends the run as well.

        The worker's answer may lack every field, as where it could not end the run: then the
        lifecycle function does.
        """
        is_over = self._names.take("Run over?")
        done = self._names.take("Run succeeded")
        succeeded = self._names.take("Record success")
        failed = self._names.take("Record failure")
        failure = self._names.take("Run failed")
        parts = self._in_tasks(plan.parts if isinstance(plan, Series) else (plan,))
        tasks = [part for part in parts if not isinstance(part, Fork)]
        names = [self._task_name(steps) for steps in tasks]
        states: dict[str, State] = {}
        for steps, name, following in zip(tasks[:-1], names, names[1:], strict=False):
            self._step(states, steps, name, following, _Frame(failed))
        last = self._step(states, tasks[-1], names[-1], is_over, _Frame(failed, succeeded))
        last["Parameters"]["Payload"]["endsRun"] = True
        last["ResultPath"] = "$.end"
        answer = "$.end.Payload.isOver"
        states[is_over] = {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [
                        {"Variable": answer, "IsPresent": True},
                        {"Variable": answer, "BooleanEquals": True},
                    ],
                    "Next": done,
                }
            ],
            "Default": succeeded,
        }
        states[done] = {"Type": "Succeed"}
        states[succeeded] = {**self._lifecycle("attemptSucceeded"), "End": True}
        states[failed] = {**self._lifecycle("attemptFailed", _FAILURE), "Next": failure}
        states[failure] = _run_failed()
        return self._whole(names[0], states)

    def _whole(self, start: str, states: dict[str, State]) -> Machine:
        machine: Machine = {
            "Comment": "Compiled by Millrace; change the flow instead.",
            "StartAt": start,
            "States": states,
        }
        if self._definition.is_synchronous:
            machine["TimeoutSeconds"] = EXPRESS_SECONDS
        return machine

    def _attempts(self, states: dict[str, State], run: str, failed: str, failure: str) -> None:
        """Ask the lifecycle function, on failure, whether and when the whole graph runs again.

        Its answer may lack every field (as under an interpreter that does not call it): then the
        run has failed.
        """
        decide = self._names.take("Run again?")
        wait = self._names.take("Wait for next attempt")
        again = self._names.take("Next attempt")
        started = self._names.take("Record attempt")
        answer = "$.answer.Payload"
        states[failed] = {
            **self._lifecycle("attemptFailed", _FAILURE),
            "ResultPath": "$.answer",
            "Next": decide,
        }
        states[decide] = {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [
                        {"Variable": f"{answer}.retry", "IsPresent": True},
                        {"Variable": f"{answer}.retry", "BooleanEquals": True},
                        {"Variable": f"{answer}.waitSeconds", "IsPresent": True},
                        {"Variable": f"{answer}.attempt", "IsPresent": True},
                    ],
                    "Next": wait,
                }
            ],
            "Default": failure,
        }
        states[wait] = {"Type": "Wait", "SecondsPath": f"{answer}.waitSeconds", "Next": again}
        states[again] = {
            "Type": "Pass",
            "Parameters": {**_IDS, "attempt.$": f"{answer}.attempt"},
            "Next": started,
        }
        states[started] = {**self._lifecycle("attemptStarted"), "Next": run}

    def _lifecycle(self, event: str, more: Payload | None = None) -> Task:
        return {
            "Type": "Task",
            "Resource": INVOKE,
            "Parameters": _invoke(
                self._targets.lifecycle_arn, {"event": event, **_IDS, **(more or {})}
            ),
            "TimeoutSeconds": LIFECYCLE_SECONDS,
            "ResultPath": None,
            "Retry": [
                {
                    "ErrorEquals": ["States.ALL"],
                    "IntervalSeconds": 2,
                    "BackoffRate": 2.0,
                    "MaxDelaySeconds": 300,
                    "JitterStrategy": "FULL",
                    "MaxAttempts": 10,
                }
            ],
        }

    def _branch(self, plan: Plan) -> Branch:
        """One scope: a branch of a fork, or of the frame."""
        parts = self._in_tasks(plan.parts if isinstance(plan, Series) else (plan,))
        names = [
            self._names.take("Fork") if isinstance(part, Fork) else self._task_name(part)
            for part in parts
        ]
        states: dict[str, State] = {}
        for part, name, following in zip(parts, names, [*names[1:], None], strict=True):
            if isinstance(part, Fork):
                fork: Parallel = {
                    "Type": "Parallel",
                    "Branches": [self._branch(inner) for inner in part.parts],
                    "ResultPath": None,
                }
                states[name] = _towards(fork, following)
            else:
                self._step(states, part, name, following)
        return {"StartAt": names[0], "States": states}

    def _in_tasks(self, parts: Sequence[Plan]) -> list[Fork | tuple[Step, ...]]:
        """The parts of a series, in the place of steps those that share a Task."""
        found: list[Fork | tuple[Step, ...]] = []
        for kind, group in groupby(parts, type):
            if kind is Leaf:
                steps = [self._graph.steps[leaf.step] for leaf in group if isinstance(leaf, Leaf)]
                together = self._definition.is_synchronous
                found += chained(steps) if together else ((step,) for step in steps)
            else:
                found += (part for part in group if isinstance(part, Fork))
        return found

    def _task_name(self, steps: tuple[Step, ...]) -> str:
        if len(steps) == 1:
            return self._name_of[steps[0].id]
        return self._names.take(f"{steps[0].label} to {steps[-1].label}")

    def _step(
        self,
        states: dict[str, State],
        steps: tuple[Step, ...],
        name: str,
        following: str | None,
        frame: "_Frame | None" = None,
    ) -> Task:
        """The Task of steps, and beside it the states that their failures need.

        `frame` says where failures lead that no Parallel around the Task catches.
        """
        throttled = self._names.take(name, ": throttled")
        wait = self._names.take(name, ": wait")
        catchers = [_catcher("StepThrottled", throttled, "$.throttled")]
        states[name] = task = self._task(steps)
        step = steps[0]
        if step.on_failure == "continue":
            if step.on_partial_success == "stop":
                catchers.append(self._stop_at_partial_success(states, step, name, frame))
            onward = following if frame is None else frame.onward or following
            if onward is None:
                onward = self._names.take(name, ": done")
                states[onward] = {"Type": "Succeed"}
            catchers.append(_catcher("States.ALL", onward, None))
        elif frame is not None:
            catchers.append(_catcher("States.ALL", frame.failed, "$.failure"))
        task["Catch"] = catchers
        states[name] = _towards(task, following)
        # The worker throttled says until when, as its error's message; a Wait holds no compute.
        # The error is dropped again, so that it neither piles up nor reaches the fork's output.
        states[throttled] = {
            "Type": "Pass",
            "Parameters": {"input": _IDS, "error.$": "States.StringToJson($.throttled.Cause)"},
            "Next": wait,
        }
        states[wait] = {
            "Type": "Wait",
            "TimestampPath": "$.error.errorMessage",
            "OutputPath": "$.input",
            "Next": name,
        }
        return task

    def _stop_at_partial_success(
        self, states: dict[str, State], step: Step, name: str, frame: "_Frame | None"
    ) -> Catcher:
        if frame is not None:
            return _catcher("StepPartialSuccess", frame.failed, "$.failure")
        partial = self._names.take(name, ": partial success")
        states[partial] = {
            "Type": "Fail",
            "Error": "StepPartialSuccess",
            "Cause": f"Some records failed in {step.id}, whose strategy for that is stop.",
        }
        return _catcher("StepPartialSuccess", partial, None)

    def _task(self, steps: tuple[Step, ...]) -> Task:
        step = steps[0]
        synchronous = self._definition.is_synchronous
        by_token = step.type == "Flow" and not synchronous
        named: Payload = {"stepId": step.id}
        if synchronous:
            named = {"stepIds": [each.id for each in steps]}
        payload: Payload = {**named, **_IDS}
        if synchronous:
            payload["input.$"] = "$"  # with the run, as its caller stored it just before
        if by_token:
            payload["taskToken.$"] = "$$.Task.Token"
        longest = SUBFLOW_SECONDS if by_token else STEP_SECONDS
        limit = step.timeout_seconds or longest
        task: Task = {
            "Type": "Task",
            "Resource": INVOKE_AND_WAIT if by_token else INVOKE,
            "Parameters": _invoke(self._targets.run_step_arn, payload),
            "TimeoutSeconds": min(limit, EXPRESS_SECONDS) if synchronous else limit,
            "ResultPath": None,
        }
        if step.retry.max_attempts > 0:
            task["Retry"] = _retriers(step)
        return task


_FAILURE: Payload = {"failure.$": "$.failure"}


class _Frame(NamedTuple):
    """Where failures lead in a machine without a Parallel that catches them."""

    failed: str
    onward: str | None = None
    """Where one leads that stops nothing; None: to what follows."""


def _forks(plan: Plan) -> bool:
    parts = plan.parts if isinstance(plan, Series) else (plan,)
    return any(isinstance(part, Fork) for part in parts)


def _run_failed() -> Fail:
    return {
        "Type": "Fail",
        "Error": "RunFailed",
        "Cause": "A step failed; the run's record says which and why.",
    }


def _invoke(function: str, payload: Payload) -> InvokeParameters:
    return {"FunctionName": function, "Payload": payload}


def _catcher(error: str, following: str, result_path: str | None) -> Catcher:
    return {"ErrorEquals": [error], "ResultPath": result_path, "Next": following}


def _towards[T: (Task, Parallel)](state: T, following: str | None) -> T:
    if following is None:
        state["End"] = True
    else:
        state["Next"] = following
    return state


def _retriers(step: Step) -> list[Retrier]:
    """Final errors are not tried again; all else is transient, be it a crash or a time-out."""
    retry = step.retry
    # What another flow did in its time is not done again, nor waited for again.
    final = [*_FINAL_ERRORS, "States.Timeout"] if step.type == "Flow" else _FINAL_ERRORS
    transient: Retrier = {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": retry.interval_seconds,
        "BackoffRate": retry.backoff_rate,
        "MaxAttempts": retry.max_attempts,
    }
    cap = default_max_delay(step)
    if cap is not None:
        transient["MaxDelaySeconds"] = cap
    if retry.jitter:
        transient["JitterStrategy"] = "FULL"
    return [{"ErrorEquals": final, "MaxAttempts": 0}, transient]
