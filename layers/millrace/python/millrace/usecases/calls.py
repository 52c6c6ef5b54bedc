"""Steps of type Flow: a run of another flow is started, and its end is the step's.

    gather the input -> start the run -> note it with the token -> (the run is over? its result)

The run is named by the run, attempt and step that wait for it, so however often the worker comes
back there is one. Nothing runs meanwhile: the machine waits for its token, which whoever ends the
run uses (`call_ends`).
"""

from dataclasses import replace

from millrace import limits
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    QueueFullError,
    StepFailed,
    StepTransient,
)
from millrace.domain.flow import Flow, Version
from millrace.domain.run import PayloadRef, Run, RunKey, RunStatus, StepRecord, Trigger
from millrace.domain.step import Step
from millrace.domain.trace_context import Trace
from millrace.usecases.call_ends import end_call
from millrace.usecases.context import Context
from millrace.usecases.deployed import deployed_version
from millrace.usecases.lifecycle import cancel_run
from millrace.usecases.retry_run import carried_over
from millrace.usecases.runs import Manner, start_run
from millrace.usecases.step_input import sources
from millrace.usecases.step_progress import Progress


def call(
    context: Context, run: Run, version: Version, step: Step, progress: Progress, token: str
) -> StepRecord:
    """Have the other flow run with what was gathered, and wait; the step's record as it is then.

    It is over if the other run is. Raises StepFailed if there can be no such run, and StepTransient
    if too many of that flow's wait.
    """
    child = _child(context, run, version, step, progress)
    try:
        record = progress.wait_for(child.id, token)
    except StepFailed:
        _let_go(context, run, child)
        raise
    if record.status.is_terminal:
        _let_go(context, run, child)
        return record
    child = context.runs.get(child.key)
    return end_call(context, run, record, child) if child.status.is_terminal else record


def _let_go(context: Context, run: Run, child: Run) -> None:
    """Cancel the other run if this one is over; a newer try of the step still waits for it."""
    now = context.runs.get(run.key)
    if (now.status.is_terminal or now.attempt != run.attempt) and not child.status.is_terminal:
        cancel_run(context, child)


def _child(context: Context, run: Run, version: Version, step: Step, progress: Progress) -> Run:
    if progress.child_run_id is not None:
        return context.runs.get(RunKey(run.workspace_id, progress.child_run_id))
    earlier = _earlier(context, run, version, step)
    if earlier is not None and earlier.status is RunStatus.SUCCEEDED:
        return earlier
    trigger = Trigger(
        source="flow",
        run_id=run.id,
        step_id=step.id,
        attempt=run.attempt,
        flows_before=run.trigger.flows_before + 1,
        depth=run.trigger.depth + 1,
    )
    if trigger.depth > limits.SUBFLOW_DEPTH or trigger.flows_before >= limits.FLOWS_IN_A_ROW:
        message = f"{run.trigger.depth} runs wait for this one already; is there a circle of flows?"
        raise StepFailed("subflowTooDeep", message)
    how = Manner(
        virtual_environment_id=run.virtual_environment_id,
        connections=run.connections,
        data_pools=run.data_pools,
        inputs_of=run,
        trace=Trace.read(run.traceparent, run.tracestate),
        payload=PayloadRef(pages=progress.gathered()),
    )
    try:
        flow = context.resources.get(Flow, run.workspace_id, step.flow_id or "")
        if not flow.is_enabled:
            raise StepFailed("subflowDisabled", f"flow {flow.id!r} is disabled; enable it")
        called = None if earlier is None else _version_of(context, earlier)
        if earlier is None or called is None:
            called = deployed_version(context, flow)
        else:
            how = replace(
                how,
                retry_of=earlier,
                steps_to_run=earlier.steps_to_run,
                carried_over=carried_over(context, earlier),
                origin_id=earlier.origin_id or earlier.id,
            )
        child, _ = start_run(
            context,
            flow,
            trigger,
            None,
            version=called,
            how=how,
            dedupe_key=f"{run.id}\n{run.attempt}\n{step.id}",
        )
    except QueueFullError as error:
        raise StepTransient("subflowQueueFull", error.message) from error
    except (ConflictError, NotFoundError) as error:
        raise StepFailed("subflowNotStarted", error.message) from error
    return child


def _earlier(context: Context, run: Run, version: Version, step: Step) -> Run | None:
    """The run to go on from: what the step waited for in the run that this one goes on from.

    Only if it would be given the same again, so all that the step reads was carried over.
    """
    is_same = all(id_ in run.carried_over for id_ in sources(version, step))
    if run.retry_of is None or run.origin_id is None or run.attempt > 1 or not is_same:
        return None
    try:
        before = context.runs.get(RunKey(run.workspace_id, run.retry_of))
        record = context.runs.step(before.key, before.attempt, step.id)
        if record is None or record.child_run_id is None:
            return None
        child = context.runs.get(RunKey(run.workspace_id, record.child_run_id))
    except NotFoundError:
        return None
    has_payload = not child.payload_removed
    return child if child.status.is_terminal and has_payload else None


def _version_of(context: Context, child: Run) -> Version | None:
    """The version of an earlier run, unless it was deleted meanwhile."""
    try:
        return context.resources.get(
            Version, child.workspace_id, child.version_id, parent_id=child.flow_id
        )
    except NotFoundError:
        return None
