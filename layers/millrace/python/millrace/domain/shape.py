"""What is wrong with the shape of a document: pydantic's findings as violations with pointers."""

from collections.abc import Mapping
from typing import Any

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


def _camel(kind: str) -> str:
    head, *rest = kind.split("_")
    return head + "".join(word.capitalize() for word in rest)
