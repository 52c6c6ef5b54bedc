"""What the worker answers when it ended a run: it spares whoever waits for the run a read.

The answer goes through the machine, which hands it on as it is. It holds only what the caller of
the run is told anyway.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from millrace.domain.base import Json, Model
from millrace.domain.run import Run, RunKey, StepRecord

_BYTES: Final = 100_000
"""At most, of the 256 KiB that Step Functions lets a state hand on."""


class RunAnswer(Model):
    """A run that is over, and the records of its last steps."""

    run: Run
    steps: tuple[StepRecord, ...]

    @classmethod
    def heard(cls, output: Mapping[str, Any], key: RunKey) -> "RunAnswer | None":
        """What the output of a machine says of a run's end; None if it says nothing of it."""
        end = output.get("end")
        told = end.get("Payload") if isinstance(end, Mapping) else None
        text = told.get("answer") if isinstance(told, Mapping) else None
        if not isinstance(text, str):
            return None
        try:
            answer = cls.model_validate_json(text)
        except ValidationError:  # of a worker of another version, while a deploy goes on
            return None
        return answer if answer.run.key == key and answer.run.status.is_terminal else None

    def told(self) -> dict[str, Json]:
        """What the worker answers; nothing of what is large, which is read instead."""
        text = self.model_dump_json(by_alias=True, exclude_none=True)
        return {"answer": text} if len(text) <= _BYTES else {}
