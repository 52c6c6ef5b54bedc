"""Deploying a version: compile, create the machine, switch in one write, then set schedules."""

from dataclasses import replace
from typing import Any, Literal

from millrace import compiler, limits
from millrace.domain.errors import RevisionMismatchError, Violation
from millrace.domain.flow import Flow, MachineKind, Version
from millrace.domain.ports import Ref, Replace
from millrace.domain.token import Caller
from millrace.usecases.api_keys import addresses_of, missing_customer_keys
from millrace.usecases.audit import audited
from millrace.usecases.checks import check_steps, undeployable
from millrace.usecases.context import Context
from millrace.usecases.definitions import to_definition
from millrace.usecases.deployed import SYNCHRONOUS
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.queues import check_queue_is_free
from millrace.usecases.references import check_called_flows
from millrace.usecases.resources import changed, check_revision, refuse
from millrace.usecases.step_durations import past_durations
from millrace.usecases.stored_finders import stored
from millrace.usecases.trigger_sync import sync_triggers


def deploy_version(
    context: Context,
    caller: Caller,
    flow_id: str,
    version_id: str,
    revision: int | None,
    *,
    event: Literal["deployed", "rolledBack"] = "deployed",
) -> Version:
    """Make this version the one that triggers start.

    A version that is live already is only given a machine of the other kind, if isSynchronous
    changed. What is most likely to fail comes before the switch, so a failure leaves the old
    version live; a machine that is left over is taken up by the next try. The schedules come after
    it: one that fires too long is harmless, since the trigger function asks the flow, and one that
    could not be set is told, and set by the next try.
    """
    flow = get_flow(context, caller, flow_id)
    version = get_version(context, caller, flow_id, version_id)
    check_revision(version, revision)
    kind: MachineKind = "EXPRESS" if flow.is_synchronous else "STANDARD"
    if version.deployed_at is not None and version.machine_kind == kind:
        sync_triggers(context, flow)
        return version
    _check_deployable(context, flow, version)
    machine_arn = _deploy_machine(context, flow, version, kind)
    now = context.clock()
    live = version.model_copy(
        update={
            **changed(context, caller, version),
            "deployed_at": now,
            "frozen": True,
            **_machines(version, machine_arn, kind),
        }
    )
    is_draft = flow.draft_version_id == version.id
    switched = flow.model_copy(
        update={
            **changed(context, caller, flow),
            "deployed_version_id": version.id,
            "latest_deployed_version_id": version.id,
            "draft_version_id": None if is_draft else flow.draft_version_id,
        }
    )
    changes = [Replace(flow, switched), Replace(version, live, parent_id=flow.id)]
    if flow.deployed_version_id not in {None, version.id}:
        old = get_version(context, caller, flow_id, flow.deployed_version_id)
        changes.append(_retired(context, caller, old))
    try:
        context.resources.commit(*audited(context, caller, event, changes))
    except RevisionMismatchError:
        _clear_away(context, flow, machine_arn)
        raise
    sync_triggers(context, switched)
    return live


def undeploy_version(
    context: Context, caller: Caller, flow_id: str, version_id: str, revision: int | None
) -> Version:
    """Stop triggers from starting this version; its running runs go on."""
    flow = get_flow(context, caller, flow_id)
    version = get_version(context, caller, flow_id, version_id)
    check_revision(version, revision)
    if version.deployed_at is None:
        sync_triggers(context, flow)
        return version
    retired = _retired(context, caller, version)
    stopped = flow.model_copy(
        update={**changed(context, caller, flow), "deployed_version_id": None}
    )
    changes = [Replace(flow, stopped), retired]
    context.resources.commit(*audited(context, caller, "undeployed", changes))
    sync_triggers(context, stopped)
    return get_version(context, caller, flow_id, version_id)


def _check_deployable(context: Context, flow: Flow, version: Version) -> None:
    """What was right when it was saved may have changed: actions and connections come and go."""
    find = stored(context, flow.workspace_id, version.steps)
    found = check_steps(context, version.steps, find)
    keys = missing_customer_keys(context, flow.workspace_id, flow, addresses_of(context, flow))
    called = check_called_flows(context, flow, version.steps)
    queue = check_queue_is_free(context, flow, flow.id) if flow.is_enabled else ()
    refuse([*undeployable(flow, version.steps), *called, *queue, *keys, *found])


def _machines(version: Version, arn: str, kind: MachineKind) -> dict[str, Any]:
    """What a version says of its machines once this one is live."""
    spare = version.spare_machine_arn if version.machine_kind == kind else version.machine_arn
    return {"machine_arn": arn, "machine_kind": kind, "spare_machine_arn": spare}


def _deploy_machine(context: Context, flow: Flow, version: Version, kind: MachineKind) -> str:
    definition = to_definition(flow, version.steps)
    if not flow.is_synchronous:
        # Whether a failed attempt is followed by another is the flow's setting, which may change
        # while the version stays; so every machine has the states to ask for it.
        asks = compiler.FlowRetry(max_attempts=limits.FLOW_RETRY_ATTEMPTS)
        definition = replace(definition, flow_retry=asks)
    try:
        compiled = compiler.compile_flow(definition, context.targets, past_durations(context, flow))
    except compiler.CompileError as error:
        refuse(
            Violation(find.code, find.pointer, find.message, find.remedy) for find in error.findings
        )
        raise
    return context.machines.deploy(machine_name(version, kind), compiled.asl, compiled.type)


def _clear_away(context: Context, flow: Flow, machine_arn: str) -> None:
    """Delete a machine if its flow was deleted meanwhile, by who cannot have known of it.

    As long as there is a flow, the machine may be what another request has just deployed.
    """
    ref = Ref(Flow, flow.id)
    if context.resources.get_many(flow.workspace_id, [ref]).get(ref) is None:
        context.machines.delete(machine_arn)


def machine_name(version: Version, kind: MachineKind = "STANDARD") -> str:
    """One machine a version, so that running runs stay on theirs; a machine cannot change kind."""
    name = f"{version.flow_id}-v{version.number}"
    return f"{name}{SYNCHRONOUS}" if kind == "EXPRESS" else name


def _retired(context: Context, caller: Caller, version: Version) -> Replace:
    update: dict[str, Any] = {**changed(context, caller, version), "deployed_at": None}
    return Replace(version, version.model_copy(update=update), parent_id=version.flow_id)
