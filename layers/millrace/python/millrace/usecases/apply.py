"""Applying a file: connections, actions and flows as its author wants them, all or nothing.

Resources are matched by stable key: what is new is created, what differs is changed, what is the
same is left alone, so applying a file twice does nothing the second time. Within the file, and to
what the workspace has already, references may be stable keys.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

from pydantic import Field, StrictBool, model_validator

from millrace.domain.action import Action, ActionInput
from millrace.domain.base import Model
from millrace.domain.callback import CallbackInput
from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput, Version, flow_key
from millrace.domain.ports import Change, Create, Replace
from millrace.domain.resource import Resource
from millrace.domain.token import Caller
from millrace.domain.webhook import WebhookInput
from millrace.usecases.actions import ACTIONS
from millrace.usecases.api_keys import missing_customer_keys, new_keys, webhooks_of
from millrace.usecases.audit import audited
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.checks import (
    Lookup,
    check_graph,
    check_settings,
    check_steps,
    check_work,
    lookup,
    undeployable,
)
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.deploy import deploy_version, reschedule
from millrace.usecases.file_references import FileReferences
from millrace.usecases.flow_changes import changed_flow, creation, new_flow
from millrace.usecases.flows import latest_version
from millrace.usecases.references import ToCome, check_references
from millrace.usecases.resources import refuse
from millrace.usecases.webhooks import WEBHOOKS
from millrace.usecases.write_only import changed_secrets, commit_with_secrets

_RESOURCES_A_FILE: Final = 20


class AppliedFlow(FlowInput):
    """A flow of a file, with its webhooks and callbacks."""

    webhooks: tuple[WebhookInput, ...] = ()
    callbacks: tuple[CallbackInput, ...] = ()
    deploy: StrictBool = Field(default=True, description="Deploy the flow's latest version.")


class ApplyDocument(Model):
    """What a file holds. Every resource in it needs a stable key of its own."""

    connections: tuple[ConnectionInput, ...] = Field(default=(), max_length=_RESOURCES_A_FILE)
    actions: tuple[ActionInput, ...] = Field(default=(), max_length=_RESOURCES_A_FILE)
    flows: tuple[AppliedFlow, ...] = Field(default=(), max_length=_RESOURCES_A_FILE)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not (self.connections or self.actions or self.flows):
            msg = "there is nothing to apply: no connections, actions or flows"
            raise ValueError(msg)
        return self


type ChangeKind = Literal["created", "updated", "unchanged"]


class AppliedResource(Model):
    """What became of one resource of the file."""

    id: str
    stable_key: str
    change: ChangeKind


class AppliedAddress(AppliedResource):
    """What became of a webhook or callback, and the path to send to."""

    path: str


class AppliedFlowResult(AppliedResource):
    """What became of a flow, and its version that counts now."""

    version_id: str
    version_number: int
    deployed: bool
    webhooks: tuple[AppliedAddress, ...] = ()
    callbacks: tuple[AppliedAddress, ...] = ()


class ApplyResult(Model):
    """What became of each resource, in the order of the file."""

    connections: tuple[AppliedResource, ...] = ()
    actions: tuple[AppliedResource, ...] = ()
    flows: tuple[AppliedFlowResult, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What applying a file will do, collected before anything is done."""

    changes: list[Change] = field(default_factory=list)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    obsolete_secrets: list[str] = field(default_factory=list)

    def add[R: Resource](
        self, before: R | None, after: R, parent_id: str | None = None
    ) -> ChangeKind:
        """Plan to store a resource; says what that means for it."""
        if before is None:
            self.changes.append(Create(after, parent_id))
            return "created"
        if after is before:
            return "unchanged"
        self.changes.append(Replace(before, after, parent_id))
        return "updated"

    def add_secrets(self, before: Resource | None, after: Resource, values: dict[str, str]) -> None:
        """Plan to store the secrets of a resource."""
        new, obsolete = changed_secrets(before, after, values)
        self.secrets |= new
        self.obsolete_secrets += obsolete


def apply(context: Context, caller: Caller, document: ApplyDocument) -> ApplyResult:
    """Bring the workspace in line with a file, then deploy its flows.

    Storing is one transaction; nothing is stored if anything is wrong. Raises RuleViolationError
    with pointers into the document.
    """
    refuse(_key_violations(document))
    return _Apply(context, caller, document).run()


def check_document(context: Context, caller: Caller, document: ApplyDocument) -> list[Violation]:
    """All that is wrong with a file that is well formed; nothing is stored."""
    return [*_key_violations(document)] or _Apply(context, caller, document).violations()


