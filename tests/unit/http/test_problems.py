"""Where errors point, and which JSON is taken: the parts of answers that are plain functions."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.domain.json_text import parse_json
from millrace.domain.pointers import json_pointer
from millrace.http.body import raw_body

DOCUMENT: dict[str, Any] = {
    "steps": [{"action": {"type": "Export", "http": {"path": "x"}}}],
    "a/b": {"c~d": 1},
    "figures": {"n": {}},
}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ([], ""),
        (["steps", 0, "action", "Export", "http", "path"], "/steps/0/action/http/path"),
        (["steps", 0, "action", "Export", "connectionId"], "/steps/0/action/connectionId"),
        (["steps", 0, "id"], "/steps/0/id"),
        (["a/b", "c~d"], "/a~1b/c~0d"),
        (["figures", "n", "function"], "/figures/n/function"),
        (["nmae"], "/nmae"),
    ],
)
def test_a_pointer_leads_to_the_place_in_the_document(path: list[str | int], pointer: str) -> None:
    """Tags of unions, which pydantic names, are no places; a missing field's place is its own."""
    assert json_pointer(path, DOCUMENT) == pointer


@given(VALUES)
def test_all_json_is_read_as_it_was_written(value: object) -> None:
    """Strict or not, valid JSON means what it says, escaped or plain."""
    plain = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(plain, strict=True) == json.loads(plain)


@pytest.mark.parametrize("text", ["NaN", "[1e400]", "[-1e400]", "[" * 100_000, '"\xff'])
def test_what_is_no_json_is_refused(text: str) -> None:
    """Nor is what only some parsers take."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(text.encode("latin-1"))


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', r'"\ud83d"', r'{"\uDC00":1}'])
def test_strictly_what_parsers_read_differently_is_refused_too(text: str) -> None:
    """A caller can correct it; a webhook's sender cannot, so there it is taken."""
    parse_json(text.encode())
    with pytest.raises(ValueError, match=r"twice|surrogate"):
        parse_json(text.encode(), strict=True)


@given(st.binary(max_size=200))
def test_the_body_is_the_bytes_that_were_sent(body: bytes) -> None:
    """Signatures are of bytes, so no byte may change on the way."""
    event = {"body": b64encode(body).decode(), "isBase64Encoded": True}
    assert raw_body(event) == body
