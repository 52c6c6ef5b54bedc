"""Records of a file in any of the formats: what bucket and payload hold."""

from collections.abc import Iterator
from itertools import islice
from typing import IO

from millrace import limits
from millrace.connectors.element_readers import Elements, records_at, too_large
from millrace.connectors.exact_json import ExactDecoder
from millrace.connectors.streamed_answers import (
    Part,
    clear_errors,
    decompressed,
    parted,
    read_elements,
)
from millrace.domain.base import Json
from millrace.domain.errors import StepFailed, StepTransient
from millrace.domain.formats import Formatted
from millrace.domain.quick_json import dump


def file_parts(work: Formatted, file: IO[bytes], skip: int) -> Iterator[Part]:
    """A file in parts, each small enough for a page, from behind the first `skip` records on.

    Raises StepFailed if it cannot be read; it is whole, so what looks cut off is a fault of its
    own.
    """
    try:
        with clear_errors():
            plain = decompressed(file)
            elements = (
                _of_document(work, plain)
                if work.format == "json"
                else read_elements(work, plain, None)
            )
            yield from parted(islice(elements, skip, None))
    except StepTransient as error:
        raise StepFailed("notWhole", error.message) from error


def json_elements(decoder: ExactDecoder, document: Json, path: str) -> Elements:
    """The records of a document: of an array each element, of an object itself, of null none."""
    if path:
        elements = records_at(document, path)
    elif isinstance(document, list):
        elements = document
    else:
        elements = [] if document is None else [document]
    for record in decoder.records(elements):
        yield record, 0


def _of_document(work: Formatted, file: IO[bytes]) -> Elements:
    body = file.read(limits.OUTBOUND_BODY_BYTES + 1)
    if len(body) > limits.OUTBOUND_BODY_BYTES:
        message = (
            f"a JSON document of more than {limits.OUTBOUND_BODY_BYTES:,} bytes is not read; "
            "lines of JSON (ndjson) may be longer"
        )
        raise StepFailed("answerTooLarge", message)
    decoder = ExactDecoder()
    for record, size in json_elements(decoder, decoder.answer(body), work.records_path):
        is_large = len(body) > limits.RECORD_BYTES and isinstance(record, dict)
        if is_large and len(dump(record)) > limits.RECORD_BYTES:
            yield too_large(), size
        else:
            yield record, size
