"""Places in answers and records, as response mappings name them.

A place is a path of names: `_json.order.id`. `[0]` is an element of an array, `[*]` all of them,
and any other text in brackets is a name that holds dots or spaces: `_json.[First Name]`.
"""

import re
from enum import Enum
from functools import lru_cache
from typing import Final


class Every(Enum):
    """Stands for all elements of an array."""

    ELEMENT = "*"


ALL: Final = Every.ELEMENT

type Token = str | int | Every

_TOKEN: Final = re.compile(r"\.?(?:\[([^\[\]]+)\]|([^.\[\]]+))")
_INDEX_DIGITS_MAX: Final = 9


@lru_cache(maxsize=1_024)
def tokens(place: str) -> tuple[Token, ...]:
    """The parts of a place. Raises ValueError if it is none."""
    found: list[Token] = []
    end = 0
    while end < len(place):
        match = None if end == 0 and place[0] == "." else _TOKEN.match(place, end)
        if match is None:
            msg = f"{place!r} is no place; write names with dots between them, such as data[0].id"
            raise ValueError(msg)
        bracketed, name = match.groups()
        found.append(name if bracketed is None else _bracketed(bracketed))
        end = match.end()
    return tuple(found)


def _bracketed(text: str) -> Token:
    if text == "*":
        return ALL
    is_index = text.isascii() and text.isdigit() and len(text) <= _INDEX_DIGITS_MAX
    return int(text) if is_index else text
