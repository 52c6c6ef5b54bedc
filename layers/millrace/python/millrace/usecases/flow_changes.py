"""Flows: create, replace, delete, with the draft version that holds their steps."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from millrace import limits
from millrace.domain.action import Action
from millrace.domain.audit import AuditEvent
from millrace.domain.callback import Callback
from millrace.domain.errors import ConflictError, Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings, LatestSteps, Version
from millrace.domain.flow_parts import LayoutDirection
from millrace.domain.ports import Change, Create, Delete, Put, Replace
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.domain.webhook import Webhook
from millrace.usecases.api_keys import changed_keys, new_keys
from millrace.usecases.audit import audited
from millrace.usecases.checks import check_graph, check_settings, check_steps
from millrace.usecases.context import Context
from millrace.usecases.finders import Lookup, lookup
from millrace.usecases.flows import get_flow, latest_version
from millrace.usecases.references import NOTHING_TO_COME, ToCome, check_references
from millrace.usecases.resources import born, changed, check_revision, fields_of, refuse
from millrace.usecases.stamps import stamped
from millrace.usecases.stored_finders import Finders, stored
from millrace.usecases.trigger_sync import remove_triggers
from millrace.usecases.unfinished_runs import has_unfinished_runs
from millrace.usecases.write_only import commit_with_secrets


def check_flow(
    context: Context,
    workspace_id: str,
    given: FlowInput,
    before: Flow | None = None,
    old_steps: Iterable[Step] = (),
    *,
    find: Finders | None = None,
    to_come: ToCome = NOTHING_TO_COME,
) -> Iterator[Violation]:
    """All that is wrong with a flow that is well formed, given what it replaces.

    What is stored together with it has to be found too, and is `to_come`.
    """
    yield from check_graph(given, given.steps)
    yield from check_settings(context, given, before)
    yield from check_references(context, workspace_id, given, before, old_steps, to_come=to_come)
    find = find or stored(context, workspace_id, given.steps)
    yield from check_steps(context, given.steps, find, old_steps)


def new_flow(
    context: Context,
    caller: Caller,
    given: FlowInput,
    *,
    flow_id: str | None = None,
    find_action: Lookup[Action] | None = None,
) -> tuple[Flow, Version]:
    """A flow not stored yet, and its first draft."""
    find_action = find_action or lookup(context, Action, caller.workspace_id)
    flow_born = born(context, caller, Flow)
    if flow_id is not None:
        flow_born["id"] = flow_id
    draft = Version(
        **born(context, caller, Version),
        flow_id=flow_born["id"],
        number=1,
        steps=stamped(context, caller, given.steps, (), find_action),
    )
    flow = Flow(
        **fields_of(given, FlowSettings),
        **flow_born,
        **changed_keys(context, None, given),
        stable_id=context.new_id("stable"),
        enabled_at=flow_born["created_at"] if given.enabled else None,
        draft_version_id=draft.id,
        latest_version_id=draft.id,
        latest_version_number=draft.number,
        recent_version_ids=(draft.id,),
        steps_count=len(given.steps),
    )
    return flow, draft


def creation(flow: Flow, draft: Version) -> list[Change]:
    """The changes that store a new flow."""
    return [Create(flow), Create(draft, parent_id=flow.id), Put(LatestSteps.of(draft))]


def with_new_version(flow: Flow, version: Version) -> dict[str, Any]:
    """What a flow says of its versions once it has a new one, its draft."""
    recent = (version.id, *flow.recent_version_ids)[: limits.RECENT_VERSIONS]
    return {
        "draft_version_id": version.id,
        "latest_version_id": version.id,
        "latest_version_number": version.number,
        "steps_count": len(version.steps),
        "versions_count": flow.versions_count + 1,
        "recent_version_ids": recent,
    }


def changed_flow(
    context: Context,
    caller: Caller,
    before: Flow,
    latest: Version,
    given: FlowInput,
    *,
    find_action: Lookup[Action] | None = None,
) -> tuple[Flow, list[Change]]:
    """A flow as it will be, and the changes that make it so; none if nothing changes.

    Changed steps go to the draft; if the latest version is no draft, a new one begins.
    """
    changes: list[Change] = []
    update: dict[str, Any] = {"steps_count": len(given.steps)}
    find_action = find_action or lookup(context, Action, caller.workspace_id)
    steps = stamped(context, caller, given.steps, latest.steps, find_action)
    if latest.steps != steps:
        if latest.frozen:
            draft = Version(
                **born(context, caller, Version),
                flow_id=before.id,
                number=before.next_version_number,
                steps=steps,
            )
            changes.append(Create(draft, parent_id=before.id))
            update = with_new_version(before, draft)
        else:
            draft = latest.model_copy(update={"steps": steps, **changed(context, caller, latest)})
            changes.append(Replace(latest, draft, parent_id=before.id))
        changes.append(Put(LatestSteps.of(draft)))
    keys = changed_keys(context, before, given)
    same_settings = (
        fields_of(before, FlowSettings) == fields_of(given, FlowSettings)
        and before.secrets_version == keys["secrets_version"]
    )
    if not changes and same_settings and before.is_enabled == given.enabled:
        return before, []
    enabled_at = (before.enabled_at or context.clock()) if given.enabled else None
    after = before.model_copy(
        update={
            **fields_of(given, FlowSettings),
            **changed(context, caller, before),
            **update,
            **keys,
            "enabled_at": enabled_at,
        }
    )
    return after, [Replace(before, after), *changes]


def create_flow(
    context: Context, caller: Caller, given: FlowInput
) -> tuple[Flow, tuple[Step, ...]]:
    """Store a new flow with its steps as draft version 1; gives it and its steps."""
    find = stored(context, caller.workspace_id, given.steps)
    refuse(check_flow(context, caller.workspace_id, given, find=find))
    flow, draft = new_flow(context, caller, given, find_action=find.action)
    changes = audited(context, caller, "created", creation(flow, draft))
    commit_with_secrets(context, changes, *new_keys(None, flow, given))
    return flow, draft.steps


def replace_flow(
    context: Context, caller: Caller, flow_id: str, given: FlowInput, revision: int | None
) -> tuple[Flow, tuple[Step, ...]]:
    """Change a flow's settings and steps; the deployed version goes on as it is."""
    before = get_flow(context, caller, flow_id)
    check_revision(before, revision)
    latest = latest_version(context, before)
    return store_changed(context, caller, before, latest, given, "replaced")


