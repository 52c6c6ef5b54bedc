"""Rules that a flow's steps keep before they are stored: all findings at once, with pointers."""

from collections.abc import Callable, Iterator, Sequence

from millrace import compiler
from millrace.domain.action import (
    Action,
    ActionWork,
    AggregateOperation,
    ExportAction,
    FilterOperation,
    ImportAction,
    MapOperation,
    Operation,
    ProcessAction,
)
from millrace.domain.connection import Connection
from millrace.domain.errors import NotFoundError, Violation
from millrace.domain.flow import FlowSettings, Step
from millrace.domain.resource import Resource
from millrace.usecases.context import Context
from millrace.usecases.definitions import to_definition

type Lookup[R] = Callable[[str], R | None]


def work_of(step: Step, find_action: Lookup[Action]) -> ActionWork | None:
    """What a step does: its inline action, or the work of the action it refers to."""
    if step.action is not None:
        return step.action
    action = find_action(step.referrer) if step.referrer is not None else None
    return None if action is None else action.work


def lookup[R: Resource](context: Context, kind: type[R], workspace_id: str) -> Lookup[R]:
    """Finds stored resources of a workspace by id, each read once."""
    known: dict[str, R | None] = {}

    def find(id_: str) -> R | None:
        if id_ not in known:
            try:
                known[id_] = context.resources.get(kind, workspace_id, id_)
            except NotFoundError:
                known[id_] = None
        return known[id_]

    return find


def check_graph(settings: FlowSettings, steps: Sequence[Step]) -> list[Violation]:
    """The compiler's rules; a flow without any steps is a draft in the making and passes."""
    if not steps:
        return []
    findings = compiler.check(to_definition(settings, steps))
    return [Violation(find.code, find.pointer, find.message, find.remedy) for find in findings]


def check_steps(
    context: Context,
    steps: Sequence[Step],
    find_action: Lookup[Action],
    find_connection: Lookup[Connection],
) -> Iterator[Violation]:
    """What steps refer to exists and fits, and their expressions can be compiled."""
    for number, step in enumerate(steps):
        pointer = f"/steps/{number}"
        yield from _check_action(step, pointer, find_action)
        if step.filter is not None:
            yield from check_expression(context, step.filter, f"{pointer}/filter")
        if step.action is not None:
            yield from check_work(context, step.action, f"{pointer}/action", find_connection)


def _check_action(step: Step, pointer: str, find_action: Lookup[Action]) -> Iterator[Violation]:
    if step.action is not None and step.referrer is not None:
        yield Violation(
            "actionTwice",
            f"{pointer}/referrer",
            f"Step {step.id!r} has both an inline action and a referrer.",
            "Keep one of them.",
        )
    if step.action is None and step.referrer is None:
        yield Violation(
            "actionMissing",
            pointer,
            f"Step {step.id!r} has nothing to do.",
            "Give it an inline action, or a referrer: the id of an action.",
        )
    if step.referrer is not None and find_action(step.referrer) is None:
        yield Violation(
            "unknownAction",
            f"{pointer}/referrer",
            f"There is no action {step.referrer!r}.",
            "Create the action first, or correct the id.",
        )
    work = work_of(step, find_action)
    if work is not None and work.type != step.type:
        yield Violation(
            "actionType",
            f"{pointer}/type",
            f"Step {step.id!r} is of type {step.type}, but its action is of type {work.type}.",
            f"Set the step's type to {work.type}, or give it another action.",
        )


def check_work(
    context: Context, work: ActionWork, pointer: str, find_connection: Lookup[Connection]
) -> Iterator[Violation]:
    """An action's connection exists and its expressions can be compiled."""
    match work:
        case ExportAction() | ImportAction():
            if find_connection(work.connection_id) is None:
                yield unknown_connection(work.connection_id, f"{pointer}/connectionId")
        case ProcessAction():
            for number, operation in enumerate(work.operations):
                for place, expression in _expressions(operation):
                    where = f"{pointer}/operations/{number}/{place}"
                    yield from check_expression(context, expression, where)


def unknown_connection(id_: str, pointer: str) -> Violation:
    """A connection that is referred to does not exist."""
    return Violation(
        "unknownConnection",
        pointer,
        f"There is no connection {id_!r}.",
        "Create the connection first, or correct the id.",
    )


def _expressions(operation: Operation) -> Iterator[tuple[str, str]]:
    match operation:
        case FilterOperation() | MapOperation():
            yield "expression", operation.expression
        case AggregateOperation():
            for name, expression in operation.group_by.items():
                yield f"groupBy/{pointer_token(name)}", expression
            for name, figure in operation.figures.items():
                if figure.expression is not None:
                    yield f"figures/{pointer_token(name)}/expression", figure.expression


def pointer_token(key: str) -> str:
    """A key of an object as a part of a JSON Pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def check_expression(context: Context, expression: str, pointer: str) -> Iterator[Violation]:
    """An expression can be compiled."""
    fault = context.connectors.check_expression(expression)
    if fault is not None:
        yield Violation(
            "badExpression", pointer, f"The expression cannot be compiled: {fault}", "Correct it."
        )
