"""Lambda and EventBridge as they can be: functions die, answers and events get lost, come twice."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any, Final

from chaos.faults import Faults, Invocation, Killed
from chaos.machines import TIMEOUT, Answer, Call, Loop, MachineError

from millrace.http.ingress import Ingress
from millrace.targets import Targets
from millrace.tasks import Lifecycle, StepWorker
from millrace.usecases.context import Context

TARGETS: Final = Targets("arn:run-step", "arn:lifecycle")
SWEEP_MINUTES: Final = 5
"""As template.yaml has it."""

LONGEST_SECONDS: Final = 900
_EVENT_TRIES: Final = 3
"""Of an event that a function does not take: Lambda tries it twice more."""


def _work_of(call: Call) -> str:
    """What a machine asks for: an event to be noted, a step, or several in a row."""
    told = call.payload
    return str(told.get("event") or told.get("stepId") or " and ".join(told["stepIds"]))


class NoAnswerError(Exception):
    """Whoever called a function does not know what became of it."""


@dataclass
class _Time:
    """What Lambda tells a handler: at first there is time, and perhaps not for long."""

    looks_left: float

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda ends the invocation."""
        self.looks_left -= 1
        return 1_000 * LONGEST_SECONDS if self.looks_left >= 0 else 1_000


@dataclass
class Cloud:
    """Calls the real handlers, each time in a worker of its own made by `context`."""

    loop: Loop
    faults: Faults
    rng: Random
    context: Callable[[], Context]
    _numbers: Any = field(default_factory=count)

    def api[T](self, name: str, use_case: Callable[[Context], T]) -> T:
        """Have a use case carried out by the API's function. Raises NoAnswerError."""
        return self._invoked(Invocation(name), lambda: use_case(self.context()))

    def deliver(self, event: dict[str, Any]) -> dict[str, Any]:
        """Send a delivery to a public address, whose answer may take a while. Raises NoAnswerError.

        Others go on while the function waits for a result.
        """

        def sleep(seconds: float) -> None:
            self.loop.until(self.loop.clock() + timedelta(seconds=seconds))

        ingress = Ingress(self.context(), sleep)
        return self._invoked(Invocation("ingress"), lambda: ingress(event, None))

    def task(self, call: Call, answer: Answer) -> None:
        """Have a machine's task carried out, and answer it, if it still waits for that."""

        def give_up() -> None:
            self.loop.clock.forward(seconds=call.seconds)
            answer(None, MachineError(TIMEOUT))

        is_step = call.function == TARGETS.run_step_arn
        name = f"{_work_of(call)} of {call.payload['runId']}"
        # Lambda ends a function at the same time at which its machine does by default.
        outlives = is_step and call.seconds < LONGEST_SECONDS
        invocation = Invocation(name, give_up, outlives)
        try:
            told = self._invoked(invocation, lambda: self._handled(call, is_step=is_step))
        except NoAnswerError:
            answer(None, MachineError("Lambda.Unknown"))
        except Exception as error:  # noqa: BLE001 - Lambda reports every exception by its name
            answer(None, MachineError(type(error).__name__, str(error)))
        else:
            # What does not survive JSON would not survive Lambda.
            answer(json.loads(json.dumps(told)), None)

    def execution_ended(self, run_id: str, data: dict[str, Any], outcome: str) -> None:
        """Let the lifecycle function know, at least once unless it gets lost."""
        detail = {"name": run_id, "status": outcome, "input": json.dumps(data)}
        event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
        with self.faults.during(Invocation("EventBridge")):
            kind = self.faults.draw(f"end of {run_id}", ("lost", "twice"))
        for _ in range({None: 1, "lost": 0, "twice": 2}[kind]):
            self.loop.after(lambda: self._event(event, _EVENT_TRIES), seconds=self.rng.random())

    def sweep(self) -> None:
        """Have the sweeper called once; one that fails is called again by the schedule."""
        self._event({"event": "sweep"}, 1)

    def _event(self, event: dict[str, Any], tries: int) -> None:
        name = event.get("event", "execution ended")
        try:
            self._invoked(Invocation(name), lambda: Lifecycle(self.context())(event, None))
        except Exception:  # noqa: BLE001 - see Lambda's asynchronous invocation
            if tries > 1:
                self.loop.after(lambda: self._event(event, tries - 1), minutes=1)

    def _handled(self, call: Call, *, is_step: bool) -> dict[str, Any]:
        if not is_step:
            return Lifecycle(self.context())(call.payload, None)
        looks = self.rng.randrange(4) if self.faults.draw("time", ("is short",)) else float("inf")
        time: Any = _Time(looks)
        return StepWorker(self.context())(call.payload, time)

    def _invoked[T](self, invocation: Invocation, work: Callable[[], T]) -> T:
        """Carry out a function's work. Raises NoAnswerError if it dies or nobody hears of it."""
        invocation = replace(invocation, name=f"#{next(self._numbers)} {invocation.name}")
        with self.faults.during(invocation):
            kind = self.faults.draw("invocation", ("not begun", "unheard"))
            if kind == "not begun":
                raise NoAnswerError
            try:
                told = work()
            except Killed as end:
                raise NoAnswerError from end
            if kind == "unheard" or invocation.is_dead:
                raise NoAnswerError
            return told
