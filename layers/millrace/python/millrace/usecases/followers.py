"""What follows the end of a run: who waits for it, notifications, next flows, and less to keep.

The end itself says that something follows, in the same write, and the run stays with the unfinished
ones until that was started. So whoever tells of the end again, or the sweeper, makes up for a crash
in between; what was started already is found by its dedupe key.
"""

from typing import Final

from millrace import limits
from millrace.domain.errors import ConflictError, NotFoundError, QueueFullError
from millrace.domain.flow import Flow
from millrace.domain.run import Followed, NextRun, Run, RunStatus, Trigger
from millrace.domain.trace_context import Trace
from millrace.usecases.call_ends import tell_caller
from millrace.usecases.context import Context
from millrace.usecases.notify import begin_notifications
from millrace.usecases.runs import Manner, start_run

_TOO_MANY: Final = (
    f"{limits.FLOWS_IN_A_ROW} flows in a row have started each other; is there a circle?"
)


def is_followed(flow: Flow | None, run: Run, status: RunStatus) -> bool:
    """Whether anything follows such an end of a flow's run, which nobody cancelled."""
    if run.trigger.is_call:
        return True
    if flow is None:
        return False
    begins = bool(flow.run_next_flow_ids or flow.notification_groups)
    return begins or _forgets_payload(flow, status)


def _forgets_payload(flow: Flow, status: RunStatus) -> bool:
    return flow.remove_failed_payloads and status is RunStatus.FAILED


def follow(context: Context, run: Run) -> Run:
    """Do once what follows the end of a run; what cannot be started is noted, and no fault."""
    if not run.is_followed:
        return run
    if run.trigger.is_call:
        tell_caller(context, run)
    if run.status in {RunStatus.CANCELLED, RunStatus.SUPERSEDED}:
        return context.runs.note_followed(run.key, Followed())
    try:
        flow = context.resources.get(Flow, run.workspace_id, run.flow_id)
    except NotFoundError:
        return context.runs.note_followed(run.key, Followed())
    if flow.notification_groups:
        begin_notifications(context, run, flow)
    next_runs = tuple(_next_run(context, run, id_) for id_ in flow.run_next_flow_ids)
    forgets = _forgets_payload(flow, run.status)
    if forgets and run.payload.key is not None:
        context.blobs.delete(run.payload.key)
    return context.runs.note_followed(run.key, Followed(next_runs, payload_removed=forgets))


def _next_run(context: Context, run: Run, flow_id: str) -> NextRun:
    row = run.trigger.flows_before + 1
    if row >= limits.FLOWS_IN_A_ROW:
        return NextRun(flow_id=flow_id, reason=_TOO_MANY)
    try:
        flow = context.resources.get(Flow, run.workspace_id, flow_id)
        if not flow.is_enabled:
            return NextRun(flow_id=flow_id, reason="the flow is disabled")
        started, _ = start_run(
            context,
            flow,
            Trigger(source="flow", run_id=run.id, flows_before=row),
            {"flowId": run.flow_id, "runId": run.id, "status": run.status},
            how=Manner(trace=Trace.read(run.traceparent, run.tracestate)),
            dedupe_key=f"{run.id}\n{flow_id}",
        )
    except (NotFoundError, ConflictError, QueueFullError) as error:
        return NextRun(flow_id=flow_id, reason=error.message)
    return NextRun(flow_id=flow_id, run_id=started.id)
