"""The client rides out short trouble, hands longer trouble to the machine, and leaks nothing."""

from datetime import timedelta

import pytest
from tests.unit.connectors.fake_transport import (
    NOW,
    FakeTime,
    ScriptedTransport,
    http_client,
    lost,
    ok,
    refused,
    script,
)

from millrace import limits
from millrace.connectors.http_client import (
    TRIES,
    BrokenAnswerError,
    HttpClient,
    ResponseRejected,
)
from millrace.connectors.http_messages import HttpRequest, HttpResponse, TransportError
from millrace.connectors.rate_headers import retry_after_seconds
from millrace.domain.base import rfc3339
from millrace.domain.errors import StepFailed, StepThrottled, StepTransient

REQUEST = HttpRequest("GET", "https://api.example/orders?key=hidden", {"X-Key": "hidden"})


@pytest.mark.parametrize(
    "trouble",
    [lost(), *(refused(status) for status in (408, 425, 429, 500, 502, 503, 504, 599))],
    ids=str,
)
def test_trouble_that_passes_is_not_noticed(trouble: HttpResponse | TransportError) -> None:
    """Trouble that another try cures stays inside."""
    transport = script(trouble, trouble, ok(b"fine"))
    assert http_client(transport).send(REQUEST).body == b"fine"
    assert len(transport.requests) == 3


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207])
def test_success_is_terminal(status: int) -> None:
    """After a 2xx the request is never sent again."""
    transport = script(HttpResponse(status, {}, b""))
    assert http_client(transport).send(REQUEST).status == status


def test_backoff_doubles_to_its_cap_with_full_jitter() -> None:
    """Waits are a random part of 0.1 s doubled each time, at most 2 s."""
    time = FakeTime()
    with pytest.raises(StepTransient) as raised:
        http_client(script(*[lost()] * TRIES), time).send(REQUEST)
    assert raised.value.code == "connectionLost"
    assert time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    half = FakeTime()
    halving = HttpClient(
        script(lost(), lost(), ok()), sleep=half.sleep, clock=half.clock, rng=lambda: 0.5
    )
    halving.send(REQUEST)
    assert half.slept == pytest.approx([0.05, 0.1])


def test_slow_trouble_is_not_tried_six_times() -> None:
    """A receiver that lets requests time out costs about a minute, not three."""
    time = FakeTime()
    late = TransportError("timedOut", "no whole answer in time", is_transient=True)

    def hang(_: HttpRequest) -> TransportError:
        time.now += timedelta(seconds=limits.OUTBOUND_TIMEOUT_SECONDS)
        return late

    transport = ScriptedTransport(hang)
    with pytest.raises(StepTransient):
        http_client(transport, time).send(REQUEST)
    assert len(transport.requests) <= 2


def test_short_retry_after_is_waited_for_inside() -> None:
    """A wait of a few seconds needs no state machine."""
    time = FakeTime()
    transport = script(refused(429, retry_after="3"), refused(503, retry_after="5"), ok())
    http_client(transport, time).send(REQUEST)
    assert time.slept == [3, 5]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("99999999", limits.RETRY_AFTER_SECONDS_MAX),
        ("9" * 5_000, limits.RETRY_AFTER_SECONDS_MAX),
        ("Sat, 31 Jan 2026 09:01:00 GMT", 60),
        ("Saturday, 31-Jan-26 09:01:00 GMT", 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", limits.RETRY_AFTER_SECONDS_MAX),
    ],
    ids=["seconds", "too many", "absurd", "date", "obsolete date", "far date"],
)
def test_long_retry_after_is_left_to_the_machine(value: str, seconds: float) -> None:
    """The machine is told the time to come back, clamped to a day; the worker does not wait."""
    time = FakeTime()
    with pytest.raises(StepThrottled) as raised:
        http_client(script(refused(429, retry_after=value)), time).send(REQUEST)
    assert raised.value.until == NOW + timedelta(seconds=seconds)
    assert str(raised.value) == rfc3339(raised.value.until)
    assert time.slept == []


