"""Labels: coloured tags to find flows by."""

from typing import Annotated, ClassVar

from pydantic import Field

from millrace.domain.base import Model, Name, StableKey
from millrace.domain.resource import Resource

Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$", description="#RRGGBB.")]


class LabelInput(Model):
    """What a caller sends to create or replace a label."""

    name: Name
    stable_key: StableKey | None = None
    colour: Colour = "#808080"


class Label(LabelInput, Resource):
    """A stored label."""

    prefix: ClassVar[str] = "lbl"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")
