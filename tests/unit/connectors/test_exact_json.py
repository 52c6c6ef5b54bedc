"""JSON is read exactly: what cannot be kept is named, and nothing is changed without a word."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.connectors.exact_json import ExactDecoder
from millrace.connectors.http_client import BrokenAnswerError
from millrace.domain.base import Json
from millrace.domain.errors import StepFailed
from millrace.domain.records import PARSE, RecordError


def parse(body: bytes, charset: str | None = None) -> Json:
    """A whole answer."""
    return ExactDecoder().answer(body, charset)


def faults(body: bytes) -> list[str | None]:
    """What is wrong with each element of an answer that is an array."""
    decoder = ExactDecoder()
    told = [decoder.record(element) for element in decoder.answer(body)]
    return [each.message if isinstance(each, RecordError) else None for each in told]


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
    [b"<html><body>Sorry</body></html>", b'{"a" 1, "and": "more"}',
     b"[" * 200_000 + b"]" * 200_000],
    ids=["HTML", "malformed", "deep"],
)  # fmt: skip
def test_what_is_no_json_is_a_clear_error(body: bytes) -> None:
    """What holds no records at all fails the step."""
    with pytest.raises(StepFailed) as raised:
        parse(body)
    assert raised.value.code == "notJson"


WHOLE = '[{"id": 12, "name": "é\\u00e9", "ok": true, "x": null, "y": -1.5}]'.encode()


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_cut_json_is_told_from_wrong_json(length: int) -> None:
    """Wherever a document is cut, it looks cut off and may be asked for again."""
    with pytest.raises(BrokenAnswerError):
        parse(WHOLE[:length])


DIGITS = b"9" * 5_000


@pytest.mark.parametrize(
    ("poison", "says"),
    [
        (b'{"n": NaN}', "NaN is not a JSON value"),
        (b'{"n": [-Infinity]}', "-Infinity is not a JSON value"),
        (b'{"n": 1e400}', "too large for a double"),
        (b'{"n": ' + DIGITS + b"}", "an integer has 5,000 digits"),
        (b'{"n": {"a": 1, "b": 2, "a": 3}}', "has the key 'a' twice"),
        (b'{"a": 1, "a": 1}', "has the key 'a' twice"),
        (b'{"n": "\xff"}', "bytes that are no text"),
        (b'{"\xff": 1}', "bytes that are no text"),
        (b"NaN", "NaN is not a JSON value"),
        (DIGITS, "an integer has 5,000 digits"),
    ],
    ids=["NaN", "Infinity", "1e400", "digits", "inner key twice", "key twice", "byte", "key byte",
         "bare NaN", "bare digits"],
)  # fmt: skip
@pytest.mark.parametrize("text", ["plain", "\ud800"], ids=["quick", "slow"])
def test_a_value_that_cannot_be_kept_spoils_its_record_only(
    poison: bytes, says: str, text: str
) -> None:
    """The records around it are as they were sent."""
    last = f', {{"id": 9007199254740993, "s": {json.dumps(text)}}}]'
    body = b'[{"id": 1}, ' + poison + last.encode()
    first, second, third = faults(body)
    assert first is None
    assert third is None
    assert second is not None
    assert says in second
    decoder = ExactDecoder()
    document = decoder.answer(body)
    assert document[2] == {"id": 9007199254740993, "s": text}


def test_the_charset_is_that_of_the_answer() -> None:
    """A charset that the sender names is used, but a byte order mark is believed before it."""
    assert parse('["é"]'.encode("iso8859-1"), "iso8859-1") == ["é"]
    assert parse('\ufeff["é"]'.encode(), "iso8859-1") == ["é"]
    with pytest.raises(StepFailed) as raised:
        parse(b'["\x00\xd8", "and more"]', "utf-16")
    assert raised.value.code == "badCharset"


def test_a_line_is_a_record_or_says_why_not() -> None:
    """Lines fail one by one, and the last may look cut off."""
    decoder = ExactDecoder()
    told = [
        decoder.line(line)
        for line in ("{]", '{"a": NaN}', '{"a": 1, "a": 2}', '{"a": "\udcff"}', "[" * 200_000, "[]")
    ]
    codes = [each.code for each in told if isinstance(each, RecordError)]
    assert codes == [PARSE] * 5 + ["notAnObject"]
    with pytest.raises(BrokenAnswerError):
        decoder.line('{"a": "b', is_last=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.text(), JSON), max_size=5), st.booleans())
def test_records_come_out_as_they_went_in(records: list[dict[str, Json]], is_ascii: bool) -> None:  # noqa: FBT001 - given
    """Whatever JSON can say is kept, types and digits included."""
    text = json.dumps(records, ensure_ascii=False)
    if is_ascii or re.search("[\ud800-\udfff]", text):
        text = json.dumps(records)  # UTF-8 has no half surrogate pairs, JSON's escapes have
    body = text.encode()
    decoder = ExactDecoder()
    told = [decoder.record(element) for element in decoder.answer(body)]
    assert repr(told) == repr(records)


NASTY = st.text(st.sampled_from('ab:" \\\t\n'), max_size=4)
SPACE = st.text(st.sampled_from(" \t\r\n"), max_size=2)


@given(st.lists(st.tuples(NASTY, NASTY), max_size=4), st.data())
def test_a_key_twice_is_noticed_however_it_is_written(
    pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Colons, quotes and white space within texts, escaped or not, hide nothing and are no keys."""

    def written(text: str) -> str:
        chars = []
        for char in text:
            escape = data.draw(st.booleans()) or char in '"\\\t\n'
            chars.append(f"\\u{ord(char):04x}" if escape else char)
        return f'"{"".join(chars)}"'

    def space() -> str:
        return data.draw(SPACE)

    members = ",".join(
        f"{space()}{written(name)}{space()}:{space()}{written(value)}" for name, value in pairs
    )
    decoder = ExactDecoder()
    (told,) = decoder.records(decoder.answer(f"[{{{members}}}]".encode()))
    if len(dict(pairs)) < len(pairs):
        assert isinstance(told, RecordError)
    else:
        assert told == dict(pairs)


@given(st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?\Z"))
def test_numbers_are_those_of_the_standard_library(text: str) -> None:
    """Integers are exact, fractions the nearest doubles."""
    assert repr(parse(f"[{text}]".encode())) == repr(json.loads(f"[{text}]"))