class _Apply:
    """One application of a file."""

    def __init__(self, context: Context, caller: Caller, document: ApplyDocument) -> None:
        self._context = context
        self._caller = caller
        self._document = document
        self._plan = _Plan()
        self._references = FileReferences(context, caller.workspace_id)
        self._stored: dict[str, Flow | None] = {}

    def violations(self) -> list[Violation]:
        self._connections_and_actions()
        return list(self._violations(self._all_resolved()))

    def _connections_and_actions(
        self,
    ) -> tuple[tuple[AppliedResource, ...], tuple[AppliedResource, ...]]:
        connections = tuple(
            self._put(CONNECTIONS, given, _key(given), self._references.connections)
            for given in self._document.connections
        )
        return connections, tuple(self._action(given) for given in self._document.actions)

    def run(self) -> ApplyResult:
        connections, actions = self._connections_and_actions()
        flows = self._all_resolved()
        refuse(self._violations(flows))
        planned = [self._flow(flow) for flow in flows]
        plan = self._plan
        changes = audited(self._context, self._caller, "applied", plan.changes)
        commit_with_secrets(self._context, changes, plan.secrets, plan.obsolete_secrets)
        return ApplyResult(
            connections=connections,
            actions=actions,
            flows=tuple(
                self._deploy(given, flow) for given, flow in zip(flows, planned, strict=True)
            ),
        )

    def _action(self, given: ActionInput) -> AppliedResource:
        given = given.model_copy(update={"work": self._references.work(given.work)})
        return self._put(ACTIONS, given, _key(given), self._references.actions)

    def _put[I: Model, R: Resource](
        self, crud: Crud[I, R], given: I, key: str, put: dict[str, R]
    ) -> AppliedResource:
        before = self._context.resources.find(crud.kind, self._caller.workspace_id, key)
        if before is None:
            after, secrets = crud.new(self._context, self._caller, given)
        else:
            after, secrets = crud.changed(self._context, self._caller, before, given)
        put[key] = after
        self._plan.add_secrets(before, after, secrets)
        return AppliedResource(id=after.id, stable_key=key, change=self._plan.add(before, after))

    def _flow(self, given: AppliedFlow) -> AppliedFlowResult:
        key, before = _key(given), self._stored[_key(given)]
        find_action = self._lookup(Action, self._references.actions)
        change: ChangeKind
        if before is None:
            after, draft = new_flow(
                self._context,
                self._caller,
                given,
                flow_id=self._references.flow_ids[key],
                find_action=find_action,
            )
            self._plan.changes += creation(after, draft)
            change = "created"
        else:
            latest = latest_version(self._context, before)
            after, changes = changed_flow(
                self._context, self._caller, before, latest, given, find_action=find_action
            )
            self._plan.changes += changes
            change = "updated" if changes else "unchanged"
        new, obsolete = new_keys(before, after, given)
        self._plan.secrets |= new
        self._plan.obsolete_secrets += obsolete
        return AppliedFlowResult(
            id=after.id,
            stable_key=key,
            change=change,
            version_id=after.latest_version_id,
            version_number=after.latest_version_number,
            deployed=after.deployed_version_id == after.latest_version_id,
            webhooks=tuple(
                self._address(WEBHOOKS, after, webhook, "/hooks") for webhook in given.webhooks
            ),
            callbacks=tuple(
                self._address(CALLBACKS, after, callback, "/callbacks")
                for callback in given.callbacks
            ),
        )

    def _address[I: (WebhookInput, CallbackInput), R: Resource](
        self, crud: Crud[I, R], flow: Flow, given: I, place: str
    ) -> AppliedAddress:
        before = self._stored_address(crud, flow, given)
        if before is None:
            after, secrets = crud.new(self._context, self._caller, given, flow.id)
        else:
            after, secrets = crud.changed(self._context, self._caller, before, given)
        self._plan.add_secrets(before, after, secrets)
        change = self._plan.add(before, after, parent_id=flow.id)
        path = f"{place}/{after.id}"
        return AppliedAddress(id=after.id, stable_key=_key(given), change=change, path=path)

    def _stored_address[I: (WebhookInput, CallbackInput), R: Resource](
        self, crud: Crud[I, R], flow: Flow, given: I
    ) -> R | None:
        return self._context.resources.find(
            crud.kind, self._caller.workspace_id, _key(given), parent_id=flow.id
        )

    def _all_resolved(self) -> tuple[AppliedFlow, ...]:
        """The flows with ids for stable keys; unknown references stay, to be reported as given."""
        placed = [self._placed(flow) for flow in self._document.flows]
        for flow in placed:
            key = _key(flow)
            stored = self._stored[key] = self._stored_flow(key, flow.integration_id)
            self._references.flow_ids[key] = (
                self._context.new_id(Flow.prefix) if stored is None else stored.id
            )
        return tuple(
            self._references.flow(flow).model_copy(
                update={"webhooks": tuple(map(self._references.webhook, flow.webhooks))}
            )
            for flow in placed
        )

    def _placed(self, flow: AppliedFlow) -> AppliedFlow:
        if flow.integration_id is None:
            return flow
        id_ = self._references.integration(flow.integration_id)
        return flow.model_copy(update={"integration_id": id_})

    def _stored_flow(self, key: str, integration_id: str | None) -> Flow | None:
        """The flow in its integration, or one in none that now moves there."""
        find, workspace_id = self._context.resources.find, self._caller.workspace_id
        name = flow_key(key, integration_id) or key
        return find(Flow, workspace_id, name) or (
            None if integration_id is None else find(Flow, workspace_id, key)
        )

    def _violations(self, flows: Sequence[AppliedFlow]) -> Iterator[Violation]:
        find_connection = self._lookup(Connection, self._references.connections)
        find_data_pool = lookup(self._context, DataPool, self._caller.workspace_id)
        for number, action in enumerate(self._references.actions.values()):
            pointer = f"/actions/{number}/work"
            yield from check_work(
                self._context, action.work, pointer, find_connection, find_data_pool
            )
        in_file = {self._references.flow_ids[_key(flow)]: flow for flow in flows}
        for number, flow in enumerate(flows):
            for violation in self._flow_violations(flow, in_file):
                yield replace(violation, pointer=f"/flows/{number}{violation.pointer}")

    def _flow_violations(
        self, flow: AppliedFlow, in_file: Mapping[str, AppliedFlow]
    ) -> Iterator[Violation]:
        key = _key(flow)
        before = self._stored[key]
        yield from check_graph(flow, flow.steps)
        yield from check_settings(self._context, flow, before)
        yield from check_references(
            self._context,
            self._caller.workspace_id,
            flow,
            before,
            flow_id=self._references.flow_ids[key],
            to_come=ToCome(in_file, self._new_ids()),
        )
        yield from check_steps(
            self._context,
            flow.steps,
            self._lookup(Action, self._references.actions),
            self._lookup(Connection, self._references.connections),
            lookup(self._context, DataPool, self._caller.workspace_id),
        )
        if flow.deploy and flow.steps:
            yield from undeployable(flow.steps)
            yield from missing_customer_keys(
                self._context, self._caller.workspace_id, flow, self._webhooks_to_be(flow, before)
            )
        for place, webhook in enumerate(flow.webhooks):
            stored = None if before is None else self._stored_address(WEBHOOKS, before, webhook)
            for violation in WEBHOOKS.check(self._context, self._caller, webhook, stored):
                yield replace(violation, pointer=f"/webhooks/{place}{violation.pointer}")

    def _webhooks_to_be(self, flow: AppliedFlow, before: Flow | None) -> list[WebhookInput]:
        """Those of the file, and those that the flow has beside them."""
        keys = {webhook.stable_key for webhook in flow.webhooks}
        stored = [] if before is None else webhooks_of(self._context, before)
        return [*flow.webhooks, *(each for each in stored if each.stable_key not in keys)]

    def _new_ids(self) -> frozenset[str]:
        """Of connections and actions that the file may be about to create."""
        made = (*self._references.connections.values(), *self._references.actions.values())
        return frozenset(resource.id for resource in made)

    def _lookup[R: (Connection, Action)](self, kind: type[R], in_file: dict[str, R]) -> Lookup[R]:
        by_id = {resource.id: resource for resource in in_file.values()}
        stored = lookup(self._context, kind, self._caller.workspace_id)
        return lambda id_: by_id.get(id_) or stored(id_)

    def _deploy(self, given: AppliedFlow, result: AppliedFlowResult) -> AppliedFlowResult:
        flow = self._context.resources.get(Flow, self._caller.workspace_id, result.id)
        if not given.deploy or not given.steps:
            reschedule(self._context, flow)
            return result
        version = self._context.resources.get(
            Version, self._caller.workspace_id, result.version_id, parent_id=flow.id
        )
        if result.deployed:
            reschedule(self._context, flow)
        # A version that is live stays as it is, unless the flow became synchronous or ceased to be.
        deploy_version(self._context, self._caller, flow.id, version.id, version.revision)
        return result.model_copy(update={"deployed": True})


