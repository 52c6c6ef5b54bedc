"""A ping answers in time, whatever the other system does."""

from threading import Event

import pytest
from tests.unit.connectors.fake_transport import (
    ScriptedTransport,
    connection,
    http_client,
    lost,
    ok,
    script,
)

from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.ping import ping
from millrace.domain.ports import Pong


def pinged(transport: ScriptedTransport, seconds: float = 5) -> Pong:
    """What became of a ping over a script."""
    return ping(connection(), {}, "GET", "/health", http_client(transport), seconds)


def test_ping_has_a_time_as_a_whole() -> None:
    """A system that hangs beyond every time-out of its own is given up."""
    over = Event()

    def hang(_: HttpRequest) -> HttpResponse:
        over.wait(10)
        return ok()

    told = pinged(ScriptedTransport(hang), seconds=0.05)
    over.set()
    assert (told.status, told.code) == (None, "timedOut")


def test_ping_is_tried_once() -> None:
    """Trouble that another try might cure is what a ping is to find."""
    transport = script(lost())
    assert pinged(transport).code == "connectionLost"
    assert len(transport.requests) == 1


def test_a_fault_of_our_own_is_no_answer() -> None:
    """It is raised where it can be logged, not told as the other system's."""

    def fault(_: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pinged(ScriptedTransport(fault))


@pytest.mark.parametrize("status", [299, 399, 499, 599, 999])
def test_any_status_is_told(status: int) -> None:
    """Also one that no register knows."""
    told = pinged(script(HttpResponse(status, {}, b"")))
    assert (told.status, told.code is None) == (status, status == 299)
