"""The store of record errors, in memory and on DynamoDB alike."""

import pytest
from tests.support.samples import ALICE, MALLORY, failed_record, run
from tests.support.time_and_ids import NOON

from millrace.domain.errors import InvalidRequestError
from millrace.domain.failed_record import FailedRecord
from millrace.domain.ports import FailedRecords

WS = ALICE.workspace_id
FLOW = "flow_1"


def resolved(entry: FailedRecord) -> FailedRecord:
    """The entry, dealt with."""
    return entry.changed(resolved_at=NOON, resolved_by="tok_alice")


def test_what_is_put_is_found_by_id(failed_records: FailedRecords) -> None:
    """Every field comes back; ids that are of nothing, of others, or no ids at all are left out."""
    entries = [failed_record(place, trace_key="order 7", tags=("late",)) for place in range(60)]
    failed_records.put(entries)
    ids = [entry.id for entry in entries]
    strange = ["", "err", "err_1_x_y", "order 7", "err_run_" + "9" * 3_000 + "_write"]
    found = failed_records.get_many(WS, FLOW, [*ids, *strange, ids[0]])
    assert found == dict(zip(ids, entries, strict=True))
    assert failed_records.get_many(MALLORY.workspace_id, FLOW, ids) == {}
    assert failed_records.get_many(WS, "flow_2", ids) == {}


def test_putting_again_replaces(failed_records: FailedRecords) -> None:
    """A step that died and goes on notes a record once, also within one call."""
    failed_records.put([failed_record(1, code="first"), failed_record(1, code="second")])
    failed_records.put([failed_record(1, code="third")])
    assert [each.code for each in failed_records.page(WS, FLOW).items] == ["third"]


def test_pages_lead_through_all_by_step_the_newest_runs_first(
    failed_records: FailedRecords,
) -> None:
    """A cursor goes on where the page ended; a step's list has that step's alone."""
    failed_records.put([failed_record(place, "run_1") for place in range(3)])
    failed_records.put([failed_record(place, "run_2") for place in (0, 10)])
    failed_records.put([failed_record(0, "run_1", "read"), failed_record(0, "run_1", "write2")])
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = failed_records.page(WS, FLOW, limit=2, cursor=cursor)
        seen += [entry.id for entry in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    writes = ["err_2_10_write", "err_2_0_write", "err_1_2_write", "err_1_1_write", "err_1_0_write"]
    assert seen == ["err_1_0_write2", *writes, "err_1_0_read"]
    assert [each.id for each in failed_records.page(WS, FLOW, step_id="write").items] == writes
    assert failed_records.page(WS, FLOW, step_id="none").items == ()
    assert failed_records.page(WS, FLOW, step_id="write", limit=5).cursor is None


def test_a_cursor_that_is_not_ours_is_refused(failed_records: FailedRecords) -> None:
    """Whatever somebody makes up."""
    with pytest.raises(InvalidRequestError):
        failed_records.page(WS, FLOW, cursor="nonsense")


def test_a_cursor_of_another_step_leads_nowhere(failed_records: FailedRecords) -> None:
    """The list of a step shows nothing of another."""
    failed_records.put([failed_record(place, step_id=id_) for place in (0, 1) for id_ in "abc"])
    cursor = failed_records.page(WS, FLOW, step_id="b", limit=1).cursor
    for step_id in ("a", "c"):
        page = failed_records.page(WS, FLOW, step_id=step_id, cursor=cursor)
        assert {each.step_id for each in page.items} <= {step_id}


def test_resolving_moves_an_error_to_the_resolved_ones(failed_records: FailedRecords) -> None:
    """It is in one list at a time, and comes back when it is opened again."""
    entries = [failed_record(place) for place in range(120)]
    failed_records.put(entries)
    ids = [entry.id for entry in entries]
    changed = failed_records.change(WS, FLOW, [*ids, "err_0_0_none"], resolved)
    assert changed == {entry.id: resolved(entry) for entry in entries}
    assert failed_records.page(WS, FLOW).items == ()
    assert len(failed_records.page(WS, FLOW, resolved=True, limit=200).items) == len(ids)
    assert failed_records.get_many(WS, FLOW, ids) == changed
    failed_records.change(
        WS, FLOW, ids[:1], lambda entry: entry.changed(resolved_at=None, resolved_by=None)
    )
    assert [each.id for each in failed_records.page(WS, FLOW).items] == ids[:1]
    assert len(failed_records.page(WS, FLOW, resolved=True, limit=200).items) == len(ids) - 1


def test_a_change_that_changes_nothing_writes_nothing(failed_records: FailedRecords) -> None:
    """The entry keeps its revision."""
    failed_records.put([failed_record()])
    found = failed_records.change(WS, FLOW, [failed_record().id], lambda entry: entry)
    assert [each.revision for each in found.values()] == [1]


def test_trace_keys_of_open_errors(failed_records: FailedRecords) -> None:
    """Those of the step that are not resolved, with the ids of each."""
    failed_records.put([failed_record(place, trace_key="a") for place in range(2)])
    failed_records.put([failed_record(2, trace_key="b"), failed_record(3)])
    failed_records.put([failed_record(0, step_id="read", trace_key="a")])
    failed_records.change(WS, FLOW, [failed_record(2).id], resolved)
    keys = failed_records.open_trace_keys(WS, FLOW, "write")
    assert {key: set(ids) for key, ids in keys.items()} == {
        "a": {failed_record(0).id, failed_record(1).id}
    }


def test_the_next_attempt_drops_the_errors_of_the_one_before(
    failed_records: FailedRecords,
) -> None:
    """Of that run and step, and not those of the attempt under way or resolved since."""
    failed_records.put([failed_record(place, attempt=1) for place in range(30)])
    failed_records.put([failed_record(30, attempt=2), failed_record(0, "run_10")])
    failed_records.put([failed_record(0, step_id="read")])
    failed_records.change(WS, FLOW, [failed_record(7).id], resolved)
    failed_records.drop_attempt(run("run_1"), "write", 1)
    left = failed_records.page(WS, FLOW).items
    assert {each.id for each in left} == {"err_1_30_write", "err_10_0_write", "err_1_0_read"}
    assert len(failed_records.page(WS, FLOW, resolved=True).items) == 1
