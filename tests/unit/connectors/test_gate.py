"""All workers of a connection keep its pace, whoever is told what it is, and in whatever order."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from time import monotonic, sleep

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.connectors.fake_transport import (
    NOW,
    Answer,
    FakeTime,
    ScriptedTransport,
    client,
    connection,
    http_client,
    lost,
    ok,
    refused,
    script,
)

from millrace import limits
from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.gate import ALONE_SECONDS, COME_BACK_SECONDS, Gate
from millrace.connectors.http_client import ResponseRejected, utc_now
from millrace.connectors.oauth2 import AccessTokens
from millrace.connectors.registry import HttpConnectors
from millrace.domain.action import ExportAction
from millrace.domain.connection import Connection, RateLimit
from millrace.domain.errors import StepThrottled, StepTransient, UnavailableError
from millrace.domain.pace import MICROS, Pace, micros
from millrace.domain.run_values import NO_VALUES
from millrace.storage.memory_paces import MemoryPaces

URL = "https://api.example/v1/orders"
SECONDS = limits.OUTBOUND_TIMEOUT_SECONDS


@dataclass
class WatchedPaces:
    """Paces in memory, whose requests are counted, and fail while they are `down`."""

    inner: MemoryPaces = field(default_factory=MemoryPaces)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False
    answer_is_lost: bool = False

    def read(self, workspace_id: str, connection_id: str) -> Pace | None:
        """See Paces."""
        self._count("read")
        return self.inner.read(workspace_id, connection_id)

    def swap(
        self, workspace_id: str, connection_id: str, before: Pace | None, after: Pace
    ) -> Pace | None:
        """See Paces."""
        self._count("swap")
        there = self.inner.swap(workspace_id, connection_id, before, after)
        if self.answer_is_lost:
            # The client sends it again, and is refused.
            return self.inner.swap(workspace_id, connection_id, before, after)
        return there

    def _count(self, what: str) -> None:
        self.asked.append(what)
        if self.is_down:
            raise UnavailableError("throttled")


@dataclass
class Workers:
    """What the workers of one connection share in a test."""

    limit: RateLimit | None = None
    paces: WatchedPaces = field(default_factory=WatchedPaces)
    time: FakeTime = field(default_factory=FakeTime)

    @property
    def connection(self) -> Connection:
        """The one they all call."""
        return connection().model_copy(update={"rate_limit": self.limit})

    def gate(self, patience_seconds: float = limits.WAIT_INSIDE_SECONDS_MAX) -> Gate:
        """One more worker."""
        return Gate(
            self.paces,
            self.connection,
            self.time.clock,
            self.time.sleep,
            patience_seconds=patience_seconds,
        )

    def client(self, *answers: Answer) -> ConnectionClient:
        """One more worker, and what the system answers it."""
        return self.client_over(script(*answers))

    def client_over(self, transport: ScriptedTransport) -> ConnectionClient:
        """One more worker over a transport."""
        http = http_client(transport, self.time)
        return ConnectionClient(
            self.connection, {}, http, AccessTokens(http.clock), gate=self.gate()
        )

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return (self.time.now - NOW).total_seconds()


def limited(
    rate: float | None = None, burst: int | None = None, most: int | None = None
) -> Workers:
    """Workers of a connection with a rate limit."""
    return Workers(RateLimit(requests_per_second=rate, burst=burst, max_concurrency=most))


def test_a_connection_without_limit_costs_one_read() -> None:
    """As long as the system takes it, nothing more is asked of the store, and nothing written."""
    workers = Workers()
    own = workers.client_over(ScriptedTransport(lambda _: ok()))
    for _ in range(1_000):
        own.send("GET", URL)
    assert workers.paces.asked == ["read"]
    assert workers.time.slept == []


@pytest.mark.parametrize(("limit", "asked"), [(None, 1), (RateLimit(max_concurrency=1), 2)])
def test_a_lookup_of_many_records_is_one_worker(limit: RateLimit | None, asked: int) -> None:
    """Each record has a reader of its own; none looks anew at the pace or waits for another."""
    workers = Workers(limit)
    looked_up = {"type": "Export", "connectionId": "con_1", "http": {"path": "/{{ record.id }}"}}
    work = ExportAction.model_validate(looked_up)
    http = http_client(ScriptedTransport(lambda _: ok(b"[]")), workers.time)
    connectors = HttpConnectors(http, lambda: workers.paces)
    for number in range(100):
        values = NO_VALUES.beside(record={"id": number})
        list(connectors.exporter(work, workers.connection, {}, values).pages(None))
    assert len(workers.paces.asked) == asked
    assert workers.time.slept == []
    connectors.let_go()
    workers.gate(patience_seconds=0).enter(SECONDS)


@pytest.mark.parametrize(("rate", "most_per_thousand"), [(100, 20), (10, 120), (0.5, 1_001)])
def test_a_single_worker_goes_at_the_rate_with_few_writes(
    rate: float, most_per_thousand: int
) -> None:
    """It loses no permit, and writes about once a second."""
    workers = limited(rate)
    gate = workers.gate()
    for _ in range(1_000):
        gate.enter(SECONDS)
    assert workers.elapsed == pytest.approx(999 / rate, rel=0.001)
    assert len(workers.paces.asked) <= most_per_thousand


def test_slow_workers_share_a_rate_and_waste_little() -> None:
    """Ten workers of which each could send three a second come near to twenty together."""
    workers = limited(20)
    gates = [workers.gate() for _ in range(10)]
    free_at = [0.0] * 10
    sent = 0
    while workers.elapsed < 60:
        for number, gate in enumerate(gates):
            if free_at[number] <= workers.elapsed and gate.turn(SECONDS) is None:
                free_at[number] = workers.elapsed + 0.3
                sent += 1
        workers.time.sleep(0.01)
    assert 0.8 * 20 * 60 < sent <= 20 * 60 + 1
    assert len(workers.paces.asked) < 2 * 10 * 60 * 2


@given(
    st.floats(0.5, 50),
    st.integers(1, 20),
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.sampled_from([0.0, 0.0, 0.001, 0.01, 0.1, 0.7, 3.0, 20.0]),
            st.sampled_from(["turn", "turn", "turn", "turn", "busy", "die", "busy at once"]),
        ),
        max_size=200,
    ),
)
@example(2.0, 1, [(n % 5, 0.7, "turn") for n in range(50)])
@example(2.0, 1, [(n, pause * (n == 0), "turn") for pause in (0.0, 20.0) for n in range(5)])
def test_no_order_of_workers_gets_more_than_the_rate(
    rate: float, burst: int, events: list[tuple[int, float, str]]
) -> None:
    """Whoever asks when, dawdles, dies with permits or slows the others.

    From the beginning to any time no more than the rate and the burst went out; in any span no
    more than the permits of a second besides.
    """
    workers = limited(rate, burst)
    gates = [workers.gate() for _ in range(5)]
    sent: list[float] = []
    for worker, pause, what in events:
        workers.time.sleep(pause)
        if what == "die":
            gates[worker] = workers.gate()
        elif what.startswith("busy"):
            headers = {} if what == "busy" else {"retry-after": "1"}
            gates[worker].observe(429, headers)
        else:
            while gates[worker].turn(SECONDS) is None:
                sent.append(workers.elapsed)
    began = 0.0
    for last, at in enumerate(sent):
        assert last + 1 <= rate * (at - began) + burst + 1e-6
        for first in range(last):
            span = at - sent[first] + limits.PERMITS_AHEAD_SECONDS
            assert last - first + 1 <= rate * span + burst + 1e-6


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 7), st.floats(0, 3)), max_size=150))
def test_no_order_of_workers_gets_more_seats_than_there_are(
    most: int, events: list[tuple[int, float]]
) -> None:
    """Requests take two seconds here; at no time more than the limit are under way."""
    workers = limited(most=most)
    gates = [workers.gate() for _ in range(8)]
    ends = [0.0] * 8
    for worker, pause in events:
        workers.time.sleep(pause)
        if ends[worker] <= workers.elapsed and gates[worker].turn(SECONDS) is None:
            ends[worker] = workers.elapsed + 2
        assert sum(end > workers.elapsed for end in ends) <= most


def test_a_long_turn_is_left_to_the_machine() -> None:
    """Up to five seconds are waited for here; beyond, nothing is taken from the others."""
    workers = limited(0.1)
    first, second, third = (workers.gate() for _ in range(3))
    first.enter(SECONDS)
    with pytest.raises(StepThrottled) as raised:
        second.enter(SECONDS)
    assert str(raised.value) == "2026-01-31T09:00:10.000Z"
    assert raised.value.code == "throttled"
    assert raised.value.message == "connection 'Shop': its rate limit is used up until then"
    workers.time.sleep(6)
    third.enter(SECONDS)
    assert workers.time.slept == [6, 4]


def test_what_one_worker_is_told_holds_for_all() -> None:
    """A second one sends nothing until then, and does not wait here if it is long."""
    workers = Workers()
    with pytest.raises(StepThrottled):
        workers.client(refused(429, retry_after="60")).send("GET", URL)
    with pytest.raises(StepThrottled, match="2026-01-31T09:01:00"):
        workers.client().send("GET", URL)
    workers.time.sleep(56)
    workers.time.slept.clear()
    workers.client(ok()).send("GET", URL)
    assert workers.time.slept == [4]


def test_a_success_that_was_the_last_one_holds_the_next_up() -> None:
    """The answer itself is taken; the connection waits until the limit is reset."""
    workers = Workers()
    reset = str(int(NOW.timestamp()) + 3)
    headers = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": reset}
    own = workers.client(refused(200, b"last", **headers), ok(b"next"))
    assert own.send("GET", URL).body == b"last"
    assert workers.time.slept == []
    assert own.send("GET", URL).body == b"next"
    assert workers.time.slept == [3]


def test_a_403_that_names_the_time_is_no_refusal() -> None:
    """GitHub says so when its limit is used up; any other 403 is for the caller to judge."""
    workers = Workers()
    used_up = refused(403, ratelimit_remaining="0", ratelimit_reset="600")
    with pytest.raises(StepThrottled, match="2026-01-31T09:10:00"):
        workers.client(used_up).send("GET", URL)
    with pytest.raises(ResponseRejected):
        client(script(refused(403, ratelimit_remaining="7", ratelimit_reset="600"))).send(
            "GET", URL
        )


def test_too_many_requests_halve_the_rate_for_all() -> None:
    """Without a time to come back; the other workers go slower as well, and no faster later."""
    workers = limited(10)
    slow, other = workers.gate(), workers.gate()
    slow.enter(SECONDS)
    slow.observe(429, {})
    began = workers.elapsed
    for _ in range(51):
        other.enter(SECONDS)
    assert 8 < workers.elapsed - began < 10.1


def test_too_many_requests_without_a_limit_begin_one() -> None:
    """Half of what the worker sent of late; once it has grown back, nothing is asked any more."""
    workers = Workers()
    gate = workers.gate()
    for _ in range(30):
        gate.enter(SECONDS)
        workers.time.sleep(0.1)
    workers.time.slept.clear()
    gate.observe(429, {})
    for _ in range(10):
        gate.enter(SECONDS)
    assert sum(workers.time.slept) == pytest.approx(2, rel=0.2)
    workers.time.sleep(120)
    workers.time.slept.clear()
    workers.paces.asked.clear()
    for _ in range(50):
        gate.enter(SECONDS)
    assert (workers.time.slept, workers.paces.asked) == ([], [])


def test_seats_go_round() -> None:
    """A worker that is never done makes room for one that waits, before that one gives up."""
    workers = limited(most=1)
    greedy, modest = workers.gate(), workers.gate()
    served = []
    for _ in range(200):
        for name, gate in (("greedy", greedy), ("modest", modest)):
            if gate.turn(SECONDS) is None:
                served.append(name)
        workers.time.sleep(0.25)
    assert 0.3 < served.count("modest") / len(served) < 0.7
    first = served.index("modest") * 0.25
    assert first < limits.WAIT_INSIDE_SECONDS_MAX


def test_seats_cost_few_writes() -> None:
    """A worker alone renews its seat every few seconds, however many requests it sends."""
    workers = limited(most=3)
    gate = workers.gate()
    for _ in range(1_000):
        gate.enter(SECONDS)
        workers.time.sleep(0.1)
    assert len(workers.paces.asked) <= 100 / limits.SEAT_SECONDS + 2


def test_no_seat_within_reach_is_left_to_the_machine() -> None:
    """The worker asks a few times; a seat that is given back is free at once."""
    workers = limited(most=1)
    holder, other = workers.gate(), workers.gate()
    holder.enter(SECONDS)
    with pytest.raises(StepThrottled) as raised:
        other.enter(SECONDS)
    assert workers.time.slept == [1, 1, 1, 1, 1]
    assert micros(raised.value.until) == micros(workers.time.now) + COME_BACK_SECONDS * MICROS
    assert "1 of its requests are under way" in raised.value.message
    holder.let_go()
    other.enter(SECONDS)


def test_a_worker_that_died_blocks_others_no_longer_than_its_lease() -> None:
    """That is the longest that its request could have taken, and a little."""
    workers = limited(most=1)
    workers.gate().enter(SECONDS)
    workers.time.sleep(SECONDS)
    with pytest.raises(StepThrottled):
        workers.gate(patience_seconds=0).enter(SECONDS)
    workers.time.sleep(limits.SEAT_SECONDS + 2)
    workers.gate(patience_seconds=0).enter(SECONDS)


def test_tests_and_pings_do_not_wait_long() -> None:
    """Whoever looks on is told when a run would come back."""
    workers = limited(0.25)
    workers.gate().enter(SECONDS)
    with pytest.raises(StepThrottled):
        workers.gate(limits.WAIT_IN_TESTS_SECONDS).enter(SECONDS)
    assert workers.time.slept == []


def test_each_try_of_a_request_takes_its_turn() -> None:
    """What is sent again counts again."""
    workers = limited(1)
    workers.client(lost(), ok()).send("GET", URL)
    assert workers.elapsed == 1


def test_other_systems_neither_wait_nor_are_heeded() -> None:
    """A link to another host is another system's: its troubles are not the connection's."""
    workers = limited(0.01)
    own = workers.client(ok(), refused(503, retry_after="9"), ok())
    own.send("GET", URL)
    with pytest.raises(StepThrottled):
        own.send("GET", "https://other.example/next")
    own.send("GET", "https://other.example/next")
    assert workers.time.slept == []
    pace = workers.paces.read("ws_1", "con_1")
    assert pace is not None
    assert pace.blocked_until == 0


def test_without_the_store_a_worker_keeps_the_pace_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The request goes on, which is logged; the store is left alone for a while, then asked."""
    workers = limited(10)
    workers.paces.is_down = True
    gate = workers.gate()
    for _ in range(50):
        gate.enter(SECONDS)
    assert workers.elapsed == pytest.approx(4.9)
    assert workers.paces.asked == ["read"]
    assert caplog.messages == ["keeping the pace of connection con_1 by itself: throttled"]
    workers.paces.is_down = False
    workers.time.sleep(ALONE_SECONDS)
    gate.enter(SECONDS)
    assert workers.paces.inner.read("ws_1", "con_1") is not None


