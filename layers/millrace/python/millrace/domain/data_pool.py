"""Data pools: memories of keys, by which flows know what they have seen before."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple

from pydantic import Field

from millrace import limits
from millrace.domain.base import Description, Json, Model, Name, StableKey, Whole
from millrace.domain.records import Origin
from millrace.domain.resource import Resource


class DataPoolInput(Model):
    """What a caller sends to create or replace a data pool."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    ttl_seconds: Whole = Field(
        default=limits.DATA_POOL_TTL_SECONDS,
        ge=1,
        le=limits.DATA_POOL_TTL_SECONDS_MAX,
        description="How long a key is remembered.",
    )


class DataPool(DataPoolInput, Resource):
    """A stored data pool."""

    prefix: ClassVar[str] = "pool"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")


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
