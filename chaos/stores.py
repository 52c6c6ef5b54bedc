"""Stores whose calls may go wrong, as those of the adapters over AWS do."""

from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError
from chaos.faults import READS, WRITES, Faults

from millrace.domain.errors import UnavailableError

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
        self, name: str, store: object, faults: Faults, saw: Callable[[Any], None] = lambda _: None
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
