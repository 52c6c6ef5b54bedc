"""The results of a flow's tests: kept for a while, and no longer than the flow."""

from millrace.domain.flow import Flow
from millrace.domain.ports import Delete, Listing
from millrace.domain.token import Caller
from millrace.domain.trial import Trial
from millrace.usecases.context import Context
from millrace.usecases.flows import get_flow


def get_trial(context: Context, caller: Caller, flow_id: str, trial_id: str) -> Trial:
    """The result of one test of a flow."""
    return context.resources.get(Trial, caller.workspace_id, trial_id, parent_id=flow_id)


def list_trials(
    context: Context, caller: Caller, flow_id: str, limit: int, cursor: str | None
) -> Listing[Trial]:
    """One page of the results of a flow's tests, newest first."""
    flow = get_flow(context, caller, flow_id)
    return context.resources.page(
        Trial,
        caller.workspace_id,
        parent_id=flow.id,
        limit=limit,
        cursor=cursor,
        newest_first=True,
    )


def forget_trials(context: Context, flow: Flow) -> None:
    """Remove all results of a flow that is gone."""
    cursor = None
    while True:
        listing = context.resources.page(Trial, flow.workspace_id, parent_id=flow.id, cursor=cursor)
        for trial in listing.items:
            context.resources.commit(Delete(trial, parent_id=flow.id))
        cursor = listing.cursor
        if cursor is None:
            return
