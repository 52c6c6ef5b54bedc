"""Records as the body of a request or the content of a file, in the formats of imports."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Final, Protocol
from urllib.parse import urlencode

from pydantic_core import to_json

from millrace.connectors.json_documents import replaced
from millrace.connectors.texts import known_charset
from millrace.domain.base import Json, Record
from millrace.domain.formats import CsvFormat
from millrace.domain.imports import HttpImport
from millrace.domain.quick_json import Unread
from millrace.domain.records import RecordError, RecordFailure

_NO_JSON: Final = (b"NaN", b"Infinity")
"""How `to_json` writes what JSON has no words for; a text may hold the same."""

_HERE: Final = "\0records"
"""Marks in a body the place of the records; as JSON it is longer than its text."""


@dataclass(frozen=True, slots=True)
class Body:
    """What was written of some records."""

    data: bytes
    sent: Sequence[int]
    """The places of the records that are in it."""
    failures: list[RecordFailure] = field(default_factory=list)
    """Those that cannot be written."""


class RecordWriter(Protocol):
    """Writes records in one format."""

    @property
    def content_type(self) -> str:
        """The media type of what is written."""
        ...

    def body(self, records: Sequence[Record]) -> Body:
        """The records that can be written, one after the other."""
        ...


def writer_of(http: HttpImport) -> RecordWriter:
    """The writer of an import's requests. Raises StepFailed if its charset is not known."""
    match http.format:
        case "json" if http.body is not None and not http.body_path:
            return FixedWriter(http.body)
        case "json":
            return JsonWriter(http.body, http.body_path, is_array=http.batch_size is not None)
        case "ndjson":
            return NdjsonWriter()
        case "csv":
            return CsvWriter(http.csv or CsvFormat())
        case "form":
            return FormWriter()


class JsonWriter:
    """One JSON document: an array of records, or a record itself; perhaps within another."""

    content_type = "application/json"

    def __init__(
        self, around: dict[str, Json] | None = None, path: str = "", *, is_array: bool = True
    ) -> None:
        document = json.dumps(replaced(around, path, _HERE), separators=(",", ":"))
        before, _, after = document.partition(json.dumps(_HERE))
        self._before, self._after = before.encode(), after.encode()
        self._is_array = is_array

    def body(self, records: Sequence[Record]) -> Body:
        """See RecordWriter."""
        quick = _quickly(records if self._is_array else records[0])
        if quick is not None:
            return Body(self._before + quick + self._after, range(len(records)))
        bodies, failures = _each(records, encoded)
        text = b",".join(bodies.values())
        text = b"[" + text + b"]" if self._is_array else text
        return Body(self._before + text + self._after, list(bodies), failures)


class FixedWriter:
    """A JSON document in place of a record."""

    content_type = "application/json"

    def __init__(self, document: dict[str, Json]) -> None:
        self._document = document

    def body(self, records: Sequence[Record]) -> Body:
        """See RecordWriter."""
        bodies, failures = _each(records, lambda _: encoded(self._document))
        return Body(b"".join(bodies.values()), list(bodies), failures)


class NdjsonWriter:
    """A record a line."""

    content_type = "application/x-ndjson"

    def body(self, records: Sequence[Record]) -> Body:
        """See RecordWriter."""
        lines, failures = _each(records, encoded)
        return Body(b"".join(line + b"\n" for line in lines.values()), list(lines), failures)


class CsvWriter:
    """A record a row (RFC 4180); without named columns, those of all records of the batch.

    What is neither text nor a number is written as JSON, and null as nothing.
    """

    def __init__(self, form: CsvFormat) -> None:
        self._form = form
        name = form.encoding or "utf-8"
        self._encoding = known_charset(name)
        self._mark = "".encode(self._encoding)
        """Python writes a byte order mark before each text, where the charset has one."""
        charset = "utf-8" if self._encoding == "utf-8-sig" else name
        self.content_type = f"text/csv; charset={charset}"

    def body(self, records: Sequence[Record]) -> Body:
        """See RecordWriter."""
        columns = self._form.columns or tuple(
            dict.fromkeys(key for each in records for key in each)
        )
        rows, failures = _each(records, lambda record: self._row(columns, record))
        head = self._text(columns) if self._form.header and rows else b""
        return Body(self._mark + head + b"".join(rows.values()), list(rows), failures)

    def _row(self, columns: Sequence[str], record: Record) -> bytes:
        if strange := record.keys() - set(columns):
            raise RecordError("columnMissing", f"there is no column for {min(strange)!r}")
        return self._text([cell(record.get(column)) for column in columns])

    def _text(self, cells: Sequence[str]) -> bytes:
        out = StringIO()
        try:
            csv.writer(
                out,
                delimiter=self._form.delimiter,
                quotechar=self._form.quote or None,
                quoting=csv.QUOTE_MINIMAL if self._form.quote else csv.QUOTE_NONE,
                lineterminator="\r\n",
            ).writerow(cells)
            return out.getvalue().encode(self._encoding).removeprefix(self._mark)
        except csv.Error as error:
            raise RecordError("notCsv", f"the record cannot be written as CSV: {error}") from error
        except UnicodeEncodeError as error:
            message = f"the record holds text that {self._encoding} does not have"
            raise RecordError("textNotEncodable", message) from error


class FormWriter:
    """One record as the fields of a form; an array is a field that stands several times."""

    content_type = "application/x-www-form-urlencoded"

    def body(self, records: Sequence[Record]) -> Body:
        """See RecordWriter."""
        forms, failures = _each(records, _form)
        return Body(b"".join(forms.values()), list(forms), failures)


def encoded(record: Record) -> bytes:
    """A record as compact JSON in UTF-8. Raises RecordError."""
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(
            "textNotUnicode", "the record holds text that is not Unicode (a lone surrogate)"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecordError("notJson", f"the record cannot be written as JSON: {error}") from error


def cell(value: Json) -> str:
    """A value as text. Raises RecordError for what is no JSON."""
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return encoded(value).decode()


def _form(record: Record) -> bytes:
    fields = [
        (name, cell(each))
        for name, value in record.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    try:
        return urlencode(fields).encode()
    except UnicodeEncodeError as error:
        message = "the record holds text that is not Unicode (a lone surrogate)"
        raise RecordError("textNotUnicode", message) from error


def _quickly(value: Json) -> bytes | None:
    """The JSON of all records at once; None if one of them may have to be left out."""
    try:
        body = value.text if isinstance(value, Unread) else to_json(value, inf_nan_mode="constants")
        body.decode()
    except ValueError:
        return None
    return None if any(word in body for word in _NO_JSON) else body


def _each(
    records: Sequence[Record], write: Callable[[Record], bytes]
) -> tuple[dict[int, bytes], list[RecordFailure]]:
    """The records that can be written, by their place, and why others cannot."""
    bodies: dict[int, bytes] = {}
    failures: list[RecordFailure] = []
    for index, record in enumerate(records):
        try:
            bodies[index] = write(record)
        except RecordError as error:
            failures.append(RecordFailure.of(index, error))
    return bodies, failures
