"""Finders of all that steps and actions name by id, which is read together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.domain.action import Action
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.ports import Found, Ref
from millrace.domain.step import Step
from millrace.usecases.context import Context
from millrace.usecases.finders import Lookup, lookup
from millrace.usecases.references import references_of_work

if TYPE_CHECKING:
    from millrace.domain.resource import Resource


@dataclass(frozen=True, slots=True)
class Finders:
    """Find what steps and actions name by id: what is stored, or is stored together with them."""

    action: Lookup[Action]
    connection: Lookup[Connection]
    data_pool: Lookup[DataPool]


def stored(
    context: Context,
    workspace_id: str,
    steps: Iterable[Step] = (),
    new_actions: Iterable[Action] = (),
) -> Finders:
    """Finders of what is stored in a workspace.

    What these steps, and actions that are not stored yet, name is read at once, and then what the
    actions of the steps name; all else when it is asked for.
    """
    steps = tuple(steps)
    works = [step.action for step in steps if step.action is not None]
    works += [action.work for action in new_actions]
    refs: list[Ref[Any]] = [Ref(Action, step.referrer) for step in steps if step.referrer]
    read: dict[Ref[Any], Resource | None] = {}
    while refs or works:
        refs += [ref for work in works for _, ref in references_of_work(work)]
        wanted = [ref for ref in dict.fromkeys(refs) if ref not in read]
        found = context.resources.get_many(workspace_id, wanted) if wanted else Found({})
        fresh = {ref: found.get(ref) for ref in wanted}
        read |= fresh
        works = [each.work for each in fresh.values() if isinstance(each, Action)]
        refs = []
    return Finders(
        action=lookup(context, Action, workspace_id, read),
        connection=lookup(context, Connection, workspace_id, read),
        data_pool=lookup(context, DataPool, workspace_id, read),
    )
