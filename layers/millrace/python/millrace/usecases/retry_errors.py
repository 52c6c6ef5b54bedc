"""Trying failed records again: a run of the step that they failed in and of all that follow it."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pydantic import Field

from millrace.domain.base import Record
from millrace.domain.errors import NotFoundError
from millrace.domain.failed_record import FailedRecord, ReplayedRecord
from millrace.domain.flow import Flow, Version
from millrace.domain.run import Replay, Run, RunKey, Trigger
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.usecases.context import Context
from millrace.usecases.deployed import deployed_version
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.pages import PageWriter
from millrace.usecases.record_errors import ErrorSelection, KeptRecords, select
from millrace.usecases.runs import (
    Manner,
    begin_run,
    in_environment,
    in_lane,
    new_run,
    store_run,
)

type Reason = Literal[
    "resolved", "noRecord", "underWay", "versionGone", "stepGone", "environmentGone", "inputsGone"
]


class ErrorRetryRequest(ErrorSelection):
    """Which errors to try again, and how."""

    version: Literal["original", "latest"] = Field(
        default="original", description="The version they failed in, or the one deployed now."
    )


class _Group(NamedTuple):
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
    groups: defaultdict[_Group, list[FailedRecord]] = defaultdict(list)
    under_way = _under_way(context, caller, selected.entries)
    for entry in selected.entries:
        if not entry.is_open:
            left_out[entry.id] = "resolved"
        elif entry.record is None:
            left_out[entry.id] = "noRecord"
        elif entry.retry_run_id in under_way:
            left_out[entry.id] = "underWay"
        else:
            group = _Group(
                entry.step_id,
                entry.version_id,
                entry.virtual_environment_id,
                entry.inputs_run_id,
            )
            groups[group].append(entry)
    runs: dict[str, Run] = {}
    for group, entries in groups.items():
        plan = _plan(context, caller, flow, group, asked)
        if isinstance(plan, str):
            left_out |= dict.fromkeys((entry.id for entry in entries), plan)
            continue
        run, lost = _start(context, caller, *plan, group.step_id, entries)
        left_out |= dict.fromkeys(lost, "noRecord")
        if run is not None:
            runs |= {entry.id: run for entry in entries if entry.id not in lost}
    return Retried(runs, left_out, selected.unknown, selected.has_more)


def _under_way(context: Context, caller: Caller, entries: Iterable[FailedRecord]) -> set[str]:
    """The runs that try some of these again and are not over."""
    ids = {entry.retry_run_id for entry in entries if entry.retry_run_id is not None}
    runs = context.runs.get_many(caller.workspace_id, ids)
    return {run.id for run in runs if not run.status.is_terminal}


def _plan(
    context: Context, caller: Caller, flow: Flow, group: _Group, asked: ErrorRetryRequest
) -> tuple[Version, str, Manner] | Reason:
    """The version, its machine, and how a group is tried again, or why it cannot be."""
    version = _version(context, caller, flow, group, asked)
    if version is None or version.machine_arn is None:
        return "versionGone"
    if all(step.id != group.step_id for step in version.steps):
        return "stepGone"
    how = Manner()
    try:
        if group.virtual_environment_id is not None:
            how = in_environment(
                context.resources.get(
                    VirtualEnvironment, caller.workspace_id, group.virtual_environment_id
                )
            )
    except NotFoundError:
        return "environmentGone"
    try:
        if group.inputs_run_id is not None:
            inputs_of = context.runs.get(RunKey(caller.workspace_id, group.inputs_run_id))
            how = replace(how, inputs_of=inputs_of)
    except NotFoundError:
        return "inputsGone"
    how = replace(how, steps_to_run=_from(version, group.step_id), goes_past=True)
    how = in_lane(context, flow, "manual", None, how)
    return version, version.machine_arn, how


def _version(
    context: Context, caller: Caller, flow: Flow, group: _Group, asked: ErrorRetryRequest
) -> Version | None:
    if asked.version == "latest":
        return deployed_version(context, flow)
    try:
        return get_version(context, caller, flow.id, group.version_id)
    except NotFoundError:
        return None


def _start(
    context: Context,
    caller: Caller,
    version: Version,
    machine_arn: str,
    how: Manner,
    step_id: str,
    entries: list[FailedRecord],
) -> tuple[Run | None, set[str]]:
    """The run that tries these again, and the ids of those whose records are gone."""
    place = f"runs/{caller.workspace_id}/{context.new_id('replay')}"
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
    tried = {entry.id: entry.retries for entry in entries if entry.id not in lost}
    if not tried:
        return None, lost
    how = replace(how, replay=Replay(step_id=step_id, pages=writer.pages()))
    trigger = Trigger(source="manual", triggered_by=caller.token_id)
    run = new_run(context, version, machine_arn, trigger, None, how)
    run, is_new = store_run(context, run, dedupe_key=_once(version, step_id, tried))
    # Before it begins: whoever asks from now on is told that they are under way.
    context.failed_records.change(
        version.workspace_id,
        version.flow_id,
        tried,
        lambda entry: _marked(entry, run.id) if entry.retries == tried[entry.id] else entry,
    )
    if is_new:
        begin_run(context, run)
    return run, lost


def _once(version: Version, step_id: str, tried: Mapping[str, int]) -> str:
    """The same for requests that find the same errors, tried equally often: one run is enough."""
    found = json.dumps([version.id, step_id, sorted(tried.items())])
    return f"{version.flow_id}\nerrors\n{hashlib.sha256(found.encode()).hexdigest()}"


def _marked(entry: FailedRecord, run_id: str) -> FailedRecord:
    return entry.changed(retry_run_id=run_id, retries=entry.retries + 1)


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
