"""Records from CSV (RFC 4180), in memory for one row."""

import csv
from collections import Counter
from collections.abc import Iterator
from io import TextIOBase
from typing import Self

from millrace import limits
from millrace.connectors.element_readers import Elements, too_large
from millrace.connectors.http_client import BrokenAnswerError
from millrace.connectors.json_documents import short
from millrace.connectors.texts import RAW_BYTE
from millrace.domain.base import Record
from millrace.domain.errors import StepFailed
from millrace.domain.formats import CsvFormat
from millrace.domain.records import PARSE, RecordError


def read_csv(
    text: TextIOBase, options: CsvFormat, record_size: int = limits.RECORD_BYTES
) -> Elements:
    """The record of each row that is not blank; every value is text.

    Raises StepFailed if the columns have no clear names, BrokenAnswerError if the text ends within
    quotes.
    """
    rows = _rows(_Lines(text, options.quote, record_size), options)
    columns = _columns(rows, options)
    if columns is None:
        return
    for row, line, size in rows:
        yield row if isinstance(row, RecordError) else _record(columns, row, line), size


def _columns(rows: "Iterator[_Row]", options: CsvFormat) -> tuple[str, ...] | None:
    """The columns' names; None if there is not even a header."""
    if not options.header:
        return options.columns
    row, _, _ = next(rows, (None, 0, 0))
    if row is None:
        return None
    if isinstance(row, RecordError):
        raise StepFailed("badHeader", f"the header cannot be read: {row.message}")
    if options.columns is not None:
        if len(row) != len(options.columns):
            message = f"the header has {len(row)} columns where {len(options.columns)} are named"
            raise StepFailed("badHeader", message)
        return options.columns
    (name, times), *_ = Counter(row).most_common(1)
    if times > 1:
        message = f"the header has two columns '{short(name)}'; name them by csv.columns"
        raise StepFailed("badHeader", message)
    return tuple(row)


def _record(columns: tuple[str, ...], row: list[str], line: int) -> Record | RecordError:
    if len(row) != len(columns):
        message = f"line {line} has {len(row)} columns where there are {len(columns)}"
        return RecordError(PARSE, message)
    return dict(zip(columns, row, strict=True))


type _Row = tuple[list[str] | RecordError, int, int]
"""A row, the line on which it ends, and its size."""


def _rows(lines: "_Lines", options: CsvFormat) -> Iterator[_Row]:
    # The module's own limit holds for the whole process and is lower; ours is kept by the lines.
    csv.field_size_limit(lines.size_max + 1)
    reader = csv.reader(
        lines,
        delimiter=options.delimiter,
        quotechar=options.quote or None,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        lines.begin_row()
        row: list[str] | RecordError
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.is_over:
                message = f"a quote that opens on line {lines.first} is never closed"
                raise BrokenAnswerError(message) from error
            row = RecordError(PARSE, f"line {lines.number} is not CSV: {error}")
        except _TooLongError:
            lines.skip_row()
            row = too_large()
        if lines.has_raw_bytes:
            row = RecordError(PARSE, f"line {lines.number} holds bytes that are no text")
        if row:
            yield row, lines.number, lines.size


class _TooLongError(Exception):
    """A row is longer than a record may be."""


class _Lines:
    """The lines of a text, and how much of them belongs to the row that is being read."""

    def __init__(self, text: TextIOBase, quote: str, size_max: int) -> None:
        self._text = text
        self._quote = quote
        self.size_max = size_max
        self.number = 0
        self.is_over = False
        self.begin_row()

    def begin_row(self) -> None:
        """What is read from now on belongs to a new row."""
        self.first = self.number + 1
        self.size = 0
        self.has_raw_bytes = False
        self._quotes = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._read()
        if self.size > self.size_max:
            raise _TooLongError
        return line

    def skip_row(self) -> None:
        """Go to the end of a row that is too long: a line's end that is not within quotes."""
        while not self._ends_row:
            try:
                self._read()
            except StopIteration:
                if self._quotes % 2:
                    message = f"a quote that opens on line {self.first} is never closed"
                    raise BrokenAnswerError(message) from None
                return

    def _read(self) -> str:
        line = self._text.readline(self.size_max + 1)
        if not line:
            self.is_over = True
            raise StopIteration
        self.number += line.endswith(("\n", "\r"))
        self.size += len(line)
        if not line.isascii() and RAW_BYTE.search(line):
            self.has_raw_bytes = True
        if self._quote:
            self._quotes += line.count(self._quote)
        self._ends_row = line.endswith(("\n", "\r")) and self._quotes % 2 == 0
        return line
