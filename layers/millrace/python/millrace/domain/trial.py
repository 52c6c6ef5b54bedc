"""Tests of flows: what became of each step of a version that was tried without deploying it."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from millrace.domain.base import Model, Moment, Record
from millrace.domain.resource import Resource
from millrace.domain.run import Counts


class TrialStatus(StrEnum):
    """How a test ended; `incomplete` when its time was over first."""

    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partiallySucceeded"
    FAILED = "failed"
    INCOMPLETE = "incomplete"


class StepTrialStatus(StrEnum):
    """How a step of a test ended; `interrupted` when the test's time was over meanwhile."""

    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partiallySucceeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    NOT_REACHED = "notReached"


class StepTrialError(Model):
    """Why a step did not succeed, or was not reached."""

    code: str
    message: str
    transient: bool = Field(default=False, description="Whether a run would have tried again.")


class RecordTrouble(Model):
    """A record that failed. What an export read may be no record at all."""

    code: str
    message: str
    record: Record | None = None


class PlannedRequest(Model):
    """A request that a run would send. The credentials are left out."""

    method: str
    url: str
    headers: dict[str, str]
    authentication: str = Field(
        description="What the connection adds: its kind of `auth`; "
        "`role` where the worker itself writes to AWS."
    )
    body: str = Field(description="If it is long, its beginning.")
    body_bytes: int


class Shown(Model):
    """The first of so many things."""

    count: int = 0
    truncated: bool = Field(default=False, description="Whether there are more than are shown.")


class ShownRecords(Shown):
    """Records of a step."""

    data: tuple[Record, ...] = ()


class ShownTroubles(Shown):
    """Records of a step that failed."""

    data: tuple[RecordTrouble, ...] = ()


class ShownRequests(Shown):
    """Requests of a step."""

    data: tuple[PlannedRequest, ...] = ()


class StepOutcome(Model):
    """What became of a step, without its records."""

    step_id: str
    status: StepTrialStatus
    started_at: Moment | None = None
    duration_ms: int = 0
    counts: Counts = Counts()
    has_more: bool = Field(
        default=False, description="Whether the export has more than the test has read."
    )
    error: StepTrialError | None = None


class StepTrial(StepOutcome):
    """What became of a step."""

    input: ShownRecords = ShownRecords()
    output: ShownRecords = ShownRecords()
    errors: ShownTroubles = ShownTroubles()
    requests: ShownRequests = Field(
        default=ShownRequests(), description="What an import would have sent."
    )


class Trial(Resource):
    """The result of a test, which is no run: nothing else remembers that there was one."""

    prefix: ClassVar[str] = "test"

    flow_id: str
    version_id: str
    version_number: int
    virtual_environment_id: str | None = None
    status: TrialStatus
    duration_ms: int
    expires_at: Moment
    steps: tuple[StepTrial, ...]

    @property
    def forgotten_at(self) -> Moment:
        """When the store may remove it."""
        return self.expires_at
