"""Notifications: what a target is told, when it is tried again, and when it is given up."""

import hashlib
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field

from millrace.domain.base import Json, Model, Moment, rfc3339
from millrace.domain.flow import Flow
from millrace.domain.notification_group import (
    EmailTarget,
    NotificationGroup,
    NotificationTarget,
    Occasion,
    SnsTarget,
    UrlTarget,
)
from millrace.domain.resource import Resource
from millrace.domain.run import Run, RunStatus

WAITS_SECONDS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Before each further try: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, as Svix has it."""

DISABLED_AFTER: Final = timedelta(days=5)

type Subject = Occasion | Literal["targetDisabled"]


class Notification(Model):
    """One thing to tell one target; names only, so that it can wait outside of the table."""

    workspace_id: str
    group_id: str
    target_id: str
    subject: Subject
    run_id: str | None = Field(default=None, description="What it is about; or:")
    disabled: str | None = Field(default=None, description="The target that was disabled.")
    at: Moment
    tries: int = Field(default=0, description="Made so far.")

    @property
    def id(self) -> str:
        """The same for every try: what is told twice is known by it."""
        about = self.run_id or f"{self.disabled} {rfc3339(self.at)}"
        parts = (self.group_id, self.target_id, self.subject, about)
        return f"msg_{hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:32]}"


class FlowHealth(Resource):
    """Whether the last run of a flow failed, for those who are told of recoveries."""

    prefix: ClassVar[str] = "health"

    failed_run_id: str | None = None


class TargetHealth(Resource):
    """Since when nothing reaches a target of a group, under the group and the target's id."""

    prefix: ClassVar[str] = "reach"

    failing_since: Moment | None = None
    disabled_at: Moment | None = None


def target_id(target: NotificationTarget) -> str:
    """What names a target: all that is known of it, as a digest, since an address may be secret."""
    return hashlib.sha256(target.model_dump_json().encode()).hexdigest()[:16]


def described(target: NotificationTarget) -> str:
    """A target for people, without what may be secret of its address."""
    match target:
        case UrlTarget():
            return f"url {urlsplit(target.url).hostname}"
        case EmailTarget():
            return f"email {target.address}"
        case SnsTarget():
            return f"sns {target.topic_arn.rpartition(':')[2]}"


def subject_for(group: NotificationGroup, run: Run) -> Occasion | None:
    """What a group is told of the end of a run, if anything: one thing, the best news first."""
    match run.status:
        case RunStatus.SUCCEEDED:
            fitting: tuple[Occasion, ...] = ("succeeded",)
            if run.recovered_from is not None:
                fitting = ("recovered", "succeeded")
        case RunStatus.PARTIALLY_SUCCEEDED:
            fitting = ("partiallySucceeded",)
        case RunStatus.FAILED:
            fitting = ("failed",)
        case _:
            fitting = ()
    return next((occasion for occasion in fitting if occasion in group.on), None)


def body_about_run(note: Notification, run: Run, flow: Flow | None) -> dict[str, Json]:
    """What is told of a run: no records, and nothing of its payload."""
    return {
        "type": f"run.{note.subject}",
        "timestamp": rfc3339(note.at),
        "data": {
            "runId": run.id,
            "flowId": run.flow_id,
            "flowName": None if flow is None else flow.name,
            "versionNumber": run.version_number,
            "status": run.status,
            "attempt": run.attempt,
            "startedAt": None if run.started_at is None else rfc3339(run.started_at),
            "endedAt": None if run.ended_at is None else rfc3339(run.ended_at),
            "counts": run.counts.to_json(),
            "error": None if run.error is None else run.error.to_json(),
            "recoveredFrom": run.recovered_from,
        },
    }


def body_about_target(note: Notification) -> dict[str, Json]:
    """What the other targets of a group are told when one is given up."""
    return {
        "type": "target.disabled",
        "timestamp": rfc3339(note.at),
        "data": {"notificationGroupId": note.group_id, "target": note.disabled},
    }


def is_disabled(health: TargetHealth | None, group: NotificationGroup) -> bool:
    """Whether a target was given up; a change of its group gives it another chance."""
    if health is None or health.disabled_at is None:
        return False
    return health.disabled_at >= group.modified_at


def failing_since(health: TargetHealth | None, group: NotificationGroup, now: datetime) -> datetime:
    """Since when nothing reaches a target that was just not reached."""
    since = None if health is None else health.failing_since
    return now if since is None or since < group.modified_at else since
