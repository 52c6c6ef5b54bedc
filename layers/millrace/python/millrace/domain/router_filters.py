"""Filters of routers: S-expressions as JSON arrays, turned into JSONata.

`["equals", ["string", ["extract", "status"]], "open"]` becomes `($string(`status`) = "open")`.
"""

import json
from collections.abc import Sequence
from typing import Final

from millrace.domain.base import Json

_DEEPEST: Final = 30

# Each argument stands once, or a filter nested in itself would grow without bounds.
_EMPTY: Final = '($v := {0}; $not($exists($v)) or $v = null or $v = "" or $v = [])'

_TEMPLATES: Final = {
    ("string", 1): "$string({0})",
    ("number", 1): "$number({0})",
    ("boolean", 1): "$boolean({0})",
    ("lowercase", 1): "$lowercase({0})",
    ("uppercase", 1): "$uppercase({0})",
    ("trim", 1): "$trim({0})",
    ("not", 1): "$not({0})",
    ("empty", 1): _EMPTY,
    ("notempty", 1): f"$not({_EMPTY})",
    ("equals", 2): "({0} = {1})",
    ("notequals", 2): "({0} != {1})",
    ("greaterthan", 2): "({0} > {1})",
    ("greaterthanequals", 2): "({0} >= {1})",
    ("lessthan", 2): "({0} < {1})",
    ("lessthanequals", 2): "({0} <= {1})",
    ("contains", 2): "$contains({0}, {1})",
    ("doesnotcontain", 2): "$not($contains({0}, {1}))",
    ("startswith", 2): "($p := {1}; $substring({0}, 0, $length($p)) = $p)",
    ("endswith", 2): ("($t := {0}; $p := {1}; $substring($t, $length($t) - $length($p)) = $p)"),
}
"""JSONata for each operator and its number of arguments."""


def to_expression(rules: Json, depth: int = 0) -> str:
    """The JSONata of a filter. Raises ValueError, whose message names what is not understood."""
    if depth > _DEEPEST:
        msg = f"the filter is nested deeper than {_DEEPEST} levels"
        raise ValueError(msg)
    match rules:
        case ["extract", str(path)] if path:
            return ".".join(f"`{_field(name)}`" for name in path.split("."))
        case ["and" | "or" as word, *parts] if parts:
            joined = f" {word} ".join(to_expression(part, depth + 1) for part in parts)
            return f"({joined})"
        case [str(name), *arguments] if (name, len(arguments)) in _TEMPLATES:
            values = [to_expression(argument, depth + 1) for argument in arguments]
            return _TEMPLATES[name, len(values)].format(*values)
        case ["matches", text, str(pattern)]:
            escaped = pattern.replace("/", "\\/")
            return f"$contains({to_expression(text, depth + 1)}, /{escaped}/)"
        case str() | int() | float() | bool() | None:
            return json.dumps(rules)
    msg = f"{_shown(rules)} is no rule that is understood here"
    raise ValueError(msg)


def _field(name: str) -> str:
    if not name or "`" in name:
        msg = f"{name!r} is no name of a field"
        raise ValueError(msg)
    return name


def _shown(rules: Json) -> str:
    if isinstance(rules, Sequence) and rules:
        return f"{rules[0]!r} with {len(rules) - 1} arguments"
    return repr(rules)[:100]