def test_a_block_told_while_the_store_is_down_is_kept() -> None:
    """By the worker that was told, also once the store is back and knows nothing of it."""
    workers = limited(10)
    gate = workers.gate()
    gate.enter(SECONDS)
    workers.paces.is_down = True
    gate.observe(429, {"retry-after": "60"})
    workers.paces.is_down = False
    workers.time.sleep(ALONE_SECONDS)
    with pytest.raises(StepThrottled):
        gate.enter(SECONDS)


def test_an_answer_of_the_store_that_is_lost_costs_nothing() -> None:
    """What was written is recognised; no permit is taken twice."""
    workers = limited(10)
    workers.paces.answer_is_lost = True
    gates = cycle([workers.gate(), workers.gate()])
    for _ in range(100):
        next(gates).enter(SECONDS)
    assert workers.elapsed == pytest.approx(9.9, rel=0.15)


def test_a_ceaseless_429_ends_in_trouble_that_passes() -> None:
    """The tries are used up as for any other trouble, and the machine goes on."""
    workers = Workers()
    with pytest.raises(StepTransient):
        workers.client(*[refused(429)] * 6).send("GET", URL)


def test_threads_of_a_worker_queue_and_none_of_them_gives_up() -> None:
    """Each has its patience from when it is the first: none waits in vain while others pass."""
    paced = connection().model_copy(update={"rate_limit": RateLimit(requests_per_second=20.0)})
    gate = Gate(MemoryPaces(), paced, utc_now, sleep, patience_seconds=0.2)
    began = monotonic()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: gate.enter(SECONDS), range(20)))
    assert monotonic() - began == pytest.approx(19 / 20, abs=0.3)
