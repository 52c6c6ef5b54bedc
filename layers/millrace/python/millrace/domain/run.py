"""Runs: one execution of a version, its attempts, and what each step did."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final, Literal, NamedTuple

from pydantic import ConfigDict, Field

from millrace import limits
from millrace.domain.base import Json, Model, Moment, rfc3339
from millrace.domain.delta import DeltaWindow


class RunStatus(StrEnum):
    """The states of a run; a terminal one is written once and never changed."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partiallySucceeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"

    @property
    def is_terminal(self) -> bool:
        """Whether the run is over."""
        return self not in {RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.RETRYING}


class StepStatus(StrEnum):
    """The states of a step within one attempt."""

    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partiallySucceeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def is_terminal(self) -> bool:
        """Whether the step's result stands."""
        return self not in {StepStatus.RUNNING, StepStatus.RETRYING}

    @property
    def has_output(self) -> bool:
        """Whether dependants read this step's records."""
        return self in {StepStatus.SUCCEEDED, StepStatus.PARTIALLY_SUCCEEDED}


class RunError(Model):
    """Why a run or a step did not succeed."""

    code: str
    message: str
    step_id: str | None = None


class Counts(Model):
    """Records through a step, or through a whole run."""

    records_in: int = 0
    records_out: int = 0
    records_ignored: int = 0
    records_failed: int = 0


type OnConflict = Literal["queue", "reject", "skip", "cancelPrevious"]

type TriggerSource = Literal["manual", "schedule", "webhook", "callback", "queue", "flow"]


class Trigger(Model):
    """What started a run."""

    source: TriggerSource
    webhook_id: str | None = None
    callback_id: str | None = None
    queue: str | None = Field(default=None, description="The SQS queue of the message.")
    delivery_id: str | None = Field(default=None, description="Of a delivery, or of a message.")
    scheduled_for: Moment | None = None
    step_id: str | None = Field(
        default=None,
        description="The source whose own schedule it was, or the step that waits for the run.",
    )
    triggered_by: str | None = Field(default=None, description="Token id of the caller, if one.")
    run_id: str | None = Field(
        default=None,
        description="The run of another flow, at whose end this one was started, or whose step "
        "waits for it.",
    )
    attempt: int | None = Field(
        default=None, description="Of that run: in this attempt a step of it waits."
    )
    flows_before: int = Field(default=0, description="Flows that came before it in that row.")
    depth: int = Field(
        default=0, description="Runs that wait for it: that run, the one that waits for it, and on."
    )

    @property
    def is_call(self) -> bool:
        """Whether a step of another run waits for the result."""
        return self.attempt is not None

    @property
    def caller(self) -> str | None:
        """Who or what started the run: a token, a public address, or a queue."""
        return self.triggered_by or self.webhook_id or self.callback_id or self.queue


class RunInputs(Model):
    """What a run was given beside its payload, for its expressions to use."""

    variables: dict[str, Json] = Field(
        default_factory=dict, description="In the place of the workspace's of these names."
    )
    parameters: dict[str, Json] = Field(default_factory=dict)
    start_date: Moment | None = None
    end_date: Moment | None = None


class OutputPage(Model):
    """One page of a step's output: gzip-compressed NDJSON, inline or under a key in the bucket."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    records: int
    data: bytes | None = None
    key: str | None = None
    skip: int | None = Field(
        default=None, description="Records under the key before the first of the page."
    )
    of: int | None = Field(
        default=None, description="Records under the key, if the page is only some of them."
    )
    is_index: bool | None = Field(
        default=None, description="Under the key are the pages, and these have the records."
    )

    def part(self, skip: int, records: int) -> "OutputPage":
        """The page of some of the records under its key."""
        whole = self.of or self.records
        is_part = records < whole
        update = {"records": records, "skip": skip or None, "of": whole if is_part else None}
        return self.model_copy(update=update)


class PayloadRef(Model):
    """Where a run's trigger payload is: inline as JSON text, under a key in the bucket, or pages.

    Pages are the records that a step of another run gathered for this one.
    """

    inline: str | None = None
    key: str | None = None
    pages: tuple[OutputPage, ...] = ()

    @property
    def is_in_bucket(self) -> bool:
        """Whether it is kept no longer than what is in the bucket."""
        return self.key is not None or any(page.key is not None for page in self.pages)


class StepRecord(Model):
    """What one step did in one attempt: its result, or how far it is."""

    step_id: str
    attempt: int
    status: StepStatus
    tries: int = Field(default=1, description="Times the worker began or resumed the step.")
    started_at: Moment
    ended_at: Moment | None = None
    counts: Counts = Counts()
    error: RunError | None = None
    output: tuple[OutputPage, ...] = ()
    checkpoint: Json = Field(
        default=None, description="Where to go on after an interruption; None: from the start."
    )
    delta: DeltaWindow | None = Field(
        default=None, description="What an export of changes reads, through all its tries."
    )
    child_run_id: str | None = Field(
        default=None, description="The run of another flow that it waits for, or waited."
    )
    task_token: str | None = Field(
        default=None, description="By which the machine is told that the wait is over."
    )

    @classmethod
    def begun(cls, step_id: str, attempt: int, now: datetime) -> "StepRecord":
        """That of a step's first try."""
        return cls(step_id=step_id, attempt=attempt, status=StepStatus.RUNNING, started_at=now)


