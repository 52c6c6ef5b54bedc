"""Records as compressed pages: how the output of one step becomes the input of the next.

Memory stays bounded whatever the number of records: one page at a time, read or written. A page is
lines of JSON, each the array of the records that were handed on together.
"""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.ports import Blobs
from millrace.domain.quick_json import dump, load
from millrace.domain.run import OutputPage

_LEVEL: Final = 1
"""Of gzip: JSON is as small as at the usual 6, give or take a twentieth, in a third of the time."""


def encode_page(lines: Sequence[bytes]) -> bytes:
    """Lines of JSON, compressed; the same lines give the same bytes."""
    return gzip.compress(b"\n".join(lines), _LEVEL, mtime=0)


def read_page(blobs: Blobs, page: OutputPage) -> list[Record]:
    """The records of one page."""
    data = page.data if page.data is not None else blobs.get(page.key or "")
    return [record for line in gzip.decompress(data).split(b"\n") for record in load(line)]


def read_records(blobs: Blobs, pages: Iterable[OutputPage]) -> Iterator[list[Record]]:
    """The records of pages, a list a page."""
    for page in pages:
        yield read_page(blobs, page)


class PageWriter:
    """Collects the records that a step hands on.

    Full pages go to the bucket at once. The last, open page stays with the step's own record while
    it is small, and is taken up again from there when the step is resumed.
    """

    def __init__(self, blobs: Blobs, prefix: str, pages: Sequence[OutputPage] = ()) -> None:
        self._blobs = blobs
        self._prefix = prefix
        self._stored = [page for page in pages if page.data is None]
        self._lines: list[bytes] = []
        self._bytes = 0
        self._records = 0
        for page in pages:
            if page.data is not None:
                self.write(read_page(blobs, page))

    def write(self, records: Sequence[Record]) -> None:
        """Hand on records."""
        start = 0
        while start < len(records):
            end = start + limits.PAGE_RECORDS - self._records
            self._add(records[start:end])
            start = end

    def _add(self, records: Sequence[Record]) -> None:
        """Add records that the open page has room for; what is large by its bytes, by halves."""
        line = dump(records)
        if len(line) > limits.OUTPUT_PAGE_BYTES and len(records) > 1:
            middle = len(records) // 2
            self._add(records[:middle])
            self._add(records[middle:])
            return
        self._lines.append(line)
        self._bytes += len(line)
        self._records += len(records)
        is_full = self._records == limits.PAGE_RECORDS
        if is_full or self._bytes >= limits.OUTPUT_PAGE_BYTES:
            self._store(encode_page(self._lines))

    def pages(self) -> tuple[OutputPage, ...]:
        """All pages so far, durable: to be remembered with the step."""
        if self._lines:
            data = encode_page(self._lines)
            if len(data) <= limits.INLINE_OUTPUT_BYTES:
                return (*self._stored, OutputPage(records=self._records, data=data))
            self._store(data)
        return tuple(self._stored)

    def _store(self, data: bytes) -> None:
        key = f"{self._prefix}/{len(self._stored) + 1:06d}.ndjson.gz"
        self._blobs.put(key, data)
        self._stored.append(OutputPage(records=self._records, key=key))
        self._lines = []
        self._bytes = 0
        self._records = 0
