"""JSON for what we write and read again ourselves: quick, and exact for whatever records can hold.

pydantic's Rust does most of it, some three times as fast as the standard library, which takes over
where the former refuses: half a surrogate pair, deep nesting.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

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


class Unread(Sequence[Json]):
    """A list of objects of which only the JSON is there, in lines as `dump_lines` writes them.

    It is read when somebody looks at an object. Whoever hands it on never does; nor who hands on a
    part of it, where each object has a line of its own.
    """

    def __init__(self, lines: Sequence[bytes], count: int) -> None:
        self.lines = lines
        self._count = count

    @cached_property
    def text(self) -> bytes:
        """The JSON of the list."""
        return joined(self.lines)

    @cached_property
    def _items(self) -> list[Json]:
        items: list[Json] = load(self.text)
        return items

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Json: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Json]: ...

    def __getitem__(self, place: int | slice) -> Json:
        if isinstance(place, slice):
            if range(self._count)[place] == range(self._count):
                return self
            if len(self.lines) == self._count:
                lines = self.lines[place]
                return Unread(lines, len(lines))
        return self._items[place]

    def __iter__(self) -> Iterator[Json]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._items == [*other]

    __hash__ = None  # type: ignore[assignment]  # as a list has none


def dump(value: Json) -> bytes:
    """Compact JSON in UTF-8; half a surrogate pair and NaN are written as Python does."""
    if isinstance(value, Dumped | Unread):
        return value.text
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")


def joined(lines: Iterable[bytes]) -> bytes:
    """The JSON of the list that lines hold."""
    texts = (line[1:-1] if line.startswith(b"[") else line for line in lines)
    return b"[" + b",".join(texts) + b"]"


def dump_lines(values: Sequence[Json]) -> bytes:
    """Lines of JSON: an object each where they are apart already, else an array of some."""
    return b"\n".join(values.lines) if isinstance(values, Unread) else dump(values)


def load(data: bytes) -> Json:
    """The value that `dump` wrote."""
    try:
        return from_json(data, cache_strings="keys")
    except ValueError:
        return json.loads(data.decode("utf-8", "surrogatepass"))
