"""Data pools: memories of keys, by which flows know what they have seen before."""

from typing import ClassVar

from pydantic import Field

from millrace import limits
from millrace.domain.base import Description, Model, Name, StableKey, Whole
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
