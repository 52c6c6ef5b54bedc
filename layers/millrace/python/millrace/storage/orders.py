"""The sort keys of lists: what a list is sorted by, and the id, so that no two are alike."""

from datetime import datetime

from millrace.domain.orders import SEPARATOR, sort_text, time_text
from millrace.domain.resource import Resource
from millrace.storage import keys


def order_keys(resource: Resource) -> dict[str, str]:
    """The sort keys of a resource in the local indexes, by attribute."""
    found: dict[str, str] = {}
    for by, (_, attribute) in keys.INDEXES.items():
        if by in resource.orders:
            text = sort_text(resource, by)
            found[attribute] = text if by == "createdAt" else f"{text}{SEPARATOR}{resource.id}"
    return found


def time_key(moment: datetime, id_: str) -> str:
    """The sort key of something that was at a time."""
    return f"{time_text(moment)}{SEPARATOR}{id_}"
