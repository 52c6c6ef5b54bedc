"""Steps that one invocation runs one after the other, and what it knows of them without a read."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from millrace.domain.run import StepRecord

_FRESH: Final = timedelta(seconds=1)


@dataclass(slots=True)
class Row:
    """What one step leaves to the next: its result, and perhaps the next one begun along with it.

    Whether the run was cancelled is looked up again once what was read of it is a second old.
    """

    read_at: datetime
    """When the run was read."""

    results: dict[str, StepRecord] = field(default_factory=dict)
    next_id: str | None = None
    """The step after the one at work."""

    _begun: StepRecord | None = None

    def is_fresh(self, now: datetime) -> bool:
        """Whether the run need not be read again."""
        return now - self.read_at < _FRESH

    def begin(self, record: StepRecord | None) -> None:
        """Note that the next step has begun, if it has."""
        self._begun = record

    def begun(self, step_id: str) -> StepRecord | None:
        """The step's first try, if it began with the result of the step before."""
        record, self._begun = self._begun, None
        return record if record is not None and record.step_id == step_id else None