def set_layout_direction(
    context: Context,
    caller: Caller,
    flow_id: str,
    direction: LayoutDirection | None,
    revision: int | None,
) -> Flow:
    """Draw a flow in this direction; None: in the other one."""
    before = get_flow(context, caller, flow_id)
    check_revision(before, revision)
    if direction is None:
        direction = "vertical" if before.layout_direction == "horizontal" else "horizontal"
    if before.layout_direction == direction:
        return before
    after = before.model_copy(
        update={**changed(context, caller, before), "layout_direction": direction}
    )
    context.resources.commit(*audited(context, caller, "patched", [Replace(before, after)]))
    return after


def store_changed(
    context: Context,
    caller: Caller,
    before: Flow,
    latest: Version,
    given: FlowInput,
    event: AuditEvent,
    told_of: Callable[[Violation], Violation] | None = None,
) -> tuple[Flow, tuple[Step, ...]]:
    """Check and store a flow as it will be; `told_of` points to faults as the caller sees them."""
    find = stored(context, caller.workspace_id, given.steps)
    found = check_flow(context, caller.workspace_id, given, before, latest.steps, find=find)
    refuse(found if told_of is None else map(told_of, found))
    after, changes = changed_flow(context, caller, before, latest, given, find_action=find.action)
    commit_with_secrets(
        context, audited(context, caller, event, changes), *new_keys(before, after, given)
    )
    return after, _steps_now(changes, latest)


def _steps_now(changes: Iterable[Change], latest: Version) -> tuple[Step, ...]:
    for change in changes:
        if isinstance(change, Put) and isinstance(change.resource, LatestSteps):
            return change.resource.steps
    return latest.steps


def delete_flow(context: Context, caller: Caller, flow_id: str, revision: int | None) -> None:
    """Remove a flow with all it owns; its actions and audit trail stay.

    Raises ConflictError while a version is deployed, since undeploying first stops the triggers,
    and while runs are not over.
    """
    flow = get_flow(context, caller, flow_id)
    check_revision(flow, revision)
    if flow.deployed_version_id is not None:
        raise ConflictError("a version of the flow is deployed; undeploy it first")
    if has_unfinished_runs(context, flow):
        raise ConflictError("runs of the flow are not over; wait for them, or cancel them")
    versions = tuple(_all(context, Version, flow))
    steps = context.resources.get(LatestSteps, caller.workspace_id, flow.id)
    changes: list[Change] = [Delete(flow), Delete(steps)]
    context.resources.commit(*audited(context, caller, "deleted", changes))
    # The flow is gone for every caller now; what it owned can follow in as many steps as it takes.
    remove_triggers(context, flow)
    if flow.secrets_key is not None:
        context.secrets.delete(flow.secrets_key)
    for version in versions:
        context.resources.commit(Delete(version, parent_id=flow.id))
        for machine_arn in version.machine_arns:
            context.machines.delete(machine_arn)
    for address in (*_all(context, Webhook, flow), *_all(context, Callback, flow)):
        context.resources.commit(Delete(address, parent_id=flow.id, parent_is_gone=True))
        if address.secrets_key is not None:
            context.secrets.delete(address.secrets_key)
    # Results are made of many models, for which no other change of flows should pay.
    from millrace.usecases.trial_results import forget_trials  # noqa: PLC0415 - see above

    forget_trials(context, flow)


def _all[R: (Version, Webhook, Callback)](
    context: Context, kind: type[R], flow: Flow
) -> Iterator[R]:
    cursor = None
    while True:
        listing = context.resources.page(kind, flow.workspace_id, parent_id=flow.id, cursor=cursor)
        yield from listing.items
        cursor = listing.cursor
        if cursor is None:
            return
