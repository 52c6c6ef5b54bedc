"""What lists are sorted by: one text for each order, which ends in the id."""

from datetime import datetime
from typing import Final

from millrace.domain.base import rfc3339
from millrace.domain.flow import Flow
from millrace.domain.resource import Resource
from millrace.storage import keys

_SEPARATOR: Final = "\x1f"
"""Sorts before whatever a name may hold, so that a name comes before those that it begins."""

_NEVER: Final = "-"
"""Sorts before every time."""


def order_keys(resource: Resource) -> dict[str, str]:
    """The sort keys of a resource in the local indexes, by attribute."""
    made = {
        "createdAt": lambda: resource.id,
        "name": lambda: f"{_name(resource).casefold()}{_SEPARATOR}{resource.id}",
        "enabledAt": lambda: time_key(_enabled_at(resource), resource.id),
        "lastExecutedAt": lambda: time_key(_executed_at(resource), resource.id),
    }
    return {
        attribute: made[order]()
        for order, (_, attribute) in keys.INDEXES.items()
        if order in resource.orders
    }


def time_key(moment: datetime | None, id_: str) -> str:
    """The sort key of something that was at a time, or never."""
    return f"{_NEVER if moment is None else rfc3339(moment)}{_SEPARATOR}{id_}"


def _name(resource: Resource) -> str:
    name: str = getattr(resource, "name", "")
    return name


def _enabled_at(resource: Resource) -> datetime | None:
    return resource.enabled_at if isinstance(resource, Flow) else None


def _executed_at(resource: Resource) -> datetime | None:
    run = resource.latest_run if isinstance(resource, Flow) else None
    return None if run is None else run.start_date
