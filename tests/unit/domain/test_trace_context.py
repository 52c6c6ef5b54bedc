"""W3C Trace Context, by the examples and rules of the recommendation (Level 1)."""

import re

import pytest

from millrace import limits
from millrace.domain.trace_context import Trace

ID = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{ID}-{SPAN}-01"


@pytest.mark.parametrize(
    ("parent", "is_sampled"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", False),
        (" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\t", True),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", True),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe", False),
    ],
)
def test_a_valid_parent_is_gone_on_from(parent: str, is_sampled: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """The trace keeps its id and whether it is sampled; flags that nobody knows are not sent on."""
    trace = Trace.read(parent)
    assert trace is not None
    child = trace.child()
    assert (child.id, child.is_sampled) == ("4bf92f3577b34da6a3ce929d0e0e4736", is_sampled)
    assert child.span_id not in {"00f067aa0ba902b7", trace.child().span_id}
    assert child.parent == f"00-{child.id}-{child.span_id}-0{int(is_sampled)}"


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "hello",
        f"ff-{ID}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{ID[1:]}-{SPAN}-01",
        f"00-{ID}-{SPAN}a-01",
        f"00-{ID}-{SPAN}-1",
        f"00-{ID}-{SPAN}-0x",
        f"0-{ID}-{SPAN}-01",
        f"{PARENT}-what-the-future-will-be-like",
        f"{PARENT}.",
        f"{PARENT},{PARENT}",
        f"cc-{ID}-{SPAN}-01.what-the-future-will-be-like",
    ],
)
def test_one_that_is_not_valid_is_replaced_and_its_state_dropped(parent: str | None) -> None:
    """A trace begins here, with ids of its own."""
    headers = {"tracestate": "rojo=1"} | ({} if parent is None else {"traceparent": parent})
    assert Trace.read(parent, "rojo=1") is None
    begun = Trace.received(headers)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", begun.parent)
    assert (begun.state, begun.id == ID) == (None, False)
    assert begun.id != Trace.received(headers).id


@pytest.mark.parametrize("rest", ["", "-", "-what-the-future-will-be-like"])
def test_a_later_version_is_read_as_far_as_it_is_known(rest: str) -> None:
    """What goes on is of the version that we know."""
    trace = Trace.read(f"cc-{ID}-{SPAN}-01{rest}")
    assert trace is not None
    assert trace.child().parent.startswith(f"00-{ID}-")


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("foo=1 \t , \t bar=2, \t baz=3", "foo=1,bar=2,baz=3"),
        ("foo=1,,bar=2", "foo=1,bar=2"),
        ("fw529a3039@dt=FfbqQ", "fw529a3039@dt=FfbqQ"),
        ("0tenant@vendor=1", "0tenant@vendor=1"),
        ("a-b_c*/=1", "a-b_c*/=1"),
        (f"{'z' * 256}=1", f"{'z' * 256}=1"),
        (",".join(f"b{n}=1" for n in range(32)), ",".join(f"b{n}=1" for n in range(32))),
    ],
)
def test_a_valid_state_goes_on_as_it_came(state: str, kept: str) -> None:
    """In its order, without spaces around and empty members."""
    trace = Trace.read(PARENT, state)
    assert trace is not None
    assert trace.child().headers["tracestate"] == kept


@pytest.mark.parametrize(
    "state",
    [
        "",
        "foo",
        "foo=1=2",
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "foo@=1,bar=2",
        "@foo=1",
        "foo@@bar=1",
        "0foo=1",
        "foo@0bar=1",
        f"{'z' * 257}=1",
        f"foo={'v' * 257}",
        ",".join(f"b{n}=1" for n in range(33)),
    ],
)
def test_a_state_that_is_not_valid_is_dropped_and_the_trace_goes_on(state: str) -> None:
    """The whole of it: what one part means is not ours to know."""
    trace = Trace.read(PARENT, state)
    assert trace is not None
    assert set(trace.headers) == {"traceparent"}


def test_of_a_state_that_is_too_long_long_members_go_first_then_the_last() -> None:
    """As section 3.3.1.5 asks for."""
    long = f"long={'v' * 124}"
    short = [f"b{n:02}={'v' * 96}" for n in range(6)]
    trace = Trace.read(PARENT, ",".join([short[0], long, *short[1:]]))
    assert trace is not None
    assert trace.state == ",".join(short[:5])
    assert len(trace.state) <= limits.TRACESTATE_LENGTH
