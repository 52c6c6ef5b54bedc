"""Reads a flow file so that every later complaint can name its line and column.

A file is YAML or JSON and stands for exactly one JSON document. YAML is read by its 1.2 core
schema (`yes` and `2026-01-31` are text), and what has no meaning in JSON or hides what is written
is refused: tags, anchors and aliases, several documents, duplicate keys, `.nan` and `.inf`.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from millrace_cli.errors import CliError

type Json = Any
type Position = tuple[int, int]
"""Line and column, both counted from 1."""

_DEPTH_MAX = 100
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}?")


@dataclass(frozen=True, slots=True)
class Source:
    """A decoded file and where each of its parts stands."""

    name: str
    document: Json
    positions: Mapping[str, Position]
    """JSON Pointer (RFC 6901) to the place of the value, or of its key if it is a collection."""

    def complain(self, pointer: str, message: str, remedy: str | None = None) -> str:
        """`FILE:LINE:COL: message (remedy)`; a part that is missing is placed at its parent."""
        while pointer not in self.positions and pointer:
            pointer = pointer.rpartition("/")[0]
        line, column = self.positions.get(pointer, (1, 1))
        return _complaint(self.name, line, column, message, remedy)


def read_source(path: Path) -> Source:
    """Read and decode one file.

    Raises:
        CliError: it cannot be read, or is not one JSON-like document; one line for each fault.
    """
    text = _read_text(path)
    if path.suffix.lower() == ".json":
        return _from_json(str(path), text)
    return _from_yaml(str(path), text)


def substitute(source: Source, environment: Mapping[str, str] = os.environ) -> Source:
    """Replace `${NAME}` and `${NAME:-default}` in every string value, as a shell would.

    Replacement happens after parsing, so a value can never change the shape of the document.

    Raises:
        CliError: a name is not set and has no default; one line for each.
    """
    faults: list[str] = []

    def replace(text: str, pointer: str) -> str:
        def value_of(match: re.Match[str]) -> str:
            name, default = match[1], match[2]
            if name is None:
                remedy = "write ${NAME} or ${NAME:-default}"
                faults.append(source.complain(pointer, f"{match[0]} is not a name", remedy))
            elif name in environment:
                return environment[name]
            elif default is not None:
                return default
            else:
                remedy = f"export {name}=... and try again"
                faults.append(
                    source.complain(pointer, f"environment variable {name} is not set", remedy)
                )
            return ""

        return _REFERENCE.sub(value_of, text)

    document = _map_strings(source.document, "", replace)
    if faults:
        raise CliError(*faults)
    return Source(source.name, document, source.positions)


def read_json(path: Path) -> Json:
    """Decode one JSON file; `-` is standard input.

    Raises:
        CliError: it cannot be read or is not JSON.
    """
    if str(path) == "-":
        return _decode_json("standard input", sys.stdin.read())
    return _decode_json(str(path), _read_text(path))


def _complaint(name: str, line: int, column: int, message: str, remedy: str | None) -> str:
    return f"{name}:{line}:{column}: {message}" + (f" ({remedy})" if remedy else "")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CliError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from None


# JSON


def _from_json(name: str, text: str) -> Source:
    document = _decode_json(name, text)
    try:
        _refuse_beyond_json(name, text)
        # JSON is almost a subset of YAML; where it is not, only the positions are lost.
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError:
        node = None
    reader = _NodeReader(name)
    if node is not None:
        reader.read(node, "")
    return Source(name, document, reader.positions)


def _decode_json(name: str, text: str) -> Json:
    def no_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        members = dict(pairs)
        if len(members) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise CliError(f"{name}: the key {twice!r} stands twice in one object; remove one")
        return members

    def refuse(constant: str) -> Json:
        raise CliError(f"{name}: {constant} is not a JSON value")

    try:
        return json.loads(text, object_pairs_hook=no_duplicates, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise CliError(
            _complaint(name, error.lineno, error.colno, f"not JSON: {error.msg}", None)
        ) from None
    except RecursionError:
        raise CliError(f"{name} is nested too deeply") from None


# YAML


class _CoreLoader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema of YAML 1.2 instead of YAML 1.1."""


