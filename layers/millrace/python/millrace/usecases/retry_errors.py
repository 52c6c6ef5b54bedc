"""Trying failed records again: a run of the step that they failed in and of all that follow it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import Field

from millrace.domain.base import Record
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.failed_record import FailedRecord, ReplayedRecord
from millrace.domain.flow import Flow, Version
from millrace.domain.run import Replay, Run, RunKey, Trigger
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import Replacements, VirtualEnvironment
from millrace.usecases.context import Context
from millrace.usecases.deploy import deployed_version
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.pages import PageWriter
from millrace.usecases.record_errors import ErrorSelection, KeptRecords, select
from millrace.usecases.runs import Manner, start_run

type Reason = Literal["resolved", "noRecord", "underWay", "versionGone", "stepGone"]


class ErrorRetryRequest(ErrorSelection):
    """Which errors to try again, and how."""

    version: Literal["original", "latest"] = Field(
        default="original", description="The version they failed in, or the one deployed now."
    )


class _Manner(NamedTuple):
    """What errors share that are tried again in one run."""

    step_id: str
    version_id: str
    virtual_environment_id: str | None
    inputs_run_id: str | None


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of the errors that were to be tried again."""

    runs: dict[str, Run]
    """By the id of each error that is tried again."""
    left_out: dict[str, Reason]
    unknown: tuple[str, ...]
    has_more: bool


def retry_errors(
    context: Context, caller: Caller, flow_id: str, asked: ErrorRetryRequest
) -> Retried:
    """Start a run for all errors of one step and version; each is resolved when it succeeds.

    A request that is sent for a record again has the Idempotency-Key that it had at first.
    """
    flow = get_flow(context, caller, flow_id)
    selected = select(context, caller, flow_id, asked)
    left_out: dict[str, Reason] = {}
    groups: defaultdict[_Manner, list[FailedRecord]] = defaultdict(list)
    under_way = _under_way(context, caller, selected.entries)
    for entry in selected.entries:
        if not entry.is_open:
            left_out[entry.id] = "resolved"
        elif entry.record is None:
            left_out[entry.id] = "noRecord"
        elif entry.retry_run_id in under_way:
            left_out[entry.id] = "underWay"
        else:
            manner = _Manner(
                entry.step_id,
                entry.version_id,
                entry.virtual_environment_id,
                entry.inputs_run_id,
            )
            groups[manner].append(entry)
    runs: dict[str, Run] = {}
    for manner, entries in groups.items():
        version = _version(context, caller, flow, manner, asked)
        if version is None:
            left_out |= dict.fromkeys((entry.id for entry in entries), "versionGone")
        elif all(step.id != manner.step_id for step in version.steps):
            left_out |= dict.fromkeys((entry.id for entry in entries), "stepGone")
        else:
            run, lost = _start(context, caller, flow, version, manner, entries)
            left_out |= dict.fromkeys(lost, "noRecord")
            if run is not None:
                runs |= {entry.id: run for entry in entries if entry.id not in lost}
    return Retried(runs, left_out, selected.unknown, selected.has_more)


def _under_way(context: Context, caller: Caller, entries: Iterable[FailedRecord]) -> set[str]:
    """The runs that try some of these again and are not over."""
    ids = {entry.retry_run_id for entry in entries if entry.retry_run_id is not None}
    under_way: set[str] = set()
    for id_ in ids:
        try:
            run = context.runs.get(RunKey(caller.workspace_id, id_))
        except NotFoundError:
            continue
        if not run.status.is_terminal:
            under_way.add(id_)
    return under_way


def _version(
    context: Context, caller: Caller, flow: Flow, manner: _Manner, asked: ErrorRetryRequest
) -> Version | None:
    if asked.version == "latest":
        return deployed_version(context, flow)
    try:
        version = get_version(context, caller, flow.id, manner.version_id)
    except NotFoundError:
        return None
    return None if version.machine_arn is None else version


def _start(
    context: Context,
    caller: Caller,
    flow: Flow,
    version: Version,
    manner: _Manner,
    entries: list[FailedRecord],
) -> tuple[Run | None, set[str]]:
    """The run that tries these again, and the ids of those whose records are gone."""
    place = f"{caller.workspace_id}/replays/{context.new_id('replay')}"
    writer = PageWriter(context.blobs, place)
    kept = KeptRecords(context.blobs)
    lost: set[str] = set()
    for entry in sorted(entries, key=lambda entry: (entry.origin_run_id, entry.position)):
        record = _record(kept, entry)
        if record is None:
            lost.add(entry.id)
            continue
        line = ReplayedRecord(
            error_id=entry.id,
            run_id=entry.origin_run_id,
            position=entry.position,
            record=record,
        )
        writer.write([line.model_dump(by_alias=True)])
    tried = [entry.id for entry in entries if entry.id not in lost]
    if not tried:
        return None, lost
    replaced = _replacements(context, caller, manner.virtual_environment_id)
    how = Manner(
        steps_to_run=_from(version, manner.step_id),
        virtual_environment_id=manner.virtual_environment_id,
        connections=replaced.connections,
        data_pools=replaced.data_pools,
        replay=Replay(step_id=manner.step_id, pages=writer.pages()),
        inputs_of=(
            None
            if manner.inputs_run_id is None
            else context.runs.get(RunKey(caller.workspace_id, manner.inputs_run_id))
        ),
    )
    trigger = Trigger(source="manual", triggered_by=caller.token_id)
    run, _ = start_run(context, flow, trigger, None, version=version, how=how)
    context.failed_records.change(
        caller.workspace_id,
        flow.id,
        tried,
        lambda entry: entry.changed(retry_run_id=run.id, retries=entry.retries + 1),
    )
    return run, lost


def _record(kept: KeptRecords, entry: FailedRecord) -> Record | None:
    try:
        return None if entry.record is None else kept.read(entry.record)
    except NotFoundError:
        return None


def _from(version: Version, step_id: str) -> tuple[str, ...]:
    """A step and all that depend on it, in the order of the version."""
    taken = {step_id}
    while True:
        more = {step.id for step in version.steps if taken & {*step.depends_on}} - taken
        if not more:
            return tuple(step.id for step in version.steps if step.id in taken)
        taken |= more


def _replacements(
    context: Context, caller: Caller, virtual_environment_id: str | None
) -> Replacements:
    if virtual_environment_id is None:
        return Replacements()
    try:
        environment = context.resources.get(
            VirtualEnvironment, caller.workspace_id, virtual_environment_id
        )
    except NotFoundError as error:
        raise ConflictError(
            f"virtual environment {virtual_environment_id!r}, in which they failed, is gone"
        ) from error
    return environment.replacements
