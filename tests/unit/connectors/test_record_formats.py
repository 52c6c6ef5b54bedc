"""NDJSON, CSV and XML are read record by record: a bad one fails alone, the others come whole."""

import csv
import json
import re
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import limits
from millrace.connectors.csv_reader import read_csv
from millrace.connectors.element_readers import Elements
from millrace.connectors.http_client import BrokenAnswerError
from millrace.connectors.ndjson_reader import read_ndjson
from millrace.connectors.texts import text_of
from millrace.connectors.xml_reader import read_xml
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.formats import CsvFormat, XmlFormat
from millrace.domain.records import RecordError

SMALL = 1_000
"""Bytes of a record, where a test is about that limit."""


def told(elements: Elements) -> list[Record | str]:
    """The records, and the codes of those that failed."""
    return [e.code if isinstance(e, RecordError) else e for e, _ in elements]


def ndjson(body: bytes, charset: str | None = None, size: int = SMALL) -> list[Record | str]:
    """What comes of lines of JSON."""
    return told(read_ndjson(text_of(BytesIO(body), charset), size))


def rows(
    body: bytes, charset: str | None = None, size: int = SMALL, **options: Json
) -> list[Record | str]:
    """What comes of CSV."""
    text = text_of(BytesIO(body), charset)
    return told(read_csv(text, CsvFormat.model_validate(options), size))


def xml(
    body: bytes, charset: str | None = None, size: int = SMALL, **options: Json
) -> list[Record | str]:
    """What comes of the orders in XML."""
    given = XmlFormat.model_validate({"recordPath": "/orders/order", **options})
    return told(read_xml(BytesIO(body), given, charset, size))


def messages(elements: Elements) -> list[str]:
    """Why records failed."""
    return [e.message for e, _ in elements if isinstance(e, RecordError)]


def test_each_line_of_ndjson_is_a_record() -> None:
    """Line ends of both kinds, blank lines and a byte order mark are no records."""
    body = '\ufeff{"id": 1}\r\n\r\n {"name": "Zoë\u2028"} \n{"id": 3}'.encode()
    assert ndjson(body) == [{"id": 1}, {"name": "Zoë\u2028"}, {"id": 3}]


def test_a_bad_line_of_ndjson_fails_alone() -> None:
    """Malformed lines, values that JSON has not, bad bytes and things that are no objects."""
    body = b'{"id": 1}\n{"id": }\n{"n": NaN}\n{"s": "\xff"}\n[1]\n{"a": 1, "a": 2}\n{"id": 7}\n'
    parse = "parse"
    assert ndjson(body) == [{"id": 1}, parse, parse, parse, "notAnObject", parse, {"id": 7}]


def test_a_last_line_that_is_cut_is_no_record() -> None:
    """What comes before it is good; the answer must be asked for again."""
    elements = read_ndjson(text_of(BytesIO(b'{"id": 1}\n{"id": 2'), None))
    assert next(elements)[0] == {"id": 1}
    with pytest.raises(BrokenAnswerError):
        next(elements)


@pytest.mark.parametrize("charset", ["iso8859-1", "utf-16", "cp1252", "utf-8", "shift_jis"])
def test_text_is_read_in_its_charset(charset: str) -> None:
    """Lines and rows in what the sender says."""
    word = "日本" if charset == "shift_jis" else "Zoë"
    assert ndjson(f'{{"n": "{word}"}}\n'.encode(charset), charset) == [{"n": word}]
    assert rows(f"n\n{word}\n".encode(charset), charset) == [{"n": word}]


@pytest.mark.parametrize(
    ("read", "before", "poison", "after", "good"),
    [
        (ndjson, b'{"id": 1}\n', b'{"s": "' + b"x" * 5_000 + b'"}\n', b'{"id": 2}\n', {"id": 2}),
        (rows, b"id\n1\n", b'"' + b'x,""\n' * 1_000 + b'"\n', b"2\n", {"id": "2"}),
        (rows, b"id\n1\n", b"x" * 5_000 + b"\r\n", b"2\n", {"id": "2"}),
        (
            xml,
            b"<orders><order><id>1</id></order>",
            b"<order><a><b>" + b"x&amp;" * 50_000 + b"</b></a></order>",
            b"<order><id>2</id></order></orders>",
            {"id": "2"},
        ),
    ],
    ids=["ndjson", "csv in quotes", "csv", "xml"],
)
def test_a_record_that_is_too_large_is_passed_over(
    read: Callable[[bytes], list[Record | str]],
    before: bytes,
    poison: bytes,
    after: bytes,
    good: Record,
) -> None:
    """The next record begins where it ends."""
    first, second, third = read(before + poison + after)
    assert isinstance(first, dict)
    assert second == "tooLarge"
    assert third == good


