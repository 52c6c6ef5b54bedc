"""What the end of a run is written from: what became of its steps, and what they counted."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from pydantic import Field

from millrace.domain.base import Model
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.flow import Flow, Version
from millrace.domain.notification import FlowHealth
from millrace.domain.ports import Ref
from millrace.domain.run import Counts, Run, RunError, StepRecord, StepStatus
from millrace.usecases.context import Context
from millrace.usecases.pinned import known_version, limited, run_version
from millrace.usecases.step_input import first_steps, last_steps


class Failure(Model):
    """The error by which a machine left its graph, as the Catch hands it over."""

    error: str = Field(default="", alias="Error")
    cause: str = Field(default="", alias="Cause")


def crash(failure: Failure | None = None) -> RunError:
    """The error of a worker that ended without telling its own."""
    name = failure.error if failure is not None and failure.error else "unknown"
    return RunError(code="crashed", message=f"the worker ended without a result ({name})")


def settle(
    context: Context,
    run: Run,
    status: StepStatus = StepStatus.FAILED,
    error: RunError | None = None,
) -> list[StepRecord]:
    """The step records, with those that can no longer get a result ended, by default as failed."""
    settled = []
    for record in context.runs.steps(run.key, run.attempt):
        if record.status.is_terminal:
            settled.append(record)
            continue
        ended = record.model_copy(
            update={
                "status": status,
                "error": error or record.error or crash(),
                "ended_at": context.clock(),
            }
        )
        settled.append(context.runs.save_step(run.key, ended))
    return settled


def end_unbegun(
    context: Context, run: Run, version: Version | None, records: Iterable[StepRecord]
) -> list[StepRecord]:
    """The records of steps that have none though their machine passed them, ended as failed.

    Their worker died each time before it came so far, and the flow goes on after such a step.
    """
    begun = {record.step_id for record in records}
    steps = () if version is None else version.steps
    unbegun = [step.id for step in steps if not step.is_skipped and step.id not in begun]
    if not unbegun:
        return []
    with suppress(ConflictError):  # the run is over already, and stays as it ended
        for step_id in unbegun:
            context.runs.claim_step(run, step_id, context.clock())
    return [record for record in settle(context, run) if record.step_id not in begun]


def version_of(context: Context, run: Run) -> Version | None:
    """The run's version; None if its flow was deleted meanwhile."""
    try:
        return run_version(context, run)
    except NotFoundError:
        return None


class Owners(NamedTuple):
    """What a run belongs to; None for what was deleted meanwhile, or never was."""

    flow: Flow | None
    version: Version | None
    health: FlowHealth | None


def owners_of(context: Context, run: Run) -> Owners:
    """The run's flow, version, and whether a run failed before it, in one read."""
    flow = Ref(Flow, run.flow_id)
    version = Ref(Version, run.version_id, run.flow_id)
    health = Ref(FlowHealth, run.flow_id)
    pinned = known_version(context, run)
    wanted: list[Ref[Any]] = [flow, health] if pinned is not None else [flow, version, health]
    found = context.resources.get_many(run.workspace_id, wanted)
    if pinned is None:
        pinned = found.get(version)
    if pinned is not None:
        pinned = limited(pinned, run.steps_to_run)
    return Owners(found.get(flow), pinned, found.get(health))


def total(version: Version | None, records: Iterable[StepRecord]) -> Counts:
    """The counts of a run: what came into its first steps and went out of its last ones."""
    counts = {record.step_id: record.counts for record in records}
    first = [] if version is None else first_steps(version)
    last = [] if version is None else last_steps(version)
    return Counts(
        records_in=sum(counts[id_].records_in for id_ in first if id_ in counts),
        records_out=sum(counts[id_].records_out for id_ in last if id_ in counts),
        records_ignored=sum(each.records_ignored for each in counts.values()),
        records_failed=sum(each.records_failed for each in counts.values()),
    )
