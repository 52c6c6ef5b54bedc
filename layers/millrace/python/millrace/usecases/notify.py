"""Telling the targets of notification groups: begun at the end of a run, then tried for a day.

The end of a run begins an execution of the notification machine for each target, which calls back
here for each try and waits in between.
"""

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from millrace.domain.base import Json
from millrace.domain.errors import NotFoundError
from millrace.domain.flow import Flow
from millrace.domain.notification import (
    DISABLED_AFTER,
    WAITS_SECONDS,
    FlowHealth,
    Notification,
    TargetHealth,
    body_about_run,
    body_about_target,
    described,
    failing_since,
    is_disabled,
    subject_for,
    target_id,
)
from millrace.domain.notification_group import NotificationGroup, NotificationTarget
from millrace.domain.ports import Message, Messenger, Put, Ref, Undelivered
from millrace.domain.run import Run, RunKey, RunStatus
from millrace.usecases.context import Context
from millrace.usecases.write_only import secrets_of

_SYSTEM = "millrace"

logger = logging.getLogger(__name__)


def begin_notifications(context: Context, run: Run, flow: Flow) -> None:
    """Begin to tell the flow's groups of the end of a run; told again, nothing begins twice."""
    _note_health(context, run)
    refs = [Ref(NotificationGroup, id_) for id_ in flow.notification_groups]
    found = context.resources.get_many(run.workspace_id, refs)
    for group in filter(None, map(found.get, refs)):
        subject = subject_for(group, run)
        if subject is not None:
            about = {"subject": subject, "run_id": run.id, "at": run.ended_at or run.created_at}
            _begin(context, group, group.targets, about)


def _begin(
    context: Context,
    group: NotificationGroup,
    targets: Iterable[NotificationTarget],
    about: dict[str, object],
) -> None:
    for target in targets:
        names = {"workspace_id": group.workspace_id, "group_id": group.id}
        note = Notification.model_validate(names | {"target_id": target_id(target)} | about)
        context.notifications.start(note)


def _note_health(context: Context, run: Run) -> None:
    """Remember a failure until the first success after it."""
    if run.status is RunStatus.FAILED:
        failed_run_id = run.id
    elif run.recovered_from is not None:
        failed_run_id = None
    else:
        return
    if failed_run_id is None and _last_failure(context, run) != run.recovered_from:
        return  # another run failed meanwhile
    kept = _kept(run.workspace_id, run.flow_id, context.clock())
    context.resources.commit(Put(FlowHealth(**kept, failed_run_id=failed_run_id)))


def _last_failure(context: Context, run: Run) -> str | None:
    try:
        return context.resources.get(FlowHealth, run.workspace_id, run.flow_id).failed_run_id
    except NotFoundError:
        return None


def deliver(context: Context, messenger: Messenger, note: Notification) -> dict[str, Json]:
    """One try of a notification; how long to wait for the next one, if there is to be one."""
    try:
        group = context.resources.get(NotificationGroup, note.workspace_id, note.group_id)
    except NotFoundError:
        return _over("the group was deleted")
    target = next((each for each in group.targets if target_id(each) == note.target_id), None)
    if target is None:
        return _over("the target was removed")
    health = _health(context, note)
    if is_disabled(health, group):
        return _over("the target is disabled")
    try:
        message = _message(context, group, note)
    except NotFoundError:
        return _over("the run is forgotten")
    try:
        messenger.send(target, message)
    except Undelivered as error:
        logger.warning("%s not reached (%s): %s", described(target), note.group_id, error.message)
        return _failed(context, group, target, note, health, gone=error.gone)
    if health is not None and health.failing_since is not None:
        _put_health(context, note, None, None)
    return _over("delivered")


def _over(outcome: str) -> dict[str, Json]:
    return {"outcome": outcome, "waitSeconds": 0}


def _message(context: Context, group: NotificationGroup, note: Notification) -> Message:
    """What is told, as it is told at each try."""
    if note.run_id is None:
        body = body_about_target(note)
        title = f"Millrace: no more notifications to {note.disabled}"
    else:
        run = context.runs.get(RunKey(note.workspace_id, note.run_id))
        flow = context.resources.get_many(note.workspace_id, [ref := Ref(Flow, run.flow_id)])
        found = flow.get(ref)
        body = body_about_run(note, run, found)
        title = f"Millrace: {run.flow_id if found is None else found.name}: {note.subject}"
    secret = secrets_of(context.secrets, group).get("signing_secret")
    return Message(note.id, note.workspace_id, context.clock(), title, body, secret)


def _failed(
    context: Context,
    group: NotificationGroup,
    target: NotificationTarget,
    note: Notification,
    health: TargetHealth | None,
    *,
    gone: bool,
) -> dict[str, Json]:
    """Plan the next try, or give up: this notification after the last, the target after days."""
    now = context.clock()
    since = failing_since(health, group, now)
    if gone or now - since >= DISABLED_AFTER:
        others = [each for each in group.targets if each != target]
        if note.subject != "targetDisabled":
            about = {"subject": "targetDisabled", "disabled": described(target), "at": since}
            _begin(context, group, others, about)
        # Last, so that a crash before it leads to another try and not to silence.
        _put_health(context, note, since, now)
        return _over("the target was disabled")
    _put_health(context, note, since, None)
    if note.tries >= len(WAITS_SECONDS):
        return _over("given up")
    tried = note.model_copy(update={"tries": note.tries + 1})
    return {"waitSeconds": WAITS_SECONDS[note.tries], "note": tried.to_json()}


def _health(context: Context, note: Notification) -> TargetHealth | None:
    try:
        return context.resources.get(
            TargetHealth, note.workspace_id, note.target_id, parent_id=note.group_id
        )
    except NotFoundError:
        return None


def _put_health(
    context: Context, note: Notification, since: datetime | None, disabled_at: datetime | None
) -> None:
    kept = _kept(note.workspace_id, note.target_id, context.clock())
    health = TargetHealth(**kept, failing_since=since, disabled_at=disabled_at)
    context.resources.commit(Put(health, parent_id=note.group_id))


def _kept(workspace_id: str, id_: str, now: datetime) -> dict[str, Any]:
    """The bookkeeping of what nobody but Millrace writes, and always as a whole."""
    return {
        "id": id_,
        "workspace_id": workspace_id,
        "created_at": now,
        "created_by": _SYSTEM,
        "modified_at": now,
        "modified_by": _SYSTEM,
    }
