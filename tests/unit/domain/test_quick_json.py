"""What is written and read again is the same, whatever a record can hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.domain.base import Json, Record
from millrace.domain.quick_json import Unread, dump, dump_lines, joined, load

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**300), 10**300) | st.floats()
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_values_come_back_as_they_were(value: Json) -> None:
    """Types, digits and half surrogate pairs included; Python's own parser reads them alike."""
    data = dump(value)
    assert repr(load(data)) == repr(value)
    assert repr(json.loads(data.decode("utf-8", "surrogatepass"))) == repr(value)


@pytest.mark.parametrize("value", [int("9" * 4_000), 2**64 + 1, -0.0, 5e-324], ids=str)
def test_numbers_at_the_edge(value: Json) -> None:
    """Integers of thousands of digits, and the smallest doubles."""
    assert repr(load(dump([value]))) == repr([value])


def test_deep_nesting() -> None:
    """As deep as the standard library goes."""
    value: Json = {}
    for _ in range(800):
        value = {"a": [value]}
    assert load(dump(value)) == value


RECORDS = st.dictionaries(st.text(st.characters()), VALUES, max_size=3)


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_lines_are_the_list_that_was_handed_on(
    batches: list[list[Record]], data: st.DataObject
) -> None:
    """Whether arrays of some records or each apart, read as a whole or in part."""
    records = [record for batch in batches for record in batch]
    apart = [data.draw(st.booleans()) for _ in batches]
    lines = [
        dump_lines(Unread([dump(each) for each in batch], len(batch)) if is_apart else batch)
        for batch, is_apart in zip(batches, apart, strict=True)
    ]
    unread = Unread(b"\n".join(lines).split(b"\n"), len(records))
    start, end = (data.draw(st.integers(0, len(records))) for _ in range(2))
    part = unread[start:end]
    assert joined(dump_lines(unread).split(b"\n")) == dump(unread) == dump(records)
    assert (len(part), dump(part)) == (len(records[start:end]), dump(records[start:end]))
    assert [dump(each) for each in unread[::-1]] == [dump(each) for each in records[::-1]]
    assert dump(unread[-1]) == dump(records[-1])
