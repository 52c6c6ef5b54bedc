"""Steps: the nodes of a version's graph."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StringConstraints
from pydantic_core import PydanticCustomError

from millrace import limits
from millrace.domain.action import ActionWork
from millrace.domain.base import Expression, Model, Moment, Name, StableKey, Whole
from millrace.domain.flow_parts import Concurrency, ResponseMapping
from millrace.domain.schedule import ScheduleExpression

type StepType = Literal["Export", "Process", "Import", "Flow"]

type Strategy = Literal["stop", "continue"]

StepId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80),
    Field(description="Unique in the version, stable across copies."),
]

_STAMP: Any = Field(default=None, description="Set by us; ignored when sent.")


class ExceptionBehavior(Model):
    """What a step's failure or partial success means for the steps after it."""

    type: Literal["failure", "partial_success"]
    strategy: Strategy


class StepRetry(Model):
    """Retries of one step by the state machine, after the worker's own short ones.

    The n-th wait is `intervalSeconds * backoffRate ** (n - 1)`, at most `maxDelaySeconds`; with
    jitter FULL it is drawn between 0 and that.
    """

    max_attempts: Whole = 3
    interval_seconds: Whole = 2
    backoff_rate: StrictFloat = 2.0
    max_delay_seconds: Whole | None = None
    jitter: StrictBool = True


class Position(Model):
    """Where a step stands on the canvas."""

    x: StrictFloat
    y: StrictFloat


class Step(Model):
    """A node of a version's graph."""

    id: StepId
    name: Name | None = None
    type: StepType
    referrer: str | None = Field(default=None, description="Id of the action it runs.")
    action: ActionWork | None = Field(default=None, description="The action itself, inline.")
    flow_id: str | None = Field(default=None, description="The flow that a step of type Flow runs.")
    depends_on: tuple[str, ...] = ()
    is_skipped: StrictBool = False
    exception_behavior: tuple[ExceptionBehavior, ...] = ()
    retry: StepRetry = StepRetry()
    timeout_seconds: Whole | None = Field(
        default=None, description="Absent: the longest that the step's type allows."
    )
    filter: Expression | None = Field(
        default=None, description="Only records for which this is true reach the step."
    )
    on_not_matching: Literal["drop", "pass"] = "drop"
    exclusive_group: StableKey | None = Field(
        default=None,
        description="Of steps with the same group and the same dependencies, a record goes to the "
        "first, in the order of the document, whose filter matches.",
    )
    proceed_on_failure: StrictBool = Field(
        default=False,
        description="A record that fails here goes on to the next steps all the same.",
    )
    skip_retries: StrictBool = Field(
        default=False, description="Records that fail here are not kept, so not retried either."
    )
    trace_key: Expression | None = Field(
        default=None,
        description="What identifies a record here: when one of the same key succeeds later, the "
        "errors of those before it are resolved.",
    )
    response_mapping: ResponseMapping | None = None
    schedule: ScheduleExpression | None = Field(
        default=None,
        description="A source's own, in the flow's time zone: the flow's leaves the source out.",
    )
    keep_delta_behind_flow_id: str | None = Field(
        default=None,
        description="An export of changes reads no further than the exports of this flow have.",
    )
    keep_delta_behind_export_id: str | None = Field(
        default=None, description="Of that flow's exports only this one: a step, or an action."
    )
    concurrency: Concurrency | None = Field(
        default=None,
        description="How many requests of an import or a lookup may be under way at a time, in "
        f"its worker; at most {limits.STEP_CONCURRENCY_MAX}. One too many waits.",
    )
    position: Position | None = None
    model_id: str | None = Field(
        default=None, description="That of the action's settings, if they have one."
    )
    workspace_id: str | None = Field(
        default=None, description="That of the action's settings, if they have one."
    )
    created_by: str | None = _STAMP
    created_date: Moment | None = _STAMP
    modified_by: str | None = _STAMP
    modified_date: Moment | None = _STAMP

    def strategy(self, type_: Literal["failure", "partial_success"]) -> Strategy:
        """`stop` or `continue`; by default a failure stops and a partial success continues."""
        for behavior in self.exception_behavior:
            if behavior.type == type_:
                return behavior.strategy
        return "stop" if type_ == "failure" else "continue"


def steps_before(steps: Iterable[Step], step: Step) -> list[Step]:
    """The steps that lead to a step, in their order; itself too, if it is on a circle."""
    by_id = {other.id: other for other in steps}
    seen: set[str] = set()
    waiting = list(step.depends_on)
    while waiting:
        id_ = waiting.pop()
        if id_ in by_id and id_ not in seen:
            seen.add(id_)
            waiting += by_id[id_].depends_on
    return [other for id_, other in by_id.items() if id_ in seen]


def _countable(steps: object) -> object:
    """Refuse a list that is far too long before anything in it is looked at."""
    if isinstance(steps, list | tuple) and len(steps) > limits.STEPS_READ:
        raise PydanticCustomError(
            "too_many_steps",
            "The flow has {count} steps; {limit} is the limit.",
            {
                "count": len(steps),
                "limit": limits.STEPS_PER_VERSION,
                "remedy": "Move parts of it into flows of their own.",
            },
        )
    return steps


Steps = Annotated[
    tuple[Step, ...], Field(max_length=limits.STEPS_READ), BeforeValidator(_countable)
]
