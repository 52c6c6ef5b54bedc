"""Merges what a system answered into the record that goes on.

See mapping_places for how places are written.
"""

from collections.abc import Iterator

from millrace.domain.base import Json, Record
from millrace.domain.flow_parts import FieldMapping, ListMapping, ResponseMapping
from millrace.domain.mapping_places import ALL, Token, tokens


def merged(record: Record, mapping: ResponseMapping, answer: Record) -> Record:
    """The record with what the mapping takes from the answer; the given one stays as it is.

    What the answer does not have leaves the record alone. A value that stands in the way of a place
    is replaced.
    """
    for field in mapping.fields:
        for value in _values(answer, tokens(field.extract)):
            record = _with(record, tokens(field.generate), value)
    for each in mapping.lists:
        if rows := _rows(each, answer):
            record = _with(record, tokens(each.generate), rows)
    return record


def _values(document: Json, path: tuple[Token, ...]) -> Iterator[Json]:
    """The value at a place; nothing if there is none."""
    for token in path:
        match document, token:
            case dict(), str() if token in document:
                document = document[token]
            case list(), int() if token < len(document):
                document = document[token]
            case _:
                return
    yield document


def _rows(mapping: ListMapping, answer: Record) -> list[Record]:
    """An object for each element that the fields with `[*]` speak of; the others are in each."""
    spread = [field for field in mapping.fields if ALL in tokens(field.extract)]
    count = max((len(_elements(field, answer)) for field in spread), default=1)
    rows: list[Record] = [{} for _ in range(count)]
    for field in mapping.fields:
        path = tokens(field.generate)
        if field in spread:
            place = tokens(field.extract)
            rest = place[place.index(ALL) + 1 :]
            for number, element in enumerate(_elements(field, answer)):
                for value in _values(element, rest):
                    rows[number] = _with(rows[number], path, value)
        else:
            for value in _values(answer, tokens(field.extract)):
                rows = [_with(row, path, value) for row in rows]
    return [row for row in rows if row]


def _elements(field: FieldMapping, answer: Record) -> list[Json]:
    """The elements of the array in front of a field's `[*]`."""
    path = tokens(field.extract)
    found = list(_values(answer, path[: path.index(ALL)]))
    return found[0] if found and isinstance(found[0], list) else []


def _with(document: Json, path: tuple[Token, ...], value: Json) -> Record:
    name = str(path[0])
    before = document if isinstance(document, dict) else {}
    inner = value if len(path) == 1 else _with(before.get(name), path[1:], value)
    return {**before, name: inner}
