"""Trying a flow, or one step of it, without deploying it and without leaving a trace elsewhere.

The worker itself carries out the steps, one after the other, with stores that nobody else looks
into, and with connectors that read one page and send nothing. What is kept is the result.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import timedelta

from pydantic import Field
from pydantic.alias_generators import to_camel

from millrace import limits
from millrace.domain.base import Json, Record
from millrace.domain.errors import NotFoundError, Violation
from millrace.domain.flow import Flow, Version
from millrace.domain.flow_parts import MediaType
from millrace.domain.ports import Create
from millrace.domain.run import Trigger
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.domain.trial import Trial
from millrace.usecases.context import Context
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.pinned import limited
from millrace.usecases.resources import born, refuse
from millrace.usecases.run_flow import InputFields, RunRequest, chosen
from millrace.usecases.runs import Manner, new_run
from millrace.usecases.trial_connectors import Deadline
from millrace.usecases.trial_payload import as_sent, saved
from millrace.usecases.trial_steps import StepTrials, milliseconds


class TrialInput(InputFields):
    """What to test a flow or a step with."""

    version_id: str | None = Field(
        default=None, description="Absent: the draft, else the deployed version, else the latest."
    )
    payload: Json = Field(
        default=None,
        description="What the flow is started with. Absent: the flow's saved test request.",
    )
    payload_content_type: MediaType | None = Field(
        default=None,
        description="Of a payload that is a text as a webhook gets it: it is read by its type, "
        "and a flow with a webhook or callback as trigger gets it as a delivery, with the flow's "
        "`testHeaders`.",
    )
    virtual_environment_id: str | None = Field(
        default=None,
        description="Its connections take the place of the flow's, its variables of the "
        "workspace's.",
    )


class TrialRequest(TrialInput):
    """How to test a flow."""

    steps_to_run: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=limits.STEPS_PER_VERSION,
        description="Ids of steps; the others are as if skipped. Absent: all.",
    )


class StepTrialRequest(TrialInput):
    """How to test one step."""

    records: tuple[Record, ...] | None = Field(
        default=None,
        max_length=limits.PAGE_RECORDS,
        description="What the step takes. Absent: what the steps before it give, which are "
        "carried out for it.",
    )


def try_flow(context: Context, caller: Caller, flow_id: str, asked: TrialRequest) -> Trial:
    """Test a flow and keep the result."""
    flow = get_flow(context, caller, flow_id)
    version, how = _chosen(context, caller, flow, asked, asked.steps_to_run)
    version = limited(version, how.steps_to_run)
    scope = {step.id for step in version.steps}
    return _try(context, caller, version, scope, _payload(flow, asked), how)


def try_step(
    context: Context, caller: Caller, flow_id: str, step_id: str, asked: StepTrialRequest
) -> Trial:
    """Test a step, with records that are given or after the steps that it depends on."""
    flow = get_flow(context, caller, flow_id)
    version, how = _chosen(context, caller, flow, asked)
    by_id = {step.id: step for step in version.steps}
    if step_id not in by_id:
        raise NotFoundError(f"there is no step {step_id!r}")
    step = by_id[step_id]
    if asked.records is None:
        scope, payload = _with_all_before(by_id, step), _payload(flow, asked)
        changed = {step.id: step.model_copy(update={"is_skipped": False})}
    else:
        refuse(_misplaced_records(step, asked))
        scope, payload = {step.id}, list(asked.records)
        # Steps of an exclusive group share their input, also one that comes from here.
        changed = {
            other.id: other.model_copy(update={"depends_on": ()})
            for other in version.steps
            if set(other.depends_on) == set(step.depends_on)
        }
        changed[step.id] = changed[step.id].model_copy(update={"is_skipped": False})
    steps = tuple(changed.get(other.id, other) for other in version.steps)
    version = version.model_copy(update={"steps": steps})
    return _try(context, caller, version, scope, payload, how)


def _chosen(
    context: Context,
    caller: Caller,
    flow: Flow,
    asked: TrialInput,
    steps_to_run: tuple[str, ...] | None = None,
) -> tuple[Version, Manner]:
    """The version to test and how, asked for as a run would be."""
    request = RunRequest(
        version_id=asked.version_id,
        steps_to_run=steps_to_run,
        virtual_environment_id=asked.virtual_environment_id,
        **{name: getattr(asked, name) for name in InputFields.model_fields},
    )

    def current(context: Context, flow: Flow) -> Version:
        return get_version(context, caller, flow.id, flow.shown_version_id)

    return chosen(context, caller, flow, request, current)


def _payload(flow: Flow, asked: TrialInput) -> Json:
    if asked.payload_content_type is not None:
        return as_sent(flow, asked.payload, asked.payload_content_type)
    return asked.payload if "payload" in asked.model_fields_set else saved(flow)


def _with_all_before(by_id: dict[str, Step], step: Step) -> set[str]:
    found: set[str] = set()
    waiting = [step.id]
    while waiting:
        if (id_ := waiting.pop()) not in found:
            found.add(id_)
            waiting += by_id[id_].depends_on
    return found


def _misplaced_records(step: Step, asked: StepTrialRequest) -> Iterator[Violation]:
    if step.type == "Export":
        message = f"Step {step.id!r} is an export, which takes no records."
        remedy = "Leave them out, or test a step that comes after it."
        yield Violation("recordsOfExport", "/records", message, remedy)
    for name in sorted({"payload", "payload_content_type"} & asked.model_fields_set):
        message = "The step takes the records, so nothing takes the payload."
        yield Violation("payloadBesideRecords", f"/{to_camel(name)}", message, "Send one of them.")


def _try(
    context: Context,
    caller: Caller,
    version: Version,
    scope: Collection[str],
    payload: Json,
    how: Manner,
) -> Trial:
    bookkeeping = born(context, caller, Trial)
    started = bookkeeping["created_at"]
    stores = context.scratch()
    aside = replace(
        context, runs=stores.runs, blobs=stores.blobs, failed_records=stores.failed_records
    )
    run = new_run(aside, version, "", Trigger(source="manual"), payload, how)
    aside.runs.create(run)
    deadline = Deadline(context.clock, started + timedelta(seconds=limits.TEST_SECONDS))
    test = StepTrials(aside, run, version, deadline)
    steps = tuple(test.carry_out(scope))
    trial = Trial(
        **bookkeeping,
        flow_id=version.flow_id,
        version_id=version.id,
        version_number=version.number,
        virtual_environment_id=how.virtual_environment_id,
        status=test.status(steps),
        duration_ms=milliseconds(context.clock() - started),
        expires_at=started + timedelta(days=limits.TEST_RESULT_DAYS),
        steps=steps,
    )
    context.resources.commit(Create(trial, parent_id=version.flow_id))
    return trial
