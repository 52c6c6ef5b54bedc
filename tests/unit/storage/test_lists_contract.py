"""What every store promises of lists: their orders, positions and totals."""

from datetime import timedelta

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.aws import TABLE, create_table, simulated_aws
from tests.support.samples import ALICE, MALLORY, connection, flow, version
from tests.support.time_and_ids import NOON

from millrace.domain.connection import Connection
from millrace.domain.flow import Flow
from millrace.domain.ports import Create, Delete, Order, Replace, Resources
from millrace.domain.run import LatestRun, RunStatus
from millrace.storage.dynamodb_resources import DynamoResources
from millrace.storage.memory import MemoryResources

WS = ALICE.workspace_id
ORDERS = [
    Order(by, descending)
    for by in ("createdAt", "name", "enabledAt", "lastExecutedAt")
    for descending in (False, True)
]
"""Of flows."""


def a_run(minute: int) -> LatestRun:
    """A run that started so many minutes after noon."""
    return LatestRun(
        run_id=f"run_{minute}",
        version_id="ver_1",
        status=RunStatus.RUNNING,
        trigger_source="manual",
        start_date=NOON + timedelta(minutes=minute),
    )


def some_flows(resources: Resources) -> None:
    """Five flows, whose every order is another one, and a flow of someone else."""
    for number, (name, minute) in enumerate([("b", 3), ("a", None), ("B!", 1), ("c", 2), ("b", 0)]):
        enabled_at = None if minute is None else NOON + timedelta(minutes=minute)
        resources.commit(Create(flow(f"flow_{number}", name=name, enabled_at=enabled_at)))
    for number, minute in ((1, 5), (3, 4), (0, 9)):
        resources.record_run(WS, f"flow_{number}", a_run(minute))
    resources.commit(Create(flow("flow_9", workspace_id=MALLORY.workspace_id)))


def walk(resources: Resources, order: Order, limit: int) -> list[str]:
    """The flows' numbers, part by part."""
    seen: list[str] = []
    after = None
    while True:
        browsed = resources.browse(Flow, WS, order, limit=limit, after=after)
        assert len(browsed.items) <= limit
        seen += [item.id.removeprefix("flow_") for item in browsed.items]
        if (after := browsed.last) is None:
            return seen


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("createdAt", "01234"),
        ("name", "10423"),
        ("enabledAt", "14230"),
        ("lastExecutedAt", "24310"),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 5, 9])
def test_a_list_has_its_orders_both_ways(
    resources: Resources, by: str, expected: str, limit: int
) -> None:
    """Names without regard to case, what never was first; and everything the other way round."""
    some_flows(resources)
    order = next(each for each in ORDERS if each.by == by)
    assert "".join(walk(resources, order, limit)) == expected
    assert "".join(walk(resources, Order(order.by, descending=True), limit)) == expected[::-1]


def test_a_change_moves_a_flow_and_keeps_when_it_ran(resources: Resources) -> None:
    """A new name is sorted by at once; a run that was recorded meanwhile still counts."""
    some_flows(resources)
    before = resources.get(Flow, WS, "flow_0")
    resources.record_run(WS, "flow_0", a_run(20))
    resources.commit(Replace(before, before.model_copy(update={"revision": 2, "name": "Z"})))
    assert walk(resources, Order("name"), 9)[-1] == "0"
    assert walk(resources, Order("lastExecutedAt"), 9)[-1] == "0"
    resources.record_run(WS, "flow_2", a_run(30))
    assert walk(resources, Order("lastExecutedAt"), 9)[-1] == "2"


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_some_may_be_skipped(resources: Resources, order: Order) -> None:
    """A later page is what walking would have come to, and knows how many there are."""
    some_flows(resources)
    browsed = resources.browse(Flow, WS, order, limit=2, skip=2)
    numbers = [item.id.removeprefix("flow_") for item in browsed.items]
    assert numbers == walk(resources, order, 9)[2:4]
    assert (browsed.total, browsed.last is None) == (5, False)
    assert resources.browse(Flow, WS, order, limit=2, skip=6).items == ()
    assert resources.browse(Flow, WS, order, limit=2, skip=3).last is None


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_the_beginning_tells_the_total(resources: Resources, order: Order) -> None:
    """Creating and deleting count, replacing does not, and neither do others' resources."""
    assert resources.browse(Flow, WS, order, limit=2).total == 0
    some_flows(resources)
    before = resources.get(Flow, WS, "flow_0")
    after = before.model_copy(update={"revision": 2})
    resources.commit(Replace(before, after), Create(flow("flow_7")), Create(flow("flow_8")))
    resources.commit(Delete(after), Create(connection()))
    first = resources.browse(Flow, WS, order, limit=2)
    assert first.total == 6
    assert resources.browse(Flow, WS, order, limit=2, after=first.last).total is None


def test_the_counter_is_no_resource(resources: Resources) -> None:
    """Pages both ways show the resources and nothing else, and end where they end."""
    for number in range(3):
        resources.commit(Create(connection(f"con_{number}")))
    for newest_first in (False, True):
        listing = resources.page(Connection, WS, limit=3, newest_first=newest_first)
        assert (len(listing.items), listing.cursor) == (3, None)
    assert resources.page(Connection, WS, limit=1, cursor=None).cursor is not None


def test_a_version_is_found_without_its_flow(resources: Resources) -> None:
    """Its flow is told, in its own workspace only, until it is deleted."""
    stored = version("ver_1")
    resources.commit(Create(stored, parent_id="flow_1"))
    assert resources.parent_of(WS, "ver_1") == "flow_1"
    assert resources.parent_of(MALLORY.workspace_id, "ver_1") is None
    assert resources.parent_of(WS, "x" * 3_000) is None
    resources.commit(Delete(stored, parent_id="flow_1"))
    assert resources.parent_of(WS, "ver_1") is None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.sampled_from(ORDERS),
    limit=st.integers(1, 4),
    acts=st.lists(st.tuples(st.sampled_from(["create", "delete"]), st.integers(0, 30))),
)
def test_a_walk_shows_each_flow_once_whatever_changes_meanwhile(
    order: Order, limit: int, acts: list[tuple[str, int]]
) -> None:
    """Both stores show what was there all the time once and in order, also between changes."""
    with simulated_aws():
        client = boto3.client("dynamodb")
        create_table(client)
        stores: list[Resources] = [MemoryResources(), DynamoResources(lambda: client, TABLE)]
        walks = [_walk_among(store, order, limit, list(acts)) for store in stores]
    assert walks[0] == walks[1]


def _walk_among(
    resources: Resources, order: Order, limit: int, acts: list[tuple[str, int]]
) -> list[str]:
    def made(number: int) -> Flow:
        return flow(f"flow_{number:02d}", name=f"n{number % 7}")

    flows = {number: made(number) for number in range(0, 30, 3)}
    stayed = dict(flows)
    resources.commit(*map(Create, flows.values()))
    seen: list[str] = []
    after = None
    while True:
        browsed = resources.browse(Flow, WS, order, limit=limit, after=after)
        seen += [item.id for item in browsed.items]
        after = browsed.last
        if after is None:
            break
        verb, number = acts.pop() if acts else ("none", 0)
        if verb == "create" and number not in flows:
            flows[number] = made(number)
            resources.commit(Create(flows[number]))
        elif verb == "delete" and number in flows:
            resources.commit(Delete(flows.pop(number)))
            stayed.pop(number, None)
    assert len(seen) == len(set(seen))
    assert {item.id for item in stayed.values()} <= set(seen)
    assert resources.browse(Flow, WS, order, limit=1).total == len(flows)
    return seen
