"""Records in transit: pages, batches, and what can go wrong with a single one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

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


class Origin(NamedTuple):
    """Where a record came into a step for the first time; a retry keeps it.

    What is sent for the record, and its record error, are named after it.
    """

    run_id: str
    position: int


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
class Answer:
    """What a system said of a record that was sent."""

    status: int
    read: Callable[[], Json]
    """Its words as JSON; read only when somebody asks."""
    id: Json = None
    """What the system calls the record, if it says so."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of records that were handed to an import."""

    failures: list[RecordFailure] = field(default_factory=list)
    """Of those that were not written, in order."""
    ignored: frozenset[int] = frozenset()
    """Those for which nothing was to be done."""
    answers: Mapping[int, Answer] = field(default_factory=dict)
    """By the place of the record."""


@dataclass(frozen=True, slots=True)
class ExportPage:
    """One page that an export read, and where to go on."""

    records: Sequence[Record]
    failures: list[RecordFailure]
    """Elements that are no records; the index counts all elements of the page."""
    next_cursor: Json | None
    """JSON that the export goes on from; None after the last page."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of records that were handed to a process."""

    records: Sequence[Record]
    ignored: int
    failures: list[RecordFailure]
    kept: list[Json] = field(default_factory=list)
    """What the process keeps in memory of them: to be given back when it is restored."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A part of what comes out of a process once it has seen all records."""

    batch: Batch
    origins: list[Origin]
    """By the index of a failure: the record that came into the step, or the first of a group."""


def idempotency_key(origin: Origin, step_id: str, body: bytes) -> str:
    """The same for the same records of the same origin, however often they are sent.

    Hashed from a JSON array, in which no two tuples of parts look alike.
    """
    parts = [origin.run_id, step_id, origin.position, sha256(body).hexdigest()]
    return sha256(json.dumps(parts).encode()).hexdigest()
