"""What starts runs without being asked, in step with a flow: its schedules and its queue."""

from contextlib import suppress
from datetime import datetime

from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RevisionMismatchError,
    UnavailableError,
)
from millrace.domain.flow import Flow
from millrace.usecases.context import Context
from millrace.usecases.queues import release_queue, sync_queue
from millrace.usecases.schedules import remove_schedules, set_schedules


def sync_triggers(context: Context, flow: Flow) -> None:
    """Bring schedules and queue in step with a flow that was just stored; may be repeated.

    If the flow changes meanwhile, whoever was last has to have the last word: it is done again.
    Raises UnavailableError or ConflictError if the flow is stored but its triggers are not what it
    says.
    """
    try:
        _sync(context, flow)
        while (now := _stored(context, flow)).revision != flow.revision:
            flow = now
            _sync(context, flow)
        with suppress(UnavailableError):  # the sweeper compares once more
            context.resources.settle(flow)
    except NotFoundError:
        remove_triggers(context, flow)
    except (ConflictError, RevisionMismatchError, UnavailableError) as error:
        kind = ConflictError if isinstance(error, ConflictError) else UnavailableError
        raise kind(
            f"the flow is stored, but its triggers are not in step with it: {error.message}; "
            "change the flow or deploy its version once more"
        ) from error


def resync_triggers(context: Context, flow: Flow) -> None:
    """The same after a change that deploys nothing.

    A flow that is not deployed has no schedules and no queue: they went when the version was
    undeployed, or never came.
    """
    if flow.deployed_version_id is not None:
        sync_triggers(context, flow)


def settle_flows(context: Context, changed_before: datetime) -> None:
    """Follow the changes of flows that nobody followed."""
    for flow in context.resources.unsettled(changed_before):
        with suppress(ConflictError, UnavailableError):  # the next sweep tries again
            sync_triggers(context, flow)


def remove_triggers(context: Context, flow: Flow) -> None:
    """Remove all schedules of a flow that is gone, and leave its queue.

    A schedule that is left removes itself when it fires; a queue that is left may be taken by the
    next flow that names it.
    """
    with suppress(UnavailableError):
        remove_schedules(context, flow.id)
    with suppress(UnavailableError):
        release_queue(context, flow.workspace_id, flow.id)


def _sync(context: Context, flow: Flow) -> None:
    set_schedules(context, flow)
    sync_queue(context, flow)


def _stored(context: Context, flow: Flow) -> Flow:
    return context.resources.get(Flow, flow.workspace_id, flow.id)
