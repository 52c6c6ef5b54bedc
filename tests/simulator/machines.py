"""Runs a compiled machine in virtual time, so that tests and benchmarks see what AWS would do.

It knows the part of the Amazon States Language that the compiler emits and refuses the rest. The
branches of a Parallel share nothing, so each is run to its end by itself; when one fails, what the
others would have done from that instant on is struck out, as Step Functions does by aborting them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulator.language import Json, chosen, fill, get, handler_of, put

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one try of a step does: takes so many seconds, then succeeds or raises."""

    seconds: float = 1.0
    error: str | None = None
    message: str = ""


type Worker = Callable[[str, int, int, float], Outcome]
type Lifecycle = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: a state entered, a try of a step begun or ended."""

    at: float
    kind: str
    name: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """A finished execution: when it ended, with which error, and all that happened before."""

    at: float
    error: str | None
    events: Sequence[Event]
    state: Json = None
    cause: str = ""

    def starts(self) -> list[str]:
        """The steps whose tries began, in order of time."""
        return [e.name for e in sorted(self.events, key=lambda e: e.at) if e.kind == "start"]

    def times(self, kind: str) -> dict[str, float]:
        """When each step last started or ended."""
        return {e.name: e.at for e in self.events if e.kind == kind}

    def delays(self, step: str) -> list[float]:
        """The waits between a step's tries."""
        starts = [e.at for e in self.events if e.kind == "start" and e.name == step]
        ends = [e.at for e in self.events if e.kind == "end" and e.name == step]
        return [start - end for start, end in zip(starts[1:], ends, strict=False)]

    def transitions(self) -> int:
        """How many states were entered."""
        return sum(e.kind == "enter" for e in self.events)


@dataclass(slots=True)
class Simulator:
    """An AWS account of two functions; `worker` gets step, attempt, number of the try, time."""

    worker: Worker
    lifecycle: Lifecycle = field(default=lambda _: {})

    def run(self, definition: Mapping[str, Any]) -> Execution:
        """Execute from the start with the input that Millrace gives."""
        ids = {"workspaceId": "ws_1", "runId": "run_1", "attempt": 1}
        return self._scope(definition, ids, 0.0)

    def _scope(self, scope: Mapping[str, Any], state: Json, now: float) -> Execution:
        name: str | None = scope["StartAt"]
        events: list[Event] = []
        tries: dict[str, int] = {}
        while name is not None:
            spec = scope["States"][name]
            events.append(Event(now, "enter", name))
            result = getattr(self, "_" + spec["Type"].lower())(spec, state, now, tries)
            events.extend(result.events)
            now = result.at
            if result.error is None:
                state = result.state
                name = chosen(spec, state) if spec["Type"] == "Choice" else spec.get("Next")
                continue
            catcher = handler_of(spec.get("Catch", ()), result.error)
            if catcher is None:
                return Execution(now, result.error, events, cause=result.cause)
            caught = {"Error": result.error, "Cause": result.cause}
            state, name = put(state, catcher["ResultPath"], caught), catcher["Next"]
        return Execution(now, None, events, state)

    def _task(
        self, spec: Mapping[str, Any], state: Json, now: float, tries: dict[str, int]
    ) -> Execution:
        payload = fill(spec["Parameters"]["Payload"], state)
        events: list[Event] = []
        used: dict[int, int] = {}
        while True:
            if "stepId" in payload:
                step = payload["stepId"]
                tries[step] = tries.get(step, 0) + 1
                events.append(Event(now, "start", step))
                outcome = self.worker(step, payload["attempt"], tries[step], now)
            else:
                step = payload["event"]
                events.append(Event(now, "lifecycle", step))
                answer = self.lifecycle(payload)
                outcome = Outcome(0.0)
            seconds, error = outcome.seconds, outcome.error
            if seconds > spec["TimeoutSeconds"]:
                seconds, error = spec["TimeoutSeconds"], "States.Timeout"
            now += seconds
            if "stepId" in payload:
                events.append(Event(now, "end", step, error))
            if error is None:
                result = {"Payload": {} if "stepId" in payload else answer, "StatusCode": 200}
                return Execution(now, None, events, put(state, spec["ResultPath"], result))
            retrier = handler_of(spec.get("Retry", ()), error)
            position = -1 if retrier is None else spec["Retry"].index(retrier)
            if retrier is None or used.get(position, 0) >= retrier["MaxAttempts"]:
                cause = json.dumps({"errorMessage": outcome.message, "errorType": error})
                return Execution(now, error, events, cause=cause)
            wait = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** used.get(position, 0)
            now += min(wait, retrier.get("MaxDelaySeconds", wait))
            used[position] = used.get(position, 0) + 1

    def _parallel(
        self, spec: Mapping[str, Any], state: Json, now: float, _: dict[str, int]
    ) -> Execution:
        branches = [self._scope(branch, state, now) for branch in spec["Branches"]]
        failed = min((b for b in branches if b.error), key=lambda b: b.at, default=None)
        if failed is None:
            events = [event for branch in branches for event in branch.events]
            return Execution(max(b.at for b in branches), None, events, state)
        events = [
            event
            for branch in branches
            for event in branch.events
            if branch is failed or event.at < failed.at
        ]
        return Execution(failed.at, failed.error, events, cause=failed.cause)

    def _pass(
        self, spec: Mapping[str, Any], state: Json, now: float, _: dict[str, int]
    ) -> Execution:
        return Execution(now, None, (), fill(spec["Parameters"], state))

    def _wait(
        self, spec: Mapping[str, Any], state: Json, now: float, _: dict[str, int]
    ) -> Execution:
        if "SecondsPath" in spec:
            until = now + get(state, spec["SecondsPath"])
        else:
            moment = datetime.fromisoformat(get(state, spec["TimestampPath"]))
            until = max(now, (moment - EPOCH).total_seconds())
        return Execution(until, None, (), get(state, spec.get("OutputPath", "$")))

    def _choice(
        self, _spec: Mapping[str, Any], state: Json, now: float, _: dict[str, int]
    ) -> Execution:
        return Execution(now, None, (), state)

    def _fail(
        self, spec: Mapping[str, Any], state: Json, now: float, _: dict[str, int]
    ) -> Execution:
        return Execution(now, spec["Error"], (), state, spec["Cause"])

    def _succeed(
        self, _spec: Mapping[str, Any], state: Json, now: float, _: dict[str, int]
    ) -> Execution:
        return Execution(now, None, (), state)


def instant(seconds: float) -> str:
    """The time in a simulation as the timestamp that a throttled worker raises."""
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
