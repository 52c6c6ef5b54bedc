"""What a flow needs, and what it works on, with the places where it says so."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from millrace.domain.action import Action
from millrace.domain.base import Model
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.flow import Flow
from millrace.domain.integration import Integration
from millrace.domain.label import Label
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.ports import Ref
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.copies import read_actions
from millrace.usecases.finders import work_of
from millrace.usecases.flows import get_flow_with_steps
from millrace.usecases.references import flows_led_to, references_of, references_of_work
from millrace.usecases.work_rules import connection_of


class Dependency(Model):
    """One resource that a flow needs."""

    id: str
    name: str | None
    paths: tuple[str, ...]
    """JSON Pointers into the flow, as GET shows it."""
    missing: bool = False
    """It was deleted; the flow cannot be deployed, or cannot do that part of its work."""


class Dependencies(Model):
    """All that a flow needs, by kind."""

    integrations: tuple[Dependency, ...]
    connections: tuple[Dependency, ...]
    data_pools: tuple[Dependency, ...]
    actions: tuple[Dependency, ...]
    flows: tuple[Dependency, ...]
    labels: tuple[Dependency, ...]
    notification_groups: tuple[Dependency, ...]


class DescendantStep(Model):
    """A step that reads or writes records."""

    step_id: str
    name: str
    action_id: str | None
    connection_id: str | None
    path: str


class Descendants(Model):
    """What a flow reads by, writes by, and starts."""

    exports: tuple[DescendantStep, ...]
    imports: tuple[DescendantStep, ...]
    flows: tuple[Dependency, ...]


def dependencies_of(context: Context, caller: Caller, flow_id: str) -> Dependencies:
    """What the flow and its latest steps need; three reads, however much that is."""
    flow, steps = get_flow_with_steps(context, caller, flow_id)
    actions = read_actions(context, caller, steps)
    places: defaultdict[Ref[Any], list[str]] = defaultdict(list)
    for pointer, ref in _needed(flow, steps, actions):
        places[ref].append(pointer)
    found = _told(context, caller, places)
    return Dependencies(
        integrations=found[Integration],
        connections=found[Connection],
        data_pools=found[DataPool],
        actions=found[Action],
        flows=found[Flow],
        labels=found[Label],
        notification_groups=found[NotificationGroup],
    )


def descendants_of(context: Context, caller: Caller, flow_id: str) -> Descendants:
    """What the flow's latest steps read and write by, and the flows that it starts."""
    flow, steps = get_flow_with_steps(context, caller, flow_id)
    actions = read_actions(context, caller, steps)
    places: defaultdict[Ref[Any], list[str]] = defaultdict(list)
    for pointer, id_ in flows_led_to(flow, steps):
        places[Ref(Flow, id_)].append(pointer)
    return Descendants(
        exports=tuple(_steps_of("Export", steps, actions)),
        imports=tuple(_steps_of("Import", steps, actions)),
        flows=_told(context, caller, places)[Flow],
    )


def _needed(
    flow: Flow, steps: Iterable[Step], actions: dict[str, Action]
) -> Iterator[tuple[str, Ref[Any]]]:
    steps = tuple(steps)
    if flow.integration_id is not None:
        yield "/integrationId", Ref(Integration, flow.integration_id)
    yield from references_of(flow, steps)
    for number, step in enumerate(steps):
        if step.referrer is not None:
            yield f"/steps/{number}/referrer", Ref(Action, step.referrer)
        work = work_of(step, actions.get)
        for place, ref in () if work is None else references_of_work(work):
            where = "referrer" if step.action is None else f"action/{place}"
            yield f"/steps/{number}/{where}", ref


def _told(
    context: Context, caller: Caller, places: dict[Ref[Any], list[str]]
) -> defaultdict[type[Any], tuple[Dependency, ...]]:
    found = context.resources.get_many(caller.workspace_id, places)
    told: defaultdict[type[Any], tuple[Dependency, ...]] = defaultdict(tuple)
    for ref, paths in places.items():
        there = found.get(ref)
        told[ref.kind] += (
            Dependency(
                id=ref.id,
                name=None if there is None else there.name,
                paths=tuple(dict.fromkeys(paths)),
                missing=there is None,
            ),
        )
    return told


def _steps_of(
    type_: str, steps: Iterable[Step], actions: dict[str, Action]
) -> Iterator[DescendantStep]:
    for number, step in enumerate(steps):
        if step.type == type_:
            action = actions.get(step.referrer or "")
            yield DescendantStep(
                step_id=step.id,
                name=step.name or (step.id if action is None else action.name),
                action_id=step.referrer,
                connection_id=_connection_of(step, actions),
                path=f"/steps/{number}",
            )


def _connection_of(step: Step, actions: dict[str, Action]) -> str | None:
    work = work_of(step, actions.get)
    return None if work is None else connection_of(work)
