"""Templates: documents that new flows are made from."""

from typing import ClassVar

from pydantic import Field

from millrace.domain.base import Description, Json, Model, Name, StableKey, Whole
from millrace.domain.resource import Resource


class TemplateInput(Model):
    """What a caller sends to create or replace a template."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    version: Whole = Field(default=1, ge=1, description="The author's own count of its changes.")
    document: dict[str, Json] = Field(
        min_length=1, description="Any JSON object; readable, so no place for credentials."
    )


class Template(TemplateInput, Resource):
    """A stored template."""

    prefix: ClassVar[str] = "tpl"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")
