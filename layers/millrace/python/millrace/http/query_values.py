"""Parameters that hold a comma list, and what may stand in one."""

import re
from collections.abc import Collection, Iterable
from typing import Any, Final

from pydantic import Field
from pydantic_core import PydanticCustomError

PARAMETER_LENGTH: Final = 8_192


def parameter(alias: str, description: str) -> Any:  # noqa: ANN401 - the default of a field
    """A parameter that may be left out."""
    return Field(default=None, alias=alias, max_length=PARAMETER_LENGTH, description=description)


def listed(value: str | None) -> list[str]:
    """The values of a list, none if there is no list."""
    return [] if value is None else [part.strip() for part in value.split(",")]


def different(value: str | None) -> tuple[str, ...]:
    """The values of a list, each once."""
    return tuple(dict.fromkeys(listed(value)))


def refuse_unknown(what: str, unknown: list[str], known: Iterable[str]) -> None:
    """Refuse names that are not known, and tell those that are."""
    if unknown:
        told = " or ".join(repr(name) for name in unknown)
        raise PydanticCustomError(
            f"unknown_{what}",
            "There is no {what} {told}.",
            {"what": what, "told": told, "remedy": f"Known are {', '.join(known)}."},
        )


def refuse_many(value: str | None, limit: int) -> None:
    """Refuse a list of more values than that."""
    if len(listed(value)) > limit:
        msg = f"expected {limit} values at most"
        raise ValueError(msg)


def check_choice(values: str | None, known: Collection[str]) -> str | None:
    """Refuse a list with any other value than these."""
    return check_values(values, "|".join(known), f"one of {', '.join(known)}")


def check_values(values: str | None, pattern: str, expected: str) -> str | None:
    """Refuse a list with a value that does not match."""
    for value in listed(values):
        if re.fullmatch(pattern, value) is None:
            msg = f"{value!r} is not {expected}"
            raise ValueError(msg)
    return values
