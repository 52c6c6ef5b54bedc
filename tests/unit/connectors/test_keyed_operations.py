"""Dedupe, remember and enrich: by a key, in one step or over a data pool."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pipelines import fed_pipeline
from tests.support.samples import BOOKKEEPING, surroundings
from tests.support.time_and_ids import NOON

from millrace import limits
from millrace.domain.base import Json, Record
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import StepFailed
from millrace.domain.ports import PoolEntries, Surroundings
from millrace.domain.records import Batch
from millrace.domain.run_values import RunValues
from millrace.storage.memory_pool_entries import MemoryPoolEntries

POOL = DataPool(id="pool_1", name="seen", ttl_seconds=60, **BOOKKEEPING)
IN_POOL = {"type": "dedupe", "key": "id", "dataPoolId": "pool_1"}
IN_STEP = {"type": "dedupe", "key": "id"}
REMEMBER = {"type": "remember", "key": "id", "value": "name", "dataPoolId": "pool_1"}
ENRICH = {"type": "enrich", "key": "id", "dataPoolId": "pool_1", "into": "name"}


def here(entries: PoolEntries, **update: Json) -> Surroundings:
    """A step of run 1 with the pool."""
    return surroundings(entries=entries, pools={"pool_1": POOL}, **update)


def ids(*values: Json) -> list[Record]:
    """Records of these ids, told apart."""
    return [{"id": value, "place": place} for place, value in enumerate(values)]


def test_the_first_of_each_key_passes_and_the_others_are_ignored() -> None:
    """Over all batches of a step."""
    flow = fed_pipeline(IN_STEP)
    assert flow.feed(ids(1, 2, 1)) == Batch(ids(1, 2), 1, [])
    assert flow.feed([{"id": 2}, {"id": "2"}, {"id": 2.0}]) == Batch([{"id": "2"}], 2, [])


def test_a_record_without_a_key_fails() -> None:
    """It is neither a duplicate nor surely none."""
    batch = fed_pipeline(IN_STEP).feed([{"id": None}, {}, {"id": 0}])
    assert [(each.index, each.code) for each in batch.failures] == [
        (0, "keyMissing"),
        (1, "keyMissing"),
    ]
    assert batch.records == [{"id": 0}]


@given(
    st.lists(st.integers(0, 5), max_size=12),
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from([IN_POOL, IN_STEP]),
)
def test_a_crash_at_any_point_changes_nothing(
    values: list[int], saved: int, reached: int, operation: Json
) -> None:
    """A step that got further than its checkpoint says meets its own claims when it goes on."""
    entries = MemoryPoolEntries()
    records = ids(*values)
    flow = fed_pipeline(operation, here=here(entries))
    out = flow.feed(records[:saved])
    after = flow.crashed()
    flow.feed(records[saved:reached])
    rest = after.feed(records[saved:])
    expected = list({record["id"]: record for record in reversed(records)}.values())
    found = [*out.records, *rest.records]
    assert sorted(found, key=lambda record: record["place"]) == sorted(
        expected, key=lambda record: record["place"]
    )
    assert out.ignored + rest.ignored == len(records) - len(expected)


def test_a_pool_remembers_from_run_to_run_until_its_time_is_over() -> None:
    """A second run gets what the first did not have, and after the TTL everything."""
    entries = MemoryPoolEntries()
    fed_pipeline(IN_POOL, here=here(entries)).feed(ids(1, 2))
    second = here(entries, run_id="run_2", first_run=lambda _: "run_2")
    assert fed_pipeline(IN_POOL, here=second).feed(ids(1, 2, 3)).records == ids(1, 2, 3)[2:]
    later = here(
        entries,
        run_id="run_3",
        first_run=lambda _: "run_3",
        clock=lambda: NOON + timedelta(seconds=61),
    )
    assert fed_pipeline(IN_POOL, here=later).feed(ids(1, 2, 3)).ignored == 0


@pytest.mark.parametrize(
    "again",
    [
        pytest.param({"attempt": 2}, id="the next attempt"),
        pytest.param({"run_id": "run_2", "first_run": lambda _: "run_1"}, id="a run that repeats"),
    ],
)
def test_work_that_is_done_again_meets_no_duplicates(again: dict[str, Json]) -> None:
    """In whatever order the records come then; each key passes once all the same."""
    entries = MemoryPoolEntries()
    fed_pipeline(IN_POOL, here=here(entries)).feed(ids(1, 2, 3))
    flow = fed_pipeline(IN_POOL, here=here(entries, **again))
    assert flow.feed(ids(3, 1, 3)).records == ids(3, 1)
    assert flow.feed(ids(2, 1)).records == ids(2)


def test_another_step_of_the_run_counts_as_another() -> None:
    """Two steps that share a pool tell each other's records."""
    entries = MemoryPoolEntries()
    fed_pipeline(IN_POOL, here=here(entries)).feed(ids(1))
    assert fed_pipeline(IN_POOL, here=here(entries, step_id="other")).feed(ids(1)).ignored == 1


