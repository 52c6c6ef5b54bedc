"""How records are written in an answer: its format, and what each format leaves open."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from millrace import limits
from millrace.domain.base import JsonPointer, Model
from millrace.domain.findings import contradiction, finding, missing

type Format = Literal["json", "ndjson", "csv", "xml"]

_LINE_ENDS = "\r\n"


def _no_line_end(char: str) -> str:
    if char in _LINE_ENDS:
        msg = "a line break ends a record and can be nothing else"
        raise ValueError(msg)
    return char


_OneCharacter = Annotated[
    str, StringConstraints(min_length=1, max_length=1), AfterValidator(_no_line_end)
]

_Column = Annotated[str, StringConstraints(max_length=limits.NAME_LENGTH)]

_ElementName = r"[^\s/<>&\"'=@#]+"


class CsvFormat(Model):
    """Rows and columns (RFC 4180). Every value is text."""

    delimiter: _OneCharacter = ","
    quote: _OneCharacter | Literal[""] = Field(
        default='"', description="Empty: no character quotes, each one is data."
    )
    header: bool = Field(default=True, description="Whether the first row names the columns.")
    columns: tuple[_Column, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=limits.COLUMNS,
        description="The names of all columns, in order; instead of those in the header.",
    )
    encoding: str | None = Field(
        default=None,
        max_length=limits.NAME_LENGTH,
        description="Instead of the charset of the Content-Type; by default UTF-8.",
    )

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        if self.delimiter == self.quote:
            raise contradiction("quote", "delimiter and quote must differ.", "Choose another one.")
        if not self.header and self.columns is None:
            raise missing(
                "columns",
                "Without a header nothing names the columns.",
                "Add columns, or set header to true.",
            )
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise finding(
                "notUnique",
                "Each column needs a name of its own.",
                "Rename those that are alike.",
                "/columns",
            )
        return self


class XmlFormat(Model):
    """Elements as objects: attributes as `@name`, text as `#text`, child elements by name."""

    record_path: str = Field(
        pattern=rf"^(/{_ElementName})+$",
        max_length=limits.MAPPING_PLACE_LENGTH,
        description="The names of the elements from the root to a record, such as /feed/entry.",
    )
    arrays: tuple[Annotated[str, StringConstraints(pattern=rf"^{_ElementName}$")], ...] = Field(
        default=(),
        max_length=limits.COLUMNS,
        description="Elements that become an array even where there is only one of them.",
    )


class Formatted(Model):
    """Something that holds records in a format."""

    format: Format = "json"
    csv: CsvFormat | None = None
    xml: XmlFormat | None = None
    records_path: JsonPointer = Field(
        default="", description="Where in the document, if it is JSON, the array of records stands."
    )

    @model_validator(mode="after")
    def _format_has_its_own_options(self) -> Self:
        for name, options in (("csv", self.csv), ("xml", self.xml)):
            if options is not None and self.format != name:
                raise contradiction(
                    name,
                    f"{name} has no meaning with format {self.format}.",
                    f"Leave it out, or set format to {name}.",
                )
        if self.format == "xml" and self.xml is None:
            raise missing(
                "xml",
                "Of XML it has to be said which elements are records.",
                "Add xml with a recordPath.",
            )
        if self.format != "json" and self.records_path:
            raise contradiction(
                "recordsPath",
                f"recordsPath has no meaning with format {self.format}.",
                "Leave it out, or set format to json.",
            )
        return self
