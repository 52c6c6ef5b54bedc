"""Lists of record errors: each page whole, each error once, and few reads however little passes."""

from tests.support.samples import ALICE, failed_record
from tests.support.world import World

from millrace import limits
from millrace.domain.failed_record import FailedRecord
from millrace.storage.memory_failed_records import MemoryFailedRecords
from millrace.usecases.record_errors import ErrorFilter, list_errors

RARE = ErrorFilter(code=("http409",))


class CountingFailedRecords(MemoryFailedRecords):
    """Counts the pages that are read."""

    reads = 0

    def page(self, *args, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN003, ANN201 - passes on
        """See FailedRecords."""
        self.reads += 1
        return super().page(*args, **kwargs)


def flow_with_errors(world: World, count: int) -> str:
    """A flow, of the errors of which every tenth is a rare one."""
    flow = world.flow()
    world.failed_records.put(
        [
            failed_record(
                place,
                flow_id=flow.id,
                step_id="ab"[place % 2],
                code="http409" if place % 10 == 0 else "http422",
            )
            for place in range(count)
        ]
    )
    return flow.id


def all_of(world: World, flow_id: str, limit: int) -> list[FailedRecord]:
    """The rare errors, page by page."""
    found: list[FailedRecord] = []
    cursor: str | None = None
    while True:
        page = list_errors(world.context, ALICE, flow_id, RARE, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


def test_a_filter_loses_nothing_between_pages() -> None:
    """Wherever a page ends, the next one goes on behind it."""
    world = World()
    flow_id = flow_with_errors(world, 250)
    for limit in (1, 3, 7, 100):
        found = all_of(world, flow_id, limit)
        assert len({entry.id for entry in found}) == len(found) == 25, limit


def test_a_filter_that_little_passes_takes_few_reads() -> None:
    """A hundred errors are looked at in one read, however small the page."""
    store = CountingFailedRecords()
    world = World(failed_records=store)
    flow_id = flow_with_errors(world, 950)
    nothing = ErrorFilter(code=("http500",))
    assert list_errors(world.context, ALICE, flow_id, nothing, limit=1).items == ()
    assert store.reads == limits.WALKED_ITEMS // limits.BATCH_READ_ITEMS
