"""The operations of a process: what each does to records, and what it needs to be told."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from millrace import limits
from millrace.domain.base import Expression, Json, Model, Name, VariableKey
from millrace.domain.findings import contradiction, missing, need_one

PoolId = Annotated[str, Field(description="Id of a data pool.")]
KeyExpression = Annotated[
    Expression, Field(description="Gives the key of a record: any value but null.")
]


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
            raise missing(
                "expression",
                f"{self.function} needs a number of each record.",
                "Add an expression that takes it from the record.",
            )
        return self


class AggregateOperation(Model):
    """Replace all records by one record a group: the group's key and its figures."""

    type: Literal["aggregate"]
    group_by: dict[Name, Expression] = Field(
        default_factory=dict, description="Field name to expression; empty: one group of all."
    )
    figures: dict[Name, Aggregate] = Field(min_length=1)


class SplitOperation(Model):
    """Replace each record by the objects of an array that the expression gives."""

    type: Literal["split"]
    expression: Expression


class GroupOperation(Model):
    """Collect the records of equal keys into one record: its key, and the records in a list."""

    type: Literal["group"]
    by: dict[Name, Expression] = Field(
        min_length=1, description="Field name to expression; together they are the key."
    )
    into: Name = Field(default="records", description="The field that holds the records.")

    @model_validator(mode="after")
    def _fields_differ(self) -> Self:
        if self.into in self.by:
            raise contradiction(
                "into",
                f"The field {self.into!r} cannot hold both a part of the key and the records.",
                "Give another name to one of them.",
            )
        return self


class SortKey(Model):
    """One value by which records are sorted."""

    expression: Expression
    order: Literal["asc", "desc"] = "asc"


class SortOperation(Model):
    """Put all records in order; those that are equal stay in the order in which they came."""

    type: Literal["sort"]
    by: tuple[SortKey, ...] = Field(min_length=1, max_length=limits.SORT_KEYS)


class DedupeOperation(Model):
    """Let the first record of each key pass; the others count as ignored."""

    type: Literal["dedupe"]
    key: KeyExpression
    data_pool_id: PoolId | None = Field(
        default=None,
        description="Absent: within the step of a run. With it: as long as the pool remembers.",
    )


class RememberOperation(Model):
    """Store a value under a key in a data pool; the record goes on as it is."""

    type: Literal["remember"]
    key: KeyExpression
    data_pool_id: PoolId
    value: Expression = Field(description="Gives the value to store, in place of what is there.")


class EnrichOperation(Model):
    """Put what a data pool or a variable has under a key into a field of the record."""

    type: Literal["enrich"]
    key: KeyExpression
    data_pool_id: PoolId | None = None
    variable: VariableKey | None = Field(
        default=None, description="A variable that holds an object: key to value."
    )
    into: Name = Field(description="The field that the value is put into.")
    required: bool = Field(
        default=False,
        description="Whether a record without a value fails; else it goes on as it is.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        need_one(self, "data_pool_id", "variable")
        return self


def _small(schema: Json) -> Json:
    size = len(json.dumps(schema))
    if size > limits.SCHEMA_BYTES:
        msg = f"a schema may take {limits.SCHEMA_BYTES:,} bytes; this one takes {size:,}"
        raise ValueError(msg)
    return schema


class ValidateOperation(Model):
    """Fail the records that do not keep a JSON Schema (2020-12)."""

    type: Literal["validate"]
    # Not `schema`, which pydantic's models have already.
    rules: Annotated[dict[str, Json], AfterValidator(_small)] = Field(
        alias="schema", description="References lead to parts of the schema itself only."
    )


FunctionArn = Annotated[
    str,
    StringConstraints(
        pattern=r"^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,64}"
        r"(:[A-Za-z0-9_$-]{1,128})?$"
    ),
    Field(description="Of a Lambda function, or of a version or an alias of one."),
]


class FunctionOperation(Model):
    """Hand records to a Lambda function, which answers what takes their place."""

    type: Literal["function"]
    arn: FunctionArn
    batch_size: int = Field(
        default=limits.FUNCTION_RECORDS,
        ge=1,
        le=limits.PAGE_RECORDS,
        description="Records in one call, at most.",
    )


type Operation = Annotated[
    FilterOperation
    | MapOperation
    | SplitOperation
    | AggregateOperation
    | GroupOperation
    | SortOperation
    | DedupeOperation
    | RememberOperation
    | EnrichOperation
    | ValidateOperation
    | FunctionOperation,
    Field(discriminator="type"),
]


def data_pools_of(operations: Iterable[Operation]) -> Iterator[tuple[str, str]]:
    """The data pools that operations name, with their places."""
    for number, operation in enumerate(operations):
        id_ = _data_pool_of(operation)
        if id_ is not None:
            yield f"operations/{number}/dataPoolId", id_


def over_other_pools(
    operations: Iterable[Operation], rename: Callable[[str], str]
) -> tuple[Operation, ...]:
    """The operations with other names for their data pools."""
    return tuple(
        operation
        if (id_ := _data_pool_of(operation)) is None
        else operation.model_copy(update={"data_pool_id": rename(id_)})
        for operation in operations
    )


def _data_pool_of(operation: Operation) -> str | None:
    if isinstance(operation, DedupeOperation | RememberOperation | EnrichOperation):
        return operation.data_pool_id
    return None
