"""Exporting a flow: a document of it and of all that it uses, without any credential."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import Field
from pydantic.alias_generators import to_camel

from millrace import limits
from millrace.domain.action import Action, ActionInput
from millrace.domain.base import Model
from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.data_pool import DataPool, DataPoolInput
from millrace.domain.errors import ConflictError, TooLargeError, Violation
from millrace.domain.flow import Flow, FlowSettings
from millrace.domain.flow_document import (
    NOT_EXPORTED,
    ExportedFlow,
    FlowDocument,
    FlowReference,
    GroupReference,
    Metadata,
    UsedResources,
)
from millrace.domain.integration import Integration, IntegrationInput
from millrace.domain.label import Label, LabelInput
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.ports import Ref
from millrace.domain.resource import Resource
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.context import Context
from millrace.usecases.copies import read_actions
from millrace.usecases.flows import get_flow_with_steps, get_version
from millrace.usecases.references import references_of, references_of_work
from millrace.usecases.renaming import Rename, renamed_settings, renamed_step, renamed_work
from millrace.usecases.resources import fields_of
from millrace.usecases.write_only import take_secrets

_NOUNS: Final[Mapping[type[Resource], str]] = {
    Action: "action",
    Connection: "connection",
    DataPool: "data pool",
    Flow: "flow",
    Integration: "integration",
    Label: "label",
    NotificationGroup: "notification group",
}
_STAMPS: Final = ("created_by", "created_date", "modified_by", "modified_date")


class ExportRequest(Model):
    """Which flow to export, and which version of it."""

    flow_id: str = Field(examples=["flow_01K0D3V4E8Q5J7Z9M2N6P1R4T8"])
    version_id: str | None = Field(default=None, description="Absent: the latest.")


def export_flow(context: Context, caller: Caller, asked: ExportRequest) -> FlowDocument:
    """A flow with the steps of one version and what they use, in six reads (more beyond 100).

    What is gone and is not needed by a step is left out.

    Raises:
        ConflictError: a step names what was deleted.
        TooLargeError: it is more than a document holds, or an answer.
    """
    flow, steps = get_flow_with_steps(context, caller, asked.flow_id)
    number = flow.latest_version_number
    if asked.version_id is not None:
        version = get_version(context, caller, asked.flow_id, asked.version_id)
        steps, number = version.steps, version.number
    used = _read_used(context, caller, flow, steps)
    _refuse_gaps(steps, used)
    keys = _keys(used)

    def rename(kind: type[Resource], id_: str) -> str | None:
        return keys.get(Ref(kind, id_))

    webhooks, callbacks = _addresses(context, flow)
    exported = ExportedFlow(
        **fields_of(flow, FlowSettings) | renamed_settings(flow, rename),
        steps=tuple(_unstamped(renamed_step(step, rename)) for step in steps),
        webhooks=webhooks,
        callbacks=callbacks,
    )
    document = FlowDocument(
        metadata=Metadata(
            flow_name=flow.name,
            version_number=number,
            exported_at=context.clock(),
            exported_by=caller.token_id,
        ),
        flow=exported,
        dependencies=_dependencies(flow, used, keys, rename),
    )
    document = without_credentials(document)
    size = len(document.model_dump_json(exclude_none=True).encode())
    if size > limits.ANSWER_BYTES:
        raise TooLargeError(
            f"the flow and what it uses take {size:,} bytes, and an answer may have "
            f"{limits.ANSWER_BYTES:,}; move parts of it into flows of their own"
        )
    return document


def without_credentials(document: FlowDocument) -> FlowDocument:
    """A document that may be read by anybody, whatever was in it."""
    connections = {
        key: take_secrets(connection)[0]
        for key, connection in document.dependencies.connections.items()
    }
    fields = fields_of(document.flow, ExportedFlow)
    for kind in ("webhooks", "callbacks"):
        fields[kind] = tuple(take_secrets(address)[0] for address in fields[kind])
    flow = ExportedFlow(
        **{name: value for name, value in fields.items() if name not in NOT_EXPORTED}
    )
    dependencies = document.dependencies.model_copy(update={"connections": connections})
    return document.model_copy(update={"flow": flow, "dependencies": dependencies})


type _Used = dict[Ref[Any], Resource]


def _read_used(context: Context, caller: Caller, flow: Flow, steps: tuple[Step, ...]) -> _Used:
    """What the flow uses, in the order in which it names it; what is gone is left out."""
    actions = read_actions(context, caller, steps)
    refs: list[Ref[Any]] = []
    if flow.integration_id is not None:
        refs.append(Ref(Integration, flow.integration_id))
    for step in steps:
        refs += _used_by(step, actions)
    refs += [ref for _, ref in references_of(flow, steps)]
    found = context.resources.get_many(caller.workspace_id, refs)
    used: _Used = {ref: resource for ref in refs if (resource := found.get(ref)) is not None}
    # An alias may name an action that no step uses, with what that names; a flow an integration.
    more: dict[Ref[Any], None] = {}
    for resource in used.values():
        if isinstance(resource, Action):
            more |= dict.fromkeys(ref for _, ref in references_of_work(resource.work))
        if isinstance(resource, Flow) and resource.integration_id is not None:
            more[Ref(Integration, resource.integration_id)] = None
    missing = [ref for ref in more if ref not in used]
    found = context.resources.get_many(caller.workspace_id, missing) if missing else found
    return used | {ref: there for ref in missing if (there := found.get(ref)) is not None}


def _used_by(step: Step, actions: Mapping[str, Action]) -> Iterator[Ref[Any]]:
    works = [] if step.action is None else [step.action]
    if step.referrer is not None:
        yield Ref(Action, step.referrer)
        works += [actions[step.referrer].work] if step.referrer in actions else []
    for work in works:
        yield from (ref for _, ref in references_of_work(work))


def _addresses(
    context: Context, flow: Flow
) -> tuple[tuple[WebhookInput, ...], tuple[CallbackInput, ...]]:
    """The flow's webhooks and callbacks, without the ids that make their addresses."""
    webhooks = [Ref(Webhook, id_, flow.id) for id_ in flow.webhook_ids]
    callbacks = [Ref(Callback, id_, flow.id) for id_ in flow.callback_ids]
    refs = (*webhooks, *callbacks)
    if not refs:
        return (), ()
    for noun, ids in (("webhooks", flow.webhook_ids), ("callbacks", flow.callback_ids)):
        if len(ids) > limits.DOCUMENT_RESOURCES:
            raise TooLargeError(
                f"the flow has {len(ids):,} {noun}, and a document holds "
                f"{limits.DOCUMENT_RESOURCES}; delete those that nobody uses"
            )
    found = context.resources.get_many(flow.workspace_id, refs)
    hooks, backs = map(found.get, webhooks), map(found.get, callbacks)
    return (
        _by_name(_without_environment(each, WebhookInput) for each in hooks if each),
        _by_name(_without_environment(each, CallbackInput) for each in backs if each),
    )


