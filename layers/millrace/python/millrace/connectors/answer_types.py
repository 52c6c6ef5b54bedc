"""What an answer says of itself: its media type and charset (RFC 9110, section 8.3)."""

from email.message import Message
from typing import Final

from millrace.connectors.http_messages import HttpResponse
from millrace.connectors.texts import known_charset
from millrace.domain.errors import StepFailed
from millrace.domain.formats import Format

ACCEPTED: Final[dict[Format, str]] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson, application/json;q=0.9, */*;q=0.1",
    "csv": "text/csv, */*;q=0.1",
    "xml": "application/xml, text/xml, */*;q=0.1",
}
"""What to ask for."""

_NAMES: Final[dict[Format, str]] = {
    "json": "JSON",
    "ndjson": "lines of JSON",
    "csv": "CSV",
    "xml": "XML",
}

_LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_PAGES: Final = ("text/html", "application/xhtml+xml")


def charset_of(response: HttpResponse, expected: Format) -> str | None:
    """The charset that an answer names, if it does.

    Raises StepFailed if it says that it is something else than what was expected. Types that say
    nothing, such as text/plain, may be anything.
    """
    message = _content_type(response)
    media_type = message.get_content_type() if message["Content-Type"] else ""
    if media_type in _PAGES:
        raise StepFailed(
            "wrongContentType",
            f"the answer is a web page ({media_type}) and not {_NAMES[expected]}; "
            "it may ask to log in or show an error",
        )
    kinds = _kinds(media_type)
    if kinds and expected not in kinds:
        message_ = f"the answer is {media_type[:80]} and not {_NAMES[expected]}"
        raise StepFailed("wrongContentType", message_)
    return _known(message)


def named_charset(response: HttpResponse) -> str | None:
    """The charset that an answer names, whatever it says that it is. Raises StepFailed."""
    return _known(_content_type(response))


def _content_type(response: HttpResponse) -> Message:
    message = Message()
    message["Content-Type"] = response.headers.get("content-type", "")
    return message


def _known(message: Message) -> str | None:
    charset = message.get_param("charset")
    return known_charset(charset) if isinstance(charset, str) and charset else None


def _kinds(media_type: str) -> tuple[Format, ...]:
    """The formats that an answer of this type may be in; none: it may be in any."""
    if media_type in _LINES:
        return ("ndjson",)
    if media_type in {"application/json", "text/json"} or media_type.endswith("+json"):
        return ("json", "ndjson")
    if media_type == "text/csv":
        return ("csv",)
    if media_type in {"application/xml", "text/xml"} or media_type.endswith("+xml"):
        return ("xml",)
    return ()
