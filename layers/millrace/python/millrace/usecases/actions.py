"""Actions: create, read, replace, delete."""

from millrace.domain.action import Action, ActionInput
from millrace.domain.connection import Connection
from millrace.domain.ports import Create, Delete, Listing, Replace
from millrace.domain.token import Caller
from millrace.usecases.checks import check_work, lookup
from millrace.usecases.context import Context
from millrace.usecases.resources import born, changed, check_revision, fields_of, refuse


def create_action(context: Context, caller: Caller, given: ActionInput) -> Action:
    """Store a new action."""
    _check(context, caller, given)
    action = Action(**fields_of(given, Action), **born(context, caller, Action))
    context.resources.commit(Create(action))
    return action


def get_action(context: Context, caller: Caller, action_id: str) -> Action:
    """A stored action."""
    return context.resources.get(Action, caller.workspace_id, action_id)


def list_actions(
    context: Context, caller: Caller, limit: int, cursor: str | None
) -> Listing[Action]:
    """One page of the workspace's actions."""
    return context.resources.page(Action, caller.workspace_id, limit=limit, cursor=cursor)


def replace_action(
    context: Context, caller: Caller, action_id: str, given: ActionInput, revision: int | None
) -> Action:
    """Change an action."""
    before = get_action(context, caller, action_id)
    check_revision(before, revision)
    _check(context, caller, given)
    after = changed_action(context, caller, before, given)
    if after is not before:
        context.resources.commit(Replace(before, after))
    return after


def changed_action(context: Context, caller: Caller, before: Action, given: ActionInput) -> Action:
    """An action as it will be; `before` itself if nothing changes."""
    if fields_of(before, ActionInput) == fields_of(given, ActionInput):
        return before
    return Action(**fields_of(given, Action), **changed(context, caller, before))


def delete_action(context: Context, caller: Caller, action_id: str, revision: int | None) -> None:
    """Remove an action."""
    before = get_action(context, caller, action_id)
    check_revision(before, revision)
    context.resources.commit(Delete(before))


def _check(context: Context, caller: Caller, given: ActionInput) -> None:
    find_connection = lookup(context, Connection, caller.workspace_id)
    refuse(check_work(context, given.work, "/work", find_connection))
