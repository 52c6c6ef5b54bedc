"""Pages are small, whatever is handed on at once, and hold every record in its order."""

import pytest

from millrace import limits
from millrace.domain.base import Record
from millrace.storage.memory import MemoryBlobs
from millrace.usecases.pages import PageWriter, read_page


def written(*batches: list[Record]) -> tuple[list[int], list[Record]]:
    """How many records each page holds, and all records."""
    blobs = MemoryBlobs()
    writer = PageWriter(blobs, "step")
    for batch in batches:
        writer.write(batch)
    pages = writer.pages()
    read = [read_page(blobs, page) for page in pages]
    assert [page.records for page in pages] == [len(records) for records in read]
    return [len(records) for records in read], [record for page in read for record in page]


def test_pages_are_full_whatever_the_batches() -> None:
    """A thousand records a page, across batches and within one."""
    records: list[Record] = [{"id": number} for number in range(3_300)]
    assert written(records[:700], records[700:]) == ([1_000, 1_000, 1_000, 300], records)
    assert written(*[[record] for record in records[:1_001]]) == ([1_000, 1], records[:1_001])


def test_large_records_make_pages_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is read as a whole, so its bytes are bounded; a larger record stands alone."""
    monkeypatch.setattr(limits, "OUTPUT_PAGE_BYTES", 1_000)
    records: list[Record] = [{"id": n, "text": "x" * (5_000 if n == 5 else 400)} for n in range(9)]
    sizes, read = written(records)
    assert read == records
    assert max(sizes) <= 4


def test_any_text_is_kept() -> None:
    """Half surrogate pairs and line ends included."""
    records: list[Record] = [{"a": "\ud800"}, {"b": "\n\u2028"}, {"n": 10**400}]
    assert written(records) == ([3], records)
