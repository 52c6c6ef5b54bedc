"""Integrations: named containers of flows, with groups inside."""

from typing import ClassVar

from pydantic import Field

from millrace import limits
from millrace.domain.base import Description, Model, Name, Settings, StableKey, Whole
from millrace.domain.resource import Resource


class FlowGroup(Model):
    """A group of flows inside an integration."""

    id: StableKey = Field(description="The author's own; what a flow names as flowGroupId.")
    name: Name
    sort_order: Whole = Field(default=0, ge=0, le=limits.SORT_ORDER_MAX)


class IntegrationInput(Model):
    """What a caller sends to create or replace an integration."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    category: Name | None = None
    settings: Settings = Field(default_factory=dict)
    groups: tuple[FlowGroup, ...] = Field(default=(), max_length=limits.GROUPS_PER_INTEGRATION)


class Integration(IntegrationInput, Resource):
    """A stored integration."""

    prefix: ClassVar[str] = "int"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")
