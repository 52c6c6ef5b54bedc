"""The audit trail of a flow: who changed what, when, in which request."""

from typing import ClassVar, Literal

from millrace.domain.base import Json, Model
from millrace.domain.resource import Resource

type AuditEvent = Literal[
    "created",
    "replaced",
    "patched",
    "applied",
    "deleted",
    "deployed",
    "undeployed",
    "rolledBack",
    "draftCreated",
    "versionDeleted",
    "webhookCreated",
    "webhookReplaced",
    "webhookPatched",
    "webhookDeleted",
    "callbackCreated",
    "callbackReplaced",
    "callbackPatched",
    "callbackDeleted",
    "cloned",
    "duplicated",
    "connectionReplaced",
    "imported",
    "lastExportDateTimeSet",
]


class AuditChange(Model):
    """What became of one resource: the fields that differ, before and after.

    `before` is null for what was created, `after` for what was deleted. A value too large to keep
    is shown by its SHA-256 and size.
    """

    resource_type: str
    resource_id: str
    before: dict[str, Json] | None = None
    after: dict[str, Json] | None = None


class AuditEntry(Resource):
    """One change of a flow, stored by the transaction that made it, never changed afterwards.

    It is kept when the flow is deleted.
    """

    prefix: ClassVar[str] = "aud"

    flow_id: str
    event: AuditEvent
    request_id: str | None = None
    changes: tuple[AuditChange, ...]
