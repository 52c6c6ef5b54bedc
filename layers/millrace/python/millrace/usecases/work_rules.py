"""Rules that the work of an action keeps before it is stored, whether in a step or by itself."""

from collections.abc import Collection, Iterator

from millrace import limits
from millrace.domain.action import ActionWork, ExportAction, ImportAction, ProcessAction
from millrace.domain.base import Json
from millrace.domain.errors import Violation
from millrace.domain.operations import (
    AggregateOperation,
    DedupeOperation,
    EnrichOperation,
    FilterOperation,
    FunctionOperation,
    GroupOperation,
    MapOperation,
    Operation,
    RememberOperation,
    SortOperation,
    SplitOperation,
    ValidateOperation,
    data_pools_of,
)
from millrace.domain.pointers import pointer_of
from millrace.domain.run_values import (
    Target,
    import_expressions,
    names_beside_records,
    names_in_template,
    speaks_of_record,
    templates_of,
)
from millrace.domain.sources import S3Export
from millrace.usecases.context import Context
from millrace.usecases.lookup_rules import check_lookup
from millrace.usecases.references import references_of_work
from millrace.usecases.stored_finders import Finders


def check_work(
    context: Context,
    work: ActionWork,
    pointer: str,
    find: Finders,
    named: Collection[str] = (),
) -> Iterator[Violation]:
    """What an action names exists, or was named before; its expressions can be compiled."""
    match work:
        case ExportAction() | ImportAction():
            id_ = work.connection_id
            if id_ is not None and id_ not in named and find.connection(id_) is None:
                yield unknown_connection(id_, f"{pointer}/connectionId")
            yield from _check_transfer(context, work, pointer)
        case ProcessAction():
            for number, operation in enumerate(work.operations):
                for place, expression in _expressions(operation):
                    where = f"{pointer}/operations/{number}/{place}"
                    yield from check_expression(context, expression, where)
                if isinstance(operation, ValidateOperation):
                    where = f"{pointer}/operations/{number}/schema"
                    yield from _check_schema(context, operation.rules, where)
            for place, id_ in data_pools_of(work.operations):
                if id_ not in named and find.data_pool(id_) is None:
                    yield unknown_data_pool(id_, f"{pointer}/{place}")
            found = (names_beside_records(text) or () for text in expressions_of(work))
            yield from check_names(frozenset[str]().union(*found), f"{pointer}/operations")


def _check_transfer(
    context: Context, work: ExportAction | ImportAction, pointer: str
) -> Iterator[Violation]:
    if work.http is not None:
        yield from _check_templates(context, work.http, f"{pointer}/http")
    if work.s3 is not None:
        yield from _check_templates(context, work.s3, f"{pointer}/s3")
    if isinstance(work, ExportAction) and work.http is not None:
        yield from check_lookup(work, work.http, pointer)
    if isinstance(work, ImportAction):
        for place, expression in import_expressions(work.target):
            yield from check_expression(context, expression, f"{pointer}/{place}")


def _check_templates(context: Context, target: Target, pointer: str) -> Iterator[Violation]:
    """The expressions in the texts of a request can be compiled, and do not name too much."""
    templates = templates_of(target)
    is_of_objects = isinstance(target, S3Export)
    knows_record = not is_of_objects and getattr(target, "batch_size", None) is None
    for template in templates:
        where = f"{pointer}{pointer_of(*template.place)}"
        fault = context.connectors.check_template(template.kind, template.text)
        if fault is not None:
            message = f"The text cannot be filled in: {fault}"
            yield Violation("badTemplate", where, message, "Correct it.")
        elif not knows_record and speaks_of_record(template.text):
            yield Violation(
                "recordUnknown",
                where,
                "It speaks of the record, which only a request for a single record has.",
                "Use variables, parameters, startDate, endDate or run; "
                "or leave batchSize out, if it is a request.",
            )
    names = frozenset[str]().union(*(names_in_template(each.text) for each in templates))
    yield from check_names(names, pointer)


def check_names(names: Collection[str], pointer: str) -> Iterator[Violation]:
    """What reads variables reads them together, so there are not too many."""
    if len(names) > limits.VARIABLES_OF_AN_ACTION:
        yield Violation(
            "tooManyVariables",
            pointer,
            f"It names {len(names)} variables; the limit is {limits.VARIABLES_OF_AN_ACTION}.",
            "Put what belongs together into one variable of type json.",
        )


def check_expression(context: Context, expression: str, pointer: str) -> Iterator[Violation]:
    """An expression can be compiled."""
    fault = context.connectors.check_expression(expression)
    if fault is not None:
        yield Violation(
            "badExpression", pointer, f"The expression cannot be compiled: {fault}", "Correct it."
        )


def _check_schema(context: Context, schema: Json, pointer: str) -> Iterator[Violation]:
    """A JSON Schema can be used."""
    for place, fault in context.connectors.check_schema(schema):
        message = f"The JSON Schema cannot be used: {fault}"
        yield Violation("badSchema", f"{pointer}{place}", message, "Correct it.")


def expressions_of(work: ProcessAction) -> Iterator[str]:
    """The expressions of a process."""
    for operation in work.operations:
        for _, expression in _expressions(operation):
            yield expression


def named_by(work: ActionWork) -> set[str]:
    """The ids of the connection and the data pools that an action names."""
    return {ref.id for _, ref in references_of_work(work)}


def connection_of(work: ActionWork) -> str | None:
    """The connection that an action works over, if it needs one."""
    return None if isinstance(work, ProcessAction) else work.connection_id


def unknown_connection(id_: str, pointer: str) -> Violation:
    """A connection that is referred to does not exist."""
    return Violation(
        "unknownConnection",
        pointer,
        f"There is no connection {id_!r}.",
        "Create the connection first, or correct the id.",
    )


def unknown_data_pool(id_: str, pointer: str) -> Violation:
    """A data pool that is referred to does not exist."""
    return Violation(
        "unknownDataPool",
        pointer,
        f"There is no data pool {id_!r}.",
        "Create the data pool first, or correct the id.",
    )


def _expressions(  # noqa: C901 - a case for each operation
    operation: Operation,
) -> Iterator[tuple[str, str]]:
    """The expressions of an operation, with their places in it."""
    match operation:
        case FilterOperation() | MapOperation() | SplitOperation():
            yield "expression", operation.expression
        case AggregateOperation():
            for name, expression in operation.group_by.items():
                yield f"groupBy{pointer_of(name)}", expression
            for name, figure in operation.figures.items():
                if figure.expression is not None:
                    yield f"figures{pointer_of(name)}/expression", figure.expression
        case GroupOperation():
            for name, expression in operation.by.items():
                yield f"by{pointer_of(name)}", expression
        case SortOperation():
            for number, key in enumerate(operation.by):
                yield f"by/{number}/expression", key.expression
        case DedupeOperation() | EnrichOperation():
            yield "key", operation.key
        case RememberOperation():
            yield "key", operation.key
            yield "value", operation.value
        case ValidateOperation() | FunctionOperation():
            return
