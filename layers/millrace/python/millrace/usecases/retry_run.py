"""Running again what a run did, with its payload, as a run of its own."""

from typing import Literal

from pydantic import Field

from millrace.domain.base import Model
from millrace.domain.errors import ConflictError
from millrace.domain.run import Run, RunKey, Trigger
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.deploy import deployed_version
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.runs import Manner, start_run


class RetryRequest(Model):
    """How to run again."""

    from_: Literal["start"] = Field(default="start", alias="from")
    version: Literal["original", "latest"] = Field(
        default="original", description="The run's own version, or the one deployed now."
    )


def retry_run(
    context: Context,
    caller: Caller,
    run_id: str,
    asked: RetryRequest,
    dedupe_key: str | None = None,
) -> Run:
    """Start a run that repeats one that is over; each names the other."""
    first = context.runs.get(RunKey(caller.workspace_id, run_id))
    if not first.status.is_terminal:
        raise ConflictError(f"run {run_id!r} is not over; wait for its end")
    flow = get_flow(context, caller, first.flow_id)
    if asked.version == "original":
        version = get_version(context, caller, flow.id, first.version_id)
    else:
        version = deployed_version(context, flow)
    how = Manner(first.steps_to_run, first.virtual_environment_id, first.connections, first)
    trigger = Trigger(source="manual", triggered_by=caller.token_id)
    run, _ = start_run(
        context, flow, trigger, None, version=version, how=how, dedupe_key=dedupe_key
    )
    return run
