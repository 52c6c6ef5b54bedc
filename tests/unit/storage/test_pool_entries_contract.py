"""What data pools remember, in memory and on DynamoDB alike."""

from datetime import UTC, datetime, timedelta

from tests.support.samples import ALICE, MALLORY
from tests.support.time_and_ids import NOON

from millrace.domain.base import Json
from millrace.domain.pool_entries import Claim, PoolEntry
from millrace.domain.ports import PoolEntries
from millrace.domain.records import Origin

WS = ALICE.workspace_id
POOL = "pool_1"
SOON = NOON + timedelta(seconds=60)


def claim(position: int = 0, run_id: str = "run_1", attempt: int = 1, step: str = "once") -> Claim:
    """The claim of a record of a run."""
    return Claim(Origin(run_id, position), step, run_id, attempt)


def entry(key: Json = "a", by: Claim | None = None, value: Json = None) -> PoolEntry:
    """An entry that lasts a minute."""
    return PoolEntry(str(key), by or claim(), SOON, value)


def test_a_key_is_whose_claimed_it_first(pool_entries: PoolEntries) -> None:
    """Of many keys at once, some known, some new."""
    assert pool_entries.claim(WS, POOL, [], NOON) == {}
    first = [entry(number, claim(number)) for number in range(150)]
    assert pool_entries.claim(WS, POOL, first, NOON) == {each.key: each.claim for each in first}
    second = [entry(number, claim(number, "run_2")) for number in range(100, 260)]
    claims = pool_entries.claim(WS, POOL, second, NOON)
    assert {key for key, by in claims.items() if by.run_id == "run_2"} == {
        str(number) for number in range(150, 260)
    }
    assert len(claims) == 160


def test_claiming_again_changes_nothing(pool_entries: PoolEntries) -> None:
    """A step that died and goes on meets its own claim; another record of the run does not."""
    pool_entries.claim(WS, POOL, [entry()], NOON)
    assert pool_entries.claim(WS, POOL, [entry()], NOON) == {"a": claim()}
    assert pool_entries.claim(WS, POOL, [entry(by=claim(1))], NOON) == {"a": claim()}


def test_the_next_attempt_takes_over_with_the_value(pool_entries: PoolEntries) -> None:
    """Its other records are duplicates from then on; what is remembered stays."""
    pool_entries.put(WS, POOL, [entry(value={"n": 2**70})])
    late = claim(7, attempt=2)
    assert pool_entries.claim(WS, POOL, [entry(by=late)], NOON) == {"a": late}
    assert pool_entries.claim(WS, POOL, [entry(by=claim(attempt=2))], NOON) == {"a": late}
    assert pool_entries.get_many(WS, POOL, ["a"], NOON)["a"].value == {"n": 2**70}


def test_what_is_over_is_forgotten(pool_entries: PoolEntries) -> None:
    """To the second, whether or not it has been removed."""
    pool_entries.claim(WS, POOL, [entry(value=None)], NOON)
    almost = SOON - timedelta(seconds=1)
    assert pool_entries.get_many(WS, POOL, ["a"], almost)["a"].expires_at == SOON
    assert pool_entries.get_many(WS, POOL, ["a"], SOON) == {}
    other = claim(run_id="run_2")
    assert pool_entries.claim(WS, POOL, [entry(by=other)], almost) == {"a": claim()}
    assert pool_entries.claim(WS, POOL, [entry(by=other)], SOON) == {"a": other}


def test_a_time_between_seconds_is_rounded_up(pool_entries: PoolEntries) -> None:
    """A pool of one second remembers for one."""
    half = datetime(2026, 1, 1, 0, 0, 0, 500_000, UTC)
    pool_entries.put(WS, POOL, [PoolEntry("a", claim(), half, 1)])
    assert pool_entries.get_many(WS, POOL, ["a"], half) != {}
    assert pool_entries.get_many(WS, POOL, ["a"], half + timedelta(seconds=1)) == {}


def test_values_come_back_as_they_were(pool_entries: PoolEntries) -> None:
    """Any JSON; of one key the last; of pools and workspaces each its own."""
    values = ["text", 0, False, [], {"deep": [None, 1.5, 2**80, "\ud800"]}]
    pool_entries.put(WS, POOL, [entry(place, value=value) for place, value in enumerate(values)])
    pool_entries.put(WS, POOL, [entry(0, value="old"), entry(0, value="new")])
    keys = [str(place) for place in range(len(values) + 1)]
    found = pool_entries.get_many(WS, POOL, [*keys, keys[0]], NOON)
    assert [found[key].value for key in keys[:-1]] == ["new", *values[1:]]
    assert pool_entries.get_many(WS, "pool_2", keys, NOON) == {}
    assert pool_entries.get_many(MALLORY.workspace_id, POOL, keys, NOON) == {}


def test_any_text_is_a_key(pool_entries: PoolEntries) -> None:
    """However long or strange."""
    strange = ["", "x" * 5_000, "\ud800", "#", '{"a": 1}']
    claims = pool_entries.claim(WS, POOL, [entry(key) for key in strange], NOON)
    assert claims.keys() == set(strange)
    assert pool_entries.get_many(WS, POOL, strange, NOON).keys() == set(strange)
