"""How an import writes records to AWS, in the bundle's own account and by the worker's own role."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from millrace import limits
from millrace.domain.base import Expression, Model
from millrace.domain.findings import contradiction, finding, missing
from millrace.domain.formats import CsvFormat
from millrace.domain.spoken_of import speaking_of

_PART: Final = speaking_of("part")

_AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=limits.NAME_LENGTH)]


class S3Import(Model):
    """An object for each batch of records."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    key: Annotated[str, StringConstraints(min_length=1, max_length=512)] = Field(
        description="May hold expressions, and holds {{ part }}: the position of the first record "
        "and a digest of what is written, so the same records have the same key and no others."
    )
    format: Literal["json", "ndjson", "csv"] = "ndjson"
    csv: CsvFormat | None = None
    gzip: bool = False
    batch_size: int = Field(default=limits.PAGE_RECORDS, ge=1, le=limits.PAGE_RECORDS)

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        if self.csv is not None and self.format != "csv":
            raise contradiction(
                "csv",
                f"csv has no meaning with format {self.format}.",
                "Leave it out, or set format to csv.",
            )
        if _PART.search(self.key) is None:
            raise finding(
                "partMissing",
                "Each object would replace the one before.",
                "Put {{ part }} into the key.",
                "/key",
            )
        return self


class DynamoDbImport(Model):
    """An item for each record."""

    table: str = Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")
    operation: Literal["put", "delete"] = "put"
    key: tuple[_AttributeName, ...] = Field(
        min_length=1,
        max_length=2,
        description="The attributes of the table's primary key; records have fields of that name.",
    )


class SqsImport(Model):
    """A message for each record, the record as JSON its body."""

    queue: str = Field(pattern=r"^[A-Za-z0-9_-]{1,75}(\.fifo)?$", description="The queue's name.")
    group: Expression | None = Field(
        default=None, description="Over the record: its message group. FIFO queues need one."
    )

    @model_validator(mode="after")
    def _fifo_has_groups(self) -> Self:
        if self.queue.endswith(".fifo") and self.group is None:
            raise missing(
                "group",
                "A FIFO queue needs a message group for each record.",
                "Add group, an expression over the record.",
            )
        return self
