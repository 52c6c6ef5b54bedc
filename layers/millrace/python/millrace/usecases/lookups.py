"""Lookups: exports that are asked once for each record, whose answer goes on with the record."""

from collections.abc import Callable
from typing import Final

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.errors import StepFailed
from millrace.domain.ports import Exporter
from millrace.domain.records import RecordError

_OF_THE_RECORD: Final = frozenset(
    {
        *(f"http{status}" for status in (400, 404, 409, 410, 422)),
        *("answerTooLarge", "recordTooLarge", "recordsMissing", "notJson", "notXml"),
        *("templateUndefined", "templateNotText", "badValue", "textNotUnicode"),
        *("expressionFailed", "expressionTimeout", "numberNotExact"),
    }
)
"""Errors that other records need not meet."""


def look_up(exporter_of: Callable[[Record], Exporter], record: Record) -> list[Record]:
    """What the other system has for a record, of all pages.

    Raises RecordError if that cannot be had for this record, else as an Exporter does.
    """
    found: list[Record] = []
    try:
        for page in exporter_of(record).pages(None):
            for failure in page.failures:
                raise RecordError(failure.code, failure.message)
            found += page.records
            if len(found) > limits.PAGE_RECORDS:
                message = f"a lookup takes at most {limits.PAGE_RECORDS:,} records for a record"
                raise RecordError("tooLarge", message)
    except StepFailed as error:
        if error.code in _OF_THE_RECORD:
            raise RecordError(error.code, error.message) from error
        raise
    return found