def test_csv_has_a_header_and_quotes() -> None:
    """RFC 4180: quotes hold delimiters, line breaks and doubled quotes; blank lines are no rows."""
    body = '\ufeffid,note\r\n1,"a, ""b""\r\nc"\r\n\r\n2,\r\n'.encode()
    assert rows(body) == [{"id": "1", "note": 'a, "b"\r\nc'}, {"id": "2", "note": ""}]
    assert rows(b"") == []
    assert rows(b"id,note\n") == []


def test_csv_options() -> None:
    """Another delimiter and quote, names of one's own, no header, no quotes."""
    assert rows(b"1;'a;b'\n", delimiter=";", quote="'", header=False, columns=["x", "y"]) == [
        {"x": "1", "y": "a;b"}
    ]
    assert rows(b"id\tid\n1\t2\n", delimiter="\t", columns=["x", "y"]) == [{"x": "1", "y": "2"}]
    assert rows(b'h\n5" pipe\n"x\n', quote="") == [{"h": '5" pipe'}, {"h": '"x'}]


def test_a_bad_row_fails_alone() -> None:
    """Too few, too many, text behind a closing quote, bytes that are no text."""
    body = b'a,b\n1,2\n3\n4,5,6\n"7"x,8\n\xff,9\n10,11\n'
    assert rows(body) == [{"a": "1", "b": "2"}, *["parse"] * 4, {"a": "10", "b": "11"}]
    text = text_of(BytesIO(body), None)
    assert messages(read_csv(text, CsvFormat()))[0] == "line 3 has 1 columns where there are 2"


@pytest.mark.parametrize(
    ("body", "options", "says"),
    [
        (b"id,id\n", {}, "two columns 'id'"),
        (b"a,b\n", {"columns": ["x"]}, "has 2 columns where 1 are named"),
        (b'"a"b\n', {}, "header cannot be read"),
    ],
    ids=["twice", "count", "malformed"],
)
def test_csv_without_clear_columns_is_an_error(body: bytes, options: Json, says: str) -> None:
    """No record could be named rightly."""
    with pytest.raises(StepFailed, match=says) as raised:
        rows(body, **options)
    assert raised.value.code == "badHeader"


@pytest.mark.parametrize("size", [SMALL, 10])
def test_csv_that_ends_within_quotes_is_broken(size: int) -> None:
    """It may be cut off, or one quote too many may have taken in good rows: never a silent loss."""
    with pytest.raises(BrokenAnswerError, match="opens on line 3 is never closed"):
        rows(b'a,b\n1,2\n3,"4\n5,6\n7,8\n', size=size)


def test_xml_elements_become_objects() -> None:
    """Attributes, text, children, repeated children, CDATA, empty elements."""
    body = b"""<?xml version="1.0"?>
    <orders xmlns:x="urn:x"><meta><order>no</order></meta>
      <order id="1"><name>A &amp; B</name><tag>a</tag><tag>b</tag><note/><x:y k="v">t</x:y></order>
      <order><![CDATA[<raw>]]></order>
      <order/>
    </orders>"""
    assert xml(body) == [
        {
            "@id": "1",
            "name": "A & B",
            "tag": ["a", "b"],
            "note": "",
            "x:y": {"@k": "v", "#text": "t"},
        },
        {"#text": "<raw>"},
        {},
    ]
    assert xml(b"<orders><order><tag>a</tag></order></orders>", arrays=["tag"]) == [{"tag": ["a"]}]
    assert xml(b"<order><id>1</id></order>", recordPath="/order") == [{"id": "1"}]
    assert xml(b"<orders/>") == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'<!DOCTYPE a [<!ENTITY x "y">]><orders><order>&x;</order></orders>', "xmlDoctype"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><orders/>', "xmlDoctype"),
        (b"<orders><order></orders>", "notXml"),
        (b"<orders><order>&nope;</order></orders>", "notXml"),
        (b"{}", "notXml"),
        (b"<a>" * 200_000, "notXml"),
        (b"<error>no</error>", "recordsMissing"),
        (b'<?xml version="1.0" encoding="nope"?><orders/>', "badCharset"),
        (b'<orders><order a="' + b"x" * 500_000 + b'"/></orders>', "recordTooLarge"),
    ],
    ids=[
        "entity",
        "file",
        "nesting",
        "unknown entity",
        "JSON",
        "deep",
        "other root",
        "encoding",
        "attribute",
    ],
)
def test_xml_that_cannot_be_read_is_a_clear_error(body: bytes, code: str) -> None:
    """Nothing is declared, read from elsewhere or guessed."""
    with pytest.raises(StepFailed) as raised:
        xml(body)
    assert raised.value.code == code


LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 10)
)
HOSTILE_XML = {
    "billion laughs": b'<!DOCTYPE orders [<!ENTITY l0 "lol">' + LAUGHS + b"]>%s&l9;",
    "file": b'<!DOCTYPE orders [<!ENTITY l9 SYSTEM "file://FILE">]>%s&l9;',
    "network": b'<!DOCTYPE orders [<!ENTITY l9 SYSTEM "http://127.0.0.1:9/">]>%s&l9;',
    "parameter": b'<!DOCTYPE orders [<!ENTITY %% p SYSTEM "file://FILE"> %%p;]>%s',
    "external subset": b'<!DOCTYPE orders SYSTEM "http://127.0.0.1:9/orders.dtd">%s',
    "public": b'<!DOCTYPE orders PUBLIC "-//X//Y" "file://FILE">%s',
}


@pytest.mark.parametrize("body", HOSTILE_XML.values(), ids=HOSTILE_XML.keys())
def test_p6_xml_that_declares_anything_is_refused(body: bytes, tmp_path: Path) -> None:
    """At its first line: no entity swells, no file is read, and no unit test may open a socket."""
    secret = tmp_path / "secret"
    secret.write_text("canary")
    whole = body % b"<orders><order>" + b"</order></orders>"
    with pytest.raises(StepFailed) as raised:
        xml(whole.replace(b"FILE", str(secret).encode()))
    assert raised.value.code == "xmlDoctype"
    assert "canary" not in str(raised.value)


def test_xml_that_is_cut_is_broken() -> None:
    """Wherever that is."""
    body = b"<orders><order id='1'>text</order></orders>"
    for length in range(len(body)):
        with pytest.raises(BrokenAnswerError):
            xml(body[:length])


def test_a_record_of_xml_that_is_nested_too_deeply_fails_alone() -> None:
    """What could not be written down later."""
    deep = limits.NESTED_ELEMENTS + 1
    body = b"<orders><order>" + b"<a>" * deep + b"</a>" * deep + b"</order><order/></orders>"
    assert xml(body, size=100_000) == ["parse", {}]


def test_xml_is_read_in_its_charset() -> None:
    """The charset of the answer goes before the declaration."""
    body = '<?xml version="1.0" encoding="utf-8"?><orders><order>é</order></orders>'
    assert xml(body.encode("iso8859-1"), "iso8859-1") == [{"#text": "é"}]
    assert xml(body.replace("utf-8", "windows-1252").encode("cp1252")) == [{"#text": "é"}]
    assert xml(body.replace("utf-8", "utf-16").encode("utf-16")) == [{"#text": "é"}]


TEXT = st.text(st.characters(codec="utf-8"))
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False)
)


@given(st.lists(st.dictionaries(TEXT, VALUES | st.lists(VALUES, max_size=3)), max_size=8))
def test_ndjson_round_trip(records: list[Record]) -> None:
    """Records that are written as lines come back as they were."""
    body = "".join(json.dumps(record) + "\n" for record in records).encode()
    assert repr(ndjson(body, size=100_000)) == repr(records)


@given(
    st.lists(TEXT, min_size=1, max_size=4, unique=True).flatmap(
        lambda columns: st.tuples(
            st.just(columns),
            st.lists(st.lists(TEXT, min_size=len(columns), max_size=len(columns)), max_size=6),
        )
    ),
    st.sampled_from([",", ";", "\t", "|", " "]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_csv_round_trip(table: tuple[list[str], list[list[str]]], delimiter: str, end: str) -> None:
    """Rows that are written quoted come back as they were, whatever they hold."""
    columns, lines = table
    text = StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([columns, *lines])
    body = text.getvalue().encode()
    expected = [dict(zip(columns, line, strict=True)) for line in lines]
    assert rows(body, size=100_000, delimiter=delimiter) == expected


NAME = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_.-]{0,8}\Z")
XML_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])).filter(
    lambda text: re.search("[\ufffe\uffff]", text) is None
)


@given(st.lists(st.dictionaries(NAME, XML_TEXT), max_size=6), NAME)
def test_xml_round_trip(records: list[dict[str, str]], attribute: str) -> None:
    """Texts in elements and attributes come back as they were."""
    written = "".join(
        "<order "
        f"{attribute}={quoteattr(str(number))}>"
        + "".join(f"<{name}>{escape(text)}</{name}>" for name, text in record.items())
        + "</order>"
        for number, record in enumerate(records)
    )
    expected = [{f"@{attribute}": str(n), **record} for n, record in enumerate(records)]
    assert xml(f"<orders>{written}</orders>".encode(), size=100_000) == expected
