"""Rules that a flow's steps keep before they are stored: all findings at once, with pointers."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic.alias_generators import to_camel

from millrace import compiler, limits
from millrace.domain.action import (
    Action,
    ActionWork,
    ExportAction,
    ImportAction,
    ProcessAction,
)
from millrace.domain.base import Json
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings, Step
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
from millrace.domain.ports import Found, Ref
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
from millrace.usecases.definitions import to_definition
from millrace.usecases.finders import Lookup, lookup, work_of
from millrace.usecases.lookup_rules import check_lookup
from millrace.usecases.queues import check_queue, check_queue_is_free
from millrace.usecases.references import references_of_work

if TYPE_CHECKING:
    from millrace.domain.resource import Resource

_RETRY_SETTINGS: Final = (
    "retry_max_attempts",
    "retry_delay_minutes",
    "retry_uses_exponential_backoff",
    "retry_unique_request_id_field",
)


@dataclass(frozen=True, slots=True)
class Finders:
    """Find what steps and actions name by id: what is stored, or is stored together with them."""

    action: Lookup[Action]
    connection: Lookup[Connection]
    data_pool: Lookup[DataPool]


def stored(
    context: Context,
    workspace_id: str,
    steps: Iterable[Step] = (),
    new_actions: Iterable[Action] = (),
) -> Finders:
    """Finders of what is stored in a workspace.

    What these steps, and actions that are not stored yet, name is read at once, and then what the
    actions of the steps name; all else when it is asked for.
    """
    steps = tuple(steps)
    works = [step.action for step in steps if step.action is not None]
    works += [action.work for action in new_actions]
    refs: list[Ref[Any]] = [Ref(Action, step.referrer) for step in steps if step.referrer]
    read: dict[Ref[Any], Resource | None] = {}
    while refs or works:
        refs += [ref for work in works for _, ref in references_of_work(work)]
        wanted = [ref for ref in dict.fromkeys(refs) if ref not in read]
        found = context.resources.get_many(workspace_id, wanted) if wanted else Found({})
        fresh = {ref: found.get(ref) for ref in wanted}
        read |= fresh
        works = [each.work for each in fresh.values() if isinstance(each, Action)]
        refs = []
    return Finders(
        action=lookup(context, Action, workspace_id, read),
        connection=lookup(context, Connection, workspace_id, read),
        data_pool=lookup(context, DataPool, workspace_id, read),
    )


def check_graph(settings: FlowSettings, steps: Sequence[Step]) -> list[Violation]:
    """The compiler's rules; a flow without any steps is a draft in the making and passes."""
    if not steps:
        return []
    findings = compiler.check(to_definition(settings, steps))
    return [Violation(find.code, find.pointer, find.message, find.remedy) for find in findings]


def check_settings(context: Context, given: FlowInput, before: Flow | None) -> Iterator[Violation]:
    """The rules between a flow's settings, and its expressions can be compiled."""
    if given.is_synchronous:
        for name in _RETRY_SETTINGS:
            if getattr(given, name) != FlowInput.model_fields[name].default:
                yield Violation(
                    "synchronousFlowRetry",
                    f"/{to_camel(name)}",
                    "A synchronous flow cannot run again as a whole: its caller is waiting.",
                    "Leave it out, or set isSynchronous to false.",
                )
    kept = 0 if before is None else before.organization_api_keys_count
    keys = given.organization_api_keys
    if given.endpoint_security_type == "organization" and not (kept if keys is None else keys):
        yield Violation(
            "apiKeysMissing",
            "/organizationApiKeys",
            "endpointSecurityType is organization, but no API key opens the endpoint.",
            "Set organizationApiKeys, or choose another endpointSecurityType.",
        )
    if given.retry_unique_request_id_field is not None:
        where = "/retryUniqueRequestIdField"
        yield from check_expression(context, given.retry_unique_request_id_field, where)
    yield from check_queue(context, given, before)
    if before is not None and before.deployed_version_id is not None and given.enabled:
        yield from check_queue_is_free(context, given, before.id)
    concurrency = given.concurrency
    if concurrency is not None and concurrency.key_expression is not None:
        where = "/concurrency/keyExpression"
        yield from check_expression(context, concurrency.key_expression, where)