def _key(
    given: ConnectionInput | ActionInput | FlowInput | WebhookInput | CallbackInput,
) -> str:
    """The stable key of a resource of the file; `_key_violations` made sure that it has one."""
    return given.stable_key or ""


def _key_violations(document: ApplyDocument) -> Iterator[Violation]:
    """Every resource has a stable key, and no two of a kind share one."""
    lists: list[tuple[str, Sequence[Any]]] = [
        ("/connections", document.connections),
        ("/actions", document.actions),
        ("/flows", document.flows),
        *((f"/flows/{n}/webhooks", flow.webhooks) for n, flow in enumerate(document.flows)),
        *((f"/flows/{n}/callbacks", flow.callbacks) for n, flow in enumerate(document.flows)),
    ]
    for pointer, members in lists:
        seen: set[str] = set()
        for number, member in enumerate(members):
            where = f"{pointer}/{number}/stableKey"
            if member.stable_key is None:
                yield Violation(
                    "stableKeyMissing",
                    where,
                    "A resource in a file needs a stable key.",
                    "Give it one, such as orders-to-erp; never change it afterwards.",
                )
            elif member.stable_key in seen:
                yield Violation(
                    "stableKeyTwice",
                    where,
                    f"The stable key {member.stable_key!r} is used twice.",
                    "Give each resource a key of its own.",
                )
            seen.add(member.stable_key or "")
