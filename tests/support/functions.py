"""Functions that users bring along, as Python in the test."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import StepError, StepFailed


@dataclass
class ScriptedFunctions:
    """The `Functions` port over handlers by ARN, which may meet trouble first."""

    handlers: dict[str, Callable[[Json], Json]] = field(default_factory=dict)
    trouble: list[StepError] = field(default_factory=list)
    """Raised by the next calls, one each."""
    calls: list[Json] = field(default_factory=list)
    """What the functions were given."""
    seconds_given: list[float] = field(default_factory=list)
    """How long each call may take."""

    def invoke(self, arn: str, payload: bytes, seconds: float = limits.FUNCTION_SECONDS) -> bytes:
        """See Functions."""
        self.seconds_given.append(seconds)
        if self.trouble:
            raise self.trouble.pop(0)
        if arn not in self.handlers:
            raise StepFailed("functionMissing", f"function {arn} cannot be called")
        event = json.loads(payload)
        self.calls.append(event)
        return json.dumps(self.handlers[arn](event)).encode()
