"""Bytes as text: by their byte order mark, else as the sender says, else UTF-8.

A byte that is no text in its charset becomes half a surrogate pair (PEP 383), so that one such byte
spoils its record and not the whole answer.
"""

import codecs
import json
import re
from io import TextIOWrapper
from typing import IO, Final

from millrace.connectors.http_client import BrokenAnswerError
from millrace.domain.errors import StepFailed

RAW_BYTE: Final = re.compile("[\udc80-\udcff]")
"""What stands for a byte that is no text."""

_CHARSETS: Final = re.compile(
    r"utf-8(-sig)?|utf-(16|32)(-[bl]e)?|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|mac-roman"
    r"|shift_jis|euc_(jp|kr)|gbk|gb2312|gb18030|big5|iso2022_(jp|kr)"
)
"""Python's names of them. It knows other codecs, some of which decode no text."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 first: its little-endian mark begins as that of UTF-16."""


def known_charset(name: str) -> str:
    """A charset's name as Python knows it. Raises StepFailed."""
    try:
        found = codecs.lookup(name).name
    except LookupError:
        found = ""
    if not _CHARSETS.fullmatch(found):
        raise StepFailed("unknownCharset", f"no charset '{name[:40]}' is known")
    return found


def decoded_json(body: bytes, charset: str | None) -> tuple[str, bool]:
    """The text of a JSON answer, and whether all of it is text.

    Without a charset it may be in UTF-16 or UTF-32 as well: JSON shows which (RFC 4627, section 3).
    Raises BrokenAnswerError if it ends within a character, StepFailed if it cannot be read.
    """
    encoding = _marked(body) or charset or json.detect_encoding(body)
    try:
        return body.decode(encoding), True
    except UnicodeDecodeError as error:
        if error.end == len(body):
            raise BrokenAnswerError("the answer ends within a character") from error
    try:
        return body.decode(encoding, "surrogateescape"), False
    except UnicodeDecodeError as error:
        raise not_text(encoding) from error


def text_of(file: IO[bytes], charset: str | None) -> TextIOWrapper:
    """A file as text, its line ends as they are."""
    encoding = _marked(_beginning(file)) or charset or "utf-8"
    return TextIOWrapper(file, encoding, errors="surrogateescape", newline="")


def is_marked(file: IO[bytes]) -> bool:
    """Whether a file begins with a byte order mark."""
    return _marked(_beginning(file)) is not None


def _beginning(file: IO[bytes]) -> bytes:
    beginning = file.read(4)
    file.seek(0)
    return beginning


def not_text(encoding: str) -> StepFailed:
    """The answer cannot be read in its charset."""
    return StepFailed(
        "badCharset", f"the answer is not in the charset {encoding.removesuffix('-sig')}"
    )


def _marked(beginning: bytes) -> str | None:
    return next((name for mark, name in _MARKS if beginning.startswith(mark)), None)