def _without_environment[A: (WebhookInput, CallbackInput)](
    address: Webhook | Callback, kind: type[A]
) -> A:
    """Virtual environments belong to the workspace, each with a customer's keys."""
    return kind(**fields_of(address, kind) | {"virtual_environment_id": None})


def _by_name[A: (WebhookInput, CallbackInput)](addresses: Iterable[A]) -> tuple[A, ...]:
    """Their ids say little of their order, and the same flow is to be the same document."""
    return tuple(sorted(addresses, key=lambda each: (each.name, each.stable_key or "")))


def _refuse_gaps(steps: tuple[Step, ...], used: _Used) -> None:
    actions = {ref.id: each for ref, each in used.items() if isinstance(each, Action)}

    def gaps() -> Iterator[Violation]:
        for number, step in enumerate(steps):
            refs = [*_used_by(step, actions)]
            refs += [] if step.flow_id is None else [Ref(Flow, step.flow_id)]
            for ref in refs:
                if ref not in used:
                    noun = _NOUNS[ref.kind]
                    message = f"Step {step.id!r} needs the {noun} {ref.id!r}, which was deleted."
                    remedy = "Give the step another one, or take it out."
                    code = f"unknown{ref.kind.__name__}"
                    yield Violation(code, f"/steps/{number}", message, remedy)

    found = tuple(gaps())
    if found:
        raise ConflictError("the flow needs what was deleted, so it would be of no use", found)


def _keys(used: _Used) -> dict[Ref[Any], str]:
    """The key of each resource in the document: its stable key, or one that no other has."""
    keys: dict[Ref[Any], str] = {}
    for kind, noun in _NOUNS.items():
        of_kind = {ref: each for ref, each in used.items() if ref.kind is kind}
        taken: set[str] = set()
        for ref, resource in of_kind.items():
            stable_key = getattr(resource, "stable_key", None)
            # Flows of two integrations may have the same one.
            if stable_key is not None and stable_key not in taken:
                keys[ref] = stable_key
                taken.add(stable_key)
        prefix = to_camel(noun.replace(" ", "_"))
        numbered = (f"{prefix}-{number}" for number in range(1, len(of_kind) + len(taken) + 1))
        free = (key for key in numbered if key not in taken)
        for ref in of_kind:
            if ref not in keys:
                keys[ref] = next(free)
    return keys


def _dependencies(
    flow: Flow, used: _Used, keys: Mapping[Ref[Any], str], rename: Rename
) -> UsedResources:
    def of[R: Resource](kind: type[R]) -> Iterable[tuple[str, R]]:
        return (
            (keys[ref], resource) for ref, resource in used.items() if isinstance(resource, kind)
        )

    integration_keys = {
        each.id: each.stable_key for each in used.values() if isinstance(each, Integration)
    }
    return UsedResources(
        integrations={
            key: IntegrationInput(**fields_of(each, IntegrationInput))
            for key, each in of(Integration)
            if each.id == flow.integration_id
        },
        connections={
            key: ConnectionInput(**fields_of(each, ConnectionInput)) for key, each in of(Connection)
        },
        data_pools={
            key: DataPoolInput(**fields_of(each, DataPoolInput)) for key, each in of(DataPool)
        },
        actions={
            key: ActionInput(
                **fields_of(each, ActionInput) | {"work": renamed_work(each.work, rename)}
            )
            for key, each in of(Action)
        },
        labels={key: LabelInput(**fields_of(each, LabelInput)) for key, each in of(Label)},
        notification_groups={
            key: GroupReference(**fields_of(each, GroupReference))
            for key, each in of(NotificationGroup)
        },
        flows={
            key: _flow_reference(each, integration_keys.get(each.integration_id or ""))
            for key, each in of(Flow)
        },
    )


def _flow_reference(flow: Flow, integration_key: str | None) -> FlowReference:
    # In an integration without a key it cannot be found, and its own key alone names another flow.
    is_found = flow.integration_id is None or integration_key is not None
    return FlowReference(
        name=flow.name,
        stable_key=flow.stable_key if is_found else None,
        integration_key=integration_key,
    )


def _unstamped(step: Step) -> Step:
    return step.model_copy(update=dict.fromkeys(_STAMPS))
