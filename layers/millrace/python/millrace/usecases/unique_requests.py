"""Requests that name themselves: a newer one cancels the retries that an older one waits for.

So that an outdated retry does not overwrite what a newer request wrote. The newer run takes the
older one's place, then looks whether that one waits; the older one plans its retry, then looks
whether it lost its place. Whoever looks last sees the other.
"""

import logging
from contextlib import suppress

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import NotFoundError, UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.records import RecordError
from millrace.domain.run import Run, RunError, RunKey, RunOutcome, RunStatus, StepStatus
from millrace.usecases.context import Context
from millrace.usecases.latest_runs import tell_flow
from millrace.usecases.run_ends import settle, total, version_of

logger = logging.getLogger(__name__)


def unique_request_id(context: Context, flow: Flow, payload: Json) -> str | None:
    """What the flow's expression says of a payload: a text or a number; all else is no id.

    A request without an id supersedes nothing and is not superseded.
    """
    if flow.retry_unique_request_id_field is None:
        return None
    record = payload if isinstance(payload, dict) else {"value": payload}
    try:
        value = context.connectors.evaluate(flow.retry_unique_request_id_field, record)
    except RecordError as error:
        logger.warning("no unique request id for a run of %s: %s", flow.id, error.code)
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    return text if 0 < len(text) <= limits.REQUEST_ID_LENGTH else None


def take_place(context: Context, run: Run) -> None:
    """Make a run the latest for its request; an older one that waits for a retry makes way."""
    if run.unique_request_id is None:
        return
    older = context.runs.take_place(run)
    if older is not None and older != run.retry_of:
        with suppress(NotFoundError):
            supersede(context, context.runs.get(RunKey(run.workspace_id, older)), run.id)


def make_way(context: Context, run: Run) -> Run:
    """The run as it waits for its next attempt, or superseded if there is a newer request."""
    latest = context.runs.latest_for_request(run)
    return run if latest in {None, run.id} else supersede(context, run, latest or "")


def supersede(context: Context, run: Run, by: str) -> Run:
    """End a run that waits for its next attempt; any other stays as it is."""
    if run.status is not RunStatus.RETRYING:
        return run
    message = f"a newer run for the same request, {by}, took its place"
    error = RunError(code="superseded", message=message)
    records = settle(context, run, StepStatus.CANCELLED, error)
    outcome = RunOutcome(
        status=RunStatus.SUPERSEDED,
        counts=total(version_of(context, run), records),
        error=error,
        is_followed=run.trigger.is_call,  # the sweeper tells the step that waits
    )
    run = context.runs.supersede(run.key, by, outcome, context.clock())
    if run.status is RunStatus.SUPERSEDED:
        tell_flow(context, run)
        # A machine that is not stopped finds the run over when it wakes up.
        with suppress(UnavailableError):
            context.machines.stop(run.machine_arn, run.id)
        # It starts runs, which imports this.
        from millrace.usecases.lanes import release  # noqa: PLC0415

        release(context, run)
    return run
