"""Pages are small, whatever is handed on at once, and hold every record in its order."""

import pytest
from tests.support.time_and_ids import NOON

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.run import OutputPage, StepRecord, StepStatus
from millrace.storage.codec import pack
from millrace.storage.memory import MemoryBlobs
from millrace.usecases.pages import PageWriter, listed, read_page, read_records


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


def test_a_text_is_kept_that_is_written_beside_it() -> None:
    """A page is one array, whatever its lines hold; what was read is written on as it was."""
    blobs = MemoryBlobs()
    first = PageWriter(blobs, "first")
    records: list[Record] = [{"a": 1.0, "b": "\ud800"}, {"c": 2**70}, {"d": [None, {}]}]
    first.write(records[:1])
    first.write(records[1:])
    (page,) = first.pages()
    second = PageWriter(blobs, "second")
    second.write(read_page(blobs, page))
    (again,) = second.pages()
    assert read_page(blobs, again) == read_page(blobs, page) == records


def test_ten_million_records_fit_a_steps_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of pages becomes indexes in the bucket; they are read in their order, and once."""
    monkeypatch.setattr(limits, "PAGE_RECORDS", 1)
    blobs = MemoryBlobs()
    prefix = (
        "ws_01JB3Q0000000000000000000A/runs/run_01JB3Q0000000000000000000B/01/step-of-a-flow/001"
    )
    writer = PageWriter(blobs, prefix)
    for number in range(10_000):
        writer.write([{"id": number}])
        if number % 997 == 0:
            writer = PageWriter(blobs, f"{prefix}-{number}", writer.pages())
    pages = writer.pages()
    record = StepRecord(
        step_id="read", attempt=1, status=StepStatus.RUNNING, started_at=NOON, output=pages
    )
    assert len(pages) <= limits.OUTPUT_PAGES_LISTED + 10_000 // limits.OUTPUT_PAGES_LISTED
    assert len(pack(record)) < limits.ITEM_BYTES / 40
    read = [record["id"] for page in read_records(blobs, pages) for record in page]
    assert read == list(range(10_000))


def test_an_index_before_the_place_to_go_on_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that goes on far inside a long output reads the pages from there."""
    monkeypatch.setattr(limits, "PAGE_RECORDS", 2)
    monkeypatch.setattr(limits, "OUTPUT_PAGES_LISTED", 3)
    monkeypatch.setattr(limits, "INLINE_OUTPUT_BYTES", 0)
    blobs = MemoryBlobs()
    writer = PageWriter(blobs, "step")
    writer.write([{"id": number} for number in range(20)])
    pages = writer.pages()
    assert [(page.records, page.is_index or False) for page in pages] == [
        *[(6, True)] * 3,
        (2, False),
    ]
    for start, sizes in {0: [2] * 10, 6: [6] + [2] * 7, 13: [6, 6] + [2] * 4}.items():
        assert [page.records for page in listed(blobs, pages, start)] == sizes


def test_pages_that_are_there_are_referred_to() -> None:
    """As long as all of them are handed on; from then on records are written, in their order."""
    blobs = MemoryBlobs()
    source = PageWriter(blobs, "source")
    records: list[Record] = [{"id": number} for number in range(3_000)]
    source.write(records)
    first, second, third = source.pages()
    before = set(blobs.objects)

    def part(page: OutputPage, skip: int, count: int) -> OutputPage:
        return page.part(skip, count)

    writer = PageWriter(blobs, "writer")
    writer.write(records[:500], part(first, 0, 500))
    assert writer.pages() == (part(first, 0, 500),)
    writer = PageWriter(blobs, "writer", writer.pages())
    writer.write(records[500:1_000], part(first, 500, 500))
    writer.write(records[1_000:1_400], part(second, 0, 400))
    assert set(blobs.objects) == before
    assert writer.pages() == (first, part(second, 0, 400))
    writer.write(records[1_401:2_000], part(second, 401, 599))
    writer.write(records[2_000:], third)
    pages = writer.pages()
    assert [page.records for page in pages] == [1_000, 400, 1_000, 599]
    found = [record for page in read_records(blobs, pages) for record in page]
    assert found == records[:1_400] + records[1_401:]