class NextRun(Model):
    """A flow that was to start when a run ended."""

    flow_id: str
    run_id: str | None = Field(default=None, description="Absent if it could not be started.")
    reason: str | None = Field(default=None, description="Why it could not.")


@dataclass(frozen=True, slots=True)
class Followed:
    """What was done about the end of a run."""

    next_runs: tuple[NextRun, ...] = ()
    payload_removed: bool = False


class RunOutcome(Model):
    """How a run ended."""

    status: RunStatus
    counts: Counts = Counts()
    error: RunError | None = None
    delta: dict[str, DeltaWindow] = Field(
        default_factory=dict, description="By step, what counts as read from now on."
    )
    is_followed: bool = Field(default=False, description="Whether something follows the end.")
    recovered_from: str | None = None


class LatestRun(Model):
    """What a flow tells of the run that started last."""

    run_id: str
    version_id: str
    status: RunStatus
    triggered_by: str | None = None
    trigger_source: str
    start_date: Moment
    end_date: Moment | None = None
    success: bool | None = Field(default=None, description="Absent while the run is not over.")
    message: str | None = None
    execution_error_code: str | None = None


class RunKey(NamedTuple):
    """What names a run everywhere: its workspace and its id."""

    workspace_id: str
    run_id: str


class LaneKey(NamedTuple):
    """What names a lane: the runs of a flow, or of one key of it, that are counted together."""

    workspace_id: str
    flow_id: str
    name: str


class Place(Model):
    """The lane of a run, and how the run goes there."""

    lane: str
    key: str | None = Field(default=None, description="The value by which its flow tells lanes.")
    limit: int
    on_conflict: OnConflict
    priority: int
    goes_past: bool = Field(default=False, description="It does not wait; it has a slot anyway.")
    uses_queued_time: bool = True


class Replay(Model):
    """Records that a run tries again from one step on, because they failed there before."""

    step_id: str
    pages: tuple[OutputPage, ...] = Field(description="Of `ReplayedRecord`s.")


class Attempt(Model):
    """One pass over the whole graph."""

    number: int
    status: RunStatus
    started_at: Moment
    ended_at: Moment | None = None
    error: RunError | None = None


SKIPPED: Final = "skipped"
"""The error of a run that did not begin because its flow was busy, and skips what comes then."""

_KEPT: Final = frozenset({RunStatus.FAILED, RunStatus.PARTIALLY_SUCCEEDED})


