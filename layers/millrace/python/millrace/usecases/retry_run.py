"""Running again what a run did, with its payload, as a run of its own."""

from datetime import timedelta
from functools import cache
from typing import Literal

from pydantic import Field

from millrace import limits
from millrace.domain.base import Model
from millrace.domain.errors import ConflictError, Violation
from millrace.domain.run import Run, RunKey, RunStatus, StepStatus, Trigger
from millrace.domain.token import Caller
from millrace.domain.trace_context import Trace
from millrace.usecases.context import Context
from millrace.usecases.deployed import deployed_version
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.pinned import run_version
from millrace.usecases.resources import refuse
from millrace.usecases.runs import Manner, start_run
from millrace.usecases.step_input import sources


class RetryRequest(Model):
    """How to run again."""

    from_: Literal["start", "failedStep"] = Field(
        default="start",
        alias="from",
        description="`failedStep` keeps the results of the steps that succeeded.",
    )
    version: Literal["original", "latest"] = Field(
        default="original", description="The run's own version, or the one deployed now."
    )


def retry_run(
    context: Context,
    caller: Caller,
    run_id: str,
    asked: RetryRequest,
    dedupe_key: str | None = None,
    trace: Trace | None = None,
) -> Run:
    """Start a run that repeats one that is over; each names the other."""
    first = context.runs.get(RunKey(caller.workspace_id, run_id))
    if not first.status.is_terminal:
        raise ConflictError(f"run {run_id!r} is not over; wait for its end")
    _check_payload(context, first)
    carries = asked.from_ == "failedStep"
    if carries:
        _check_carried_over(first, asked)
    flow = get_flow(context, caller, first.flow_id)
    if asked.version == "original":
        version = get_version(context, caller, flow.id, first.version_id)
    else:
        version = deployed_version(context, flow)
    how = Manner(
        steps_to_run=first.steps_to_run,
        virtual_environment_id=first.virtual_environment_id,
        connections=first.connections,
        data_pools=first.data_pools,
        retry_of=first,
        trace=trace,
        carried_over=carried_over(context, first) if carries else (),
        origin_id=(first.origin_id or first.id) if carries else None,
        replay=first.replay,
        goes_past=True,
    )
    trigger = Trigger(source="manual", triggered_by=caller.token_id)
    run, _ = start_run(
        context, flow, trigger, None, version=version, how=how, dedupe_key=dedupe_key
    )
    return run


def _check_payload(context: Context, first: Run) -> None:
    """What the run was started with must still be there."""
    if first.payload_removed:
        message = "its flow removes the payloads of runs that fail (removeFailedPayloads)"
        raise ConflictError(f"run {first.id!r} cannot be repeated: {message}")
    kept_until = first.created_at + timedelta(days=limits.RUN_DETAIL_DAYS)
    if first.payload.is_in_bucket and context.clock() >= kept_until:
        message = f"payloads in the bucket are kept {limits.RUN_DETAIL_DAYS} days"
        raise ConflictError(f"run {first.id!r} cannot be repeated: {message}")


def _check_carried_over(first: Run, asked: RetryRequest) -> None:
    if asked.version == "latest":
        message = "The results of one version's steps say nothing of another version."
        refuse([Violation("notWithLatest", "/version", message, "Retry from the start.")])
    if first.status is RunStatus.SUCCEEDED:
        message = f"No step of run {first.id!r} failed."
        refuse([Violation("nothingFailed", "/from", message, "Retry from the start.")])


def carried_over(context: Context, first: Run) -> tuple[str, ...]:
    """The steps that succeeded on input that will not change: all they read is carried over too."""
    version = run_version(context, first)
    records = context.runs.steps(first.key, first.attempt)
    succeeded = {record.step_id for record in records if record.status is StepStatus.SUCCEEDED}
    by_id = {step.id: step for step in version.steps}

    @cache
    def is_carried(step_id: str) -> bool:
        return step_id in succeeded and all(map(is_carried, sources(version, by_id[step_id])))

    return tuple(step.id for step in version.steps if is_carried(step.id))
