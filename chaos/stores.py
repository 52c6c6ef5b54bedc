"""Stores whose calls may go wrong, as those of the adapters over AWS do."""

from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError
from chaos.faults import READS, WRITES, Fault, Faults

from millrace.domain.errors import UnavailableError
from millrace.domain.ports import Ended

_SAY_UNAVAILABLE: Final = {"record_run", "swap", "start", "stop"}
READING: Final = frozenset(
    {
        *("get", "get_many", "find", "find_many", "find_public", "page", "browse", "parent_of"),
        *("detail", "steps", "step", "delivered", "unfinished", "unfinished_of", "latest_runs"),
        *("lane", "lanes", "read", "outcome", "open_trace_keys", "latest_for_request"),
        *("counted", "unsettled", "url", "names", "prefix"),
    }
)
"""The methods of the ports that change nothing; there is nothing to be killed around."""


class FaultyStore:
    """A port's adapter behind faults; `saw` is told what each call gives."""

    def __init__(
        self,
        name: str,
        store: Any,  # noqa: ANN401 - stands for a port
        faults: Faults,
        saw: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._store = store
        self._faults = faults
        self._saw = saw

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The adapter's method; what it raises is what the port says, or else what boto3 does."""
        method: Callable[..., Any] = getattr(self._store, name)

        def error() -> Exception:
            if name in _SAY_UNAVAILABLE or self._name == "paces":
                return UnavailableError(f"{self._name}.{name} is not to be had")
            problem: Any = {"Code": "ThrottlingException", "Message": "Rate exceeded"}
            return ClientError({"Error": problem}, name)

        if (self._name, name) == ("machines", "run"):
            return self._run

        def call(*args: object, **named: object) -> object:
            answer = self._faults.meet(
                f"{self._name}.{name}",
                lambda: method(*args, **named),
                error,
                READS if name in READING else WRITES,
            )
            self._saw(answer)
            return answer

        return call

    def _run(self, machine_arn: str, name: str, data: dict[str, Any]) -> Ended | None:
        """Of an EXPRESS execution that nobody waits for any more the port says that it began."""
        match kind := self._faults.draw("machines.run", WRITES):
            case Fault.REFUSED:
                raise UnavailableError("machines.run is not to be had")
            case Fault.KILLED_BEFORE:
                raise self._faults.kill()
            case Fault.LOST | Fault.KILLED_AFTER:
                self._store.start(machine_arn, name, data)
                if kind is Fault.LOST:
                    return None
                raise self._faults.kill()
            case Fault.MEANWHILE | Fault.FROZEN:
                self._faults.wait(give_up=kind is Fault.FROZEN)
        outcome: Ended | None = self._store.run(machine_arn, name, data)
        return outcome