def _check_requests_at_a_time(step: Step, pointer: str) -> Iterator[Violation]:
    """Of what a flow says of its runs, a step says of its requests no more than how many."""
    concurrency = step.concurrency
    if concurrency is None:
        return
    if concurrency.limit > limits.STEP_CONCURRENCY_MAX:
        yield Violation(
            "stepConcurrencyTooHigh",
            f"{pointer}/limit",
            f"Step {step.id!r} would have {concurrency.limit:,} requests under way at a time.",
            f"Set limit to {limits.STEP_CONCURRENCY_MAX} or less.",
        )
    if concurrency.on_conflict != "queue":
        yield Violation(
            "stepConcurrencyConflict",
            f"{pointer}/onConflict",
            f"One request too many of step {step.id!r} waits for its turn; no record is left out.",
            "Leave it out, or set it to queue.",
        )
    if concurrency.key_expression is not None:
        yield Violation(
            "stepConcurrencyKey",
            f"{pointer}/keyExpression",
            f"The requests of step {step.id!r} are counted together.",
            "Leave it out; where records of one key must stay in order, set limit to 1.",
        )


def undeployable(settings: FlowSettings, steps: Sequence[Step]) -> Iterator[Violation]:
    """What may be stored, but cannot run: who waits for an answer cannot wait for another flow."""
    for number, step in enumerate(steps):
        if settings.is_synchronous and step.type == "Flow" and not step.is_skipped:
            yield Violation(
                "subflowOfSynchronousFlow",
                f"/steps/{number}/type",
                f"Step {step.id!r} waits for another flow, which a synchronous flow cannot do.",
                "Set isSynchronous to false, start the other flow by runNextFlowIds, or skip it.",
            )


def check_steps(
    context: Context,
    steps: Sequence[Step],
    find: Finders,
    old_steps: Iterable[Step] = (),
) -> Iterator[Violation]:
    """What steps refer to exists and fits, and their expressions can be compiled.

    What old steps refer to is not asked for again: it was there when it was first named.
    """
    named = {id_ for step in old_steps for id_ in _named(step)}
    for number, step in enumerate(steps):
        pointer = f"/steps/{number}"
        yield from _check_action(step, pointer, find.action, named)
        if step.filter is not None:
            yield from check_expression(context, step.filter, f"{pointer}/filter")
            yield from _check_names(names_beside_records(step.filter) or (), f"{pointer}/filter")
        if step.trace_key is not None:
            yield from check_expression(context, step.trace_key, f"{pointer}/traceKey")
        if step.schedule is not None and (step.depends_on or step.type != "Export"):
            yield Violation(
                "scheduleOfNoSource",
                f"{pointer}/schedule",
                f"Step {step.id!r} does not begin the flow by reading, so nothing can start it.",
                "Give the schedule to an Export step without dependsOn, or to the flow.",
            )
        yield from _check_delta(step, pointer, find.action)
        yield from _check_requests_at_a_time(step, f"{pointer}/concurrency")
        if step.action is not None:
            where = f"{pointer}/action"
            yield from check_work(context, step.action, where, find, named)


def _named(step: Step) -> set[str]:
    """The ids of the action that a step refers to, and of what its own names."""
    referred = set() if step.referrer is None else {step.referrer}
    return referred | (set() if step.action is None else named_by(step.action))


def _check_action(
    step: Step, pointer: str, find_action: Lookup[Action], named: Collection[str]
) -> Iterator[Violation]:
    if step.type == "Flow":
        yield from _check_subflow(step, pointer)
        return
    if step.flow_id is not None:
        yield Violation(
            "flowOfNoFlowStep",
            f"{pointer}/flowId",
            f"Step {step.id!r} is of type {step.type} and runs an action, not a flow.",
            "Remove flowId, or set the step's type to Flow.",
        )
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
    is_new = step.referrer is not None and step.referrer not in named
    if step.referrer is not None and is_new and find_action(step.referrer) is None:
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


def _check_delta(step: Step, pointer: str, find_action: Lookup[Action]) -> Iterator[Violation]:
    """Only an export of changes can be kept behind another flow."""
    if step.keep_delta_behind_flow_id is None:
        if step.keep_delta_behind_export_id is not None:
            yield Violation(
                "keepDeltaBehindNoFlow",
                f"{pointer}/keepDeltaBehindExportId",
                f"Step {step.id!r} names an export of another flow, but not the flow.",
                "Set keepDeltaBehindFlowId to the id of the flow.",
            )
        return
    work = work_of(step, find_action)
    if work is not None and not (isinstance(work, ExportAction) and work.delta is not None):
        yield Violation(
            "keepDeltaBehindNoDelta",
            f"{pointer}/keepDeltaBehindFlowId",
            f"Step {step.id!r} does not export what has changed, so it cannot be kept behind.",
            "Give its export a delta, or take keepDeltaBehindFlowId out.",
        )


