"""Lookups that ask for several records at once, and how they tell whose is what they find."""

from typing import Final

from pydantic import Field

from millrace import limits
from millrace.domain.base import Json, JsonPointer, Model

type Key = str | int | float
"""What names a record. A number and a text that shows it are the same: one system has `7`, the
other `"7"`."""

_INDEX_DIGITS_MAX: Final = 9


class BatchLookup(Model):
    """How a lookup asks for several records at once."""

    batch_size: int = Field(ge=1, le=limits.PAGE_RECORDS)
    record_key_path: JsonPointer = Field(
        min_length=1, description="In a record: the text or number by which it is looked up."
    )
    key_path: JsonPointer = Field(
        min_length=1, description="In what is found: the key of the records that it is for."
    )


def key_at(document: Json, pointer: str) -> Key | None:
    """The text or number at a JSON Pointer; None if there is none."""
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        match value:
            case dict() if name in value:
                value = value[name]
            case list() if _is_index(name) and int(name) < len(value):
                value = value[int(name)]
            case _:
                return None
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= _INDEX_DIGITS_MAX
