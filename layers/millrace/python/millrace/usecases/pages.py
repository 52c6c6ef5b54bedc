"""Records as compressed pages: how the output of one step becomes the input of the next.

Memory stays bounded whatever the number of records: one page at a time, read or written.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.ports import Blobs
from millrace.domain.run import OutputPage


def encode_page(lines: Sequence[str]) -> bytes:
    """Lines of JSON as gzip-compressed NDJSON; the same lines give the same bytes."""
    return gzip.compress("\n".join(lines).encode("utf-8", "surrogatepass"), 6, mtime=0)


def read_page(blobs: Blobs, page: OutputPage) -> list[Record]:
    """The records of one page."""
    data = page.data if page.data is not None else blobs.get(page.key or "")
    text = gzip.decompress(data).decode("utf-8", "surrogatepass")
    return [json.loads(line) for line in text.split("\n")]


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
        self._lines: list[str] = []
        self._bytes = 0
        for page in pages:
            if page.data is not None:
                self.write(read_page(blobs, page))

    def write(self, records: Iterable[Record]) -> None:
        """Hand on records."""
        for record in records:
            line = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
            self._lines.append(line)
            self._bytes += len(line)
            if self._bytes >= limits.OUTPUT_PAGE_BYTES or len(self._lines) >= limits.PAGE_RECORDS:
                self._store(encode_page(self._lines))

    def pages(self) -> tuple[OutputPage, ...]:
        """All pages so far, durable: to be remembered with the step."""
        if self._lines:
            data = encode_page(self._lines)
            if len(data) <= limits.INLINE_OUTPUT_BYTES:
                return (*self._stored, OutputPage(records=len(self._lines), data=data))
            self._store(data)
        return tuple(self._stored)

    def _store(self, data: bytes) -> None:
        key = f"{self._prefix}/{len(self._stored) + 1:06d}.ndjson.gz"
        self._blobs.put(key, data)
        self._stored.append(OutputPage(records=len(self._lines), key=key))
        self._lines = []
        self._bytes = 0
