"""What reads the records of an answer one after the other, whatever its format."""

from collections.abc import Iterator

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.records import TOO_LARGE, RecordError

type Element = tuple[Record | RecordError, int]
"""A record, or why there is none at this place; and its size, roughly in bytes."""

type Elements = Iterator[Element]


def too_large() -> RecordError:
    """A record is beyond what fits into memory beside others."""
    return RecordError(TOO_LARGE, f"the record is larger than {limits.RECORD_BYTES:,} bytes")
