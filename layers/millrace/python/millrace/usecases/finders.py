"""Finds what steps refer to: stored resources by id, each read once, and what a step does."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from millrace.domain.action import Action, ActionWork
from millrace.domain.errors import NotFoundError
from millrace.domain.ports import Ref
from millrace.domain.resource import Resource
from millrace.domain.step import Step
from millrace.usecases.context import Context

_NOTHING: Final[Mapping[Ref[Any], Resource | None]] = MappingProxyType({})

type Lookup[R] = Callable[[str], R | None]


def work_of(step: Step, find_action: Lookup[Action]) -> ActionWork | None:
    """What a step does: its inline action, or the work of the action it refers to."""
    if step.action is not None:
        return step.action
    action = find_action(step.referrer) if step.referrer is not None else None
    return None if action is None else action.work


def lookup[R: Resource](
    context: Context,
    kind: type[R],
    workspace_id: str,
    read: Mapping[Ref[Any], Resource | None] = _NOTHING,
) -> Lookup[R]:
    """Finds stored resources of a workspace by id, each read once, if it is not `read` already."""
    known = {
        ref.id: resource if isinstance(resource, kind) else None
        for ref, resource in read.items()
        if ref.kind is kind
    }

    def find(id_: str) -> R | None:
        if id_ not in known:
            try:
                known[id_] = context.resources.get(kind, workspace_id, id_)
            except NotFoundError:
                known[id_] = None
        return known[id_]

    return find
