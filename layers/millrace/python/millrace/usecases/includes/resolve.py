"""Filling a tree with what is related: in each round, one read of all that is asked for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from millrace.domain.base import Model
from millrace.domain.ports import Ref
from millrace.usecases.includes.relation import (
    COUNT,
    EXISTS,
    Loaded,
    Loading,
    Node,
    Relation,
    RunOf,
    Scope,
    Wanted,
)
from millrace.usecases.latest_runs import latest_runs

type _Task = Loading[list["_Task"]]


def resolve(
    scope: Scope, roots: Iterable[Node], wanted: Wanted, relations: Mapping[str, Relation]
) -> None:
    """Give each root what is wanted of it, and that what is wanted of it in turn.

    As many batched reads as the longest way has that must be read one after the other.
    """
    ready: list[tuple[_Task, Loaded | None]] = [
        (task, None) for root in roots for task in _tasks(scope, root, wanted, relations)
    ]
    while ready:
        waiting: list[tuple[_Task, list[Ref[Any] | RunOf]]] = []
        while ready:
            task, loaded = ready.pop()
            try:
                asked = task.send(loaded)  # type: ignore[arg-type] # None starts it
            except StopIteration as over:
                ready += [(following, None) for following in over.value]
            else:
                waiting.append((task, [*asked]))
        if waiting:
            loaded = _read(scope, [each for _, asked in waiting for each in asked])
            ready = [(task, loaded) for task, _ in waiting]


def _read(scope: Scope, asked: Sequence[Ref[Any] | RunOf]) -> Loaded:
    refs = [each for each in asked if isinstance(each, Ref)]
    runs = [each for each in asked if isinstance(each, RunOf)]
    return Loaded(
        scope.context.resources.get_many(scope.workspace_id, refs),
        latest_runs(scope.context, scope.workspace_id, runs),
    )


def _tasks(
    scope: Scope, node: Node, wanted: Wanted, relations: Mapping[str, Relation]
) -> list[_Task]:
    names = dict.fromkeys([*wanted.shown, *sorted(wanted.counted), *sorted(wanted.asked)])
    return [_fill(scope, node, name, relations[name], wanted) for name in names]


def _fill(scope: Scope, node: Node, name: str, relation: Relation, wanted: Wanted) -> _Task:
    """Load one relation of one thing; gives the tasks that follow."""
    following: list[_Task] = []
    number = None if relation.count is None else relation.count(node)
    if number is None or name in wanted.shown:
        value = yield from relation.load(scope, node)
        if isinstance(value, Model):
            nodes = [Node(value, node)]
        else:
            nodes = [Node(each, node) for each in value or ()]
        if number is None:
            number = len(nodes)
        if name in wanted.shown:
            node.related[name] = nodes if relation.many else nodes[0] if nodes else None
            following = [
                task
                for each in nodes
                for task in _tasks(scope, each, wanted.shown[name], relation.relations)
            ]
    if name in wanted.counted:
        node.related[f"{name}{COUNT}"] = number
    if name in wanted.asked:
        node.related[f"{name}{EXISTS}"] = number > 0
    return following
