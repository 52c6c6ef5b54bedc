"""JSON decoded such that nothing is changed without a word.

Most parsers keep the last of two equal keys, read NaN though JSON has none, and round what no
double holds. Here such a value is marked in the document, so that the one record that it belongs
to can be told from the others.
"""

import json
import math
from collections.abc import Sequence
from json import JSONDecodeError
from typing import Final

from pydantic_core import from_json, to_json

from millrace.connectors.http_client import BrokenAnswerError
from millrace.connectors.json_documents import Doubled, Unfit, describe, short
from millrace.connectors.texts import RAW_BYTE, decoded_json
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.quick_json import Dumped
from millrace.domain.records import PARSE, RecordError

_LONGEST_TOKEN = len("\\u00e9")
"""A cut within a token of this length leaves the parser that far from the end."""


class ExactDecoder:
    """Decodes one document after the other; remembers of the last one whether all can be kept."""

    def __init__(self) -> None:
        self._is_fit = True
        self._is_text = True
        # Python refuses to read integers of more than 4,300 digits. Few documents hold any, and a
        # hook for each integer costs more than all others.
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_float=self._float
        )
        self._patient = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_float=self._float,
            parse_int=self._int,
        )

    def answer(self, body: bytes, charset: str | None = None) -> Json:
        """The document that a whole answer holds.

        Raises BrokenAnswerError if the text looks cut off, and StepFailed if it is no JSON.
        """
        if charset in _QUICK_CHARSETS:
            try:
                document = _quickly(body)
            except ValueError:
                pass
            else:
                self._is_fit = self._is_text = True
                return document
        text, is_text = decoded_json(body, charset)
        try:
            document = self._decode(text)
        except JSONDecodeError as error:
            place = f"{error.msg}, line {error.lineno}, column {error.colno}"
            if _looks_cut(error):
                raise BrokenAnswerError(f"the answer is not whole JSON ({place})") from error
            raise StepFailed("notJson", f"the answer is not JSON ({place})") from error
        except RecursionError as error:
            raise StepFailed("notJson", "the answer is nested too deeply") from error
        self._is_text = is_text
        return document

    def line(self, line: str, *, is_last: bool = False) -> Record | RecordError:
        """The record that a line holds, or why it holds none.

        Raises BrokenAnswerError if it is the last one and looks cut off.
        """
        if not line.isascii() and RAW_BYTE.search(line):
            return RecordError(PARSE, "the line holds bytes that are no text in its charset")
        self._is_text = True
        try:
            return self.record(self._decode(line))
        except JSONDecodeError as error:
            place = f"{error.msg}, column {error.colno}"
            if is_last and _looks_cut(error):
                raise BrokenAnswerError(f"the last line is not whole JSON ({place})") from error
            return RecordError(PARSE, f"the line is not JSON ({place})")
        except RecursionError:
            return RecordError(PARSE, "the record is nested too deeply")

    def records(self, elements: list[Json]) -> Sequence[Record | RecordError]:
        """The records that elements of the last document are, or why they are none."""
        if self._is_fit and self._is_text and set(map(type, elements)) <= {dict}:
            return elements
        return [self.record(element) for element in elements]

    def record(self, element: Json) -> Record | RecordError:
        """The record that an element of the last document is, or why it is none."""
        if not (self._is_fit and self._is_text) and (fault := self._fault(element)):
            return RecordError(PARSE, f"the record cannot be kept as it is: {fault}")
        if isinstance(element, dict):
            return element
        return RecordError("notAnObject", f"a record is an object; this is {describe(element)}")

    def _decode(self, text: str) -> Json:
        self._is_fit = True
        try:
            return self._decoder.decode(text)
        except JSONDecodeError:
            raise
        except ValueError:
            return self._patient.decode(text)

    def _fault(self, element: Json) -> str | None:
        pending = [element]
        while pending:
            value = pending.pop()
            match value:
                case Unfit():
                    return value.why
                case Doubled():
                    return f"an object in it has the key '{short(value.twice)}' twice"
                case dict():
                    pending.extend(value)
                    pending.extend(value.values())
                case list():
                    pending.extend(value)
                case str() if not self._is_text and RAW_BYTE.search(value):
                    return "it holds bytes that are no text in the answer's charset"
                case _:
                    pass
        return None

    def _unfit(self, why: str) -> Unfit:
        self._is_fit = False
        return Unfit(why)

    def _object(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self._is_fit = False
        return Doubled(pairs)

    def _constant(self, name: str) -> Unfit:
        return self._unfit(f"{name} is not a JSON value")

    def _float(self, text: str) -> float | Unfit:
        number = float(text)
        return (
            number if math.isfinite(number) else self._unfit("a number is too large for a double")
        )

    def _int(self, text: str) -> int | Unfit:
        try:
            return int(text)
        except ValueError:
            return self._unfit(f"an integer has {len(text.lstrip('-')):,} digits")


_QUICK_CHARSETS: Final = (None, "utf-8")
_COLON: Final = b":"
_INFINITE: Final = b"Infinity"
_ESCAPED_COLON: Final = b"\\u003"


def _quickly(body: bytes) -> Json:
    """The document, if it can be seen at once that nothing in it is lost.

    pydantic's parser takes a fraction of the time, but keeps the last of two equal keys. There is a
    colon for each key, and those within texts are the same in what was read and in what comes out
    when it is written again. So the same number of colons means that no key was lost, unless an
    escape hides one. Raises ValueError if that is so, or for what this parser does not take.

    What was written is not thrown away: the array of records, where it is not far down, keeps it.
    """
    document = from_json(body, allow_inf_nan=False, cache_strings="keys")
    texts: list[bytes] = []

    def written(value: Json) -> bytes:
        texts.append(to_json(value, inf_nan_mode="constants"))
        return texts[-1]

    match document:
        case list():
            document = Dumped(document, written(document))
        case dict():
            lists = {key: value for key, value in document.items() if isinstance(value, list)}
            written({key: None if key in lists else value for key, value in document.items()})
            document |= {key: Dumped(value, written(value)) for key, value in lists.items()}
        case _:
            written(document)
    is_whole = body.count(_COLON) == sum(text.count(_COLON) for text in texts)
    # A number that no double holds is read as infinite.
    if not is_whole or _ESCAPED_COLON in body or any(_INFINITE in text for text in texts):
        raise ValueError
    return document


def _looks_cut(error: JSONDecodeError) -> bool:
    is_in_string = error.msg.startswith("Unterminated string")
    return is_in_string or len(error.doc) - error.pos < _LONGEST_TOKEN
