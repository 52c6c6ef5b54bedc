"""What a change to resources means for their stable keys and its size; the same for each store."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from millrace import limits
from millrace.domain.errors import TooLargeError
from millrace.domain.flow import Flow
from millrace.domain.ports import Change, Create, Delete, Put, Replace
from millrace.domain.resource import Resource


def subject(change: Change) -> Resource:
    """The resource that a change is about, as it will be or, if it goes, as it was."""
    match change:
        case Create(resource) | Put(resource):
            return resource
        case Replace(_, after):
            return after
        case Delete(before):
            return before


@dataclass(frozen=True, slots=True)
class Relisted:
    """What a flow's list of its children of one kind gains or loses.

    Not both in one commit: DynamoDB refuses to add to a set and take from it at once.
    """

    workspace_id: str
    flow_id: str
    field: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]


def relisted(changes: Sequence[Change]) -> list[Relisted]:
    """What the changes mean for the flows that list what is created and deleted."""
    gained: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    lost: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for change in changes:
        resource = subject(change)
        if resource.listed_in is None or change.parent_id is None:
            continue
        place = (resource.workspace_id, change.parent_id, resource.listed_in)
        if isinstance(change, Create):
            gained[place].append(resource.id)
        elif isinstance(change, Delete) and not change.parent_is_gone:
            lost[place].append(resource.id)
    return [
        Relisted(*place, tuple(gained[place]), tuple(lost[place]))
        for place in dict.fromkeys([*gained, *lost])
    ]


def counted(changes: Sequence[Change]) -> dict[tuple[str, str], int]:
    """How many more each collection has then, by workspace and prefix; only what changes."""
    more: Counter[tuple[str, str]] = Counter()
    for change in changes:
        resource = subject(change)
        is_of_workspace = bool(resource.orders) and change.parent_id is None
        if is_of_workspace and isinstance(change, Create | Delete):
            more[resource.workspace_id, resource.prefix] += 1 if isinstance(change, Create) else -1
    return {place: number for place, number in more.items() if number}


def claimed_key(change: Change) -> str | None:
    """The stable key that nobody else may have, if the change takes one."""
    match change:
        case Create(resource):
            return resource.unique_key
        case Replace(before, after):
            return None if before.unique_key == after.unique_key else after.unique_key
        case Delete() | Put():
            return None


def released_key(change: Change) -> str | None:
    """The stable key that others may have again, if the change gives one up."""
    match change:
        case Create() | Put():
            return None
        case Replace(before, after):
            return None if before.unique_key == after.unique_key else before.unique_key
        case Delete(before):
            return before.unique_key


def check_size(changes: Sequence[Change]) -> None:
    """Raise TooLargeError if the changes do not fit into one transaction."""
    items = sum(
        1 + (claimed_key(change) is not None) + (released_key(change) is not None)
        for change in changes
    )
    written = {(type(resource), resource.id) for resource in map(subject, changes)}
    items += len(
        {each.flow_id for each in relisted(changes) if (Flow, each.flow_id) not in written}
    )
    items += len(counted(changes))
    if items > limits.TRANSACTION_ITEMS:
        raise TooLargeError(
            f"it changes {items} stored items at once, and {limits.TRANSACTION_ITEMS} is the "
            "limit; send it in parts"
        )


def already_there(resource: Resource) -> str:
    """Why a resource cannot be created."""
    return f"{type(resource).__name__.lower()} {resource.id!r} exists already"


def key_taken(resource: Resource) -> str:
    """Why a resource cannot have its stable key."""
    kind = type(resource).__name__.lower()
    return f"another {kind} has the stable key {getattr(resource, 'stable_key', None)!r}"


def flow_gone(flow_id: str) -> str:
    """Why something cannot be added to a flow, or taken from it."""
    return f"flow {flow_id!r} was deleted meanwhile"


def changed_meanwhile(resource: Resource) -> str:
    """Why a resource cannot be replaced or deleted."""
    return f"{type(resource).__name__.lower()} {resource.id!r} changed since it was read"
