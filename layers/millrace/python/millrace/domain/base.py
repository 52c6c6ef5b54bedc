"""The manners all models share: camelCase on the wire, unknown fields refused, values frozen."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from millrace import limits

_NUMBER: Final = re.compile(r"[+-]?[0-9.]+")

type Json = Any
"""A decoded JSON value. Any rather than a recursive union: records are the user's, not ours."""

type Record = dict[str, Any]
"""One JSON object that travels through a flow."""

type Clock = Callable[[], datetime]
"""Gives the current time in UTC; an argument everywhere, so tests decide what time it is."""

type IdFactory = Callable[[str], str]
"""Makes an id from a type prefix: `flow` -> `flow_01J...`."""


class Model(BaseModel):
    """Base of every model that crosses the wire or is stored.

    A model's validator is built when it is first used: a cold start uses a few of them all.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        defer_build=True,
    )

    def to_json(self) -> dict[str, Json]:
        """The wire form: camelCase keys, times as RFC 3339, absent values left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _no_text(number: Any) -> Any:  # noqa: ANN401 - anything may be sent
    """Refuse what pydantic would turn into a number, which JSON tells from one."""
    if isinstance(number, str | bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return number


Whole = Annotated[int, BeforeValidator(_no_text)]
"""A whole number; neither `true` nor `"1"` is one, as in the compiler."""


def _no_number(moment: Any) -> Any:  # noqa: ANN401 - anything may be sent
    """Refuse seconds since 1970: nobody who sends them says whether they are milliseconds."""
    if isinstance(moment, int | float) or (isinstance(moment, str) and _NUMBER.fullmatch(moment)):
        raise PydanticCustomError("datetime_type", "Input should be a valid datetime")
    return moment


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the one time format on the wire and in the table."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        msg = "a time needs a zone, such as the Z at the end of 2026-01-31T09:00:00Z"
        raise ValueError(msg)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        msg = "the time in UTC lies beyond the years 1 to 9999"
        raise ValueError(msg) from error


def _printable(text: str) -> str:
    """Refuse control characters: they break logs, headers and terminals."""
    if any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F for char in text):  # noqa: PLR2004 - C0, DEL, C1
        msg = "control characters are not allowed"
        raise ValueError(msg)
    return text


Moment = Annotated[
    datetime,
    BeforeValidator(_no_number),
    AfterValidator(_utc),
    PlainSerializer(rfc3339, when_used="json"),
]

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=limits.NAME_LENGTH),
    AfterValidator(_printable),
]

StableKey = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=limits.STABLE_KEY_LENGTH,
        description="The author's own key for this resource, kept across renames and imports.",
    ),
]

VariableKey = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        max_length=limits.STABLE_KEY_LENGTH,
        description="The name by which expressions speak of the variable.",
    ),
]

Description = Annotated[str, Field(max_length=limits.DESCRIPTION_LENGTH)]

WriteOnly = Annotated[
    SecretStr | None,
    Field(
        description="Write-only; never returned.",
        # Nothing is told of it, not even a null: OpenAPI's writeOnly.
        exclude_if=lambda secret: secret is None,
    ),
]

Settings = Annotated[
    dict[str, Json], Field(description="The author's own; readable, so no place for credentials.")
]

Expression = Annotated[
    str,
    Field(min_length=1, max_length=limits.EXPRESSION_LENGTH, description="A JSONata expression."),
]

JsonPointer = Annotated[
    str,
    Field(
        pattern=r"^(/([^/~]|~[01])*)*$",
        description="A JSON Pointer (RFC 6901); empty means the whole document.",
    ),
]
