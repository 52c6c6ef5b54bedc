"""Answers that are read record by record, so that one may be larger than memory.

Such an answer is handed on in parts. What is remembered between two of them is how many records
were handed on and what the last one was: if it is asked for again, they are passed over.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from itertools import islice
from typing import IO, Final, cast

from millrace import limits
from millrace.connectors.answer_types import charset_of
from millrace.connectors.csv_reader import read_csv
from millrace.connectors.element_readers import Elements
from millrace.connectors.http_client import BrokenAnswerError
from millrace.connectors.http_messages import HttpResponse
from millrace.connectors.ndjson_reader import read_ndjson
from millrace.connectors.texts import is_marked, not_text, text_of
from millrace.connectors.xml_reader import read_xml
from millrace.domain.action import HttpExport
from millrace.domain.base import Record
from millrace.domain.errors import StepFailed, StepTransient
from millrace.domain.formats import CsvFormat, Formatted
from millrace.domain.records import RecordError

_CHUNK_BYTES: Final = 1_000_000

_GZIP: Final = b"\x1f\x8b"
"""A file may be compressed without its headers saying so."""


@dataclass(slots=True)
class Part:
    """Some records of an answer, in their order, and why others could not be read."""

    elements: list[Record | RecordError] = field(default_factory=list)
    is_last: bool = False

    def digest(self) -> str:
        """Tells the last record from others."""
        return _digest(self.elements[-1])


def parts(
    export: HttpExport, response: HttpResponse, skip: int, last: str | None
) -> Iterator[Part]:
    """The answer in parts, each small enough for a page, from behind the first `skip` records on.

    There is always a last part, which may be empty. Raises StepFailed if it cannot be read, and if
    the last record that is passed over has not the digest `last`; StepTransient if it looks cut
    off.
    """
    with closing(response.open()) as file, clear_errors():
        if response.status == HTTPStatus.NO_CONTENT:
            yield Part(is_last=True)
            return
        elements = read_elements(export, decompressed(file), charset_of(response, export.format))
        _pass_over(elements, skip, last)
        yield from parted(elements)


def parted(elements: Elements) -> Iterator[Part]:
    """Parts that are each small enough for a page; there is always a last one."""
    part = Part()
    size = 0
    for element, element_size in elements:
        is_full = len(part.elements) == limits.PAGE_RECORDS
        if part.elements and (is_full or size + element_size > limits.PAGE_BYTES):
            yield part
            part = Part()
            size = 0
        part.elements.append(element)
        size += element_size
    part.is_last = True
    yield part


def fingerprint(response: HttpResponse) -> str:
    """Tells an answer from others."""
    found = sha256(response.body)
    if response.file is not None:
        while chunk := response.file.read(_CHUNK_BYTES):
            found.update(chunk)
        response.file.seek(0)
    return found.hexdigest()


def read_elements(export: Formatted, file: IO[bytes], charset: str | None) -> Elements:
    """The records of a file in any format but JSON."""
    match export.format:
        case "csv":
            options = export.csv or CsvFormat()
            return read_csv(text_of(file, options.encoding or charset), options)
        case "xml" if export.xml is not None:
            return read_xml(file, export.xml, None if is_marked(file) else charset)
        case _:
            return read_ndjson(text_of(file, charset))


def _pass_over(elements: Elements, skip: int, last: str | None) -> None:
    if not skip:
        return
    passed = next(islice(elements, skip - 1, None), None)
    if passed is None or _digest(passed[0]) != last:
        raise StepFailed(
            "answerChanged",
            f"the answer changed while it was read: its record {skip} is another one by now",
        )


def _digest(element: Record | RecordError) -> str:
    text = element.message if isinstance(element, RecordError) else json.dumps(element)
    return sha256(text.encode()).hexdigest()[:32]


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """A file, whether it is compressed or not."""
    beginning = file.read(len(_GZIP))
    file.seek(0)
    return cast("IO[bytes]", _Gunzipped(file)) if beginning == _GZIP else file


class _Gunzipped(gzip.GzipFile):
    """A compressed file that may not swell beyond the cap on answers."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(fileobj=file, mode="rb")

    def read(self, size: int | None = -1) -> bytes:
        return self._checked(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._checked(super().read1(size))

    def _checked(self, data: bytes) -> bytes:
        if self.tell() > limits.OUTBOUND_STREAM_BYTES:
            message = f"the answer is larger than {limits.OUTBOUND_STREAM_BYTES} bytes"
            raise StepFailed("answerTooLarge", message)
        return data


@contextmanager
def clear_errors() -> Iterator[None]:
    """Tell what is wrong with a file that cannot be read."""
    try:
        yield
    except BrokenAnswerError as error:
        raise StepTransient("brokenAnswer", str(error)) from error
    except UnicodeDecodeError as error:
        raise not_text(error.encoding) from error
    except EOFError as error:
        raise StepTransient("brokenAnswer", "the compressed file is not whole") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise StepFailed("badEncoding", "the compressed file is not gzip") from error
