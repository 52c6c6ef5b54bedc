"""Rules of lookups, kept before an export is stored: what a request speaks of is what it is for."""

from collections.abc import Iterator

from millrace.domain.action import ExportAction, HttpExport
from millrace.domain.errors import Violation
from millrace.domain.pointers import pointer_of
from millrace.domain.run_values import (
    is_lookup,
    speaks_of_batch,
    speaks_of_record,
    templates_of,
)


def check_lookup(work: ExportAction, http: HttpExport, pointer: str) -> Iterator[Violation]:
    """What is wrong with an export over HTTP, if it is asked for the records of its step."""
    templates = templates_of(http)
    for template in templates:
        where = f"{pointer}/http{pointer_of(*template.place)}"
        if http.lookup is not None and speaks_of_record(template.text):
            yield Violation(
                "recordUnknown",
                where,
                "It speaks of the record, which only a request for a single record has.",
                "Use records or keys, or leave lookup out.",
            )
        elif http.lookup is None and speaks_of_batch(template.text):
            yield Violation(
                "recordsUnknown",
                where,
                "It speaks of records or keys, which only a request for a batch of records has.",
                "Set lookup, or use record.",
            )
    if http.lookup is not None and not any(speaks_of_batch(each.text) for each in templates):
        yield Violation(
            "lookupOfNothing",
            f"{pointer}/http/lookup",
            "The request speaks of neither records nor keys, so it is the same for every batch.",
            'Say what to find, such as {{ $join(keys, ",") }} in the query; or leave lookup out.',
        )
    if work.delta is not None and is_lookup(http):
        yield Violation(
            "deltaOfLookup",
            f"{pointer}/delta",
            "A lookup is asked for the records that it gets, so no run reads on from the last one.",
            "Remove delta; or take record, records and keys out of the request.",
        )
