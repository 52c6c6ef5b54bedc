"""JSON for what we write and read again ourselves: quick, and exact for whatever records can hold.

pydantic's Rust does most of it, some three times as fast as the standard library, which takes over
where the former refuses: half a surrogate pair, deep nesting.
"""

import json
from collections.abc import Iterable

from pydantic_core import from_json, to_json

from millrace.domain.base import Json


class Dumped(list[Json]):
    """A list beside its JSON, as `dump` writes it, so that it need not be written again.

    Whoever has one leaves it and what it holds as they are.
    """

    __slots__ = ("text",)

    def __init__(self, items: Iterable[Json], text: bytes) -> None:
        super().__init__(items)
        self.text = text


def dump(value: Json) -> bytes:
    """Compact JSON in UTF-8; half a surrogate pair and NaN are written as Python does."""
    if isinstance(value, Dumped):
        return value.text
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")


def load(data: bytes) -> Json:
    """The value that `dump` wrote."""
    try:
        return from_json(data, cache_strings="keys")
    except ValueError:
        return json.loads(data.decode("utf-8", "surrogatepass"))
