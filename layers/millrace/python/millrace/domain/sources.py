"""What exports read beside other systems: objects of a bucket, and what triggered the run."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from millrace import limits
from millrace.domain.base import JsonPointer
from millrace.domain.findings import contradiction, need_one
from millrace.domain.formats import Formatted

_Key = Annotated[str, StringConstraints(min_length=1, max_length=limits.SORT_KEY_BYTES)]


class S3Export(Formatted):
    """The objects of a bucket, one after the other in the order of their keys."""

    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    key: _Key | None = Field(default=None, description="Of a single object.")
    prefix: Annotated[str, StringConstraints(max_length=limits.SORT_KEY_BYTES)] | None = Field(
        default=None, description="What the keys of the objects begin with; empty: all of them."
    )
    pattern: _Key | None = Field(
        default=None,
        description="What follows the prefix: `*` stands for any characters, `?` for one.",
    )

    @model_validator(mode="after")
    def _names_objects(self) -> Self:
        need_one(
            self, "key", "prefix", remedy="Add the key of an object, or the prefix of several."
        )
        if self.pattern is not None and self.prefix is None:
            raise contradiction(
                "pattern",
                "A pattern is of what follows a prefix.",
                "Leave it out, or set prefix in place of key.",
            )
        return self


class PayloadExport(Formatted):
    """What triggered the run: JSON, or a text in a format."""

    path: JsonPointer = Field(
        default="", description="Where in the payload; a webhook has its body at `/body`."
    )
