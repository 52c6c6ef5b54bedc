"""What a flow refers to exists, and flows do not start each other in a circle.

Only what was not there before is looked up: a label that was deleted must not keep anybody from
disabling a flow that had it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from millrace import limits
from millrace.domain.action import Action, ActionWork, ProcessAction
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings, LatestSteps
from millrace.domain.integration import Integration
from millrace.domain.label import Label
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.operations import data_pools_of
from millrace.domain.ports import Ref
from millrace.domain.step import Step
from millrace.usecases.context import Context


@dataclass(frozen=True, slots=True)
class ToCome:
    """What a file is about to store."""

    flows: Mapping[str, FlowInput] = field(default_factory=dict)
    """By the ids that they will have."""
    ids: frozenset[str] = frozenset()
    """Of other resources."""

    def id_of(self, flow: FlowInput) -> str | None:
        """The id that a flow of the file will have."""
        return next((id_ for id_, each in self.flows.items() if each is flow), None)


_NOUNS: Mapping[type[Any], tuple[str, str]] = {
    Action: ("unknownAction", "action"),
    Connection: ("unknownConnection", "connection"),
    Flow: ("unknownFlow", "flow"),
    Integration: ("unknownIntegration", "integration"),
    Label: ("unknownLabel", "label"),
    NotificationGroup: ("unknownNotificationGroup", "notification group"),
}

NOTHING_TO_COME: Final = ToCome()


def check_references(
    context: Context,
    workspace_id: str,
    given: FlowInput,
    before: Flow | None = None,
    old_steps: Iterable[Step] = (),
    *,
    to_come: ToCome = NOTHING_TO_COME,
) -> Iterator[Violation]:
    """What the flow names but is not there; what is `to_come` counts as there."""
    new_ids = to_come.ids | to_come.flows.keys()
    old = set() if before is None else {ref for _, ref in references_of(before, old_steps)}
    wanted = [(place, ref) for place, ref in references_of(given, given.steps) if ref not in old]
    where = (given.integration_id, given.flow_group_id)
    if given.integration_id is not None and (
        before is None or where != (before.integration_id, before.flow_group_id)
    ):
        wanted.append(("/integrationId", Ref(Integration, given.integration_id)))
    to_read = {ref for _, ref in wanted if ref.id not in new_ids}
    found = context.resources.get_many(workspace_id, to_read)
    for pointer, ref in wanted:
        if ref.id not in new_ids and found.get(ref) is None:
            code, noun = _NOUNS[ref.kind]
            yield Violation(
                code, pointer, f"There is no {noun} {ref.id!r}.", f"Create the {noun} first."
            )
        elif ref.kind is Integration:
            yield from _check_group(given, found.get(Ref(Integration, ref.id)))
    if given.integration_id is None and given.flow_group_id is not None:
        yield Violation(
            "groupWithoutIntegration",
            "/flowGroupId",
            "A group is a part of an integration, and the flow is in none.",
            "Set integrationId to the integration that has the group.",
        )
    flow_id = to_come.id_of(given) if before is None else before.id
    for number, step in enumerate(given.steps):
        if flow_id is not None and step.keep_delta_behind_flow_id == flow_id:
            yield Violation(
                "keepDeltaBehindItself",
                f"/steps/{number}/keepDeltaBehindFlowId",
                "What the flow reads would wait for itself for ever.",
                "Name another flow, whose records have to be there first.",
            )
    if flow_id is not None and any(ref.kind is Flow for _, ref in wanted):
        led_to = flows_led_to(given, given.steps)
        yield from _check_circles(context, workspace_id, flow_id, led_to, to_come.flows)


def check_called_flows(context: Context, flow: Flow, steps: Sequence[Step]) -> Iterator[Violation]:
    """The flows that a version's steps run are there, and do not lead back to it.

    What was right when it was saved may have changed, and it need not be the latest version.
    """
    called = [
        (f"/steps/{number}/flowId", Ref(Flow, step.flow_id))
        for number, step in enumerate(steps)
        if step.flow_id is not None and not step.is_skipped
    ]
    if not called:
        return
    found = context.resources.get_many(flow.workspace_id, {ref for _, ref in called})
    for pointer, ref in called:
        if found.get(ref) is None:
            message = f"There is no flow {ref.id!r}."
            yield Violation("unknownFlow", pointer, message, "Name another flow, or skip the step.")
    led_to = flows_led_to(flow, steps)
    yield from _check_circles(context, flow.workspace_id, flow.id, led_to, {})


def references_of(settings: FlowSettings, steps: Iterable[Step]) -> Iterator[tuple[str, Ref[Any]]]:
    """What the flow names, with the pointers, its integration apart."""
    steps = tuple(steps)
    for number, id_ in enumerate(settings.labels):
        yield f"/labels/{number}", Ref(Label, id_)
    for number, id_ in enumerate(settings.notification_groups):
        yield f"/notificationGroups/{number}", Ref(NotificationGroup, id_)
    for number, alias in enumerate(settings.aliases):
        if alias.action_id is not None:
            yield f"/aliases/{number}/actionId", Ref(Action, alias.action_id)
        if alias.connection_id is not None:
            yield f"/aliases/{number}/connectionId", Ref(Connection, alias.connection_id)
        if alias.flow_id is not None:
            yield f"/aliases/{number}/flowId", Ref(Flow, alias.flow_id)
    for pointer, id_ in flows_led_to(settings, steps):
        yield pointer, Ref(Flow, id_)
    for number, step in enumerate(steps):
        if (behind := step.keep_delta_behind_flow_id) is not None:
            yield f"/steps/{number}/keepDeltaBehindFlowId", Ref(Flow, behind)


def references_of_work(work: ActionWork) -> Iterator[tuple[str, Ref[Any]]]:
    """What an action names, with the places in it: its connection, or its data pools."""
    if isinstance(work, ProcessAction):
        for place, id_ in data_pools_of(work.operations):
            yield place, Ref(DataPool, id_)
    elif work.connection_id is not None:
        yield "connectionId", Ref(Connection, work.connection_id)


def flows_led_to(settings: FlowSettings, steps: Iterable[Step]) -> Iterator[tuple[str, str]]:
    """The flows that a run of this one starts, with the pointers."""
    for number, id_ in enumerate(settings.run_next_flow_ids):
        yield f"/runNextFlowIds/{number}", id_
    for number, step in enumerate(steps):
        if step.flow_id is not None:
            yield f"/steps/{number}/flowId", step.flow_id


def _check_group(given: FlowInput, integration: Integration | None) -> Iterator[Violation]:
    if integration is None or given.flow_group_id is None:
        return
    if given.flow_group_id not in {group.id for group in integration.groups}:
        yield Violation(
            "unknownGroup",
            "/flowGroupId",
            f"The integration {integration.id!r} has no group {given.flow_group_id!r}.",
            "Add the group to the integration first, or correct the id.",
        )


def _check_circles(
    context: Context,
    workspace_id: str,
    flow_id: str,
    led_to: Iterable[tuple[str, str]],
    new_flows: Mapping[str, FlowInput],
) -> Iterator[Violation]:
    """Follow the flows that this one starts, level by level, to see whether one starts it."""
    seen: set[str] = set()
    frontier: dict[str, str] = {}
    for pointer, id_ in led_to:
        frontier.setdefault(id_, pointer)
    for _ in range(limits.FLOWS_IN_A_ROW):
        if flow_id in frontier:
            yield Violation(
                "flowCircle",
                frontier[flow_id],
                "The flow would start itself, at once or by way of others, for ever.",
                "Take this flow out, or one on the way back.",
            )
        seen |= frontier.keys()
        frontier = {
            id_: pointer
            for id_, pointer in _following(context, workspace_id, frontier, new_flows).items()
            if id_ not in seen
        }
        if not frontier:
            return


def _following(
    context: Context,
    workspace_id: str,
    frontier: Mapping[str, str],
    new_flows: Mapping[str, FlowInput],
) -> dict[str, str]:
    """The flows that those of the frontier start, with the pointer by which they are reached."""
    stored = [id_ for id_ in frontier if id_ not in new_flows]
    refs = [Ref(kind, id_) for id_ in stored for kind in (Flow, LatestSteps)]
    found = context.resources.get_many(workspace_id, refs)
    reached: dict[str, str] = {}
    for id_, pointer in frontier.items():
        settings: FlowSettings | None = new_flows.get(id_) or found.get(Ref(Flow, id_))
        if settings is None:
            continue
        latest = found.get(Ref(LatestSteps, id_))
        steps = (
            settings.steps if isinstance(settings, FlowInput) else latest.steps if latest else ()
        )
        for _, following in flows_led_to(settings, steps):
            reached.setdefault(following, pointer)
    return reached
