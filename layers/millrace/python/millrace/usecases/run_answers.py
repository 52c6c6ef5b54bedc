"""What a synchronous machine hands on as it is: the run to the worker, and its end to its caller.

Each spares a read. Step Functions keeps neither, and neither is larger than it hands on.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from millrace.domain.base import Json, Model
from millrace.domain.run import Run, RunKey, StepRecord

_BYTES: Final = 100_000
"""At most, of the 256 KiB that Step Functions lets a state hand on."""


def handed_on(run: Run) -> dict[str, Json]:
    """What the input of a machine says of its run; nothing of one that is large."""
    text = _json(run)
    return {"run": text} if len(text) <= _BYTES else {}


def run_of(handed: Mapping[str, Any], key: RunKey) -> Run | None:
    """The run that the input of a machine hands on, if it does."""
    text = handed.get("run")
    if not isinstance(text, str):
        return None
    try:
        run = Run.model_validate_json(text)
    except ValidationError:  # of another version, while a deploy goes on
        return None
    return run if run.key == key else None


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
        except ValidationError:  # as above
            return None
        return answer if answer.run.key == key and answer.run.status.is_terminal else None

    def told(self) -> dict[str, Json]:
        """What the worker answers; nothing of what is large, which is read instead."""
        text = _json(self)
        return {"answer": text} if len(text) <= _BYTES else {}


def _json(model: Model) -> str:
    return model.model_dump_json(by_alias=True, exclude_none=True)
