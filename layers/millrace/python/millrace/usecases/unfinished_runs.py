"""Whether a flow, or one of its versions, has runs that are not over."""

from millrace.domain.errors import NotFoundError
from millrace.domain.flow import Flow
from millrace.domain.run import RunKey
from millrace.usecases.context import Context


def has_unfinished_runs(context: Context, flow: Flow, version_id: str | None = None) -> bool:
    """Whether a run of a flow, as it is stored now, is not over; or one of this version.

    The index of such runs is a moment behind, so the run that began last is looked at itself.
    """
    unfinished = {run.version_id for run in context.runs.unfinished_of(flow.workspace_id, flow.id)}
    if unfinished if version_id is None else version_id in unfinished:
        return True
    latest = flow.latest_run
    if latest is None or latest.status.is_terminal or version_id not in {None, latest.version_id}:
        return False
    # Flows are told of the ends of their runs at best effort.
    try:
        run = context.runs.get(RunKey(flow.workspace_id, latest.run_id))
    except NotFoundError:
        return False
    return not run.status.is_terminal
