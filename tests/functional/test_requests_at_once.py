"""Steps that have several requests under way: the system notices, and nothing else changes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any
from urllib.parse import unquote

import pytest
from tests.functional.busy_server import BusyServer, Heard, Reply, busy
from tests.functional.conftest import Stack
from tests.functional.loopback_server import LOOPBACK, REACH
from tests.support.app import Client, LambdaContext
from tests.support.samples import ALICE, import_step
from tests.support.world import World

from millrace.connectors.http_client import HttpClient
from millrace.connectors.registry import HttpConnectors
from millrace.connectors.transport import Urllib3Transport
from millrace.domain.base import Record
from millrace.domain.connection import ConnectionInput
from millrace.domain.errors import StepThrottled, StepTransient
from millrace.domain.flow_parts import Concurrency
from millrace.domain.run import Run, RunKey, StepRecord
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.pages import read_records
from millrace.usecases.run_step import StepTask, run_step

IMPORT = {"type": "Import", "action": {"type": "Import", "connectionId": "shop"}}
LOOKUP = {
    "type": "Export",
    "action": {"type": "Export", "connectionId": "shop"},
    "responseMapping": {"fields": [{"extract": "data[0].price", "generate": "price"}]},
}

type Carry = Callable[..., dict[str, Any]]


def orders(count: int) -> list[Record]:
    """So many orders."""
    return [{"n": number} for number in range(count)]


def written(context: Context, record: StepRecord) -> list[Record]:
    """What a step handed on."""
    return [each for page in read_records(context.blobs, record.output) for each in page]


def flow_of(
    client: Client,
    shop: BusyServer,
    step: dict[str, Any],
    http: dict[str, Any],
    limit: int | None,
    rate_limit: dict[str, Any] | None = None,
) -> str:
    """The id of a deployed flow of one step."""
    whole = {"id": "it", **step, "action": {**step["action"], "http": http}}
    if limit is not None:
        whole["concurrency"] = {"limit": limit}
    shop_of = {"name": "Shop", "stableKey": "shop", "baseUrl": shop.url, "rateLimit": rate_limit}
    flow = {"name": "Orders", "stableKey": "orders", "steps": [whole]}
    applied = client("POST", "/v1/apply", {"connections": [shop_of], "flows": [flow]})
    assert applied.status == 200, applied.body
    found: str = applied.body["flows"][0]["id"]
    return found


@pytest.fixture
def carry(stack: Stack, alice: Client) -> Carry:
    """Runs a flow of one step over records; the step as the run shows it, and its records."""

    def carry_out(
        shop: BusyServer,
        step: dict[str, Any],
        http: dict[str, Any],
        records: list[Record],
        limit: int | None = None,
        rate_limit: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        flow_id = flow_of(alice, shop, step, http, limit, rate_limit)
        run_id = alice("POST", f"/v1/flows/{flow_id}/run", {"payload": records}).body["runId"]
        run = alice("GET", f"/v1/runs/{run_id}").body
        task = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}
        stack.functions["run_step"]({"stepId": "it", **task}, LambdaContext())
        (told,) = alice("GET", f"/v1/runs/{run_id}").body["steps"]
        record = stack.context.runs.step(RunKey(run["workspaceId"], run_id), 1, "it")
        assert record is not None
        return {**told, "records": written(stack.context, record)}

    return carry_out


@pytest.mark.parametrize(
    ("step", "http"),
    [
        (IMPORT, {"path": "/orders"}),
        (IMPORT, {"path": "/orders/{{ $string(record.n) }}", "method": "POST"}),
        (IMPORT, {"path": "/orders", "batchSize": 2}),
        (LOOKUP, {"path": "/orders/{{ $string(record.n) }}"}),
        (
            LOOKUP,
            {
                "path": '/orders/{{ $join(keys.$string(), ",") }}',
                "lookup": {"batchSize": 2, "recordKeyPath": "/n", "keyPath": "/price"},
            },
        ),
    ],
    ids=["one by one", "to their own paths", "in batches", "lookups", "lookups of batches"],
)
@pytest.mark.parametrize("limit", [None, 4])
def test_as_many_are_under_way_as_the_step_says(
    carry: Carry, step: dict[str, Any], http: dict[str, Any], limit: int | None
) -> None:
    """Never more; without a word about it one at a time. What goes on keeps its order."""

    def reply(heard: Heard) -> Reply:
        asked = unquote(heard.path.rpartition("/")[2]).split(",")
        return 200, [{"price": int(each)} for each in asked] if heard.method == "GET" else {}

    with busy(reply) as shop:
        told = carry(shop, step, http, orders(40), limit)
    priced = [order | {"price": order["n"]} for order in orders(40)]
    assert told["records"] == (priced if step is LOOKUP else orders(40))
    assert len(shop.heard) == (20 if {"batchSize", "lookup"} & http.keys() else 40)
    if limit is None:
        assert shop.most == 1
    else:
        assert 1 < shop.most <= limit


def test_one_poison_record_of_a_thousand_fails_alone(carry: Carry, alice: Client) -> None:
    """The other 999 arrive once each, and go on in their order."""

    def reply(heard: Heard) -> Reply:
        return (422, {"why": "sold out"}) if heard.body["n"] == 613 else (201, {})

    with busy(reply, seconds=0.002) as shop:
        told = carry(shop, IMPORT, {"path": "/orders"}, orders(1_000), 8)
    counts = told["counts"]
    assert (counts["recordsIn"], counts["recordsOut"], counts["recordsFailed"]) == (1_000, 999, 1)
    assert told["records"] == [order for order in orders(1_000) if order["n"] != 613]
    assert sorted(heard.body["n"] for heard in shop.heard) == list(range(1_000))
    assert 1 < shop.most <= 8
    (flow,) = alice("GET", "/v1/flows").body["data"]
    (entry,) = alice("GET", f"/v1/flows/{flow['id']}/errors").body["data"]
    assert entry["code"] == "http422"


def test_a_test_of_a_flow_asks_one_at_a_time(alice: Client) -> None:
    """It shows what happens, in turn, and is no load for the system."""
    with busy(lambda _: (200, [{"price": 5}])) as shop:
        flow_id = flow_of(alice, shop, LOOKUP, {"path": "/{{ $string(record.n) }}"}, 4)
        tried = alice("POST", f"/v1/flows/{flow_id}/test", {"payload": orders(8)}).body
    assert tried["steps"][0]["counts"]["recordsOut"] == 8
    assert (len(shop.heard), shop.most) == (8, 1)


def test_what_a_connection_allows_holds_for_a_step_that_wants_more(carry: Carry) -> None:
    """A worker counts as one request under way there; a rate is kept by all of them together."""
    with busy() as shop:
        told = carry(shop, IMPORT, {"path": "/"}, orders(20), 8, {"maxConcurrency": 2})
        assert (told["status"], shop.most) == ("succeeded", 1)
    with busy() as shop:
        began = monotonic()
        told = carry(shop, IMPORT, {"path": "/"}, orders(21), 8, {"requestsPerSecond": 20})
        assert (told["status"], told["counts"]["recordsOut"]) == ("succeeded", 21)
        assert monotonic() - began >= 20 / 20


class Started:
    """A run of a flow that writes twenty orders, six at a time, over real sockets."""

    def __init__(self, shop: BusyServer) -> None:
        self.world = World()
        given = ConnectionInput(name="shop", stable_key="shop", base_url=shop.url)
        stored = CONNECTIONS.create(self.context, ALICE, given)
        step = import_step("write", stored.id, None, concurrency=Concurrency(limit=6))
        self.run: Run = self.world.start(self.world.deployed(step), orders(20))

    @property
    def context(self) -> Context:
        """That of a new worker, which has no patience with trouble."""
        http = HttpClient(Urllib3Transport(reach=REACH), tries=1)
        connectors = HttpConnectors(http, networks=lambda: LOOPBACK)
        return replace(self.world.context, connectors=connectors)

    def step(self, seconds_left: Callable[[], float] = lambda: 900.0) -> StepRecord:
        """Have a worker go on with it."""
        task = StepTask(
            workspace_id=ALICE.workspace_id, run_id=self.run.id, attempt=1, step_id="write"
        )
        return run_step(self.context, task, lambda: timedelta(seconds=seconds_left()))


def test_a_request_that_fails_loses_nothing_of_those_around_it() -> None:
    """Those before it are remembered; those under way behind it are sent again, their keys too."""
    troubles = [503]

    def reply(heard: Heard) -> Reply:
        return (troubles.pop(), {}) if heard.body["n"] == 10 and troubles else (201, {})

    with busy(reply) as shop:
        started = Started(shop)
        with pytest.raises(StepTransient):
            started.step()
        (stopped,) = started.world.runs.steps(started.run.key, 1)
        assert (stopped.counts.records_in, stopped.checkpoint) == (10, {"at": 10})
        record = started.step()
    assert written(started.context, record) == orders(20)
    times = Counter((heard.body["n"], heard.key) for heard in shop.heard)
    assert len(times) == 20
    again = sorted(number for (number, _), count in times.items() if count > 1)
    assert again[0] == 10
    assert set(again) <= set(range(10, 16))
    assert max(times.values()) == 2


def test_a_step_whose_time_is_over_sends_nothing_twice() -> None:
    """It waits for what is under way, remembers it, and goes on behind it."""
    with busy() as shop:
        started = Started(shop)
        with pytest.raises(StepThrottled):
            started.step(lambda: 900.0 if len(shop.heard) < 9 else 30.0)
        (stopped,) = started.world.runs.steps(started.run.key, 1)
        assert stopped.counts.records_in == len(shop.heard) < 20
        record = started.step()
    assert written(started.context, record) == orders(20)
    assert sorted(heard.body["n"] for heard in shop.heard) == list(range(20))
