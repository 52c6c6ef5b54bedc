"""Places in JSON documents, and words for what stands there."""

import json
from dataclasses import dataclass
from itertools import islice
from typing import Final

from millrace.domain.base import Json
from millrace.domain.errors import StepFailed

_KEYS_SHOWN: Final = 10
_KEY_SHOWN: Final = 40
_INDEX_DIGITS_MAX: Final = 9


@dataclass(frozen=True, slots=True)
class Unfit:
    """Stands in a document for a value that cannot be kept."""

    why: str


class Doubled(dict[str, Json]):
    """An object in which a key stands twice; it holds the last value of each."""

    def __init__(self, pairs: list[tuple[str, Json]]) -> None:
        super().__init__()
        self.twice = ""
        for name, value in pairs:
            if name in self:
                self.twice = name
            self[name] = value


def resolve(document: Json, pointer: str) -> Json:
    """The value at a JSON Pointer (RFC 6901).

    Raises LookupError, whose message says how far the pointer leads and what stands there, and
    StepFailed if it leads through an object that has a key twice.
    """
    value = document
    path = ""
    for token in pointer.split("/")[1:]:
        name = _name(token)
        if isinstance(value, Doubled):
            message = f"{_place(path)} has the key '{short(value.twice)}' twice"
            raise StepFailed("duplicateKey", message)
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _is_index(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            raise LookupError(f"{_place(path)} is {describe(value)}")
        path = f"{path}/{token}"
    return value


def replaced(document: Json, pointer: str, value: Json) -> Json:
    """The document with another value at a JSON Pointer; objects on the way are made.

    Raises LookupError if something else stands in the way.
    """
    return _replaced(document, pointer.split("/")[1:], value)


def _replaced(document: Json, tokens: list[str], value: Json) -> Json:
    if not tokens:
        return value
    before = {} if document is None else document
    if not isinstance(before, dict):
        message = f"in the way of '{_name(tokens[0])}' is {describe(before)}"
        raise LookupError(message)  # noqa: TRY004 - what `resolve` raises for the same
    name = _name(tokens[0])
    return {**before, name: _replaced(before.get(name), tokens[1:], value)}


def describe(value: Json) -> str:
    """What a value is, in words for a message, without its data."""
    match value:
        case dict():
            names = ", ".join(f"'{short(name)}'" for name in islice(value, _KEYS_SHOWN))
            return f"an object with {names or 'no members'}"
        case list():
            return f"an array of {len(value)}"
        case str():
            return "a string"
        case None | True | False:
            return json.dumps(value)
        case _:
            return "a number"


def short(name: str) -> str:
    """As much of a key as a message shows."""
    return name[:_KEY_SHOWN]


def _place(path: str) -> str:
    return f"at '{path}'" if path else "the whole document"


def _name(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def _is_index(name: str) -> bool:
    """RFC 6901, section 4: digits without leading zeros; longer ones no array reaches."""
    is_number = name.isascii() and name.isdigit() and len(name) <= _INDEX_DIGITS_MAX
    return is_number and (name == "0" or name[0] != "0")