def test_what_is_remembered_enriches_later_records() -> None:
    """By key; one without a value goes on as it is, or fails where it needs one."""
    entries = MemoryPoolEntries()
    flow = fed_pipeline(REMEMBER, here=here(entries))
    known: list[Record] = [{"id": 1, "name": "Ann"}, {"id": "1", "name": {"first": "Bo"}}]
    assert flow.feed(known) == Batch(known, 0, [])
    records: list[Record] = [{"id": 1}, {"id": "1"}, {"id": 2}, {}]
    assert fed_pipeline(ENRICH, here=here(entries)).feed(records) == Batch(
        [{"id": 1, "name": "Ann"}, {"id": "1", "name": {"first": "Bo"}}, {"id": 2}, {}], 0, []
    )
    batch = fed_pipeline(ENRICH | {"required": True}, here=here(entries)).feed(records)
    assert [(each.index, each.code) for each in batch.failures] == [
        (2, "keyUnknown"),
        (3, "keyUnknown"),
    ]


def test_the_last_value_of_a_key_is_remembered() -> None:
    """Within a batch and beyond; a key that was deduped can have a value, too."""
    entries = MemoryPoolEntries()
    flow = fed_pipeline(IN_POOL, REMEMBER, here=here(entries))
    flow.feed([{"id": 1, "name": "first"}])
    fed_pipeline(REMEMBER, here=here(entries)).feed(
        [{"id": 1, "name": "second"}, {"id": 1, "name": "third"}]
    )
    batch = fed_pipeline(ENRICH, here=here(entries)).feed([{"id": 1}])
    assert batch.records == [{"id": 1, "name": "third"}]


def test_a_value_that_is_too_large_fails_its_record() -> None:
    """A pool is no place for documents."""
    flow = fed_pipeline(REMEMBER, here=here(MemoryPoolEntries()))
    batch = flow.feed([{"id": 1, "name": "x" * limits.POOL_VALUE_BYTES}, {"id": 2, "name": "y"}])
    assert [(each.index, each.code) for each in batch.failures] == [(0, "tooLarge")]


def test_a_variable_enriches_records() -> None:
    """Its keys are text; a number finds the key of its digits."""
    enrich = {"type": "enrich", "key": "country", "variable": "countries", "into": "name"}
    table = {"CH": "Switzerland", "41": "by number", "null": "no"}
    flow = fed_pipeline(enrich, here=surroundings(values=RunValues(variables={"countries": table})))
    batch = flow.feed([{"country": "CH"}, {"country": 41}, {"country": "41"}, {"country": None}])
    assert [record.get("name") for record in batch.records] == [
        "Switzerland",
        "by number",
        "by number",
        None,
    ]


@pytest.mark.parametrize("value", [None, "text", [1]])
def test_a_variable_that_is_no_object_fails_the_step(value: Json) -> None:
    """Before any record is looked at."""
    enrich = {"type": "enrich", "key": "id", "variable": "countries", "into": "name"}
    with pytest.raises(StepFailed) as raised:
        fed_pipeline(enrich, here=surroundings(values=RunValues(variables={"countries": value})))
    assert raised.value.code == "variableUnusable"


def test_a_pool_that_is_gone_fails_the_step() -> None:
    """By name."""
    with pytest.raises(StepFailed, match="pool_1") as raised:
        fed_pipeline(IN_POOL)
    assert raised.value.code == "dataPoolMissing"
