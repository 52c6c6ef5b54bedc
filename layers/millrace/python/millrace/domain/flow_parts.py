"""The small values that flows and steps are made of."""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    StringConstraints,
    computed_field,
    model_validator,
)

from millrace import limits
from millrace.domain.base import Description, Expression, Json, Model, Moment, Whole
from millrace.domain.findings import finding, need_one
from millrace.domain.mapping_places import ALL, tokens
from millrace.domain.run import OnConflict

type LayoutDirection = Literal["horizontal", "vertical"]


class TriggerKind(StrEnum):
    """What starts the runs of a flow."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    CALLBACK = "callback"
    QUEUE = "queue"
    FLOW = "flow"


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(value, separators=(",", ":")).encode())
    if size > limits.SETTINGS_BYTES:
        msg = f"it takes {size:,} bytes as JSON; the limit is {limits.SETTINGS_BYTES:,}"
        raise ValueError(msg)
    return value


FreeSettings = Annotated[
    dict[str, Json],
    AfterValidator(_bounded),
    Field(description="The author's own; readable, so no place for credentials."),
]


QueueName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,75}(\.fifo)?$"),
    Field(description="Its name."),
]


class Trigger(Model):
    """How runs of the flow are meant to start."""

    kind: TriggerKind = TriggerKind.MANUAL
    queue: QueueName | None = Field(
        default=None, description="Of kind `queue`: the SQS queue whose messages start runs."
    )
    settings: FreeSettings = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _without_what_we_tell(cls, given: Any) -> Any:  # noqa: ANN401 - anything may be sent
        """What was read may be sent back."""
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if name != "scheduleSupport"}
        return given

    @computed_field(  # type: ignore[prop-decorator]  # pydantic stacks it on a property
        description="Whether a flow of this kind has a schedule. Told by us; ignored when sent."
    )
    @property
    def schedule_support(self) -> Literal["required", "valid"]:
        """Whether a flow of this kind has a schedule."""
        return "required" if self.kind is TriggerKind.SCHEDULE else "valid"


class Concurrency(Model):
    """How many runs there may be at a time, and what becomes of one too many."""

    limit: Whole = Field(ge=1, le=limits.CONCURRENCY_MAX)
    on_conflict: OnConflict = "queue"
    key_expression: Expression | None = Field(
        default=None, description="Runs are counted apart for each value of it."
    )


def _readable(place: str) -> str:
    if tokens(place).count(ALL) > 1:
        msg = f"{place!r} has [*] more than once"
        raise ValueError(msg)
    return place


def _writable(place: str) -> str:
    if not all(isinstance(token, str) for token in tokens(place)):
        msg = f"{place!r} has an index; what is generated has names only"
        raise ValueError(msg)
    return place


_Place = Annotated[str, StringConstraints(min_length=1, max_length=limits.MAPPING_PLACE_LENGTH)]
_Source = Annotated[_Place, AfterValidator(_readable)]
_Target = Annotated[_Place, AfterValidator(_writable)]


class FieldMapping(Model):
    """One value of an answer, and the field of the record that takes it."""

    extract: _Source
    generate: _Target


class ListMapping(Model):
    """A list of the record that is made from an answer."""

    generate: _Target
    fields: tuple[FieldMapping, ...] = Field(default=(), max_length=limits.MAPPED_FIELDS)


class ResponseMapping(Model):
    """How what a system answers is merged into the record."""

    fields: tuple[FieldMapping, ...] = Field(default=(), max_length=limits.MAPPED_FIELDS)
    lists: tuple[ListMapping, ...] = Field(default=(), max_length=limits.MAPPED_LISTS)

    @model_validator(mode="after")
    def _fields_have_one_value(self) -> Self:
        for number, field in enumerate(self.fields):
            if ALL in tokens(field.extract):
                raise finding(
                    "manyValues",
                    f"{field.extract!r} has many values.",
                    "Name a single one; [*] is for lists.",
                    f"/fields/{number}/extract",
                )
        return self


class Alias(Model):
    """A name by which expressions may speak of another resource."""

    alias: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=limits.NAME_LENGTH)
    ]
    description: Description | None = None
    action_id: str | None = None
    connection_id: str | None = None
    flow_id: str | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        need_one(self, "action_id", "connection_id", "flow_id")
        return self


def _distinct_aliases(aliases: tuple[Alias, ...]) -> tuple[Alias, ...]:
    if len({alias.alias for alias in aliases}) < len(aliases):
        msg = "each alias stands once"
        raise ValueError(msg)
    return aliases


Aliases = Annotated[
    tuple[Alias, ...], AfterValidator(_distinct_aliases), Field(max_length=limits.ALIASES)
]


class Logging(Model):
    """What of the flow's runs is written down."""

    debug_until: Moment | None = None


def _distinct(ids: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(ids)) < len(ids):
        msg = "each id stands once"
        raise ValueError(msg)
    return ids


Ids = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=limits.NAME_LENGTH)], ...],
    AfterValidator(_distinct),
    Field(max_length=limits.REFERENCES_OF_A_FLOW),
]

type EndpointSecurityType = Literal[
    "unsecured", "customerOptional", "customerRequired", "organization"
]

ApiKeys = Annotated[
    tuple[Annotated[SecretStr, Field(min_length=16, max_length=128)], ...] | None,
    Field(
        max_length=limits.API_KEYS_PER_FLOW,
        description="Write-only; left out, those that are there stay.",
    ),
]

MediaType = Annotated[
    str,
    StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+(\s*;\s*[\w-]+=[\w.\"-]+)*$", max_length=256),
]

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", max_length=128)]

Headers = Annotated[
    dict[HeaderName, Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", max_length=4_096)]],
    Field(max_length=limits.TEST_HEADERS),
]

ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