@pytest.mark.parametrize("value", ["-1", "abc", "7, 9", "", "1.5", "٣", "Sat, 99 Jan 2026", "\0"])
def test_bad_retry_after_is_ignored(value: str) -> None:
    """What is no Retry-After leaves the own backoff in force."""
    assert retry_after_seconds(value, NOW) is None
    time = FakeTime()
    http_client(script(refused(429, retry_after=value), ok()), time).send(REQUEST)
    assert time.slept == pytest.approx([0.1])


def test_retry_after_in_the_past_asks_for_no_wait() -> None:
    """A date gone by means now, and the own backoff still applies."""
    time = FakeTime()
    past = refused(503, retry_after="Thu, 01 Jan 1970 00:00:00 GMT")
    http_client(script(past, ok()), time).send(REQUEST)
    assert time.slept == pytest.approx([0.1])


def test_throttling_that_lasts_names_the_time_to_come_back() -> None:
    """When the tries are used up the receiver's own time goes to the machine."""
    time = FakeTime()
    with pytest.raises(StepThrottled) as raised:
        http_client(script(*[refused(503, retry_after="2")] * TRIES), time).send(REQUEST)
    assert raised.value.until == time.now + timedelta(seconds=2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 501])
def test_refusal_is_for_the_caller_to_judge(status: int) -> None:
    """A 4xx is never retried; its message names host, status and the answer's beginning."""
    transport = script(refused(status, b'{"error":\r\n  "no\x00 such \x1b[31mthing"}' + b"x" * 999))
    with pytest.raises(ResponseRejected) as raised:
        http_client(transport).send(REQUEST)
    assert raised.value.status == status
    start = f'GET api.example answered {status}: {{"error": "no such [31mthing"}}xx'
    assert raised.value.message.startswith(start)
    assert len(raised.value.message) < 250


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304])
def test_redirect_is_not_followed(status: int) -> None:
    """Nobody can send the client elsewhere."""
    with pytest.raises(StepFailed, match=f"answered {status}; redirects are not followed"):
        http_client(script(refused(status, location="https://other.example"))).send(REQUEST)


def test_trouble_that_cannot_pass_fails_at_once() -> None:
    """A refused certificate or a name that does not exist is not tried again."""
    fault = TransportError("certificateRefused", "its certificate is bad", is_transient=False)
    with pytest.raises(StepFailed, match=r"GET api\.example: its certificate is bad") as raised:
        http_client(script(fault)).send(REQUEST)
    assert raised.value.code == "certificateRefused"


def test_cut_answer_is_asked_for_again_and_fails_in_the_end() -> None:
    """A decoder may call an answer cut off; that is transient, and final when it stays so."""

    def decode(response: HttpResponse) -> str:
        if response.body != b"whole":
            raise BrokenAnswerError("the answer is cut")
        return "decoded"

    assert http_client(script(ok(b"wh"), ok(b"whole"))).fetch(REQUEST, decode) == "decoded"
    with pytest.raises(StepFailed, match="the answer is cut") as raised:
        http_client(script(*[ok(b"wh")] * TRIES)).fetch(REQUEST, decode)
    assert raised.value.code == "brokenAnswer"


def test_messages_hold_no_query_header_or_secret() -> None:
    """Errors and reprs can be shown to anyone, even if the receiver repeats what it was sent."""
    request = HttpRequest(
        "POST",
        "https://api.example:8443/x?key=hidden",
        {"Authorization": "Bearer hidden"},
        b"hidden",
        secrets=("hidden",),
    )
    with pytest.raises(ResponseRejected) as raised:
        http_client(script(refused(400, b"bad token hidden"))).send(request)
    assert raised.value.message == "POST api.example:8443 answered 400: bad token ***"
    assert "hidden" not in repr(request)
