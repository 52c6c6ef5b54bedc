"""What became of records that an import wrote, merged into those that go on."""

from collections.abc import Sequence

from millrace.domain.base import Json, Record
from millrace.domain.flow_parts import ResponseMapping
from millrace.domain.records import RecordFailure, Written
from millrace.domain.response_mapping import merged


def answered(
    mapping: ResponseMapping | None, records: Sequence[Record], told: Written
) -> dict[int, Record]:
    """The records of which something is known, with what the mapping takes of it, by their place.

    Each as it would go on; those that failed go on only if the step lets them.
    """
    if mapping is None:
        return {}
    failures = {failure.index: failure for failure in told.failures}
    places = sorted({*told.answers, *failures})
    return {
        place: merged(records[place], mapping, _document(told, place, failures.get(place)))
        for place in places
    }


def _document(told: Written, place: int, failure: RecordFailure | None) -> Record:
    answer = told.answers.get(place)
    document: Record = {"errors": errors(failure), "ignored": place in told.ignored}
    if answer is not None:
        document |= {"_json": answer.read(), "id": answer.id, "statusCode": answer.status}
    return document


def errors(failure: RecordFailure | None) -> list[Json]:
    """Why a record failed, as a mapping reads it."""
    return [] if failure is None else [{"code": failure.code, "message": failure.message}]
