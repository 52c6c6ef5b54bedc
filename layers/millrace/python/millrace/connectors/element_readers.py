"""What reads the records of an answer one after the other, whatever its format."""

from collections.abc import Iterator, Sequence
from typing import cast

from millrace import limits
from millrace.connectors import json_documents
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.records import TOO_LARGE, ExportPage, RecordError, RecordFailure

type Element = tuple[Record | RecordError, int]
"""A record, or why there is none at this place; and its size, roughly in bytes."""

type Elements = Iterator[Element]


def too_large() -> RecordError:
    """A record is beyond what fits into memory beside others."""
    return RecordError(TOO_LARGE, f"the record is larger than {limits.RECORD_BYTES:,} bytes")


def records_at(document: Json, path: str, *, may_be_one: bool = False) -> list[Json]:
    """The array of records in a document, or the one that stands there. Raises StepFailed."""
    try:
        elements = json_documents.resolve(document, path)
    except LookupError as error:
        raise StepFailed("recordsMissing", f"nothing at recordsPath '{path}': {error}") from error
    if may_be_one and isinstance(elements, dict):
        return [elements]
    if not isinstance(elements, list):
        found = json_documents.describe(elements)
        raise StepFailed(
            "recordsMissing", f"at recordsPath '{path}' is {found}, not an array of records"
        )
    return elements


def page_of(elements: Sequence[Record | RecordError]) -> ExportPage:
    """A page of what was read, after which nothing follows."""
    if RecordError not in set(map(type, elements)):
        return ExportPage(cast("Sequence[Record]", elements), [], None)
    failures = [
        RecordFailure.of(index, element)
        for index, element in enumerate(elements)
        if isinstance(element, RecordError)
    ]
    return ExportPage([each for each in elements if isinstance(each, dict)], failures, None)
