"""Record errors: single records that a step could not handle, kept until they are dealt with."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final, Literal, NamedTuple, Self

from pydantic import Field

from millrace import limits
from millrace.domain.base import Model, Moment, Record
from millrace.domain.records import Origin
from millrace.domain.run import Run

ErrorSource = Literal["export", "filter", "process", "import"]
"""What a record failed in."""

_POSITION_DIGITS: Final = 12


class Classification(StrEnum):
    """What kind of trouble a record met, as far as its code tells."""

    VALUE = "value"
    MISSING = "missing"
    CONNECTION = "connection"
    INTERMITTENT = "intermittent"
    RATE_LIMIT = "rateLimit"
    TOO_LARGE = "tooLarge"
    PARSE = "parse"
    DUPLICATE = "duplicate"
    NONE = "none"


_BY_STATUS: Final = {
    "http401": Classification.CONNECTION,
    "http403": Classification.CONNECTION,
    "http404": Classification.MISSING,
    "http407": Classification.CONNECTION,
    "http408": Classification.INTERMITTENT,
    "http409": Classification.DUPLICATE,
    "http410": Classification.MISSING,
    "http413": Classification.TOO_LARGE,
    "http414": Classification.TOO_LARGE,
    "http423": Classification.INTERMITTENT,
    "http425": Classification.INTERMITTENT,
    "http429": Classification.RATE_LIMIT,
    "http431": Classification.TOO_LARGE,
}
"""Those of 4xx that say more than that the request is not taken as it is."""

_BY_CODE: Final = {
    "answerTooLarge": Classification.TOO_LARGE,
    "badTemplate": Classification.VALUE,
    "badValue": Classification.VALUE,
    "columnMissing": Classification.VALUE,
    "expressionFailed": Classification.VALUE,
    "expressionTimeout": Classification.TOO_LARGE,
    "groupMissing": Classification.MISSING,
    "invalid": Classification.VALUE,
    "keyMissing": Classification.MISSING,
    "keyUnknown": Classification.MISSING,
    "nestedTooDeep": Classification.TOO_LARGE,
    "notANumber": Classification.VALUE,
    "notAnObject": Classification.PARSE,
    "notCsv": Classification.VALUE,
    "notJson": Classification.PARSE,
    "notSortable": Classification.VALUE,
    "notXml": Classification.PARSE,
    "numberNotExact": Classification.VALUE,
    "recordTooLarge": Classification.TOO_LARGE,
    "recordsMissing": Classification.PARSE,
    "refused": Classification.VALUE,
    "resultMissing": Classification.INTERMITTENT,
    "resultsMissing": Classification.INTERMITTENT,
    "schemaViolation": Classification.VALUE,
    "templateNotText": Classification.VALUE,
    "templateUndefined": Classification.MISSING,
    "textNotEncodable": Classification.VALUE,
    "textNotUnicode": Classification.PARSE,
    "ValidationException": Classification.VALUE,
}


def classify(code: str) -> Classification:
    """The kind of trouble that a code stands for; NONE for one that only another system knows."""
    if code in Classification:
        return Classification(code)
    if code.startswith("http5"):
        return Classification.INTERMITTENT
    if code.startswith("http4"):
        return _BY_STATUS.get(code, Classification.VALUE)
    return _BY_CODE.get(code, Classification.NONE)


class KeptRecord(Model):
    """A failed record as JSON text: in the entry itself, or a line of an object in the bucket."""

    inline: str | None = None
    key: str | None = None
    line: int = 0


class ReplayedRecord(Model):
    """A failed record on its way through a step once more."""

    error_id: str
    run_id: str
    position: int
    record: Record


class FailedRecord(Model):
    """One record that a step could not handle.

    Its id is made of where it came from, so a step that dies and goes on notes a record once, and
    a retry that fails again changes the entry that is there.
    """

    prefix: ClassVar[str] = "err"

    id: str
    workspace_id: str
    flow_id: str
    version_id: str
    run_id: str = Field(description="The run in which it failed last.")
    step_id: str
    attempt: int
    origin_run_id: str
    position: int = Field(description="Its place in the step's input, from 0.")
    occurred_at: Moment
    source: ErrorSource
    code: str
    message: str
    classification: Classification
    trace_key: str | None = None
    record: KeptRecord | None = Field(
        default=None, description="Absent: it cannot be retried, for nothing was kept."
    )
    virtual_environment_id: str | None = None
    inputs_run_id: str | None = Field(
        default=None, description="The run whose inputs it was met with, if that had any."
    )
    edited_at: Moment | None = Field(default=None, description="When the record was replaced.")
    edited_by: str | None = None
    resolved_at: Moment | None = None
    resolved_by: str | None = None
    assigned_to: str | None = None
    tags: tuple[str, ...] = ()
    retry_run_id: str | None = Field(default=None, description="The run that tries it again.")
    retries: int = 0
    revision: int = 1

    @property
    def is_open(self) -> bool:
        """Whether somebody or something has still to deal with it."""
        return self.resolved_at is None

    @property
    def list_position(self) -> str:
        """Where it stands in the flow's list: by step, run and place."""
        place = ErrorPlace.of(self.id)
        if place is None:
            msg = f"{self.id!r} is no id of an error"
            raise ValueError(msg)
        return place.sort_key

    @property
    def forgotten_at(self) -> datetime:
        """When it is removed, whatever its state."""
        return self.occurred_at + timedelta(days=limits.RECORD_ERROR_DAYS)

    def changed(self, **update: object) -> Self:
        """The entry after a change."""
        return self.model_copy(update={**update, "revision": self.revision + 1})


class ErrorPlace(NamedTuple):
    """What an error's id is made of, `err_01J..._42_load`: origin and step."""

    run: str
    """The origin's run without the prefix of its id: a ULID, which sorts by time."""
    position: int
    step_id: str

    @classmethod
    def at(cls, origin: Origin, step_id: str) -> "ErrorPlace":
        """The place of the error of a record in a step."""
        return cls(_bare(origin.run_id), origin.position, step_id)

    @classmethod
    def of(cls, id_: str) -> "ErrorPlace | None":
        """The place that an id names; None for what is no id of an error."""
        prefix, _, rest = id_.partition("_")
        run, _, rest = rest.partition("_")
        position, _, step_id = rest.partition("_")
        is_one = prefix == FailedRecord.prefix and position.isdecimal() and run and step_id
        return cls(run, int(position), step_id) if is_one else None

    @property
    def error_id(self) -> str:
        """The id of the error."""
        return f"{FailedRecord.prefix}_{self.run}_{self.position}_{self.step_id}"

    @property
    def sort_key(self) -> str:
        """Sorts by step, run and position."""
        return f"{self.errors_of_run}{self.position:0{_POSITION_DIGITS}}"

    @property
    def errors_of_run(self) -> str:
        """What the sort keys of all errors of the step in this run start with."""
        return f"{self.step_id}#{self.run}#"


def _bare(run_id: str) -> str:
    return run_id.removeprefix(f"{Run.prefix}_")
