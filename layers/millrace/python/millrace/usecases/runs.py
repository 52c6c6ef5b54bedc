"""Starting runs and looking at them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from millrace.domain.base import Json, Record
from millrace.domain.errors import ConflictError, NotFoundError, UnavailableError
from millrace.domain.flow import Flow, Version
from millrace.domain.ports import DELIVERY_MEMORY, Listing
from millrace.domain.run import (
    ANY_RUN,
    Attempt,
    PayloadRef,
    Place,
    Replay,
    Run,
    RunFilter,
    RunInputs,
    RunKey,
    RunStatus,
    StepRecord,
    Trigger,
    TriggerSource,
)
from millrace.domain.run_states import ended_with
from millrace.domain.token import Caller
from millrace.domain.trace_context import Trace
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.usecases.context import Context
from millrace.usecases.deployed import deployed_version, is_synchronous
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.latest_runs import tell_flow
from millrace.usecases.pages import read_records
from millrace.usecases.payloads import keep_json, load_json
from millrace.usecases.run_answers import handed_on
from millrace.usecases.unique_requests import take_place, unique_request_id

if TYPE_CHECKING:
    from millrace.usecases.lane_views import WaitingRun

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_NO_INPUTS: Final = RunInputs()


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with what its steps did in the latest attempt, and why it waits if it does."""

    run: Run
    steps: tuple[StepRecord, ...]
    waiting: "WaitingRun | None" = None


@dataclass(frozen=True, slots=True)
class Manner:
    """What a run does otherwise than its version says."""

    steps_to_run: tuple[str, ...] | None = None
    virtual_environment_id: str | None = None
    connections: Mapping[str, str] = _NOTHING
    data_pools: Mapping[str, str] = _NOTHING
    retry_of: Run | None = None
    carried_over: tuple[str, ...] = ()
    origin_id: str | None = None
    inputs: RunInputs = _NO_INPUTS
    inputs_of: Run | None = None
    """Another run, whose inputs it has instead."""

    payload: PayloadRef | None = None
    """Its payload, if that is stored already."""

    replay: Replay | None = None
    request_id: str | None = None
    trace: Trace | None = None
    """What the run is a part of; None: a trace begins with it."""

    debug_until: datetime | None = None
    priority: int | None = None
    """Of the run in its lane, in the place of its flow's."""

    goes_past: bool = False
    """It does not wait in its lane."""

    place: Place | None = None


_AS_USUAL: Final = Manner()


def in_environment(environment: VirtualEnvironment) -> Manner:
    """How runs of a virtual environment differ."""
    return Manner(
        virtual_environment_id=environment.id,
        connections=environment.replacements.connections,
        data_pools=environment.replacements.data_pools,
        inputs=RunInputs(variables=environment.replacements.variables),
        priority=environment.replacements.priority,
    )


def start_run(
    context: Context,
    flow: Flow,
    trigger: Trigger,
    payload: Json,
    *,
    version: Version | None = None,
    how: Manner = _AS_USUAL,
    dedupe_key: str | None = None,
) -> tuple[Run, bool]:
    """Record a run, durably, and start it; with a dedupe key, at most one run for that key.

    Returns the run, and whether it is new. Once it is recorded, the caller may be told that it is
    accepted: a start that Step Functions does not take is made up for by the sweeper. Where the
    flow limits how many are at work it may wait, or be refused as `record_run` says.
    """
    version = deployed_version(context, flow) if version is None else version
    how = for_request(context, flow, trigger, payload, how)
    run, is_new = record_run(context, version, trigger, payload, how=how, dedupe_key=dedupe_key)
    if is_new:
        begin_run(context, run)
    return run, is_new


def record_run(
    context: Context,
    version: Version,
    trigger: Trigger,
    payload: Json,
    *,
    how: Manner = _AS_USUAL,
    dedupe_key: str | None = None,
    dedupe_for: timedelta = DELIVERY_MEMORY,
) -> tuple[Run, bool]:
    """Record a run that is not started yet, or give the one that has the dedupe key already.

    Raises FlowBusyError or QueueFullError if it has to wait and may not.
    """
    if version.machine_arn is None:
        raise ConflictError(f"version {version.number} was never deployed; deploy it first")
    run = new_run(context, version, version.machine_arn, trigger, payload, how)
    return store_run(context, run, dedupe_key=dedupe_key, dedupe_for=dedupe_for)


def store_run(
    context: Context,
    run: Run,
    *,
    dedupe_key: str | None = None,
    dedupe_for: timedelta = DELIVERY_MEMORY,
) -> tuple[Run, bool]:
    """Store a new run, in its lane if it has one, or give the one that has the dedupe key."""
    if run.place is None:
        return context.runs.create(run, dedupe_key=dedupe_key, dedupe_for=dedupe_for)
    # Few flows limit their runs, and a cold start pays for what it imports.
    from millrace.usecases.lane_entry import create_in_lane  # noqa: PLC0415

    return create_in_lane(context, run, run.place, dedupe_key, dedupe_for)


def begin_run(context: Context, run: Run) -> None:
    """Start a run that was recorded, or leave it to the sweeper, or to whoever has its slot."""
    if run.status.is_terminal:
        return
    # The flow first: once the machine is at work, its functions and this one meet.
    tell_flow(context, run)
    with suppress(UnavailableError):
        if run.status is RunStatus.QUEUED:
            take_place(context, run)
        else:
            start_execution(context, run)


