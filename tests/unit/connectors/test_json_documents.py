"""Answers are read strictly: whole, valid JSON, and pointers that say where they end."""

import pytest

from millrace.connectors.http_client import BrokenAnswerError
from millrace.connectors.json_documents import describe, parse, resolve
from millrace.domain.errors import StepFailed

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


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"n": 9007199254740993}', {"n": 9007199254740993}),
        ('\ufeff{"é": 1}'.encode(), {"é": 1}),
        ('["é"]'.encode("utf-16"), ["é"]),
        (b'["\\ud800"]', ["\ud800"]),
        (b" null ", None),
    ],
    ids=["large integer", "byte order mark", "UTF-16", "lone surrogate", "null"],
)
def test_json_is_kept_exactly(body: bytes, value: object) -> None:
    """Whatever JSON can say comes out unchanged."""
    assert parse(body) == value


@pytest.mark.parametrize(
    "body",
    [b"NaN", b"[Infinity]", b"[-Infinity]", b"[1e400]", b"[" + b"9" * 5_000 + b"]",
     b"<html><body>Sorry</body></html>", b'{"a" 1, "and": "more"}', b'["\xff", "and more"]',
     b"[" * 200_000 + b"]" * 200_000],
    ids=["NaN", "Infinity", "-Infinity", "too large", "5,000 digits", "HTML", "malformed",
         "not UTF-8", "deep"],
)  # fmt: skip
def test_what_is_no_json_is_a_clear_error(body: bytes) -> None:
    """Text that no JSON document could repeat is refused, never approximated."""
    with pytest.raises(StepFailed) as raised:
        parse(body)
    assert raised.value.code == "notJson"


WHOLE = '[{"id": 12, "name": "é\\u00e9", "ok": true, "x": null, "y": -1.5}]'.encode()


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_cut_json_is_told_from_wrong_json(length: int) -> None:
    """Wherever a document is cut, it looks cut off and may be asked for again."""
    with pytest.raises(BrokenAnswerError):
        parse(WHOLE[:length])
