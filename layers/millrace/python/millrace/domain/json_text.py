"""JSON that every parser reads alike (RFC 8259, and I-JSON's finite numbers, RFC 7493)."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from millrace import limits
from millrace.domain.base import Json

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(data: bytes, *, strict: bool = False) -> Json:
    """The value of a JSON text in UTF-8.

    Raises:
        ValueError: as `parse_text`; if strict, also if a key appears twice in one object, or a text
            is no Unicode (half a surrogate pair), which parsers read differently.
    """
    value = _parsed(data.decode(), _unique if strict else None)
    if strict and _SURROGATE.search(data):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            message = "it holds half a surrogate pair, which is no Unicode text"
            raise ValueError(message) from error
    return value


def parse_text(text: str) -> Json:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, it holds NaN or a number beyond what floats hold, or it is nested
            more deeply than a request may be.
    """
    return _parsed(text, None)


def _parsed(text: str, hook: Callable[[list[tuple[str, Json]]], Json] | None) -> Json:
    try:
        value = json.loads(
            text,
            object_pairs_hook=hook,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if is_deep(value):
        raise ValueError(f"it is nested too deeply, beyond {limits.REQUEST_LEVELS} levels")
    return value


def is_deep(value: Json, levels: int = limits.REQUEST_LEVELS) -> bool:
    """Whether a value is nested more deeply; if nothing is said, than a request may be."""
    level = [value]
    for _ in range(levels):
        level = [
            inner for outer in level for inner in _within(outer) if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _within(value: Json) -> Iterable[Json]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:32]} is too large")
    return number
