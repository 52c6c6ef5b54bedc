"""Pointers lead to values, and say where they end."""

import pytest

from millrace.connectors.json_documents import describe, replaced, resolve

DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, "~1": 9, "deep": {"list": [{"x": 5}]}}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/m~0n", 8),
        ("/~01", 9),
        ("/deep/list/0/x", 5),
    ],
)
def test_pointer_leads_to_its_value(pointer: str, value: object) -> None:
    """Pointers follow RFC 6901, the examples of its section 5 among them."""
    assert resolve(DOCUMENT, pointer) == value


@pytest.mark.parametrize(
    ("pointer", "says"),
    [
        ("/nope", "the whole document is an object with 'foo', ''"),
        ("/foo/2", "at '/foo' is an array of 2"),
        ("/foo/00", "at '/foo' is an array"),
        ("/foo/-", "at '/foo' is an array"),
        ("/foo/" + "9" * 5_000, "at '/foo' is an array"),
        ("/deep/list/0/x/y", "at '/deep/list/0/x' is a number"),
    ],
)
def test_pointer_that_leads_nowhere_says_what_stands_there(pointer: str, says: str) -> None:
    """The message tells an author which part of the path to correct."""
    with pytest.raises(LookupError, match=says):
        resolve(DOCUMENT, pointer)


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "null"), (True, "true"), (1.5, "a number"), ("x", "a string"), ([], "an array of 0"),
     ({}, "an object with no members")],
)  # fmt: skip
def test_values_are_described_without_their_data(value: object, words: str) -> None:
    """Descriptions may stand in messages: they hold names, never contents."""
    assert describe(value) == words


def test_a_value_is_set_on_a_copy() -> None:
    """The document stays as it was; objects that the pointer needs are made."""
    body = {"filter": {"open": True}}
    assert replaced(body, "/page/cursor", "abc") == {**body, "page": {"cursor": "abc"}}
    assert replaced(body, "/filter/from~1to", 2) == {"filter": {"open": True, "from/to": 2}}
    assert replaced(None, "/n", 1) == {"n": 1}
    assert body == {"filter": {"open": True}}


def test_a_value_is_not_set_in_place_of_another() -> None:
    """A pointer through a list or a text is a mistake of the author."""
    with pytest.raises(LookupError, match="in the way of 'x' is an array of 1"):
        replaced({"a": [1]}, "/a/x", 1)
