"""Step Functions with executions that run: STANDARD ones by name, EXPRESS ones whenever asked."""

import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any, Final

from chaos.machines import Interpreter, Invoke, Loop, MachineError, Thread
from tests.simulator.language import Json

from millrace import limits
from millrace.domain.ports import Ended
from millrace.storage.memory import MemoryMachines

_EXPRESS: Final = "EXPRESS"


class LiveMachines(MemoryMachines):
    """The `Machines` port; `ended` is told of each end of a STANDARD execution."""

    def __init__(
        self,
        loop: Loop,
        rng: Random,
        invoke: Invoke,
        ended: Callable[[str, dict[str, Any], str], None],
    ) -> None:
        super().__init__()
        self._loop = loop
        self._interpreter = Interpreter(loop.clock, rng)
        self._invoke = invoke
        self._ended = ended
        self._threads: dict[tuple[str, str], Thread] = {}

    def start(self, machine_arn: str, name: str, data: dict[str, Any]) -> None:
        """Start the execution, unless it is a STANDARD one of a name that was started before."""
        place = (machine_arn, name)
        is_new = place not in self.started
        super().start(machine_arn, name, data)
        if self._is_express(machine_arn):
            self._express(machine_arn, data, [])
        elif is_new:

            def done(_: Json, error: MachineError | None) -> None:
                self._end(place, "SUCCEEDED" if error is None else "FAILED")

            self._threads[place] = self._thread(machine_arn, data, done)

    def run(self, machine_arn: str, name: str, data: dict[str, Any]) -> Ended | None:
        """Start an EXPRESS execution, and let things happen until it is over or nobody waits."""
        super().start(machine_arn, name, data)
        outcomes: list[Ended] = []
        self._express(machine_arn, data, outcomes)
        given_up = self._loop.clock() + timedelta(seconds=limits.RUN_WAIT_SECONDS)
        self._loop.until(given_up, lambda: bool(outcomes))
        return outcomes[0] if outcomes else None

    def outcome(self, machine_arn: str, name: str) -> str | None:
        """See Machines; of EXPRESS executions Step Functions tells nothing."""
        if self._is_express(machine_arn):
            raise AssertionError(name)
        return super().outcome(machine_arn, name)

    def stop(self, machine_arn: str, name: str) -> None:
        """Stop a running execution; no EXPRESS one can be."""
        if self.outcome(machine_arn, name) == "RUNNING":
            self._threads[machine_arn, name].stop()
            self._end((machine_arn, name), "ABORTED")

    def _is_express(self, machine_arn: str) -> bool:
        return machine_arn in self.deployed and self.deployed[machine_arn][1] == _EXPRESS

    def _express(self, machine_arn: str, data: dict[str, Any], outcomes: list[Ended]) -> None:
        """Begin an execution that puts its outcome there; it ends when its time is over."""

        def done(output: Json, error: MachineError | None) -> None:
            outcomes.append(Ended("SUCCEEDED", output) if error is None else Ended("FAILED"))

        def too_late() -> None:
            if not outcomes:
                thread.stop()
                outcomes.append(Ended("TIMED_OUT"))

        thread = self._thread(machine_arn, data, done)
        seconds = json.loads(self.deployed[machine_arn][0])["TimeoutSeconds"]
        self._loop.after(too_late, seconds=seconds)

    def _thread(
        self,
        machine_arn: str,
        data: dict[str, Any],
        done: Callable[[Json, MachineError | None], None],
    ) -> Thread:
        steps = self._interpreter.scope(json.loads(self.deployed[machine_arn][0]), data)
        thread = Thread(self._loop, self._invoke, steps, done)
        self._loop.after(thread.go_on)
        return thread

    def _end(self, place: tuple[str, str], outcome: str) -> None:
        self.outcomes[place] = outcome
        self._ended(place[1], self.started[place], outcome)
