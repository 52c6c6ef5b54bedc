"""Putting another connection in the place of one, in all that a flow does."""

from contextlib import suppress
from dataclasses import replace

from millrace.domain.base import Model
from millrace.domain.connection import Connection
from millrace.domain.errors import ConflictError, NotFoundError, UnavailableError, Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings, Version
from millrace.domain.ports import Create
from millrace.domain.token import Caller
from millrace.usecases.api_keys import addresses_of, missing_customer_keys
from millrace.usecases.audit import audited
from millrace.usecases.checks import undeployable
from millrace.usecases.context import Context
from millrace.usecases.copies import read_actions, rewire, used_connections
from millrace.usecases.deploy import deploy_version
from millrace.usecases.flow_changes import changed_flow, check_flow
from millrace.usecases.flows import get_flow, get_version, latest_version
from millrace.usecases.lifecycle import cancel_run
from millrace.usecases.resources import check_revision, fields_of, refuse
from millrace.usecases.stored_finders import stored
from millrace.usecases.work_rules import unknown_connection


class ConnectionReplacement(Model):
    """Which connection goes, and which one takes its place."""

    connection_id: str
    new_connection_id: str


def replace_connection(
    context: Context,
    caller: Caller,
    flow_id: str,
    given: ConnectionReplacement,
    revision: int | None,
) -> Flow:
    """Put a connection in the place of another one, and let it take effect at once.

    Actions that the flow shares with others are copied for it, so only this flow changes. If a
    version is deployed, the changed one is deployed in its place. Runs of the flow that are not
    over still use the old connection; they are cancelled.

    Raises ConflictError if a draft beside the deployed version would be deployed along with it.
    """
    before = get_flow(context, caller, flow_id)
    check_revision(before, revision)
    if before.draft_version_id is not None and before.deployed_version_id is not None:
        raise ConflictError(
            f"the flow has a draft, {before.draft_version_id!r}, which would be deployed as well; "
            "deploy or delete it first"
        )
    latest = latest_version(context, before)
    if before.deployed_version_id not in {None, latest.id}:
        raise ConflictError(
            "the deployed version is not the latest, which would take its place; deploy the "
            "latest version first, or begin a draft from the deployed one and deploy that"
        )
    _store(context, caller, before, latest, given)
    if before.deployed_version_id is not None:
        after = get_flow(context, caller, flow_id)
        version = get_version(context, caller, flow_id, after.latest_version_id)
        deploy_version(context, caller, flow_id, version.id, version.revision)
    _cancel_runs(context, before)
    return get_flow(context, caller, flow_id)


def _store(
    context: Context, caller: Caller, before: Flow, latest: Version, given: ConnectionReplacement
) -> None:
    actions = read_actions(context, caller, latest.steps)
    refuse(
        _wrong(
            context,
            caller,
            given,
            is_used=given.connection_id in used_connections(before, latest.steps, actions),
        )
    )
    mapped = {given.connection_id: given.new_connection_id}
    rewired = rewire(context, caller, latest.steps, actions, mapped)
    aliases = tuple(
        alias.model_copy(update={"connection_id": given.new_connection_id})
        if alias.connection_id == given.connection_id
        else alias
        for alias in before.aliases
    )
    wanted = FlowInput(
        **(fields_of(before, FlowSettings) | {"aliases": aliases}),
        enabled=before.is_enabled,
        steps=rewired.steps,
    )
    find = stored(context, caller.workspace_id, rewired.steps, rewired.actions)
    find = replace(find, action=rewired.find_action)
    found = check_flow(context, caller.workspace_id, wanted, before, latest.steps, find=find)
    refuse(found)
    if before.deployed_version_id is not None:
        # Before anything is stored: what cannot be deployed must not stay behind as a draft.
        addresses = addresses_of(context, before)
        keys = missing_customer_keys(context, caller.workspace_id, wanted, addresses)
        refuse([*undeployable(before, rewired.steps), *keys])
    _, changes = changed_flow(
        context, caller, before, latest, wanted, find_action=rewired.find_action
    )
    created = [Create(action) for action in rewired.actions]
    context.resources.commit(*audited(context, caller, "connectionReplaced", [*created, *changes]))


def _wrong(
    context: Context, caller: Caller, given: ConnectionReplacement, *, is_used: bool
) -> list[Violation]:
    wrong = []
    if not is_used:
        wrong.append(
            Violation(
                "connectionNotUsed",
                "/connectionId",
                f"The flow does not use the connection {given.connection_id!r}.",
                "Name one that it uses; its dependencies list them.",
            )
        )
    try:
        context.resources.get(Connection, caller.workspace_id, given.new_connection_id)
    except NotFoundError:
        wrong.append(unknown_connection(given.new_connection_id, "/newConnectionId"))
    return wrong


def _cancel_runs(context: Context, flow: Flow) -> None:
    for run in context.runs.unfinished_of(flow.workspace_id, flow.id):
        # It is cancelled even if its machine cannot be stopped now: no step begins any more.
        with suppress(UnavailableError):
            cancel_run(context, run)
