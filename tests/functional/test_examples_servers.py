"""The examples' servers keep their promises over real HTTP: faults come once, counts are true."""

import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest
import urllib3

from millrace_local.examples.earthquake_source import EarthquakeSource
from millrace_local.examples.github import Delivery, deliver
from millrace_local.examples.loopback import (
    Answer,
    Fault,
    FaultPlan,
    LoopbackServer,
    Request,
)
from millrace_local.examples.receivers import Receiver

FEATURES = [{"id": str(number)} for number in range(25)]
EVERY_FAULT = [Fault.UNAVAILABLE, Fault.THROTTLED, Fault.RESET, Fault.ANSWER_LOST]


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """A client that does not try again by itself."""
    with urllib3.PoolManager(retries=False, timeout=10) as pool:
        yield pool


def post(
    http: urllib3.PoolManager, url: str, body: object, **headers: str
) -> urllib3.BaseHTTPResponse:
    """POST JSON; header names with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.request("POST", url, body=json.dumps(body), headers=named)


def test_faults_come_once_each_round_and_never_twice_for_a_request() -> None:
    """The plan is the same for the same seed, and trying again always helps."""
    first, second = FaultPlan(1, EVERY_FAULT, good=2), FaultPlan(1, EVERY_FAULT, good=2)
    draws = [first.draw(number) for number in range(12)]
    assert draws == [second.draw(number) for number in range(12)]
    assert sorted(filter(None, draws[:6])) == sorted(EVERY_FAULT)
    assert draws[6:] == draws[:6]
    assert [first.draw(number) for number in range(12)] == [None] * 12
    assert first.dealt == [fault for fault in draws if fault]


def test_a_taken_port_is_replaced_by_a_free_one(http: urllib3.PoolManager) -> None:
    """A second set of servers can run beside the first; all are on loopback."""

    def echo(request: Request) -> Answer:
        return Answer(200, [request.method, request.path, dict(request.query)])

    with LoopbackServer(echo) as first:
        port = int(first.url.rpartition(":")[2])
        with LoopbackServer(echo, port) as second:
            assert first.url != second.url
            assert second.url.startswith("http://127.0.0.1:")
            answer = http.request("GET", f"{second.url}/a?b=c")
    assert answer.json() == ["GET", "/a", {"b": "c"}]


def test_a_server_that_ended_answers_nobody(http: urllib3.PoolManager) -> None:
    """A kept connection does not reach the old server when a new one has its port."""
    with LoopbackServer(lambda _: Answer(200, "old")) as old:
        assert http.request("GET", old.url).json() == "old"
    with LoopbackServer(lambda _: Answer(200, "new"), int(old.url.rpartition(":")[2])) as new:
        assert new.url == old.url
        assert http.request("GET", new.url).json() == "new"


def test_the_source_gives_every_feature_once_by_next_links(http: urllib3.PoolManager) -> None:
    """Links lead through all pages in order and end with the last."""
    found: list[str] = []
    with LoopbackServer(EarthquakeSource(FEATURES, FaultPlan(0, [], good=1)).respond) as server:
        link: str | None = "/features?limit=10"
        while link:
            page = http.request("GET", server.url + link).json()
            found += [feature["id"] for feature in page["features"]]
            link = page.get("next")
    assert found == [feature["id"] for feature in FEATURES]


def test_the_sources_faults_are_those_of_the_wire(http: urllib3.PoolManager) -> None:
    """503, 429 with Retry-After and a reset are what a client sees; the next try succeeds."""
    faults = [Fault.UNAVAILABLE, Fault.THROTTLED, Fault.RESET]
    source = EarthquakeSource(FEATURES, FaultPlan(0, faults, good=0))
    seen: list[tuple[str | int, str | None]] = []
    with LoopbackServer(source.respond) as server:
        for offset in (0, 10, 20):
            url = f"{server.url}/features?offset={offset}&limit=10"
            try:
                answer = http.request("GET", url)
                seen.append((answer.status, answer.headers.get("Retry-After")))
            except urllib3.exceptions.ProtocolError as error:
                seen.append((type(error.args[1]).__name__, None))
            assert http.request("GET", url).status == HTTPStatus.OK
    assert sorted(seen, key=str) == [("ConnectionResetError", None), (429, "1"), (503, None)]
    assert source.served == 3


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/features?limit=0", 400),
        ("/features?offset=-1", 400),
        ("/features?offset=x", 400),
        ("/other", 404),
    ],
)
def test_the_source_refuses_nonsense(http: urllib3.PoolManager, path: str, status: int) -> None:
    """A wrong flow file gets a clear answer instead of wrong data."""
    with LoopbackServer(EarthquakeSource(FEATURES).respond) as server:
        assert http.request("GET", server.url + path).status == status


def test_a_lost_answer_is_written_once_if_the_key_is_the_same(http: urllib3.PoolManager) -> None:
    """The write happens, the answer breaks off, and the repetition is recognised by its key."""
    receiver = Receiver(0, [Fault.ANSWER_LOST], good=0)
    with LoopbackServer(receiver.respond) as server:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            post(http, server.url, [{"id": "a"}], Idempotency_Key="k")
        answer = post(http, server.url, [{"id": "a"}], Idempotency_Key="k")
    assert answer.json() == {"written": 1}
    assert (receiver.records, receiver.replays, receiver.requests) == ([{"id": "a"}], 1, 2)


def test_a_sender_without_stable_keys_is_caught(http: urllib3.PoolManager) -> None:
    """A new key for an old record shows as a duplicate: the receiver does not hide it."""
    receiver = Receiver()
    with LoopbackServer(receiver.respond) as server:
        post(http, server.url, {"id": "a"}, Idempotency_Key="1")
        post(http, server.url, {"id": "a"}, Idempotency_Key="2")
    assert receiver.duplicates == ["a"]


def test_faults_before_the_write_write_nothing(http: urllib3.PoolManager) -> None:
    """What was refused was not recorded."""
    receiver = Receiver(0, [Fault.UNAVAILABLE], good=0)
    with LoopbackServer(receiver.respond) as server:
        assert post(http, server.url, {"id": "a"}, Idempotency_Key="1").status == 503
        assert receiver.records == []
        assert post(http, server.url, {"id": "a"}, Idempotency_Key="1").status == 200
    assert receiver.records == [{"id": "a"}]


def test_what_a_sender_does_wrong_is_refused_and_noted(http: urllib3.PoolManager) -> None:
    """A missing token, a missing key, a reused key, and no JSON: each has its status."""
    receiver = Receiver(token="t")
    with LoopbackServer(receiver.respond) as server:
        token = {"Authorization": "Bearer t"}
        statuses = [
            post(http, server.url, {}, Idempotency_Key="1").status,
            post(http, server.url, {}, **token).status,
            post(http, server.url, {"a": 1}, Idempotency_Key="1", **token).status,
            post(http, server.url, {"a": 2}, Idempotency_Key="1", **token).status,
            http.request(
                "POST", server.url, body=b"{", headers={"Idempotency-Key": "2", **token}
            ).status,
            http.request("GET", server.url, headers=token).status,
        ]
    assert statuses == [401, 400, 200, 422, 400, 405]
    assert len(receiver.refused) == 5
    assert receiver.records == [{"a": 1}]


def test_deliveries_look_like_githubs() -> None:
    """Headers and signature are those that GitHub documents, over the exact bytes."""
    seen: list[Request] = []

    def hook(request: Request) -> Answer:
        seen.append(request)
        return Answer(202, {"runId": "run_1", "deduplicated": True})

    with LoopbackServer(hook) as server:
        ping = Delivery("ping", b"Hello, World!", "d-1")
        outcome = deliver(server.url, ping, "It's a Secret to Everybody")
    # The secret, the text and the signature are the example of GitHub's documentation.
    assert seen[0].headers["x-hub-signature-256"] == (
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )
    assert seen[0].body == b"Hello, World!"
    assert seen[0].headers["x-github-event"] == "ping"
    assert seen[0].headers["x-github-delivery"] == "d-1"
    assert (outcome.status, outcome.run_id, outcome.deduplicated) == (202, "run_1", True)
