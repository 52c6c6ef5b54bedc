"""What is written and read again is the same, whatever a record can hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.domain.base import Json
from millrace.domain.quick_json import dump, load

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
