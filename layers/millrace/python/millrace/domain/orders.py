"""What lists are sorted by, as texts that compare as the values do."""

from datetime import datetime
from typing import Final

from millrace.domain.base import rfc3339
from millrace.domain.flow import Flow
from millrace.domain.ports import OrderName
from millrace.domain.resource import Resource

SEPARATOR: Final = "\x1f"
"""Sorts before whatever a name may hold, so that a name comes before those that it begins."""

_NEVER: Final = "-"
"""Sorts before every time."""


def sort_text(resource: Resource, by: OrderName) -> str:
    """What a resource is sorted by; ids are ULIDs, so they are in the order of creation."""
    match by:
        case "createdAt":
            return resource.id
        case "name":
            name: str = getattr(resource, "name", "")
            return name.casefold()
        case "enabledAt":
            return time_text(resource.enabled_at if isinstance(resource, Flow) else None)
        case "lastExecutedAt":
            run = resource.latest_run if isinstance(resource, Flow) else None
            return time_text(None if run is None else run.start_date)


def time_text(moment: datetime | None) -> str:
    """The text of a time, or of never."""
    return _NEVER if moment is None else rfc3339(moment)
