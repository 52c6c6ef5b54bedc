"""Rules that a flow and its steps keep before they are stored: all findings at once."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from pydantic.alias_generators import to_camel

from millrace import compiler, limits
from millrace.domain.action import Action
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings
from millrace.domain.run_values import names_beside_records
from millrace.domain.step import Step
from millrace.usecases.context import Context
from millrace.usecases.definitions import to_definition
from millrace.usecases.delta_rules import check_delta
from millrace.usecases.finders import Lookup, work_of
from millrace.usecases.queues import check_queue, check_queue_is_free
from millrace.usecases.stored_finders import Finders
from millrace.usecases.work_rules import check_expression, check_names, check_work, named_by

_RETRY_SETTINGS: Final = (
    "retry_max_attempts",
    "retry_delay_minutes",
    "retry_uses_exponential_backoff",
    "retry_unique_request_id_field",
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
            yield from check_names(names_beside_records(step.filter) or (), f"{pointer}/filter")
        if step.trace_key is not None:
            yield from check_expression(context, step.trace_key, f"{pointer}/traceKey")
        if step.schedule is not None and (step.depends_on or step.type != "Export"):
            yield Violation(
                "scheduleOfNoSource",
                f"{pointer}/schedule",
                f"Step {step.id!r} does not begin the flow by reading, so nothing can start it.",
                "Give the schedule to an Export step without dependsOn, or to the flow.",
            )
        yield from check_delta(steps, step, pointer, find.action)
        yield from _check_requests_at_a_time(step, f"{pointer}/concurrency")
        if step.action is not None:
            where = f"{pointer}/action"
            yield from check_work(context, step.action, where, find, named)


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


def _named(step: Step) -> set[str]:
    """The ids of the action that a step refers to, and of what its own names."""
    referred = set() if step.referrer is None else {step.referrer}
    return referred | (set() if step.action is None else named_by(step.action))
