"""JSON Patch (RFC 6902): a list of operations that change a document, all or none."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel

from millrace import limits
from millrace.domain.base import Json, JsonPointer, Model


class _Operation(Model):
    # RFC 6902, section 4: members that an operation does not define are ignored.
    model_config = ConfigDict(extra="ignore")

    path: JsonPointer


class ValueOperation(_Operation):
    """Sets a value, or tests that it is there."""

    op: Literal["add", "replace", "test"]
    value: Json


class RemoveOperation(_Operation):
    """Takes a value away; the field has its default again."""

    op: Literal["remove"]


class TransferOperation(_Operation):
    """Sets a value to that of another place, which it leaves or not."""

    op: Literal["move", "copy"]
    from_: JsonPointer = Field(alias="from")


type PatchOperation = Annotated[
    ValueOperation | RemoveOperation | TransferOperation, Field(discriminator="op")
]


class Patch(RootModel[list[PatchOperation]]):
    """The operations, in order.

    A model rather than a list: Powertools takes the first member of a body that is a list.
    """

    root: list[PatchOperation] = Field(min_length=1, max_length=limits.PATCH_OPERATIONS)
