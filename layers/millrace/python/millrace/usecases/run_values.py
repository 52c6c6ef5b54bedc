"""A run's inputs, and the values that the expressions of its steps name.

A variable is the workspace's, unless the run's virtual environment or its request has another value
for it. Nothing is read that no expression names.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from millrace.domain.base import Json, rfc3339
from millrace.domain.errors import NotFoundError, StepFailed
from millrace.domain.ports import KeyRef
from millrace.domain.run import Run, RunInputs
from millrace.domain.run_values import (
    NO_VALUES,
    RunValues,
    Target,
    import_expressions,
    names_beside_records,
    names_in_template,
    speaks_of_delta,
    templates_of,
)
from millrace.domain.trace_context import Trace
from millrace.domain.variable import Variable
from millrace.usecases.context import Context
from millrace.usecases.payloads import load_json
from millrace.usecases.write_only import secrets_of

type DeltaValues = Callable[[], Mapping[str, Json]]
"""The two times of what an export of changes reads; asked for only if something names them."""


def values_of_action(
    context: Context, run: Run, target: Target, delta: DeltaValues = dict
) -> RunValues:
    """What an action names in templates and expressions. Raises StepFailed if a secret is gone."""
    texts = [template.text for template in templates_of(target) if "{{" in template.text]
    beside = {
        text: names
        for _, text in import_expressions(target)
        if (names := names_beside_records(text)) is not None
    }
    trace = Trace.read(run.traceparent, run.tracestate)
    if not texts and not beside:
        return RunValues(trace=trace)
    names = frozenset[str]().union(*map(names_in_template, texts), *beside.values())
    read = delta() if any(map(speaks_of_delta, (*texts, *beside))) else {}
    return replace(_values(context, run, names, read), trace=trace)


def values_beside_records(
    context: Context, run: Run, expressions: Iterable[str], delta: DeltaValues = dict
) -> RunValues:
    """What expressions over records name.

    Raises StepFailed for a secret variable, because its value would get into the records.
    """
    named = {
        text: names for text in expressions if (names := names_beside_records(text)) is not None
    }
    if not named:
        return NO_VALUES
    read = delta() if any(map(speaks_of_delta, named)) else {}
    values = _values(context, run, frozenset[str]().union(*named.values()), read)
    if values.secret_names:
        name = min(values.secret_names)
        raise StepFailed(
            "secretInRecords",
            f"variable {name!r} is secret; only path, query and headers of an action may have it",
        )
    return values


def inputs_of(context: Context, run: Run) -> RunInputs:
    """What a run was asked for beside its payload."""
    return RunInputs.model_validate(load_json(context, run.inputs) or {})


def _values(
    context: Context, run: Run, names: frozenset[str], delta: Mapping[str, Json]
) -> RunValues:
    inputs = inputs_of(context, run)
    fixed: dict[str, Json] = {
        "parameters": inputs.parameters,
        "run": {
            "id": run.id,
            "flowId": run.flow_id,
            "versionId": run.version_id,
            "versionNumber": run.version_number,
            "createdAt": rfc3339(run.created_at),
            "time": rfc3339(run.relative_to),
            "triggerSource": run.trigger.source,
        },
    }
    for name, moment in (("startDate", run.start_date), ("endDate", run.end_date)):
        if moment is not None:
            fixed[name] = rfc3339(moment)
    fixed |= delta
    variables = {name: inputs.variables[name] for name in names if name in inputs.variables}
    secret_names = set[str]()
    refs = [KeyRef(Variable, name) for name in sorted(names - variables.keys())]
    found = context.resources.find_many(run.workspace_id, refs)
    for ref in refs:
        name, variable = ref.stable_key, found.get(ref)
        if variable is None:
            continue
        variables[name] = variable.value
        if variable.secret:
            secret_names.add(name)
            variables[name] = _secret(context, variable)
    return RunValues(fixed, variables, frozenset(secret_names))


def _secret(context: Context, variable: Variable) -> Json:
    try:
        return json.loads(secrets_of(context.secrets, variable)["value"])
    except (NotFoundError, KeyError) as error:
        message = f"variable {variable.key!r} has no value stored; set it again"
        raise StepFailed("missingSecret", message) from error