_CoreLoader.yaml_implicit_resolvers = {}

for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        (
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _from_yaml(name: str, text: str) -> Source:
    try:
        _refuse_beyond_json(name, text)
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        line, column = _place(error.problem_mark or error.context_mark)
        problem = error.problem or error.context or "cannot be read"
        raise CliError(_complaint(name, line, column, f"not YAML: {problem}", None)) from None
    except yaml.YAMLError as error:
        raise CliError(f"{name}: not YAML: {str(error).splitlines()[0]}") from None
    if node is None:
        raise CliError(f"{name} is empty")
    reader = _NodeReader(name)
    document = reader.read(node, "")
    if reader.faults:
        raise CliError(*reader.faults)
    return Source(name, document, reader.positions)


def _refuse_beyond_json(name: str, text: str) -> None:
    faults = []
    documents = depth = 0
    for event in yaml.parse(text, Loader=_CoreLoader):
        fault = None
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH_MAX:
            raise CliError(f"{name} is nested too deeply: the limit is {_DEPTH_MAX} levels")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                fault = "a second document", "keep one document to a file"
        elif isinstance(event, yaml.AliasEvent):
            fault = f"alias *{event.anchor}", "write the value out"
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            fault = f"anchor &{event.anchor}", "write the value where it is used"
        elif tag := getattr(event, "tag", None):
            fault = f"tag {tag}", 'remove it; quote text like "this"'
        if fault:
            line, column = _place(event.start_mark)
            faults.append(_complaint(name, line, column, f"{fault[0]} is not allowed", fault[1]))
    if faults:
        raise CliError(*faults)


class _NodeReader:
    """Turns YAML nodes into JSON values and notes the place of each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.positions: dict[str, Position] = {}
        self.faults: list[str] = []

    def read(self, node: yaml.Node, pointer: str, key: yaml.Node | None = None) -> Json:
        scalar = isinstance(node, yaml.ScalarNode)
        self.positions[pointer] = _place((key if key and not scalar else node).start_mark)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, pointer)
            case yaml.SequenceNode():
                return [self.read(item, f"{pointer}/{i}") for i, item in enumerate(node.value)]
            case _:
                return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, pointer: str) -> dict[str, Json]:
        members: dict[str, Json] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._report(key, "a key must be text")
                continue
            if key.value in members:
                self._report(key, f"the key {key.value!r} stands twice", "remove one of them")
            escaped = key.value.replace("~", "~0").replace("/", "~1")
            members[key.value] = self.read(value, f"{pointer}/{escaped}", key)
        return members

    def _scalar(self, node: yaml.Node) -> Json:
        text: str = node.value
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, 0) if text.startswith(("0o", "0x")) else self._integer(node)
            case "float":
                number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
                if number - number != 0:
                    self._report(node, f"{text} is not a JSON number")
                return number
            case _:
                return text

    def _integer(self, node: yaml.Node) -> int | None:
        try:
            return int(node.value)
        except ValueError:  # beyond Python's limit on digits
            self._report(node, f"a number of {len(node.value)} digits", "quote it if it is text")
            return None

    def _report(self, node: yaml.Node, message: str, remedy: str | None = None) -> None:
        line, column = _place(node.start_mark)
        self.faults.append(_complaint(self.name, line, column, message, remedy))


class _Mark(Protocol):
    """What the marks of PyYAML's two parsers have in common; both count from 0."""

    line: int
    column: int


def _place(mark: _Mark | None) -> Position:
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _map_strings(value: Json, pointer: str, change: Callable[[str, str], str]) -> Json:
    match value:
        case str():
            return change(value, pointer)
        case list():
            return [_map_strings(item, f"{pointer}/{i}", change) for i, item in enumerate(value)]
        case dict():
            return {
                key: _map_strings(
                    item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", change
                )
                for key, item in value.items()
            }
        case _:
            return value
