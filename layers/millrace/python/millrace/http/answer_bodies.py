"""Records as the body of an answer, in the formats of callbacks."""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from millrace.domain.address import AnswerFormat
from millrace.domain.base import Json, Record

CONTENT_TYPES: Final[Mapping[AnswerFormat, str]] = {
    "json": "application/json",
    "xml": "application/xml",
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}

_XML_NAME: Final = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def body_of(records: Sequence[Record], form: AnswerFormat) -> str:
    """The records in a format.

    json: an array. csv: a row each, with the columns of all of them. xml: `<records>` with a
    `<record>` each. txt: a line each, its `value` if that is all it has.
    """
    match form:
        case "json":
            return json_of(records)
        case "csv":
            return readable(_csv(records))
        case "xml":
            inner = "".join(_element("record", each) for each in records)
            return f"<?xml version='1.0' encoding='utf-8'?>\n<records>{inner}</records>"
        case "txt":
            return readable("".join(f"{_line(each)}\n" for each in records))


def _csv(records: Sequence[Record]) -> str:
    columns = list(dict.fromkeys(name for each in records for name in each))
    out = StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    if columns:
        rows.writerow(columns)
        rows.writerows([text_of(each.get(name)) for name in columns] for each in records)
    return out.getvalue()


def _line(record: Record) -> str:
    return text_of(record["value"]) if record.keys() == {"value"} else json_of(record)


def json_of(value: Json | Sequence[Record]) -> str:
    """JSON with letters as they are; half a surrogate pair, which UTF-8 cannot hold, is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if _HALF_PAIR.search(text) else text


def readable(text: str) -> str:
    """A text with what UTF-8 cannot hold replaced."""
    return _HALF_PAIR.sub("\ufffd", text)


def text_of(value: Json) -> str:
    """A text as it is, nothing for null, all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json_of(value)


def _element(name: str, value: Json) -> str:
    """A value as an element; a name that no element can have becomes the attribute of one."""
    if isinstance(value, dict):
        inner = "".join(_members(value.items()))
    else:
        inner = escape(_NOT_XML.sub("\ufffd", text_of(value)))
    if _XML_NAME.fullmatch(name):
        return f"<{name}>{inner}</{name}>"
    return f"<field name={quoteattr(_NOT_XML.sub('\ufffd', name))}>{inner}</field>"


def _members(items: Iterable[tuple[str, Json]]) -> Iterable[str]:
    for name, value in items:
        for each in value if isinstance(value, list) else [value]:
            yield _element(name, each)
