"""JSON that every parser reads alike (RFC 8259, and I-JSON's finite numbers, RFC 7493).

Refusals name line and column, as Python's own do; but for bytes that are no UTF-8, which are told
by their place, and for what is nested too deeply.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from millrace import limits
from millrace.domain.base import Json

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN|-?\d[\d.eE+-]*|[{}:]')


class _FaultError(ValueError):
    """What is wrong beyond the syntax, and which token of the text it is."""

    def __init__(self, message: str, token: str | None = None, *, twice: str | None = None) -> None:
        super().__init__(message)
        self.token = token
        self.twice = twice


def parse_json(data: bytes, *, strict: bool = False) -> Json:
    """The value of a JSON text in UTF-8.

    Raises:
        ValueError: as `parse_text`; if strict, also if a key appears twice in one object, or a text
            is no Unicode (half a surrogate pair), which parsers read differently.
    """
    text = data.decode()
    value = _parsed(text, _unique if strict else None)
    if strict and _SURROGATE.search(data) and _has_half(value):
        at = next(
            token.start()
            for token in _TOKEN.finditer(text)
            if token[0].startswith('"') and _has_half(json.loads(token[0]))
        )
        message = "it holds half a surrogate pair, which is no Unicode text"
        raise ValueError(f"{message}: {_place(text, at)}")
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
    except _FaultError as fault:
        raise ValueError(f"{fault}: {_place(text, _found(text, fault))}") from fault
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
        raise _FaultError(f"the key {twice!r} appears twice in one object", twice=twice)
    return found


def _refuse(name: str) -> NoReturn:
    raise _FaultError(f"{name} is not JSON", name)


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _FaultError(f"the number {text[:32]} is too large", text)
    return number


def _found(text: str, fault: _FaultError) -> int:
    """Where the text has what is wrong with it; up to there, it is JSON."""
    keys: list[set[str]] = []
    string, at = "", 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case fault.token:
                return token.start()
            case "{":
                keys.append(set())
            case "}":
                keys.pop()
            case ":":
                key = json.loads(string)
                if key == fault.twice and key in keys[-1]:
                    return at
                keys[-1].add(key)
            case other:
                string, at = other, token.start()
    return 0


def _has_half(value: Json) -> bool:
    """Whether there is a text that no encoding of Unicode can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _place(text: str, at: int) -> str:
    """As Python says it of malformed JSON."""
    line = text.count("\n", 0, at) + 1
    return f"line {line} column {at - text.rfind('\n', 0, at)}"
