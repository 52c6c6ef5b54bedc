"""What pydantic finds wrong with a document, in words for those who wrote it as JSON."""

from collections.abc import Mapping
from typing import Any, Final

from millrace.domain.base import Json
from millrace.domain.errors import Violation

_WANTED: Final[Mapping[str, str]] = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "datetime_type": "a time such as 2026-01-31T09:00:00Z",
    "datetime_parsing": "a time such as 2026-01-31T09:00:00Z",
    "datetime_from_date_parsing": "a time such as 2026-01-31T09:00:00Z",
}
"""What should be there, by the kind of an error that something else is."""

_KINDS: Final[Mapping[type, str]] = {
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}

_BOUNDS: Final[Mapping[str, str]] = {
    "greater_than_equal": "Expected {ge} or more.",
    "greater_than": "Expected more than {gt}.",
    "less_than_equal": "Expected {le} or less.",
    "less_than": "Expected less than {lt}.",
    "string_pattern_mismatch": "Expected text that matches {pattern}",
}

_LENGTHS: Final[Mapping[str, tuple[str, str]]] = {
    "string_too_short": ("min_length", "or more"),
    "too_short": ("min_length", "or more"),
    "string_too_long": ("max_length", "at most"),
    "too_long": ("max_length", "at most"),
}

_TAG_LENGTH: Final = 64


def violation_of(error: Mapping[str, Any], pointer: str) -> Violation:
    """An error of pydantic's, at this place; the value itself, maybe a secret, is not shown."""
    kind, context = error["type"], error.get("ctx", {})
    code, remedy = _camel(kind), context.get("remedy", "Correct it.")
    match kind:
        case "extra_forbidden":
            code, remedy = "unknownField", "Remove it, or correct its name."
            message = f"There is no field {error['loc'][-1]!r} here."
        case "missing" | "union_tag_not_found":
            code, message, remedy = "missingField", "This field is required.", "Add it."
        case "union_tag_invalid":
            code, remedy = "literalError", "Write one of them."
            message = f"{context['tag'][:_TAG_LENGTH]!r} is none of {context['expected_tags']}."
        case "literal_error" | "enum":
            message, remedy = f"Expected {context['expected']}.", "Write one of them."
        case _ if kind in _WANTED:
            code, remedy = "wrongType", f"Write {_WANTED[kind]}."
            message = f"This is {_kind(error.get('input'))}, not {_WANTED[kind]}."
        case _:
            message = _message(error, context)
    return Violation(code, f"{pointer}{_beyond(context)}", message, remedy)


def _beyond(context: Mapping[str, Any]) -> str:
    """Where in a value its fault is, if pydantic blames the whole: at the tag of a union."""
    if "discriminator" in context:
        return f"/{context['discriminator'].strip("'")}"
    return str(context.get("pointer", ""))


def _message(error: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind in _BOUNDS:
        return _BOUNDS[kind].format_map(context)
    if kind in _LENGTHS:
        bound, how = _LENGTHS[kind]
        is_text = kind.startswith("string") or isinstance(error.get("input"), str)
        one, many = ("character", "characters") if is_text else ("entry", "entries")
        return f"Expected {context[bound]:,} {one if context[bound] == 1 else many} {how}."
    return str(error.get("msg", "The value is not valid.")).removeprefix("Value error, ")


def _kind(value: Json) -> str:
    return _KINDS.get(type(value), "something else")


def _camel(kind: str) -> str:
    head, *rest = kind.split("_")
    return head + "".join(word.capitalize() for word in rest)
