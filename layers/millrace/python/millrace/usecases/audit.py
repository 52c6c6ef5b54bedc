"""The audit trail: an entry in the same transaction as the change that it tells of."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from millrace import limits
from millrace.domain.audit import AuditChange, AuditEntry, AuditEvent
from millrace.domain.base import Json
from millrace.domain.flow import Flow
from millrace.domain.ports import Change, Create, Delete, Listing, Put, Replace
from millrace.domain.resource import Resource
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.resources import born

_BOOKKEEPING: Final = set(Resource.model_fields)


def audited(
    context: Context, caller: Caller, event: AuditEvent, changes: Sequence[Change]
) -> list[Change]:
    """The changes, and for each flow that they touch the entry to store with them.

    A change belongs to the flow that it changes, or that is its resource's parent.
    """
    flow_ids = list(dict.fromkeys(filter(None, map(_flow_id, changes))))
    entries = [
        Create(
            AuditEntry(
                **born(context, caller, AuditEntry),
                flow_id=flow_id,
                event=event,
                request_id=caller.request_id,
                changes=tuple(_told(change) for change in changes if _flow_id(change) == flow_id),
            ),
            parent_id=flow_id,
        )
        for flow_id in flow_ids
    ]
    return [*changes, *entries]


def list_audit(
    context: Context, caller: Caller, flow_id: str, limit: int, cursor: str | None
) -> Listing[AuditEntry]:
    """One page of a flow's audit trail, newest first; also of a flow that was deleted."""
    listing = context.resources.page(
        AuditEntry,
        caller.workspace_id,
        parent_id=flow_id,
        limit=limit,
        cursor=cursor,
        newest_first=True,
    )
    if not listing.items:
        context.resources.get(Flow, caller.workspace_id, flow_id)
    return listing


def _resource(change: Change) -> Resource:
    return change.resource if isinstance(change, Create | Put) else change.before


def _flow_id(change: Change) -> str | None:
    resource = _resource(change)
    return resource.id if isinstance(resource, Flow) else change.parent_id


def _told(change: Change) -> AuditChange:
    before: dict[str, Json] | None = None
    after: dict[str, Json] | None = None
    match change:
        case Create(resource) | Put(resource):
            after = _fields(resource)
        case Delete(resource):
            before = _fields(resource)
        case Replace(old, new):
            was, now = _fields(old), _fields(new)
            differing = [name for name in was if was[name] != now.get(name)]
            before = {name: was[name] for name in differing}
            after = {name: now.get(name) for name in differing}
    resource = _resource(change)
    return AuditChange(
        resource_type=type(resource).__name__.lower(),
        resource_id=resource.id,
        before=_kept(before),
        after=_kept(after),
    )


def _fields(resource: Resource) -> dict[str, Json]:
    """What a resource says of itself. A secret is not in it: no resource holds one."""
    told: dict[str, Json] = resource.model_dump(
        mode="json", by_alias=True, exclude=_BOOKKEEPING | {*resource.beside}
    )
    return told


def _kept(fields: dict[str, Json] | None) -> dict[str, Json] | None:
    if fields is None:
        return None
    return {name: _value(value) for name, value in fields.items()}


def _value(value: Any) -> Json:  # noqa: ANN401 - any JSON
    """A value, or what identifies it: before and after must fit one item together."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    if len(text) <= limits.AUDIT_VALUE_BYTES:
        return value
    return {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