class Run(Model):
    """One execution of a version."""

    prefix: ClassVar[str] = "run"

    id: str
    workspace_id: str
    flow_id: str
    version_id: str
    version_number: int
    status: RunStatus
    trigger: Trigger
    payload: PayloadRef = PayloadRef()
    inputs: PayloadRef = Field(
        default=PayloadRef(), description="Its variables and parameters, where it was given any."
    )
    start_date: Moment | None = Field(
        default=None, description="Of what exports read, from then on; theirs to ask for."
    )
    end_date: Moment | None = None
    machine_arn: str
    steps_to_run: tuple[str, ...] | None = Field(
        default=None, description="Only these steps run; the others are as if skipped. None: all."
    )
    virtual_environment_id: str | None = None
    retry_of: str | None = Field(default=None, description="The run that this one repeats.")
    carried_over: tuple[str, ...] = Field(
        default=(), description="Steps whose results are those that the repeated run has of them."
    )
    origin_id: str | None = Field(
        default=None,
        description="Of a run that goes on from where others failed: the first of them, by which "
        "its outbound requests are named.",
    )
    retries: tuple[str, ...] = Field(default=(), description="The runs that repeat this one.")
    unique_request_id: str | None = Field(
        default=None, description="What the flow's retryUniqueRequestIdField says of the payload."
    )
    superseded_by: str | None = Field(
        default=None, description="The newer run for the same request, for which it made way."
    )
    supersedes: tuple[str, ...] = Field(
        default=(), description="The older runs that made way for this one."
    )
    replay: Replay | None = Field(
        default=None, description="What its first step takes in place of its input, if anything."
    )
    place: Place | None = Field(
        default=None, description="Where it counts, if its flow limits how many are at work."
    )
    connections: dict[str, str] = Field(
        default_factory=dict, description="Connections, and those that take their place."
    )
    data_pools: dict[str, str] = Field(
        default_factory=dict, description="Data pools, and those that take their place."
    )
    traceparent: str | None = Field(
        default=None, description="The place in a trace (W3C) from which it goes on."
    )
    tracestate: str | None = None
    debug_until: Moment | None = Field(
        default=None, description="As long as its flow would have it logged in detail."
    )
    attempt: int = 1
    created_at: Moment
    started_at: Moment | None = None
    ended_at: Moment | None = None
    counts: Counts = Counts()
    error: RunError | None = None
    delta: dict[str, DeltaWindow] = Field(
        default_factory=dict, description="By step, what counts as read since it succeeded."
    )
    attempts: tuple[Attempt, ...] = ()
    is_followed: bool = Field(
        default=False, description="From its end until what follows that was started, once."
    )
    next_runs: tuple[NextRun, ...] = ()
    recovered_from: str | None = Field(
        default=None, description="The failed run after which this one is the first success."
    )
    payload_removed: bool = Field(
        default=False, description="Its flow keeps no payloads of runs that failed."
    )

    @property
    def forgotten_at(self) -> datetime | None:
        """When the run itself is forgotten; one that failed, as a whole or in part, never is."""
        if self.ended_at is None or self.status in _KEPT:
            return None
        return self.ended_at + timedelta(days=limits.RUN_DAYS)

    @property
    def trace_id(self) -> str | None:
        """What its log lines and outbound requests have in common with those of its caller."""
        return None if self.traceparent is None else self.traceparent.split("-")[1]

    @property
    def is_skipped(self) -> bool:
        """Whether it never was to begin, because others of its flow were at work."""
        return self.error is not None and self.error.code == SKIPPED

    @property
    def waits_until(self) -> datetime:
        """When it is given up, if it has no slot until then."""
        return self.created_at + timedelta(hours=limits.QUEUE_WAIT_HOURS)

    @property
    def relative_to(self) -> datetime:
        """What is now for its expressions: when it was queued, or when it began."""
        if self.place is None or self.place.uses_queued_time:
            return self.created_at
        return self.started_at or self.created_at

    @property
    def lane_key(self) -> LaneKey | None:
        """The name of its lane, if it has one."""
        if self.place is None:
            return None
        return LaneKey(self.workspace_id, self.flow_id, self.place.lane)

    @property
    def is_settled(self) -> bool:
        """Whether it is over, and nothing is left to do about that."""
        return self.status.is_terminal and not self.is_followed

    @property
    def latest(self) -> LatestRun:
        """What its flow tells of it while it is the latest one."""
        failed = self.counts.records_failed
        message = f"records that failed: {failed}" if failed else None
        return LatestRun(
            run_id=self.id,
            version_id=self.version_id,
            status=self.status,
            triggered_by=self.trigger.caller,
            trigger_source=self.trigger.source,
            start_date=self.started_at or self.created_at,
            end_date=self.ended_at,
            success=self.status is RunStatus.SUCCEEDED if self.status.is_terminal else None,
            message=message if self.error is None else self.error.message,
            execution_error_code=None if self.error is None else self.error.code,
        )

    @property
    def has_inputs(self) -> bool:
        """Whether its expressions may have been given anything."""
        return (self.inputs, self.start_date, self.end_date) != (PayloadRef(), None, None)

    @property
    def key(self) -> RunKey:
        """The run's name in the ports."""
        return RunKey(self.workspace_id, self.id)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows: all that is said must hold, and of several values any."""

    statuses: tuple[RunStatus, ...] = ()
    """Empty: any; so are the two that follow."""

    flow_ids: tuple[str, ...] = ()
    trigger_sources: tuple[TriggerSource, ...] = ()
    created_after: datetime | None = None
    """From this time on, so that intervals that follow each other share no run."""

    created_before: datetime | None = None

    @property
    def is_of_time_only(self) -> bool:
        """Whether it is a part of the list, so that no run need be looked at and left out."""
        return not (self.statuses or self.flow_ids or self.trigger_sources)

    def admits(self, run: Run) -> bool:
        """Whether a run is shown."""
        created = rfc3339(run.created_at)
        return (
            (not self.statuses or run.status in self.statuses)
            and (not self.flow_ids or run.flow_id in self.flow_ids)
            and (not self.trigger_sources or run.trigger.source in self.trigger_sources)
            and (self.created_after is None or created >= rfc3339(self.created_after))
            and (self.created_before is None or created < rfc3339(self.created_before))
        )


ANY_RUN: Final = RunFilter()
