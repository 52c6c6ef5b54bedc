"""JSON as other systems send it: strict about what JSON cannot say, clear about what is missing."""

import json
import math
from itertools import islice
from json import JSONDecodeError
from typing import Final, NoReturn

from millrace.connectors.http_client import BrokenAnswerError
from millrace.domain.base import Json
from millrace.domain.errors import StepFailed

_LONGEST_TOKEN: Final = len("\\u00e9")
"""A cut within a token of this length leaves the parser that far from the end."""

_KEYS_SHOWN: Final = 10
_INDEX_DIGITS_MAX: Final = 9


def parse(body: bytes) -> Json:
    """The document, integers kept exactly.

    Raises BrokenAnswerError if the text looks cut off, and StepFailed if it is no JSON: NaN,
    Infinity and numbers too large for a double included, since no JSON text could hold them again.
    """
    try:
        return json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except JSONDecodeError as error:
        place = f"{error.msg}, line {error.lineno}, column {error.colno}"
        is_in_string = error.msg.startswith("Unterminated string")
        if is_in_string or len(error.doc) - error.pos < _LONGEST_TOKEN:
            raise BrokenAnswerError(f"the answer is not whole JSON ({place})") from error
        raise StepFailed("notJson", f"the answer is not JSON ({place})") from error
    except UnicodeDecodeError as error:
        if error.end == len(body):
            raise BrokenAnswerError("the answer ends within a character") from error
        raise StepFailed("notJson", "the answer is not in UTF-8, UTF-16 or UTF-32") from error
    except ValueError as error:
        raise StepFailed("notJson", f"the answer is not JSON: {error}") from error
    except RecursionError as error:
        raise StepFailed("notJson", "the answer is nested too deeply") from error


def resolve(document: Json, pointer: str) -> Json:
    """The value at a JSON Pointer (RFC 6901).

    Raises LookupError, whose message says how far the pointer leads and what stands there.
    """
    value = document
    path = ""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _is_index(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            place = f"at '{path}'" if path else "the whole document"
            raise LookupError(f"{place} is {describe(value)}")
        path = f"{path}/{token}"
    return value


def describe(value: Json) -> str:
    """What a value is, in words for a message, without its data."""
    match value:
        case dict():
            names = ", ".join(f"'{name[:40]}'" for name in islice(value, _KEYS_SHOWN))
            return f"an object with {names or 'no members'}"
        case list():
            return f"an array of {len(value)}"
        case str():
            return "a string"
        case None | True | False:
            return json.dumps(value)
        case _:
            return "a number"


def _is_index(name: str) -> bool:
    """RFC 6901, section 4: digits without leading zeros; longer ones no array reaches."""
    is_number = name.isascii() and name.isdigit() and len(name) <= _INDEX_DIGITS_MAX
    return is_number and (name == "0" or name[0] != "0")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large for a double")
    return number
