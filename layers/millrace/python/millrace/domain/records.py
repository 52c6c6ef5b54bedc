"""Records in transit: pages, batches, and what can go wrong with a single one."""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from millrace.domain.base import Json, Record

PARSE: Final = "parse"
"""The code of a record that cannot be read, or not without changing it."""

TOO_LARGE: Final = "tooLarge"


class RecordError(Exception):
    """One record cannot be handled; the others go on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """A record that failed, named by its place in the input that was given."""

    index: int
    code: str
    message: str

    @classmethod
    def of(cls, index: int, error: RecordError) -> "RecordFailure":
        """The failure that an error means for the record at this place."""
        return cls(index, error.code, error.message)


@dataclass(frozen=True, slots=True)
class ExportPage:
    """One page that an export read, and where to go on."""

    records: list[Record]
    failures: list[RecordFailure]
    """Elements that are no records; the index counts all elements of the page."""
    next_cursor: Json | None
    """JSON that the export goes on from; None after the last page."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of records that were handed to a process."""

    records: list[Record]
    ignored: int
    failures: list[RecordFailure]


def idempotency_key(run_id: str, step_id: str, position: int, body: bytes) -> str:
    """The same for the same records at the same place of the same run, however often they are sent.

    Hashed from a JSON array, in which no two tuples of parts look alike.
    """
    parts = [run_id, step_id, position, sha256(body).hexdigest()]
    return sha256(json.dumps(parts).encode()).hexdigest()
