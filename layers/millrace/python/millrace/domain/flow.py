"""Flows and their versions: what a user edits, and the immutable snapshot that runs."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from millrace import limits
from millrace.domain.action import ActionWork
from millrace.domain.base import (
    Description,
    Expression,
    Model,
    Moment,
    Name,
    StableKey,
)
from millrace.domain.resource import Resource
from millrace.domain.run import LatestRun
from millrace.domain.schedule import ScheduleExpression, TimeZone

type StepType = Literal["Export", "Process", "Import"]

type Strategy = Literal["stop", "continue"]

StepId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80),
    Field(description="Unique in the version, stable across copies."),
]


class ExceptionBehavior(Model):
    """What a step's failure or partial success means for the steps after it."""

    type: Literal["failure", "partial_success"]
    strategy: Strategy


class StepRetry(Model):
    """Retries of one step by the state machine, after the worker's own short ones.

    The n-th wait is `intervalSeconds * backoffRate ** (n - 1)`, at most `maxDelaySeconds`; with
    jitter FULL it is drawn between 0 and that.
    """

    max_attempts: int = 3
    interval_seconds: int = 2
    backoff_rate: float = 2.0
    max_delay_seconds: int | None = None
    jitter: bool = True


class Position(Model):
    """Where a step stands on the canvas."""

    x: float
    y: float


class Step(Model):
    """A node of a version's graph."""

    id: StepId
    name: Name | None = None
    type: StepType
    referrer: str | None = Field(default=None, description="Id of the action it runs.")
    action: ActionWork | None = Field(default=None, description="The action itself, inline.")
    depends_on: tuple[str, ...] = ()
    is_skipped: bool = False
    exception_behavior: tuple[ExceptionBehavior, ...] = ()
    retry: StepRetry = StepRetry()
    timeout_seconds: int | None = Field(
        default=None, description="Absent: the longest that the step's type allows."
    )
    filter: Expression | None = Field(
        default=None, description="Only records for which this is true reach the step."
    )
    on_not_matching: Literal["drop", "pass"] = "drop"
    position: Position | None = None

    def strategy(self, type_: Literal["failure", "partial_success"]) -> Strategy:
        """`stop` or `continue`; by default a failure stops and a partial success continues."""
        for behavior in self.exception_behavior:
            if behavior.type == type_:
                return behavior.strategy
        return "stop" if type_ == "failure" else "continue"


class TriggerKind(StrEnum):
    """What starts the runs of a flow."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"


class Trigger(Model):
    """How runs of the flow are meant to start."""

    kind: TriggerKind = TriggerKind.MANUAL


class FlowSettings(Model):
    """The fields of a flow that a caller sets, its steps apart."""

    name: Name
    description: Description | None = None
    stable_key: StableKey | None = None
    trigger: Trigger = Trigger()
    schedule: ScheduleExpression | None = None
    timezone: TimeZone = "UTC"
    retry_max_attempts: int = Field(default=0, ge=0, le=limits.FLOW_RETRY_ATTEMPTS)
    retry_delay_minutes: int = Field(default=0, ge=0, le=limits.FLOW_RETRY_DELAY_MINUTES)
    retry_uses_exponential_backoff: bool = False

    @model_validator(mode="after")
    def _schedule_trigger_has_schedule(self) -> Self:
        if self.trigger.kind is TriggerKind.SCHEDULE and self.schedule is None:
            msg = "a trigger of kind schedule needs a schedule"
            raise ValueError(msg)
        return self


def _countable(steps: object) -> object:
    """Refuse a list that is far too long before anything in it is looked at."""
    if isinstance(steps, list | tuple) and len(steps) > limits.STEPS_READ:
        raise PydanticCustomError(
            "too_many_steps",
            "The flow has {count} steps; {limit} is the limit.",
            {"count": len(steps), "limit": limits.STEPS_PER_VERSION},
        )
    return steps


class FlowInput(FlowSettings):
    """What a caller sends to create or replace a flow: its settings and its draft steps."""

    enabled: bool = True
    steps: Annotated[
        tuple[Step, ...], Field(max_length=limits.STEPS_READ), BeforeValidator(_countable)
    ] = ()


class Flow(FlowSettings, Resource):
    """A stored flow; its steps live in its versions."""

    prefix: ClassVar[str] = "flow"
    beside: ClassVar[tuple[str, ...]] = ("webhook_ids", "callback_ids", "latest_run")

    stable_id: str
    enabled_at: Moment | None = None
    draft_version_id: str | None = None
    deployed_version_id: str | None = None
    latest_version_id: str
    latest_version_number: int = 1
    highest_version_number: int = Field(
        default=1, description="The highest number that any version had, also one deleted since."
    )
    steps_count: int = 0
    versions_count: int = 1
    recent_version_ids: tuple[str, ...] = Field(
        default=(), description="Of the newest versions, the newest first."
    )
    webhook_ids: tuple[str, ...] = ()
    callback_ids: tuple[str, ...] = ()
    latest_run: LatestRun | None = None

    @property
    def is_enabled(self) -> bool:
        """Triggers fire only if the flow is enabled and deployed."""
        return self.enabled_at is not None

    @property
    def next_version_number(self) -> int:
        """A number that no version ever had, since machines are named after it."""
        return max(self.latest_version_number, self.highest_version_number) + 1


class Version(Resource):
    """A numbered snapshot of a flow's steps: editable while a draft, immutable once deployed."""

    prefix: ClassVar[str] = "ver"

    flow_id: str
    number: int
    steps: tuple[Step, ...]
    deployed_at: Moment | None = None
    frozen: bool = Field(default=False, description="True once it has been deployed.")
    machine_arn: str | None = None

    @property
    def state(self) -> Literal["draft", "deployed", "inactive"]:
        """Draft until first deployed; afterwards deployed or inactive."""
        if self.deployed_at is not None:
            return "deployed"
        return "inactive" if self.frozen else "draft"


class LatestSteps(Resource):
    """The steps of a flow's latest version, under the flow's own id: both are read at once.

    Written with every change of them, in a transaction with the flow, whose revision guards it.
    """

    prefix: ClassVar[str] = "steps"

    version_id: str
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, version: Version) -> Self:
        """The copy of a version's steps."""
        return cls(
            id=version.flow_id,
            workspace_id=version.workspace_id,
            created_at=version.created_at,
            created_by=version.created_by,
            modified_at=version.modified_at,
            modified_by=version.modified_by,
            version_id=version.id,
            steps=version.steps,
        )
