"""The queue of a flow, connected as long as the flow is deployed and enabled.

The messages of a queue come without a word about the flow, so its owner is stored, under its name.
An owner that does not want it any more, or is gone, loses it to whoever does.
"""

from collections.abc import Iterator
from typing import Any, Final

from millrace.domain.errors import ConflictError, NotFoundError, Violation
from millrace.domain.flow import Flow, FlowSettings
from millrace.domain.flow_parts import TriggerKind
from millrace.domain.ports import Change, Create, Delete, Put, Replace
from millrace.domain.queue import ACCOUNT, FlowQueue, QueueOwner
from millrace.usecases.context import Context

_SYSTEM: Final = "millrace"


def queue_of(settings: FlowSettings) -> str | None:
    """The queue whose messages are to start runs of a flow, if there is one."""
    trigger = settings.trigger
    return trigger.queue if trigger.kind is TriggerKind.QUEUE else None


def live_queue_of(flow: Flow) -> str | None:
    """The same of a flow as it is deployed."""
    is_live = flow.deployed_version_id is not None and flow.is_enabled
    return queue_of(flow) if is_live else None


def check_queue(
    context: Context, given: FlowSettings, before: Flow | None = None
) -> Iterator[Violation]:
    """The trigger names a queue if it is of that kind, and one that flows may name.

    What the flow named before is not asked about again.
    """
    trigger = given.trigger
    if before is not None and trigger == before.trigger:
        return
    is_of_queue = trigger.kind is TriggerKind.QUEUE
    if is_of_queue and trigger.queue is None:
        yield Violation(
            "queueMissing",
            "/trigger/queue",
            "A trigger of kind queue names no queue.",
            "Set queue to the name of an SQS queue.",
        )
    if not is_of_queue and trigger.queue is not None:
        yield Violation(
            "queueOfNoQueueTrigger",
            "/trigger/queue",
            f"A trigger of kind {trigger.kind} has no queue.",
            "Remove queue, or set kind to queue.",
        )
    prefix = context.queues().prefix
    if is_of_queue and trigger.queue is not None and not _may_be_named(trigger.queue, prefix):
        yield Violation(
            "queueNotAllowed",
            "/trigger/queue",
            f"Flows do not read queue {trigger.queue!r}.",
            f"Name a queue whose name begins with {prefix!r}.",
        )


def check_queue_is_free(
    context: Context, settings: FlowSettings, flow_id: str | None
) -> Iterator[Violation]:
    """No other flow has the queue of a flow that is about to be deployed."""
    name = queue_of(settings)
    if name is not None and _wanted_by_another(context, _owner(context, name), flow_id):
        yield Violation(
            "queueTaken",
            "/trigger/queue",
            f"The messages of queue {name!r} start runs of another flow.",
            "Name another queue, or undeploy or disable that flow first.",
        )


def sync_queue(context: Context, flow: Flow) -> None:
    """Bring the queue in step with a flow that was just stored; may be repeated.

    Raises ConflictError if the queue cannot be connected, UnavailableError if not now.
    """
    wanted = live_queue_of(flow)
    held = _held(context, flow.workspace_id, flow.id)
    if held is not None and held.queue != wanted:
        _release(context, held)
        held = None
    if wanted is not None:
        _take(context, flow, wanted, held)
        context.queues().connect(wanted)


def release_queue(context: Context, workspace_id: str, flow_id: str) -> None:
    """Disconnect the queue of a flow, if one is connected."""
    held = _held(context, workspace_id, flow_id)
    if held is not None:
        _release(context, held)


def owner_of(context: Context, name: str) -> Flow:
    """The flow whose runs messages of a queue start. Raises NotFoundError."""
    owner = context.resources.get(QueueOwner, ACCOUNT, name)
    return context.resources.get(Flow, owner.owner_workspace_id, owner.flow_id)


def _may_be_named(name: str, prefix: str) -> bool:
    return bool(prefix) and name.startswith(prefix)


def _take(context: Context, flow: Flow, name: str, held: FlowQueue | None) -> None:
    owner = _owner(context, name)
    if _wanted_by_another(context, owner, flow.id):
        raise ConflictError(f"the messages of queue {name!r} start runs of another flow")
    is_ours = owner is not None and owner.flow_id == flow.id
    if is_ours and held is not None:
        return
    now = context.clock()
    kept: dict[str, Any] = {
        "created_at": now,
        "created_by": _SYSTEM,
        "modified_at": now,
        "modified_by": _SYSTEM,
    }
    whose: dict[str, Any] = {"owner_workspace_id": flow.workspace_id, "flow_id": flow.id}
    new = QueueOwner(id=name, workspace_id=ACCOUNT, **kept, **whose)
    change: Change = Create(new)
    if owner is not None:
        change = Replace(owner, new.model_copy(update={"revision": owner.revision + 1}))
    link = FlowQueue(id=flow.id, workspace_id=flow.workspace_id, queue=name, **kept)
    context.resources.commit(change, Put(link))


def _release(context: Context, held: FlowQueue) -> None:
    owner = _owner(context, held.queue)
    changes: list[Change] = [Delete(held)]
    if owner is not None and owner.flow_id == held.id:
        context.queues().disconnect(held.queue)
        changes.append(Delete(owner))
    context.resources.commit(*changes)


def _owner(context: Context, name: str) -> QueueOwner | None:
    try:
        return context.resources.get(QueueOwner, ACCOUNT, name)
    except NotFoundError:
        return None


def _held(context: Context, workspace_id: str, flow_id: str) -> FlowQueue | None:
    try:
        return context.resources.get(FlowQueue, workspace_id, flow_id)
    except NotFoundError:
        return None


def _wanted_by_another(context: Context, owner: QueueOwner | None, flow_id: str | None) -> bool:
    if owner is None or owner.flow_id == flow_id:
        return False
    try:
        other = context.resources.get(Flow, owner.owner_workspace_id, owner.flow_id)
    except NotFoundError:
        return False
    return live_queue_of(other) == owner.id
