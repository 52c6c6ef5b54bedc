"""Records as compressed pages: how the output of one step becomes the input of the next.

Memory stays bounded whatever the number of records: one page at a time, read or written. A page is
lines of JSON, each the array of the records that were handed on together. However many pages there
are, the list of them is short: where it grows long, its beginning becomes an index in the bucket.
"""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import Final

from pydantic import TypeAdapter

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.ports import Blobs
from millrace.domain.quick_json import Unread, dump_lines
from millrace.domain.run import OutputPage

_LEVEL: Final = 1
"""Of gzip: JSON is as small as at the usual 6, give or take a twentieth, in a third of the time."""


_INDEX: Final = TypeAdapter(tuple[OutputPage, ...])


def encode_page(lines: Sequence[bytes]) -> bytes:
    """Lines of JSON, compressed; the same lines give the same bytes."""
    return gzip.compress(b"\n".join(lines), _LEVEL, mtime=0)


def read_page(blobs: Blobs, page: OutputPage) -> Sequence[Record]:
    """The records of one page."""
    data = page.data if page.data is not None else blobs.get(page.key or "")
    lines = gzip.decompress(data).split(b"\n")
    start = page.skip or 0
    return Unread(lines, page.of or page.records)[start : start + page.records]


def listed(blobs: Blobs, pages: Iterable[OutputPage], start: int = 0) -> Iterator[OutputPage]:
    """The pages one by one; an index that lies wholly before record `start` stays as it is."""
    position = 0
    for page in pages:
        position += page.records
        if page.is_index and position > start:
            yield from _INDEX.validate_json(gzip.decompress(blobs.get(page.key or "")))
        else:
            yield page


def read_records(blobs: Blobs, pages: Iterable[OutputPage]) -> Iterator[Sequence[Record]]:
    """The records of pages, page by page."""
    for page in listed(blobs, pages):
        yield read_page(blobs, page)


def joined(blobs: Blobs, prefix: str, pages: Sequence[OutputPage]) -> tuple[OutputPage, ...]:
    """The pages of several outputs as one: what is too much for a step's record is in the bucket.

    What is there already is not written again.
    """
    if sum(len(page.data or b"") for page in pages) > limits.INLINE_OUTPUT_BYTES:
        pages = [_put(blobs, f"{prefix}/{place:06d}", page) for place, page in enumerate(pages)]
    if len(pages) <= limits.OUTPUT_PAGES_LISTED:
        return tuple(pages)
    listing: list[OutputPage] = []
    for is_index, group in groupby(pages, key=lambda page: bool(page.is_index)):
        if is_index:
            listing += group
        else:
            listing.append(_indexed(blobs, f"{prefix}/{len(listing):06d}.index.gz", tuple(group)))
    return tuple(listing)


def _put(blobs: Blobs, name: str, page: OutputPage) -> OutputPage:
    if page.data is None:
        return page
    key = f"{name}.ndjson.gz"
    blobs.put(key, page.data)
    return page.model_copy(update={"data": None, "key": key})


def _indexed(blobs: Blobs, key: str, pages: tuple[OutputPage, ...]) -> OutputPage:
    blobs.put(key, gzip.compress(_INDEX.dump_json(pages), _LEVEL))
    return OutputPage(records=sum(page.records for page in pages), key=key, is_index=True)


class PageWriter:
    """Collects the records that a step hands on.

    Full pages go to the bucket at once, each while the next one fills. The last, open page stays
    with the step's own record while it is small, and is taken up again from there when the step is
    resumed.
    """

    def __init__(self, blobs: Blobs, prefix: str, pages: Sequence[OutputPage] = ()) -> None:
        self._blobs = blobs
        self._prefix = prefix
        self._indexes = [page for page in pages if page.is_index]
        self._stored = [page for page in pages if page.data is None and not page.is_index]
        self._objects = 0
        self._sender = ThreadPoolExecutor(1, "page-writer")
        self._sent: Future[None] | None = None
        self._lines: list[bytes] = []
        self._bytes = 0
        self._records = 0
        for page in pages:
            if page.data is not None:
                self.write(read_page(blobs, page))

    def write(self, records: Sequence[Record], there: OutputPage | None = None) -> None:
        """Hand on records; `there` is the page of another step that holds just these, if one does.

        As long as all that comes is there already, it is referred to instead of written again.
        """
        if there is not None and self._refer(there):
            return
        start = 0
        while start < len(records):
            end = start + limits.PAGE_RECORDS - self._records
            self._add(records if start == 0 and end >= len(records) else records[start:end])
            start = end

    def _refer(self, page: OutputPage) -> bool:
        """Hand on what is stored, unless that would leave small pages between others."""
        if self._lines or page.key is None:
            return False
        last = self._stored[-1] if self._stored else None
        if last and last.key == page.key and (last.skip or 0) + last.records == page.skip:
            self._stored[-1] = last.part(last.skip or 0, last.records + page.records)
        elif page.skip:
            return False
        else:
            self._list(page)
        return True

    def _add(self, records: Sequence[Record]) -> None:
        """Add records that the open page has room for; what is large by its bytes, by halves."""
        line = dump_lines(records)
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
            self._store()

    def pages(self) -> tuple[OutputPage, ...]:
        """All pages so far, durable: to be remembered with the step."""
        if self._lines:
            data = encode_page(self._lines)
            if len(data) <= limits.INLINE_OUTPUT_BYTES:
                open_page = OutputPage(records=self._records, data=data)
                self._wait()
                return (*self._indexes, *self._stored, open_page)
            self._store()
        self._wait()
        return (*self._indexes, *self._stored)

    def _wait(self) -> None:
        """Return when all is in the bucket, or raise what went wrong."""
        if self._sent is not None:
            self._sent.result()

    def _store(self) -> None:
        lines, key = self._lines, self._key("ndjson.gz")
        self._wait()
        self._sent = self._sender.submit(lambda: self._blobs.put(key, encode_page(lines)))
        self._list(OutputPage(records=self._records, key=key))
        self._lines = []
        self._bytes = 0
        self._records = 0

    def _list(self, page: OutputPage) -> None:
        if len(self._stored) == limits.OUTPUT_PAGES_LISTED:
            index = _indexed(self._blobs, self._key("index.gz"), tuple(self._stored))
            self._indexes.append(index)
            self._stored = []
        self._stored.append(page)

    def _key(self, kind: str) -> str:
        self._objects += 1
        return f"{self._prefix}/{self._objects:06d}.{kind}"
