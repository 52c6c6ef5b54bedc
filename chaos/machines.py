"""Reads compiled machines side by side, in simulated time and always in the same order.

Each execution is a generator that yields what it waits for: a while, a function's answer, or its
branches. What happens next is the earliest thing that is due.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from tests.simulator.language import Json, chosen, fill, get, handler_of, put
from tests.support.time_and_ids import FakeClock

TIMEOUT = "States.Timeout"


class MachineError(Exception):
    """An error by its name, as a state machine sees it."""

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.cause = json.dumps({"errorMessage": message, "errorType": name})


@dataclass
class Loop:
    """What is due, and when; `clock` shows the time of what happens."""

    clock: FakeClock
    _due: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)

    def at(self, time: datetime, what: Callable[[], None]) -> None:
        """Have something happen then; what is due at the same time, in the order of being said."""
        heappush(self._due, (time, next(self._numbers), what))

    def after(self, what: Callable[[], None], **by: float) -> None:
        """Have something happen in a while, by the arguments of a timedelta."""
        self.at(self.clock() + timedelta(**by), what)

    def until(self, time: datetime, is_over: Callable[[], bool] = lambda: False) -> None:
        """Let things happen until it is that late, or over before; for whoever waits meanwhile."""
        while not is_over():
            if not self._due or self._due[0][0] > time:
                self.clock.now = max(self.clock.now, time)
                return
            self.step()

    def step(self) -> bool:
        """Let the next thing happen; False if there is none."""
        if not self._due:
            return False
        time, _, what = heappop(self._due)
        self.clock.now = max(self.clock.now, time)
        what()
        return True


@dataclass(frozen=True)
class Call:
    """A function is called and its answer waited for, so long at most."""

    function: str
    payload: dict[str, Any]
    seconds: int


@dataclass(frozen=True)
class Sleep:
    """Time passes."""

    until: datetime


type Steps = Generator[Call | Sleep | Sequence["Steps"], Json, Json]
type Answer = Callable[[Json, MachineError | None], None]
type Invoke = Callable[[Call, Answer], None]


@dataclass(frozen=True)
class Interpreter:
    """Reads machines."""

    clock: FakeClock
    rng: Random

    def scope(self, scope: Mapping[str, Any], state: Json) -> Steps:
        """Run a scope of states to its end; gives the last state's data. Raises MachineError."""
        name: str | None = scope["StartAt"]
        while name is not None:
            spec = scope["States"][name]
            try:
                state = yield from self._state(spec, state)
            except MachineError as error:
                catcher = handler_of(spec.get("Catch", ()), error.name)
                if catcher is None:
                    raise
                caught = {"Error": error.name, "Cause": error.cause}
                state, name = put(state, catcher["ResultPath"], caught), catcher["Next"]
            else:
                name = chosen(spec, state) if spec["Type"] == "Choice" else spec.get("Next")
        return state

    def _state(self, spec: Mapping[str, Any], state: Json) -> Steps:
        match spec["Type"]:
            case "Task":
                return (yield from self._task(spec, state))
            case "Parallel":
                yield [self.scope(branch, state) for branch in spec["Branches"]]
            case "Wait":
                yield Sleep(self._until(spec, state))
                return get(state, spec.get("OutputPath", "$"))
            case "Pass":
                return fill(spec["Parameters"], state)
            case "Fail":
                raise MachineError(spec["Error"], spec["Cause"])
        return state

    def _until(self, spec: Mapping[str, Any], state: Json) -> datetime:
        if "SecondsPath" in spec:
            return self.clock() + timedelta(seconds=get(state, spec["SecondsPath"]))
        return datetime.fromisoformat(get(state, spec["TimestampPath"]))

    def _task(self, spec: Mapping[str, Any], state: Json) -> Steps:
        parameters = spec["Parameters"]
        call = Call(
            parameters["FunctionName"], fill(parameters["Payload"], state), spec["TimeoutSeconds"]
        )
        used: dict[int, int] = {}
        while True:
            try:
                told = yield call
            except MachineError as error:
                retrier = handler_of(spec.get("Retry", ()), error.name)
                place = -1 if retrier is None else spec["Retry"].index(retrier)
                if retrier is None or used.get(place, 0) >= retrier["MaxAttempts"]:
                    raise
                wait = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** used.get(place, 0)
                wait = min(wait, retrier.get("MaxDelaySeconds", wait))
                jitter = self.rng.random() if "JitterStrategy" in retrier else 1.0
                used[place] = used.get(place, 0) + 1
                yield Sleep(self.clock() + timedelta(seconds=wait * jitter))
            else:
                return put(state, spec["ResultPath"], {"Payload": told, "StatusCode": 200})


class Thread:
    """A generator under way: an execution, or one of its branches."""

    def __init__(self, loop: Loop, invoke: Invoke, steps: Steps, done: Answer) -> None:
        self._loop = loop
        self._invoke = invoke
        self._steps = steps
        self._done = done
        self._branches: list[Thread] = []
        self._is_over = False

    def go_on(self, answer: Json = None, error: MachineError | None = None) -> None:
        """Go on with what was waited for."""
        if self._is_over:
            return
        try:
            asked = self._steps.send(answer) if error is None else self._steps.throw(error)
        except StopIteration as end:
            self._is_over = True
            self._done(end.value, None)
        except MachineError as failure:
            self._is_over = True
            self._done(None, failure)
        else:
            self._serve(asked)

    def stop(self) -> None:
        """Go no further, branches included; a function that runs goes on by itself."""
        self._is_over = True
        for branch in self._branches:
            branch.stop()

    def _serve(self, asked: Call | Sleep | Sequence[Steps]) -> None:
        match asked:
            case Sleep(until):
                self._loop.at(until, self.go_on)
            case Call():
                self._loop.after(lambda: self._call(asked), milliseconds=50)
            case branches:
                self._fork(branches)

    def _call(self, call: Call) -> None:
        if self._is_over:
            return
        answers = iter((self.go_on,))

        def answer(told: Json, error: MachineError | None) -> None:
            for first in answers:
                first(told, error)

        self._invoke(call, answer)

    def _fork(self, branches: Sequence[Steps]) -> None:
        left = len(branches)

        def joined(_: Json, error: MachineError | None) -> None:
            nonlocal left
            left -= 1
            if error is not None:
                for branch in self._branches:
                    branch.stop()
                self._loop.after(lambda: self.go_on(error=error))
            elif left == 0:
                self._loop.after(self.go_on)

        self._branches = [Thread(self._loop, self._invoke, each, joined) for each in branches]
        for branch in self._branches:
            self._loop.after(branch.go_on)
