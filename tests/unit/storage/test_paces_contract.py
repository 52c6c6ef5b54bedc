"""The store of paces, in memory and on DynamoDB alike."""

import pytest
from tests.support.samples import ALICE, MALLORY

from millrace.domain.pace import Pace, Slowdown
from millrace.domain.ports import Paces

WS = ALICE.workspace_id
FULL = Pace(
    revision="w-1",
    next_at=1_769_860_800_000_001,
    blocked_until=1_769_860_800_000_002,
    slowdown=Slowdown(rate=0.1, at=3, usual=7.25),
    seats={"b": 2, "a": 1},
    queue={"d": 2, "c": 1},
)


def test_what_is_swapped_in_is_read(paces: Paces) -> None:
    """Every field comes back, the queue in its order; other connections have paces of their own."""
    assert paces.read(WS, "con_1") is None
    assert paces.swap(WS, "con_1", None, FULL) == FULL
    found = paces.read(WS, "con_1")
    assert found == FULL
    assert list(found.queue) == ["d", "c"]
    assert paces.read(WS, "con_2") is None
    assert paces.read(MALLORY.workspace_id, "con_1") is None


def test_who_knows_an_older_one_is_told_what_is_there(paces: Paces) -> None:
    """Nobody overwrites what he has not seen, whatever else is the same."""
    second, late = FULL.revised("w-2"), FULL.revised("v-1")
    paces.swap(WS, "con_1", None, FULL)
    assert paces.swap(WS, "con_1", FULL, second) == second
    assert paces.swap(WS, "con_1", FULL, late) == second
    assert paces.swap(WS, "con_1", None, late) == second
    assert paces.read(WS, "con_1") == second


def test_one_that_is_gone_can_be_begun_anew(paces: Paces) -> None:
    """A pace that nobody changed for days is deleted under the worker that remembers it."""
    assert paces.swap(WS, "con_1", FULL, FULL.revised("w-2")) is None
    assert paces.read(WS, "con_1") is None


@pytest.mark.parametrize("workers", [1_000])
def test_as_many_workers_as_a_limit_may_name_fit(paces: Paces, workers: int) -> None:
    """A pace of the largest limit is still one item."""
    crowd = {f"{number:012x}": 1_769_860_800_000_000 + number for number in range(workers)}
    full = FULL.model_copy(update={"seats": crowd, "queue": crowd})
    assert paces.swap(WS, "con_1", None, full) == full
    assert paces.read(WS, "con_1") == full
