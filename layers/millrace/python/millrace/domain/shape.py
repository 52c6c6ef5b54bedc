"""What is wrong with the shape of a document: pydantic's findings as violations with pointers."""

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.domain.base import Json
from millrace.domain.errors import Violation


def shape_violation(error: Mapping[str, Any], pointer: str) -> Violation:
    """One of pydantic's errors, at a place."""
    match error["type"]:
        case "extra_forbidden":
            message = f"There is no field {error['loc'][-1]!r} here."
            return Violation("unknownField", pointer, message, "Remove it, or correct its name.")
        case "missing":
            return Violation("missingField", pointer, "This field is required.", "Add it.")
        case kind:
            message = str(error.get("msg", "The value is not valid.")).removeprefix("Value error, ")
            return Violation(_camel(kind), pointer, message, error.get("ctx", {}).get("remedy"))


def json_pointer(path: Sequence[str | int], body: Json) -> str:
    """The JSON Pointer of a place that pydantic names.

    Pydantic puts the tag of a tagged union into the path, which is no key of the document; so the
    path is walked along the document, and what is not there is left out, unless it comes last:
    then it is a field that is missing.
    """
    pointer = ""
    here: Any = body
    for number, token in enumerate(path):
        is_last = number == len(path) - 1
        match here, token:
            case dict(), str() if token in here:
                here = here[token]
            case list(), int() if token < len(here):
                here = here[token]
            case dict(), str() if is_last:
                pass
            case _:
                continue
        pointer += "/" + str(token).replace("~", "~0").replace("/", "~1")
    return pointer


def _camel(kind: str) -> str:
    head, *rest = kind.split("_")
    return head + "".join(word.capitalize() for word in rest)
