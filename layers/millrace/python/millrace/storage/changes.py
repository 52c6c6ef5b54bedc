"""What a change to resources means for their stable keys and its size; the same for each store."""

from collections.abc import Sequence

from millrace import limits
from millrace.domain.errors import TooLargeError
from millrace.domain.ports import Change, Create, Delete, Replace
from millrace.domain.resource import Resource


def stable_key(resource: Resource) -> str | None:
    """The author's own key of a resource, if it is of a kind that has one and was given one."""
    return getattr(resource, "stable_key", None)


def claimed_key(change: Change) -> str | None:
    """The stable key that nobody else may have, if the change takes one."""
    match change:
        case Create(resource):
            return stable_key(resource)
        case Replace(before, after):
            return None if stable_key(before) == stable_key(after) else stable_key(after)
        case Delete():
            return None


def released_key(change: Change) -> str | None:
    """The stable key that others may have again, if the change gives one up."""
    match change:
        case Create():
            return None
        case Replace(before, after):
            return None if stable_key(before) == stable_key(after) else stable_key(before)
        case Delete(before):
            return stable_key(before)


def check_size(changes: Sequence[Change]) -> None:
    """Raise TooLargeError if the changes do not fit into one transaction."""
    items = sum(
        1 + (claimed_key(change) is not None) + (released_key(change) is not None)
        for change in changes
    )
    if items > limits.TRANSACTION_ITEMS:
        raise TooLargeError(
            f"it changes {items} stored items at once, and {limits.TRANSACTION_ITEMS} is the "
            "limit; apply it in parts"
        )


def already_there(resource: Resource) -> str:
    """Why a resource cannot be created."""
    return f"{type(resource).__name__.lower()} {resource.id!r} exists already"


def key_taken(resource: Resource) -> str:
    """Why a resource cannot have its stable key."""
    kind = type(resource).__name__.lower()
    return f"another {kind} has the stable key {stable_key(resource)!r}"


def changed_meanwhile(resource: Resource) -> str:
    """Why a resource cannot be replaced or deleted."""
    return f"{type(resource).__name__.lower()} {resource.id!r} changed since it was read"
