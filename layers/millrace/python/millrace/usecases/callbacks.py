"""Callbacks of a flow: addresses whose callers wait for the flow's result."""

from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.ports import Create, Delete, Listing, Replace
from millrace.domain.token import Caller
from millrace.usecases.audit import audited
from millrace.usecases.context import Context
from millrace.usecases.flows import get_flow
from millrace.usecases.resources import born, changed, check_revision, fields_of


def new_callback(context: Context, caller: Caller, flow_id: str, given: CallbackInput) -> Callback:
    """A callback not stored yet."""
    return Callback(
        **fields_of(given, Callback), **born(context, caller, Callback), flow_id=flow_id
    )


def changed_callback(
    context: Context, caller: Caller, before: Callback, given: CallbackInput
) -> Callback:
    """A callback as it will be; `before` if nothing changes."""
    if fields_of(before, CallbackInput) == fields_of(given, CallbackInput):
        return before
    return Callback(
        **fields_of(given, Callback), **changed(context, caller, before), flow_id=before.flow_id
    )


def create_callback(
    context: Context, caller: Caller, flow_id: str, given: CallbackInput
) -> Callback:
    """Store a new callback of a flow."""
    flow = get_flow(context, caller, flow_id)
    callback = new_callback(context, caller, flow.id, given)
    changes = [Create(callback, parent_id=flow.id)]
    context.resources.commit(*audited(context, caller, "callbackCreated", changes))
    return callback


def list_callbacks(
    context: Context, caller: Caller, flow_id: str, limit: int, cursor: str | None
) -> Listing[Callback]:
    """One page of a flow's callbacks."""
    flow = get_flow(context, caller, flow_id)
    return context.resources.page(
        Callback, caller.workspace_id, parent_id=flow.id, limit=limit, cursor=cursor
    )


def get_callback(context: Context, caller: Caller, flow_id: str, callback_id: str) -> Callback:
    """One callback of a flow."""
    return context.resources.get(Callback, caller.workspace_id, callback_id, parent_id=flow_id)


def replace_callback(
    context: Context,
    caller: Caller,
    flow_id: str,
    callback_id: str,
    given: CallbackInput,
    revision: int | None,
) -> Callback:
    """Change a callback; its address stays."""
    before = get_callback(context, caller, flow_id, callback_id)
    check_revision(before, revision)
    after = changed_callback(context, caller, before, given)
    if after is before:
        return before
    changes = [Replace(before, after, parent_id=flow_id)]
    context.resources.commit(*audited(context, caller, "callbackReplaced", changes))
    return after


def delete_callback(
    context: Context, caller: Caller, flow_id: str, callback_id: str, revision: int | None
) -> None:
    """Remove a callback."""
    callback = get_callback(context, caller, flow_id, callback_id)
    check_revision(callback, revision)
    changes = [Delete(callback, parent_id=flow_id)]
    context.resources.commit(*audited(context, caller, "callbackDeleted", changes))
