"""Requests to public addresses, and the record that a flow gets of one."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.json_text import parse_json
from millrace.domain.repeated import add_repeated
from millrace.domain.xml_text import parse_xml

_PRIVATE_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "api-key"})
_XML: Final = frozenset({"application/xml", "text/xml"})
_TEXTS: Final = frozenset(
    {
        "",
        "application/csv",
        "application/graphql",
        "application/javascript",
        "application/jsonl",
        "application/ndjson",
        "application/x-ndjson",
        "application/yaml",
    }
)
"""Types that are text, beside those that say so."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to a public address; header names in lower case, the body as it came."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """What the body is said to be."""
        return self.headers.get("content-type", "")


def delivered(delivery: Delivery, *private_headers: str) -> dict[str, Json]:
    """A delivery as the flow's input record, without what proves the sender's identity.

    Raises ValueError if the body is not what its content type says.
    """
    private = _PRIVATE_HEADERS | {name.lower() for name in private_headers}
    return {
        "method": delivery.method,
        "headers": {name: value for name, value in delivery.headers.items() if name not in private},
        "query": dict(delivery.query),
        "body": read_body(delivery.body, delivery.content_type),
    }


def read_body(body: bytes, content_type: str) -> Json:
    """The body as its content type says: JSON, XML and forms are read, text is text.

    All else is `{"base64": ...}`, as is text that is none. Raises ValueError.
    """
    if not body:
        return None
    media_type, charset = _parts(content_type)
    if media_type == "application/json" or media_type.endswith("+json"):
        return parse_json(body, strict=True)
    if media_type in _XML or media_type.endswith("+xml"):
        return parse_xml(body, charset)
    if media_type == "application/x-www-form-urlencoded":
        return _form(body)
    if media_type in _TEXTS or media_type.startswith("text/"):
        try:
            return body.decode(charset or "utf-8")
        except (LookupError, UnicodeDecodeError):
            pass
    return {"base64": base64.b64encode(body).decode()}


def _parts(content_type: str) -> tuple[str, str | None]:
    """Media type and charset, in lower case."""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    named = dict(part.partition("=")[::2] for part in parameters)
    return media_type, named.get("charset", "").strip("\"' ") or None


def _form(body: bytes) -> dict[str, Json]:
    """The fields of a form; one that stands several times is an array."""
    fields: dict[str, Json] = {}
    pairs = parse_qsl(
        body.decode(),
        keep_blank_values=True,
        errors="strict",
        max_num_fields=limits.FORM_FIELDS,
    )
    for name, value in pairs:
        add_repeated(fields, name, value)
    return fields
