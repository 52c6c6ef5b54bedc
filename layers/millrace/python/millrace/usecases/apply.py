"""Applying a file: connections, actions and flows as its author wants them, all or nothing.

Resources are matched by stable key: what is new is created, what differs is changed, what is the
same is left alone, so applying a file twice does nothing the second time. Within the file, and to
what the workspace has already, references may be stable keys.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from millrace.domain.action import Action, ActionInput
from millrace.domain.address import AddressInput
from millrace.domain.base import Model
from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput, Version, flow_key
from millrace.domain.ports import Found, KeyRef
from millrace.domain.resource import Resource
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.actions import ACTIONS
from millrace.usecases.addresses import check_address
from millrace.usecases.api_keys import addresses_of, missing_customer_keys
from millrace.usecases.apply_document import (
    AppliedAddress,
    AppliedFlow,
    AppliedFlowResult,
    AppliedResource,
    ApplyDocument,
    ApplyResult,
)
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.checks import undeployable
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.deploy import deploy_version
from millrace.usecases.file_references import FileReferences
from millrace.usecases.finders import Lookup, lookup
from millrace.usecases.flow_changes import changed_flow, check_flow, creation, new_flow
from millrace.usecases.flows import latest_versions
from millrace.usecases.plan import Plan, keys_used_twice
from millrace.usecases.queues import check_queue_is_free
from millrace.usecases.references import ToCome
from millrace.usecases.resources import refuse
from millrace.usecases.stamps import stamped
from millrace.usecases.stored_finders import Finders
from millrace.usecases.trigger_sync import resync_triggers
from millrace.usecases.webhooks import WEBHOOKS
from millrace.usecases.work_rules import check_work, named_by


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
        self._plan = Plan()
        self._references = FileReferences(context, caller.workspace_id)
        self._stored: dict[str, Flow | None] = {}
        self._latest: dict[str, Version] = {}
        """Of the flows that are stored, by their ids."""
        self._found = self._addresses = Found({})
        """The connections and actions of the file that are stored, and the addresses."""
        self._find_environment = lookup(context, VirtualEnvironment, caller.workspace_id)
        self._find = Finders(
            action=self._lookup(Action, self._references.actions),
            connection=self._lookup(Connection, self._references.connections),
            data_pool=lookup(context, DataPool, caller.workspace_id),
        )

    def violations(self) -> list[Violation]:
        self._connections_and_actions()
        return list(self._violations(self._all_resolved()))

    def _connections_and_actions(
        self,
    ) -> tuple[tuple[AppliedResource, ...], tuple[AppliedResource, ...]]:
        file = self._document
        keys: list[KeyRef[Any]] = [KeyRef(Connection, _key(each)) for each in file.connections]
        keys += [KeyRef(Action, _key(each)) for each in file.actions]
        self._found = self._context.resources.find_many(self._caller.workspace_id, keys)
        connections = tuple(
            self._put(CONNECTIONS, given, _key(given), self._references.connections)
            for given in file.connections
        )
        return connections, tuple(map(self._action, file.actions))

    def run(self) -> ApplyResult:
        connections, actions = self._connections_and_actions()
        flows = self._all_resolved()
        refuse(self._violations(flows))
        planned = [self._flow(flow) for flow in flows]
        self._plan.commit(self._context, self._caller, "applied")
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
        before = self._found.get(KeyRef(crud.kind, key))
        if before is None:
            after, secrets = crud.new(self._context, self._caller, given)
        else:
            after, secrets = crud.changed(self._context, self._caller, before, given)
        put[key] = after
        change = self._plan.store(before, after, secrets)
        return AppliedResource(id=after.id, stable_key=key, change=change)

    def _flow(self, given: AppliedFlow) -> AppliedFlowResult:
        key, before = _key(given), self._stored[_key(given)]
        if before is None:
            after, draft = new_flow(
                self._context,
                self._caller,
                given,
                flow_id=self._references.flow_ids[key],
                find_action=self._find.action,
            )
            changes = creation(after, draft)
        else:
            latest = self._latest[before.id]
            after, changes = changed_flow(
                self._context, self._caller, before, latest, given, find_action=self._find.action
            )
        change = self._plan.store_flow(before, after, given, changes)
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
        before = self._addresses.get(KeyRef(crud.kind, _key(given), flow.id))
        if before is None:
            after, secrets = crud.new(self._context, self._caller, given, flow.id)
        else:
            after, secrets = crud.changed(self._context, self._caller, before, given)
        change = self._plan.store(before, after, secrets, parent_id=flow.id)
        path = f"{place}/{after.id}"
        return AppliedAddress(id=after.id, stable_key=_key(given), change=change, path=path)

    def _all_resolved(self) -> tuple[AppliedFlow, ...]:
        """The flows with ids for stable keys; unknown references stay, to be reported as given."""
        find_many, workspace_id = self._context.resources.find_many, self._caller.workspace_id
        placed = [self._placed(flow) for flow in self._document.flows]
        # A flow in its integration, or one in none that now moves there.
        names = [name for flow in placed for name in (_place(flow), KeyRef(Flow, _key(flow)))]
        there = find_many(workspace_id, names)
        for flow in placed:
            key = _key(flow)
            stored = self._stored[key] = there.get(_place(flow)) or there.get(KeyRef(Flow, key))
            self._references.flow_ids[key] = (
                self._context.new_id(Flow.prefix) if stored is None else stored.id
            )
        self._latest = latest_versions(self._context, filter(None, self._stored.values()))
        self._addresses = find_many(workspace_id, self._address_keys())
        return tuple(
            self._references.flow(flow).model_copy(
                update={
                    "webhooks": tuple(map(self._references.address, flow.webhooks)),
                    "callbacks": tuple(map(self._references.address, flow.callbacks)),
                }
            )
            for flow in placed
        )

    def _address_keys(self) -> Iterator[KeyRef[Any]]:
        """Of the webhooks and callbacks that stored flows may have already."""
        for flow in self._document.flows:
            if (stored := self._stored[_key(flow)]) is not None:
                yield from (KeyRef(Webhook, _key(each), stored.id) for each in flow.webhooks)
                yield from (KeyRef(Callback, _key(each), stored.id) for each in flow.callbacks)

    def _placed(self, flow: AppliedFlow) -> AppliedFlow:
        if flow.integration_id is None:
            return flow
        id_ = self._references.integration(flow.integration_id)
        return flow.model_copy(update={"integration_id": id_})

    def _violations(self, flows: Sequence[AppliedFlow]) -> Iterator[Violation]:
        for number, connection in enumerate(self._document.connections):
            before = self._found.get(KeyRef(Connection, _key(connection)))
            for violation in CONNECTIONS.check(self._context, self._caller, connection, before):
                yield replace(violation, pointer=f"/connections/{number}{violation.pointer}")
        for number, (key, action) in enumerate(self._references.actions.items()):
            old = self._found.get(KeyRef(Action, key))
            yield from check_work(
                self._context,
                action.work,
                f"/actions/{number}/work",
                self._find,
                () if old is None else named_by(old.work),
            )
        in_file = {self._references.flow_ids[_key(flow)]: flow for flow in flows}
        to_come = ToCome(in_file, self._new_ids())
        for number, flow in enumerate(flows):
            for violation in self._flow_violations(flow, to_come):
                yield replace(violation, pointer=f"/flows/{number}{violation.pointer}")

    def _flow_violations(self, flow: AppliedFlow, to_come: ToCome) -> Iterator[Violation]:
        before = self._stored[_key(flow)]
        yield from check_flow(
            self._context,
            self._caller.workspace_id,
            flow,
            before,
            self._old_steps(flow, before),
            find=self._find,
            to_come=to_come,
        )
        if flow.deploy and flow.steps:
            yield from undeployable(flow, flow.steps)
            if flow.enabled:
                id_ = None if before is None else before.id
                yield from check_queue_is_free(self._context, flow, id_)
            yield from missing_customer_keys(
                self._context, self._caller.workspace_id, flow, self._addresses_to_be(flow, before)
            )
        yield from self._address_violations(Webhook, "/webhooks", flow.webhooks, before)
        yield from self._address_violations(Callback, "/callbacks", flow.callbacks, before)

    def _old_steps(self, flow: AppliedFlow, before: Flow | None) -> tuple[Step, ...]:
        """Those whose references need not be there any more.

        None if a version is about to be deployed, which needs all that it names.
        """
        if before is None:
            return ()
        latest = self._latest[before.id]
        steps = stamped(self._context, self._caller, flow.steps, latest.steps, self._find.action)
        stays = latest.deployed_at is not None and flow.is_synchronous == before.is_synchronous
        return latest.steps if not flow.deploy or (stays and steps == latest.steps) else ()

    def _address_violations(
        self,
        kind: type[Webhook | Callback],
        pointer: str,
        given: Sequence[WebhookInput | CallbackInput],
        before: Flow | None,
    ) -> Iterator[Violation]:
        find = self._find_environment
        for number, each in enumerate(given):
            key = None if before is None else KeyRef(kind, _key(each), before.id)
            stored = None if key is None else self._addresses.get(key)
            for violation in check_address(self._context, self._caller, each, stored, find):
                yield replace(violation, pointer=f"{pointer}/{number}{violation.pointer}")

    def _addresses_to_be(self, flow: AppliedFlow, before: Flow | None) -> list[AddressInput]:
        """Those of the file, and those that the flow has beside them."""
        given = (*flow.webhooks, *flow.callbacks)
        keys = {(isinstance(each, WebhookInput), each.stable_key) for each in given}
        stored = [] if before is None else addresses_of(self._context, before)
        others = [
            each for each in stored if (isinstance(each, WebhookInput), each.stable_key) not in keys
        ]
        return [*given, *others]

    def _new_ids(self) -> frozenset[str]:
        """Of connections and actions that the file may be about to create."""
        made = (*self._references.connections.values(), *self._references.actions.values())
        return frozenset(resource.id for resource in made)

    def _lookup[R: (Connection, Action)](
        self, kind: type[R], in_file: Mapping[str, R]
    ) -> Lookup[R]:
        """Finds what the file has by then, or what is stored."""
        stored = lookup(self._context, kind, self._caller.workspace_id)

        def find(id_: str) -> R | None:
            return next((each for each in in_file.values() if each.id == id_), None) or stored(id_)

        return find

    def _deploy(self, given: AppliedFlow, result: AppliedFlowResult) -> AppliedFlowResult:
        flow = self._context.resources.get(Flow, self._caller.workspace_id, result.id)
        if not given.deploy or not given.steps:
            resync_triggers(self._context, flow)
            return result
        version = self._context.resources.get(
            Version, self._caller.workspace_id, result.version_id, parent_id=flow.id
        )
        # Of a version that is live only the schedules are set, unless the flow became synchronous
        # or ceased to be.
        deploy_version(self._context, self._caller, flow.id, version.id, version.revision)
        return result.model_copy(update={"deployed": True})


def _key(
    given: ConnectionInput | ActionInput | FlowInput | WebhookInput | CallbackInput,
) -> str:
    """The stable key of a resource of the file; `_key_violations` made sure that it has one."""
    return given.stable_key or ""


def _place(flow: FlowInput) -> KeyRef[Flow]:
    """Where a flow of the file is to be."""
    return KeyRef(Flow, flow_key(flow.stable_key, flow.integration_id) or "")


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
        for number, member in enumerate(members):
            if member.stable_key is None:
                yield Violation(
                    "stableKeyMissing",
                    f"{pointer}/{number}/stableKey",
                    "A resource in a file needs a stable key.",
                    "Give it one, such as orders-to-erp; never change it afterwards.",
                )
        yield from keys_used_twice(
            (f"{pointer}/{number}", member.stable_key) for number, member in enumerate(members)
        )
