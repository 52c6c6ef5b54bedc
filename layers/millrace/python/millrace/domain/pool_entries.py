"""What data pools remember: keys, by whom they were claimed, and perhaps values."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from millrace.domain.base import Json
from millrace.domain.records import Origin


class Claim(NamedTuple):
    """By which work of which run a key was remembered."""

    origin: Origin
    """Of the record that had the key."""
    step_id: str
    run_id: str
    attempt: int

    def is_doubled_by(self, other: "Claim") -> bool:
        """Whether a record that comes later is a duplicate of the one that this was made for.

        Work that is done again, after a crash, in another attempt or in a run that repeats this
        one, meets what it claimed itself the time before: that is no duplicate.
        """
        if (self.origin.run_id, self.step_id) != (other.origin.run_id, other.step_id):
            return True
        if (self.run_id, self.attempt) != (other.run_id, other.attempt):
            return False
        return self.origin.position != other.origin.position


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """A key that a data pool remembers."""

    key: str
    """JSON text, by which equal keys are told."""
    claim: Claim
    expires_at: datetime
    value: Json = None
