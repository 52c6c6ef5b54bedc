"""Running a flow for a caller: which version, which steps and over which connections."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

from pydantic import Field

from millrace import limits
from millrace.domain.base import Json, Model, Moment, VariableKey, Whole
from millrace.domain.errors import NotFoundError, Violation
from millrace.domain.flow import Flow, Version
from millrace.domain.run import Run, RunInputs, Trigger
from millrace.domain.token import Caller
from millrace.domain.trace_context import Trace
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.usecases.context import Context
from millrace.usecases.deployed import deployed_version
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.resources import refuse
from millrace.usecases.runs import Manner, in_environment, start_run


class InputFields(Model):
    """What expressions may use of a request."""

    flow_variables: dict[VariableKey, Json] = Field(
        default_factory=dict,
        max_length=limits.RUN_VARIABLES,
        description="Values of variables for this run alone; readable, so no place for secrets.",
    )
    parameters: dict[str, Json] = Field(
        default_factory=dict,
        description="Of this run alone, such as ids to fetch: `parameters.sku` in expressions.",
    )
    start_date: Moment | None = Field(
        default=None, description="Exports of changes read from then on: `startDate`."
    )
    end_date: Moment | None = Field(default=None, description="And until then: `endDate`.")


class RunRequest(InputFields):
    """How to run a flow."""

    payload: Json = None
    version_id: str | None = Field(default=None, description="Absent: the deployed version.")
    steps_to_run: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=limits.STEPS_PER_VERSION,
        description="Ids of steps; the others are as if skipped. Absent: all.",
    )
    export_ids: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=limits.STEPS_PER_VERSION,
        description="Ids of export actions or steps: of the steps that begin the flow with an "
        "export, only these run. Absent: all.",
    )
    virtual_environment_id: str | None = Field(
        default=None,
        description="Its connections take the place of the flow's, its variables of the "
        "workspace's.",
    )
    wait: Whole | None = Field(
        default=None,
        ge=0,
        le=limits.RUN_WAIT_SECONDS,
        description="Seconds to wait for the end of the run, as with `Prefer: wait=10`.",
    )


def run_flow(
    context: Context,
    caller: Caller,
    flow_id: str,
    asked: RunRequest,
    dedupe_key: str | None = None,
    trace: Trace | None = None,
    *,
    goes_past: bool = False,
) -> Run:
    """Start a run on behalf of a caller; with a dedupe key, once for that key.

    Where runs wait for a slot of the flow, it may go past them.
    """
    flow = get_flow(context, caller, flow_id)
    version, how = chosen(context, caller, flow, asked, deployed_version)
    how = replace(how, trace=trace, goes_past=goes_past)
    trigger = Trigger(source="manual", triggered_by=caller.token_id)
    run, _ = start_run(
        context, flow, trigger, asked.payload, version=version, how=how, dedupe_key=dedupe_key
    )
    return run


def chosen(
    context: Context,
    caller: Caller,
    flow: Flow,
    asked: RunRequest,
    usual: Callable[[Context, Flow], Version],
) -> tuple[Version, Manner]:
    """The version that is asked for, or the usual one, and how it runs.

    Raises RuleViolationError for all that there is not.
    """
    faults: list[Violation] = []
    environment = _environment(context, caller, asked, faults)
    faults += _bad_inputs(asked)
    if asked.version_id is None:
        version = usual(context, flow)
    else:
        try:
            version = get_version(context, caller, flow.id, asked.version_id)
        except NotFoundError as error:
            message = f"{error.message}."
            refuse([Violation("unknownVersion", "/versionId", message, "Correct the id."), *faults])
            raise
    refuse([*faults, *_unknown_steps(version, asked)])
    usually = Manner() if environment is None else in_environment(environment)
    return version, replace(
        usually, steps_to_run=_chosen(version, asked), inputs=_inputs(asked, usually.inputs)
    )


def _environment(
    context: Context, caller: Caller, asked: RunRequest, faults: list[Violation]
) -> VirtualEnvironment | None:
    if asked.virtual_environment_id is None:
        return None
    try:
        return context.resources.get(
            VirtualEnvironment, caller.workspace_id, asked.virtual_environment_id
        )
    except NotFoundError:
        message = f"There is no virtual environment {asked.virtual_environment_id!r}."
        faults.append(
            Violation("unknownEnvironment", "/virtualEnvironmentId", message, "Correct the id.")
        )
        return None


def _bad_inputs(asked: InputFields) -> Iterator[Violation]:
    for pointer, value in (
        ("/flowVariables", asked.flow_variables),
        ("/parameters", asked.parameters),
    ):
        size = len(json.dumps(value))
        if size > limits.RUN_INPUT_BYTES:
            message = f"It takes {size:,} bytes as JSON; the limit is {limits.RUN_INPUT_BYTES:,}."
            yield Violation("inputTooLarge", pointer, message, "Send it as the payload.")
    start, end = asked.start_date, asked.end_date
    if start is not None and end is not None and start > end:
        message = "The time that it ends is before the time that it starts."
        yield Violation("emptyWindow", "/endDate", message, "Exchange startDate and endDate.")


def _inputs(asked: InputFields, usual: RunInputs) -> RunInputs:
    return RunInputs(
        variables={**usual.variables, **asked.flow_variables},
        parameters=asked.parameters,
        start_date=asked.start_date,
        end_date=asked.end_date,
    )


def _exports(version: Version) -> dict[str, set[str]]:
    """The steps that begin the flow with an export, each with what it may be called by."""
    return {
        step.id: {step.id, step.referrer or step.id}
        for step in version.steps
        if step.type == "Export" and not step.depends_on
    }


def _unknown_steps(version: Version, asked: RunRequest) -> Iterator[Violation]:
    known = {step.id for step in version.steps}
    for place, step_id in enumerate(asked.steps_to_run or ()):
        if step_id not in known:
            message = f"Version {version.number} has no step {step_id!r}."
            yield Violation("unknownStep", f"/stepsToRun/{place}", message, "Correct the id.")
    names = set().union(*_exports(version).values())
    for place, export_id in enumerate(asked.export_ids or ()):
        if export_id not in names:
            message = f"No step that begins version {version.number} runs export {export_id!r}."
            yield Violation("unknownExport", f"/exportIds/{place}", message, "Correct the id.")


def _chosen(version: Version, asked: RunRequest) -> tuple[str, ...] | None:
    """The steps that run; None for all."""
    if asked.steps_to_run is None and asked.export_ids is None:
        return None
    left_out: set[str] = set()
    if asked.export_ids is not None:
        exports = _exports(version)
        left_out = {id_ for id_, names in exports.items() if not names & {*asked.export_ids}}
    return tuple(
        step.id
        for step in version.steps
        if step.id not in left_out and (asked.steps_to_run is None or step.id in asked.steps_to_run)
    )
