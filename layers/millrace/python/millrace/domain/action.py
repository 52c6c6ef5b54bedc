"""Actions: reusable units of work that read (`Export`), change (`Process`) or write (`Import`)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from millrace import limits
from millrace.domain.base import (
    Description,
    Expression,
    JsonPointer,
    Model,
    Name,
    Settings,
    StableKey,
)
from millrace.domain.resource import Resource

Path = Annotated[
    str,
    StringConstraints(pattern=r"^/[^\s#]*$", max_length=2_048),
    Field(description="Appended to the connection's baseUrl."),
]

ParameterName = Annotated[str, StringConstraints(pattern=r"^[^\s&=#]+$", max_length=128)]


class OffsetPagination(Model):
    """`?offset=200&limit=100`: ends at a page shorter than `limit`."""

    type: Literal["offset"]
    offset_parameter: ParameterName = "offset"
    limit_parameter: ParameterName = "limit"
    limit: int = Field(default=100, ge=1, le=limits.PAGE_RECORDS)


class NextLinkPagination(Model):
    """Each answer holds the address of the next page; ends where there is none."""

    type: Literal["nextLink"]
    next_link_path: JsonPointer = Field(
        default="/next", description="Where in the answer the next page's address stands."
    )


type Pagination = Annotated[OffsetPagination | NextLinkPagination, Field(discriminator="type")]


RequestPath = Annotated[
    str,
    StringConstraints(pattern=r"^/(\{\{[\s\S]*?\}\}|[^\s#])*$", max_length=2_048),
    Field(
        description="Appended to the connection's baseUrl. May hold expressions, as may the values "
        "of query and headers: `/items/{{ parameters.sku }}`."
    ),
]


class HttpExport(Model):
    """How to read records over HTTP."""

    method: Literal["GET", "POST"] = "GET"
    path: RequestPath
    query: dict[ParameterName, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    records_path: JsonPointer = Field(
        default="", description="Where in the answer the array of records stands."
    )
    pagination: Pagination | None = None


class HttpImport(Model):
    """How to write records over HTTP."""

    method: Literal["POST", "PUT", "PATCH"] = "POST"
    path: RequestPath
    headers: dict[str, str] = Field(default_factory=dict)
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=limits.PAGE_RECORDS,
        description="Absent: one request a record, the record as its body. "
        "A number: one request for that many records, as a JSON array.",
    )


class FilterOperation(Model):
    """Keep the records for which the expression is true; the others count as ignored."""

    type: Literal["filter"]
    expression: Expression


class MapOperation(Model):
    """Replace each record by the expression's value, which must be an object."""

    type: Literal["map"]
    expression: Expression


class Aggregate(Model):
    """One figure over a group of records."""

    function: Literal["count", "sum", "min", "max", "mean"]
    expression: Expression | None = Field(
        default=None, description="The number to take from each record; count needs none."
    )

    @model_validator(mode="after")
    def _figures_need_a_number(self) -> Self:
        if self.function != "count" and self.expression is None:
            msg = f"{self.function} needs an expression that takes a number from each record"
            raise ValueError(msg)
        return self


class AggregateOperation(Model):
    """Replace all records by one record a group: the group's key and its figures."""

    type: Literal["aggregate"]
    group_by: dict[Name, Expression] = Field(
        default_factory=dict, description="Field name to expression; empty: one group of all."
    )
    figures: dict[Name, Aggregate] = Field(min_length=1)


type Operation = Annotated[
    FilterOperation | MapOperation | AggregateOperation, Field(discriminator="type")
]


class ExportAction(Model):
    """Reads records from a system."""

    type: Literal["Export"]
    connection_id: str
    http: HttpExport


class ProcessAction(Model):
    """Changes records by operations applied in order."""

    type: Literal["Process"]
    operations: tuple[Operation, ...] = Field(min_length=1, max_length=20)


class ImportAction(Model):
    """Writes records to a system and hands them on."""

    type: Literal["Import"]
    connection_id: str
    http: HttpImport


type ActionWork = Annotated[
    ExportAction | ProcessAction | ImportAction, Field(discriminator="type")
]
"""What an action does: the whole of an inline action, the `work` of a stored one."""


class ActionInput(Model):
    """What a caller sends to create or replace an action."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    settings: Settings = Field(default_factory=dict)
    work: ActionWork


class Action(ActionInput, Resource):
    """A stored action, usable by any step of the workspace that names it as its `referrer`."""

    prefix: ClassVar[str] = "act"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")
