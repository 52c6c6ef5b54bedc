"""Flows and their versions: what a user edits, and the immutable snapshot that runs."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StringConstraints,
    model_validator,
)
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
    Whole,
)
from millrace.domain.findings import contradiction, finding
from millrace.domain.flow_parts import (
    Aliases,
    ApiKeys,
    Concurrency,
    EndpointSecurityType,
    ExternalId,
    FreeSettings,
    Headers,
    Ids,
    LayoutDirection,
    Logging,
    MediaType,
    ResponseMapping,
    Trigger,
    TriggerKind,
)
from millrace.domain.resource import Resource, SecretHolder
from millrace.domain.run import LatestRun
from millrace.domain.schedule import ScheduleExpression, TimeZone

type StepType = Literal["Export", "Process", "Import", "Flow"]

type Strategy = Literal["stop", "continue"]

type MachineKind = Literal["STANDARD", "EXPRESS"]
"""EXPRESS for a synchronous flow."""

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


class FlowSettings(Model):
    """The fields of a flow that a caller sets, its steps apart."""

    name: Name
    description: Description | None = None
    integration_id: str | None = None
    flow_group_id: str | None = Field(default=None, description="A group of the integration.")
    sort_order: Whole = Field(default=0, ge=0, le=limits.SORT_ORDER_MAX)
    stable_key: StableKey | None = None
    external_id: ExternalId | None = None
    version: Literal["2.0"] = "2.0"
    prod_flag: StrictBool = False
    nux_visible: StrictBool = True
    layout_direction: LayoutDirection = "horizontal"
    labels: Ids = ()
    settings: FreeSettings = Field(default_factory=dict)
    aliases: Aliases = ()

    trigger: Trigger = Trigger()
    schedule: ScheduleExpression | None = None
    timezone: TimeZone = "UTC"
    schedule_start_date: Moment | None = Field(
        default=None, description="Nothing is planned before; a rate counts from then."
    )
    schedule_end_date: Moment | None = Field(
        default=None, description="Nothing is planned then or later."
    )
    is_synchronous: StrictBool = False
    endpoint_security_type: EndpointSecurityType = "customerOptional"
    run_next_flow_ids: Ids = ()

    retry_max_attempts: Whole = Field(default=0, ge=0, le=limits.FLOW_RETRY_ATTEMPTS)
    retry_delay_minutes: Whole = Field(default=0, ge=0, le=limits.FLOW_RETRY_DELAY_MINUTES)
    retry_uses_exponential_backoff: StrictBool = False
    retry_unique_request_id_field: Expression | None = None
    skip_retries: StrictBool = False
    auto_resolve_matching_trace_keys: StrictBool = True
    remove_failed_payloads: StrictBool = False

    priority: Whole = Field(default=3, ge=1, le=5, description="1 goes first.")
    use_queued_time: StrictBool = True
    concurrency: Concurrency | None = None
    run_page_generators_in_parallel: StrictBool = False

    notification_groups: Ids = ()
    notification_id: ExternalId | None = None
    logging: Logging = Logging()

    test_payload: str | None = Field(default=None, max_length=limits.TEST_PAYLOAD_LENGTH)
    test_content_type: MediaType | None = None
    test_headers: Headers = Field(default_factory=dict)

    @model_validator(mode="after")
    def _schedule_ends_after_it_starts(self) -> Self:
        start, end = self.schedule_start_date, self.schedule_end_date
        if start is not None and end is not None and end <= start:
            raise finding(
                "emptyWindow",
                "The schedule ends before it starts.",
                "Give a scheduleEndDate after scheduleStartDate.",
                "/scheduleEndDate",
            )
        return self

    @model_validator(mode="after")
    def _schedule_trigger_has_schedule(self) -> Self:
        if self.trigger.kind is TriggerKind.SCHEDULE and self.schedule is None:
            raise finding(
                "scheduleMissing",
                "A trigger of kind schedule needs a schedule.",
                "Set schedule, or another kind of trigger.",
                "/schedule",
            )
        return self


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


class FlowInput(FlowSettings):
    """What a caller sends to create or replace a flow: its settings and its draft steps.

    Whether it is enabled may be said in three ways, which must agree.
    """

    enabled: StrictBool = True
    disabled: StrictBool | None = Field(default=None, description="`enabled` turned round.")
    enabled_at: Moment | None = Field(
        default=None, description="Any time enables the flow, null disables it."
    )
    organization_api_keys: ApiKeys = None
    steps: Steps = ()

    @model_validator(mode="before")
    @classmethod
    def _one_truth(cls, given: Any) -> Any:  # noqa: ANN401 - anything may be sent
        """Whichever way it is said, `enabled` is what is kept."""
        if not isinstance(given, dict):
            return given
        told = _told_enabled(given)
        if len(set(told.values())) > 1:
            raise contradiction(
                next(iter(told)),
                f"{' and '.join(told)} contradict each other.",
                "Send one of them.",
            )
        return given if not told else {"enabled": next(iter(told.values()))} | given


def _told_enabled(given: dict[str, Any]) -> dict[str, bool]:
    """What each of the three names says; a value of a wrong type is left for the field to tell."""
    told: dict[str, bool] = {}
    if isinstance(given.get("enabled"), bool):
        told["enabled"] = given["enabled"]
    if isinstance(given.get("disabled"), bool):
        told["disabled"] = not given["disabled"]
    if "enabledAt" in given:
        told["enabledAt"] = given["enabledAt"] is not None
    return told


class Flow(FlowSettings, SecretHolder):
    """A stored flow; its steps live in its versions, its API keys in the secret store."""

    prefix: ClassVar[str] = "flow"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name", "enabledAt", "lastExecutedAt")
    beside: ClassVar[tuple[str, ...]] = ("webhook_ids", "callback_ids", "latest_run")

    stable_id: str
    enabled_at: Moment | None = None
    organization_api_keys_count: int = 0
    template_id: str | None = Field(default=None, description="The template it was made from.")
    template_version: str | None = None
    source_id: str | None = Field(default=None, description="The flow it is a copy of.")
    free: bool = False
    draft_version_id: str | None = None
    deployed_version_id: str | None = None
    latest_deployed_version_id: str | None = Field(
        default=None, description="Of the version deployed last, also if it is not any more."
    )
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
    def unique_key(self) -> str | None:
        """The stable key is unique in the integration; of a flow without one, in the workspace."""
        return flow_key(self.stable_key, self.integration_id)

    @property
    def shown_version_id(self) -> str:
        """What is called current: the draft, else the deployed version, else the latest."""
        return self.draft_version_id or self.deployed_version_id or self.latest_version_id

    @property
    def is_enabled(self) -> bool:
        """Triggers fire only if the flow is enabled and deployed."""
        return self.enabled_at is not None

    @property
    def unsettled_at(self) -> Moment | None:
        """Its schedules follow each change; one that was never deployed has none."""
        was_deployed = self.deployed_version_id or self.latest_deployed_version_id
        return self.modified_at if was_deployed else None

    @property
    def next_version_number(self) -> int:
        """A number that no version ever had, since machines are named after it."""
        return max(self.latest_version_number, self.highest_version_number) + 1


def flow_key(stable_key: str | None, integration_id: str | None) -> str | None:
    """The name by which the store finds a flow; no stable key and no id has a slash in it."""
    if stable_key is None or integration_id is None:
        return stable_key
    return f"{integration_id}/{stable_key}"


class Version(Resource):
    """A numbered snapshot of a flow's steps: editable while a draft, immutable once deployed."""

    prefix: ClassVar[str] = "ver"
    orders: ClassVar[tuple[str, ...]] = ("createdAt",)
    found_without_parent: ClassVar[bool] = True

    flow_id: str
    number: int
    steps: tuple[Step, ...]
    deployed_at: Moment | None = None
    frozen: bool = Field(default=False, description="True once it has been deployed.")
    machine_arn: str | None = None
    machine_kind: MachineKind = "STANDARD"
    spare_machine_arn: str | None = Field(
        default=None, description="Of the other kind, from before isSynchronous changed."
    )

    @property
    def machine_arns(self) -> tuple[str, ...]:
        """Every machine that may have runs of the version."""
        return tuple(arn for arn in (self.machine_arn, self.spare_machine_arn) if arn is not None)

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