def _check_subflow(step: Step, pointer: str) -> Iterator[Violation]:
    if step.flow_id is None:
        yield Violation(
            "flowMissing",
            f"{pointer}/flowId",
            f"Step {step.id!r} is of type Flow, but names no flow to run.",
            "Set flowId to the id of the flow.",
        )
    for name in ("action", "referrer"):
        if getattr(step, name) is not None:
            yield Violation(
                "actionOfFlowStep",
                f"{pointer}/{name}",
                f"Step {step.id!r} is of type Flow and has no action.",
                "Remove it, or set the step's type to that of the action.",
            )


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
            yield from _check_names(frozenset[str]().union(*found), f"{pointer}/operations")


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


def expressions_of(work: ProcessAction) -> Iterator[str]:
    """The expressions of a process."""
    for operation in work.operations:
        for _, expression in _expressions(operation):
            yield expression


def _check_templates(context: Context, target: Target, pointer: str) -> Iterator[Violation]:
    """The expressions in the texts of a request can be compiled, and do not name too much."""
    templates = templates_of(target)
    is_of_objects = isinstance(target, S3Export)
    knows_record = not is_of_objects and getattr(target, "batch_size", None) is None
    for template in templates:
        fault = context.connectors.check_template(template.kind, template.text)
        if fault is not None:
            where = "/".join(map(pointer_token, template.place))
            message = f"The text cannot be filled in: {fault}"
            yield Violation("badTemplate", f"{pointer}/{where}", message, "Correct it.")
        elif not knows_record and speaks_of_record(template.text):
            where = "/".join(map(pointer_token, template.place))
            yield Violation(
                "recordUnknown",
                f"{pointer}/{where}",
                "It speaks of the record, which only a request for a single record has.",
                "Use variables, parameters, startDate, endDate or run; "
                "or leave batchSize out, if it is a request.",
            )
    names = frozenset[str]().union(*(names_in_template(each.text) for each in templates))
    yield from _check_names(names, pointer)


def _check_names(names: Collection[str], pointer: str) -> Iterator[Violation]:
    if len(names) > limits.VARIABLES_OF_AN_ACTION:
        yield Violation(
            "tooManyVariables",
            pointer,
            f"It names {len(names)} variables; the limit is {limits.VARIABLES_OF_AN_ACTION}.",
            "Put what belongs together into one variable of type json.",
        )


def named_by(work: ActionWork) -> set[str]:
    """The ids of the connection and the data pools that an action names."""
    return {ref.id for _, ref in references_of_work(work)}


def connection_of(work: ActionWork) -> str | None:
    """The connection that an action works over, if it needs one."""
    return None if isinstance(work, ProcessAction) else work.connection_id


def unknown_data_pool(id_: str, pointer: str) -> Violation:
    """A data pool that is referred to does not exist."""
    return Violation(
        "unknownDataPool",
        pointer,
        f"There is no data pool {id_!r}.",
        "Create the data pool first, or correct the id.",
    )


def unknown_connection(id_: str, pointer: str) -> Violation:
    """A connection that is referred to does not exist."""
    return Violation(
        "unknownConnection",
        pointer,
        f"There is no connection {id_!r}.",
        "Create the connection first, or correct the id.",
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
                yield f"groupBy/{pointer_token(name)}", expression
            for name, figure in operation.figures.items():
                if figure.expression is not None:
                    yield f"figures/{pointer_token(name)}/expression", figure.expression
        case GroupOperation():
            for name, expression in operation.by.items():
                yield f"by/{pointer_token(name)}", expression
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


def _check_schema(context: Context, schema: Json, pointer: str) -> Iterator[Violation]:
    """A JSON Schema can be used."""
    for place, fault in context.connectors.check_schema(schema):
        message = f"The JSON Schema cannot be used: {fault}"
        yield Violation("badSchema", f"{pointer}{place}", message, "Correct it.")
