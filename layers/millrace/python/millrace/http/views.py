"""Answers that show more, or less, of flows, versions and runs than what is stored."""

from typing import Any, Literal, Self

from pydantic import Field

from millrace.domain.base import Model, Moment
from millrace.domain.flow import Flow, Version
from millrace.domain.run import Attempt, Counts, NextRun, Run, RunError, RunStatus, Trigger
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.usecases.resources import fields_of


class FlowView(Flow):
    """A flow with what follows from its fields."""

    enabled: bool
    disabled: bool
    deployed: bool
    current_version_id: str = Field(description="Of the draft, else the deployed, else the latest.")
    last_executed_at: Moment | None = Field(description="When its latest run started.")
    test_url: str = Field(description="Where to send a test request to, on this API.")
    allow_update: bool = Field(description="Whether the caller's role permits to change it.")
    allow_remove: bool = Field(description="Whether the caller's role permits to delete it.")

    @classmethod
    def of(cls, flow: Flow, caller: Caller) -> Self:
        """The view of a stored flow."""
        return cls(**_view_fields(flow, caller))


class FlowDetail(FlowView):
    """A flow with the steps of its latest version, which may be edited and sent back."""

    steps: tuple[Step, ...]

    @classmethod
    def with_steps(cls, flow: Flow, steps: tuple[Step, ...], caller: Caller) -> Self:
        """The view of a stored flow and the steps of its latest version."""
        return cls(**_view_fields(flow, caller), steps=steps)


def _view_fields(flow: Flow, caller: Caller) -> dict[str, Any]:
    return fields_of(flow, Flow) | {
        "enabled": flow.is_enabled,
        "disabled": not flow.is_enabled,
        "current_version_id": flow.shown_version_id,
        "test_url": f"/v1/flows/{flow.id}/test",
        "allow_update": caller.may("editor"),
        "allow_remove": caller.may("editor"),
        "deployed": flow.deployed_version_id is not None,
        "last_executed_at": None if flow.latest_run is None else flow.latest_run.start_date,
    }


class VersionView(Version):
    """A version with its status."""

    status: Literal["draft", "deployed", "inactive"]

    @classmethod
    def of(cls, version: Version) -> Self:
        """The view of a stored version."""
        return cls(**fields_of(version, Version), status=version.state)


class RunView(Model):
    """A run, without its payload."""

    id: str
    workspace_id: str
    flow_id: str
    version_id: str
    version_number: int
    status: RunStatus
    steps_to_run: tuple[str, ...] | None
    virtual_environment_id: str | None
    start_date: Moment | None
    end_date: Moment | None
    retry_of: str | None
    carried_over: tuple[str, ...]
    retries: tuple[str, ...]
    unique_request_id: str | None
    superseded_by: str | None
    supersedes: tuple[str, ...]
    trigger: Trigger
    trace_id: str | None
    attempt: int
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    counts: Counts
    error: RunError | None
    attempts: tuple[Attempt, ...]
    next_runs: tuple[NextRun, ...]
    payload_removed: bool
    recovered_from: str | None

    @classmethod
    def of(cls, run: Run) -> Self:
        """The view of a stored run."""
        return cls(**fields_of(run, cls), trace_id=run.trace_id)
