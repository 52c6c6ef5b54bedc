"""How models become items: small ones readable, long ones compressed, none with a secret."""

import json

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.support.samples import connection

from millrace.domain.authentication import BearerAuth
from millrace.domain.connection import Connection
from millrace.domain.cursor import decode_cursor, encode_cursor
from millrace.storage.codec import pack, unpack


@given(st.text(max_size=64).filter(str.strip), st.integers(0, 10_240))
def test_what_is_packed_is_unpacked(header: str, length: int) -> None:
    """Any text survives, in the small form and in the compressed one."""
    model = connection(headers={"X": header}, description="é" * length)
    packed = pack(model)
    assert isinstance(packed, str) == (len(model.model_dump_json(exclude_none=True)) < 4_096)
    assert unpack(Connection, packed) == model


def test_a_small_item_reads_as_json() -> None:
    """Whoever looks into the table sees camelCase JSON."""
    packed = pack(connection())
    assert json.loads(packed)["baseUrl"] == "https://shop.example"


def test_the_same_model_gives_the_same_bytes() -> None:
    """Compression adds no time stamp, so writing the same twice is the same write."""
    model = connection(description="x" * 9_000)
    assert pack(model) == pack(model)


def test_a_secret_left_in_by_mistake_is_not_stored() -> None:
    """Even a model that still holds its secret packs without it."""
    model = connection(auth=BearerAuth(type="bearer", token=SecretStr("hunter2")))
    assert "hunter2" not in str(pack(model))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_a_cursor_leads_back_to_its_place(last_id: str) -> None:
    """What a list gave can be handed back, in an address without escaping."""
    cursor = encode_cursor(last_id)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor) == last_id
