"""JSON that every parser reads alike (RFC 8259, and I-JSON's finite numbers, RFC 7493)."""

import json
import math
from typing import NoReturn

from millrace.domain.base import Json


def parse_json(data: bytes, *, unique_keys: bool = False) -> Json:
    """The value of a JSON text in UTF-8.

    Raises:
        ValueError: it is no JSON, it holds NaN or a number beyond what floats hold, it is nested
            too deeply, or, if asked for, a key appears twice in one object.
    """
    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=_unique if unique_keys else None,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:32]} is too large")
    return number
