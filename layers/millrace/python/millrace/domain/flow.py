"""Flows and their versions: what a user edits, and the immutable snapshot that runs."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, StrictBool, model_validator

from millrace import limits
from millrace.domain.base import Description, Expression, Model, Moment, Name, StableKey, Whole
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
    Trigger,
    TriggerKind,
)
from millrace.domain.resource import Resource, SecretHolder
from millrace.domain.run import LatestRun
from millrace.domain.schedule import ScheduleExpression, TimeZone
from millrace.domain.step import Step, Steps

type MachineKind = Literal["STANDARD", "EXPRESS"]
"""EXPRESS for a synchronous flow."""


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