def for_request(
    context: Context, flow: Flow, trigger: Trigger, payload: Json, how: Manner
) -> Manner:
    """The manner with the unique id of the request that the run is for, and its lane, if any.

    A run that repeats another is for the same; one that tries single records again is for none. How
    long the flow wants its runs logged in detail is said there too.
    """
    how = replace(how, debug_until=flow.logging.debug_until)
    how = in_lane(context, flow, trigger.source, payload, how)
    if how.replay is not None:
        return how
    if how.retry_of is not None:
        return replace(how, request_id=how.retry_of.unique_request_id)
    return replace(how, request_id=unique_request_id(context, flow, payload))


def in_lane(
    context: Context, flow: Flow, source: TriggerSource, payload: Json, how: Manner
) -> Manner:
    """The manner with the lane that the run counts in, if its flow limits such runs."""
    if flow.concurrency is None and source != "schedule":
        return how
    from millrace.usecases.lane_entry import place_of  # noqa: PLC0415 - see `store_run`

    if how.retry_of is not None:
        payload = load_json(context, how.retry_of.payload)
    priority = flow.priority if how.priority is None else how.priority
    place = place_of(context, flow, payload, priority=priority, goes_past=how.goes_past)
    return replace(how, place=place)


def new_run(
    context: Context,
    version: Version,
    machine_arn: str,
    trigger: Trigger,
    payload: Json,
    how: Manner,
) -> Run:
    """A run that is not stored yet; its payload is."""
    now = context.clock()
    run_id = context.new_id(Run.prefix)
    key = RunKey(version.workspace_id, run_id)
    trace = how.trace or Trace.new()
    return Run(
        id=run_id,
        workspace_id=version.workspace_id,
        flow_id=version.flow_id,
        version_id=version.id,
        version_number=version.number,
        status=RunStatus.RUNNING,
        trigger=trigger,
        payload=_payload(context, key, payload, how),
        **_inputs(context, key, how),
        retry_of=None if how.retry_of is None else how.retry_of.id,
        carried_over=how.carried_over,
        origin_id=how.origin_id,
        unique_request_id=how.request_id,
        traceparent=trace.parent,
        tracestate=trace.state,
        debug_until=how.debug_until,
        machine_arn=machine_arn,
        steps_to_run=how.steps_to_run,
        replay=how.replay,
        virtual_environment_id=how.virtual_environment_id,
        place=how.place,
        connections=dict(how.connections),
        data_pools=dict(how.data_pools),
        created_at=now,
        started_at=now,
        attempts=(Attempt(number=1, status=RunStatus.RUNNING, started_at=now),),
    )


def _payload(context: Context, key: RunKey, payload: Json, how: Manner) -> PayloadRef:
    """Where the payload is; a run that repeats another has what that had."""
    if how.retry_of is not None:
        return how.retry_of.payload
    return how.payload or keep_json(context, key, "payload", payload)


def _inputs(context: Context, key: RunKey, how: Manner) -> dict[str, Any]:
    """The fields of a run for what it was given; a run that repeats another has what that had."""
    other = how.retry_of or how.inputs_of
    if other is not None:
        return {name: getattr(other, name) for name in ("inputs", "start_date", "end_date")}
    given = how.inputs.model_dump(mode="json", include={"variables", "parameters"})
    return {
        "inputs": keep_json(context, key, "inputs", given if any(given.values()) else None),
        "start_date": how.inputs.start_date,
        "end_date": how.inputs.end_date,
    }


def start_execution(context: Context, run: Run) -> None:
    """Start the run's machine; harmless to repeat, because the run's id names the execution.

    Older runs for the same request make way first, so a run that was recorded and never started
    is no less the latest once the sweeper starts it.
    """
    take_place(context, run)
    context.machines.start(run.machine_arn, run.id, execution_input(run))


def execution_input(run: Run) -> dict[str, Json]:
    """What a run's machine is started with.

    A synchronous one, whose input Step Functions keeps nowhere, hands on the run itself.
    """
    names: dict[str, Json] = {
        "workspaceId": run.workspace_id,
        "runId": run.id,
        "attempt": run.attempt,
    }
    return names | handed_on(run) if is_synchronous(run.machine_arn) else names


def get_run(context: Context, caller: Caller, run_id: str) -> RunDetail:
    """A run with the steps of its latest attempt."""
    run, steps = context.runs.detail(RunKey(caller.workspace_id, run_id))
    if run.status is not RunStatus.QUEUED:
        return RunDetail(run, tuple(ended_with(run, step) for step in steps))
    from millrace.usecases.lane_views import why_waiting  # noqa: PLC0415 - see `store_run`

    return RunDetail(run, steps, why_waiting(context, run))


def list_runs(
    context: Context,
    caller: Caller,
    flow_id: str | None,
    limit: int,
    cursor: str | None,
    where: RunFilter = ANY_RUN,
) -> Listing[Run]:
    """One page of a flow's runs, or of the workspace's, newest first."""
    if flow_id is not None:
        flow_id = get_flow(context, caller, flow_id).id
    elif len(where.flow_ids) == 1:
        # The list of that flow need not look at the runs of others.
        (flow_id,) = where.flow_ids
    return context.runs.page(caller.workspace_id, flow_id, where=where, limit=limit, cursor=cursor)


def step_output(
    context: Context, caller: Caller, run_id: str, step_id: str, limit: int
) -> tuple[list[Record], bool]:
    """The first records that a step handed on, and whether there are more."""
    run = context.runs.get(RunKey(caller.workspace_id, run_id))
    record = context.runs.step(run.key, run.attempt, step_id)
    if record is None:
        version = get_version(context, caller, run.flow_id, run.version_id)
        known = any(step.id == step_id for step in version.steps)
        hint = "it has not begun" if known else "the run's version has no such step"
        raise NotFoundError(f"there is no output of step {step_id!r}: {hint}")
    records: list[Record] = []
    for batch in read_records(context.blobs, record.output):
        records += batch
        if len(records) > limit:
            return records[:limit], True
    return records, False
