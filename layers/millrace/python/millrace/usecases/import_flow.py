"""Importing a flow document: what is missing is made, what is there is used; nothing is run.

Resources are found again by stable key. A flow and actions that are there are changed, and the
flow stays enabled or not; connections, integrations, labels and notification groups that are there
are the workspace's own and stay as they are. A flow that is new is disabled.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from millrace.domain.action import Action, ActionInput
from millrace.domain.authentication import NoAuth
from millrace.domain.base import Model
from millrace.domain.callback import Callback
from millrace.domain.connection import Connection
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings, Step, Version, flow_key
from millrace.domain.flow_document import NOT_EXPORTED, FlowDocument, FlowReference, UsedResources
from millrace.domain.flow_parts import TriggerKind
from millrace.domain.integration import Integration
from millrace.domain.label import Label
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.ports import Change, Create, Replace
from millrace.domain.resource import Resource
from millrace.domain.template import Template
from millrace.domain.token import Caller
from millrace.domain.webhook import Webhook
from millrace.usecases.actions import ACTIONS
from millrace.usecases.audit import audited
from millrace.usecases.checks import (
    Lookup,
    check_graph,
    check_settings,
    check_steps,
    check_work,
    lookup,
    pointer_token,
)
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.deploy import sync_schedule
from millrace.usecases.flows import changed_flow, creation, find_flow, latest_version, new_flow
from millrace.usecases.import_addresses import ImportedAddresses
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.plain import LABELS
from millrace.usecases.references import ToCome, check_references
from millrace.usecases.renaming import renamed_settings, renamed_step, renamed_work
from millrace.usecases.resources import fields_of, refuse
from millrace.usecases.write_only import changed_secrets, commit_with_secrets

type Kind = Literal[
    "flow",
    "connection",
    "action",
    "integration",
    "label",
    "notificationGroup",
    "template",
    "webhook",
    "callback",
]
type ImportChange = Literal["created", "updated", "unchanged", "used"]


class ImportedResource(Model):
    """What became of one resource of a document; `used`: it was there and stays as it is."""

    type: Kind
    key: str | None = None
    """Its key in the document; only what stands under `dependencies` has one."""
    id: str
    name: str
    change: ImportChange


class Unfinished(Model):
    """What an import could not bring along, and a user has to see to."""

    type: Kind
    id: str | None = None
    name: str
    field: str
    message: str


class ImportResult(Model):
    """What became of a document, and what is left to do before the flow can run."""

    resources: tuple[ImportedResource, ...]
    """The flow, or the template, comes first."""
    needs_configuring: tuple[Unfinished, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What the import will store and tell."""

    changes: list[Change] = field(default_factory=list)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    obsolete_secrets: list[str] = field(default_factory=list)
    told: list[ImportedResource] = field(default_factory=list)
    unfinished: list[Unfinished] = field(default_factory=list)


def import_flow(
    context: Context, caller: Caller, document: FlowDocument, template: Template | None = None
) -> ImportResult:
    """Store a flow and what it uses, all or nothing; `template` is what the document came from.

    Raises:
        RuleViolationError: with pointers into the document, for all that is wrong with it.
        TooLargeError: it is too much for one transaction.
    """
    return _Import(context, caller, document, template).run()


class _Import:
    """One import of one document."""

    def __init__(
        self, context: Context, caller: Caller, document: FlowDocument, template: Template | None
    ) -> None:
        self._context = context
        self._caller = caller
        self._flow = document.flow
        self._uses = document.dependencies
        self._template = template
        self._plan = _Plan()
        self._ids: dict[tuple[type[Resource], str], str | None] = {}
        """By kind and key in the document; None: it cannot be had."""
        self._new: dict[str, Resource] = {}
        """What is to be created or changed, by id."""

    def run(self) -> ImportResult:
        refuse(_key_faults(self._uses))
        faults = [
            *self._put_all(Integration, INTEGRATIONS, "integrations", self._uses.integrations),
            *self._put_all(Label, LABELS, "labels", self._uses.labels),
            *self._put_all(Connection, CONNECTIONS, "connections", self._uses.connections),
            *self._actions(),
        ]
        self._find_groups()
        self._find_flows()
        given = self._given()
        before = self._find_flow(given)
        latest = None
        if before is not None:
            latest = latest_version(self._context, before)
            given = _with_what_stays(given, before)
        faults += self._flow_faults(given, before, () if latest is None else latest.steps)
        addresses = ImportedAddresses(self._context, self._caller, self._flow, before)
        faults += (_moved(fault, "/flow") for fault in addresses.faults())
        refuse(faults)
        after = self._store(given, before, latest, addresses)
        if before is not None:
            sync_schedule(self._context, after)
        return ImportResult(
            resources=tuple(self._plan.told), needs_configuring=tuple(self._plan.unfinished)
        )

    def _rename(self, kind: type[Resource], key: str) -> str | None:
        """The id behind a key; what is no key of the document may be an id of the workspace."""
        return self._ids.get((kind, key), key)

    def _put_all[I: Model, R: Resource](
        self, kind: type[R], crud: Crud[I, R], place: str, given: dict[str, I]
    ) -> Iterator[Violation]:
        """Use what is there, create what is not."""
        for key, each in given.items():
            there = self._find(kind, each)
            if there is not None:
                self._tell(kind, key, there, "used")
                continue
            for fault in crud.check(self._context, self._caller, each, None):
                yield _moved(fault, f"/dependencies/{place}/{pointer_token(key)}")
            new, secrets = crud.new(self._context, self._caller, each)
            self._create(kind, key, new, secrets)
            if isinstance(new, Connection) and not isinstance(new.auth, NoAuth) and not secrets:
                self._leave(
                    "connection", new.id, new.name, "auth", "Set the credentials of its auth."
                )

    def _actions(self) -> Iterator[Violation]:
        find_connection = self._lookup(Connection)
        for key, each in self._uses.actions.items():
            given = each.model_copy(update={"work": renamed_work(each.work, self._rename)})
            pointer = f"/dependencies/actions/{pointer_token(key)}/work"
            yield from check_work(self._context, given.work, pointer, find_connection)
            self._put_action(key, given)

    def _put_action(self, key: str, given: ActionInput) -> None:
        before = self._find(Action, given)
        if before is None:
            self._create(Action, key, *ACTIONS.new(self._context, self._caller, given))
            return
        after, _ = ACTIONS.changed(self._context, self._caller, before, given)
        if after is not before:
            self._plan.changes.append(Replace(before, after))
        self._new[after.id] = after
        self._tell(Action, key, after, "unchanged" if after is before else "updated")

    def _find_groups(self) -> None:
        for key, each in self._uses.notification_groups.items():
            there = self._find(NotificationGroup, each)
            if there is not None:
                self._tell(NotificationGroup, key, there, "used")
                continue
            self._ids[NotificationGroup, key] = None
            self._leave(
                "notificationGroup",
                None,
                each.name,
                "targets",
                "The group is not there: create it, and name it in the flow's notificationGroups.",
            )

    def _find_flows(self) -> None:
        for key, each in self._uses.flows.items():
            there = self._referred_flow(each)
            self._ids[Flow, key] = None if there is None else there.id
            if there is None:
                message = "The flow is not there: import it, and name it in this flow again."
                self._leave("flow", None, each.name, "runNextFlowIds, aliases, steps", message)

    def _referred_flow(self, reference: FlowReference) -> Flow | None:
        name = flow_key(reference.stable_key, reference.integration_key)
        if name is None:
            return None
        return find_flow(self._context, self._caller.workspace_id, name)

    def _given(self) -> FlowInput:
        settings = fields_of(self._flow, FlowSettings) | renamed_settings(self._flow, self._rename)
        steps = tuple(renamed_step(step, self._rename) for step in self._flow.steps)
        return FlowInput(**settings, enabled=False, steps=steps)

    def _find_flow(self, given: FlowInput) -> Flow | None:
        name = flow_key(given.stable_key, given.integration_id)
        if given.stable_key is None or name is None:
            return None
        return self._context.resources.find(Flow, self._caller.workspace_id, name)

    def _flow_faults(
        self, given: FlowInput, before: Flow | None, old_steps: Iterable[Step]
    ) -> Iterator[Violation]:
        found: Iterable[Violation] = (
            *check_graph(given, given.steps),
            *check_settings(self._context, given, before),
            *check_references(
                self._context,
                self._caller.workspace_id,
                given,
                before,
                old_steps,
                flow_id=None if before is None else before.id,
                to_come=ToCome(ids=frozenset(self._new)),
            ),
            *self._group_faults(given),
            *check_steps(
                self._context, given.steps, self._lookup(Action), self._lookup(Connection)
            ),
        )
        for fault in found:
            # Keys are secrets, which no document holds; without them the endpoint lets nobody in.
            if fault.code != "apiKeysMissing":
                yield _moved(fault, "/flow")

    def _group_faults(self, given: FlowInput) -> Iterator[Violation]:
        """The flow's group is one of its integration, if that is new."""
        integration = self._new.get(given.integration_id or "")
        if given.flow_group_id is None or not isinstance(integration, Integration):
            return
        if given.flow_group_id not in {group.id for group in integration.groups}:
            message = f"The integration has no group {given.flow_group_id!r}."
            yield Violation("unknownGroup", "/flowGroupId", message, "Add it to its groups.")

    def _store(
        self,
        given: FlowInput,
        before: Flow | None,
        latest: Version | None,
        addresses: ImportedAddresses,
    ) -> Flow:
        find_action = self._lookup(Action)
        change: ImportChange = "created"
        if before is None or latest is None:
            after, draft = new_flow(self._context, self._caller, given, find_action=find_action)
            after = after.model_copy(update=self._origin())
            changes = creation(after, draft)
        else:
            after, changes = changed_flow(
                self._context, self._caller, before, latest, given, find_action=find_action
            )
            change = "updated" if changes else "unchanged"
        told = ImportedResource(type="flow", id=after.id, name=after.name, change=change)
        self._plan.told.insert(0, told)
        self._see_to(after)
        changes = [*self._plan.changes, *changes, *self._put_addresses(after, addresses)]
        commit_with_secrets(
            self._context,
            audited(self._context, self._caller, "imported", changes),
            self._plan.secrets,
            self._plan.obsolete_secrets,
        )
        return after

    def _put_addresses(self, flow: Flow, addresses: ImportedAddresses) -> Iterator[Change]:
        for before, webhook, secrets, changes in addresses.webhooks(flow):
            stored, obsolete = changed_secrets(before, webhook, secrets)
            self._plan.secrets |= stored
            self._plan.obsolete_secrets += obsolete
            self._tell_address("webhook", before, webhook)
            if webhook.hmac_algorithm is not None and webhook.secrets_key is None:
                message = "Set the secret that its sender signs with; until then it lets nobody in."
                self._leave("webhook", webhook.id, webhook.name, "hmacSecretKey", message)
            yield from changes
        for was, callback, changes in addresses.callbacks(flow):
            self._tell_address("callback", was, callback)
            yield from changes

    def _tell_address(
        self, type_: Kind, before: Resource | None, after: Webhook | Callback
    ) -> None:
        change: ImportChange = "updated"
        if before is None:
            change = "created"
        elif before is after:
            change = "unchanged"
        self._plan.told.append(
            ImportedResource(type=type_, id=after.id, name=after.name, change=change)
        )

    def _origin(self) -> dict[str, Any]:
        if self._template is None:
            return {}
        return {
            "template_id": self._template.id,
            "template_version": str(self._template.version),
        }

    def _see_to(self, flow: Flow) -> None:
        """What the flow still needs."""
        keys = flow.organization_api_keys_count
        if flow.endpoint_security_type == "organization" and not keys:
            message = "Set the API keys that open its endpoint."
            self._leave("flow", flow.id, flow.name, "organizationApiKeys", message)
        webhooks = flow.webhook_ids or self._flow.webhooks
        if flow.trigger.kind is TriggerKind.WEBHOOK and not webhooks:
            message = "Create the webhook that starts it."
            self._leave("flow", flow.id, flow.name, "webhooks", message)

    def _find[R: Resource](self, kind: type[R], given: Model) -> R | None:
        stable_key: str | None = getattr(given, "stable_key", None)
        if stable_key is None:
            return None
        return self._context.resources.find(kind, self._caller.workspace_id, stable_key)

    def _create(
        self, kind: type[Resource], key: str, new: Resource, secrets: dict[str, str]
    ) -> None:
        stored, _ = changed_secrets(None, new, secrets)
        self._plan.secrets |= stored
        self._plan.changes.append(Create(new))
        self._new[new.id] = new
        self._tell(kind, key, new, "created")

    def _tell(self, kind: type[Resource], key: str, resource: Any, change: ImportChange) -> None:  # noqa: ANN401 - each kind has a name
        self._ids[kind, key] = resource.id
        type_ = _KINDS[kind]
        self._plan.told.append(
            ImportedResource(type=type_, key=key, id=resource.id, name=resource.name, change=change)
        )

    def _leave(self, type_: Kind, id_: str | None, name: str, field_: str, message: str) -> None:
        self._plan.unfinished.append(
            Unfinished(type=type_, id=id_, name=name, field=field_, message=message)
        )

    def _lookup[R: (Connection, Action)](self, kind: type[R]) -> Lookup[R]:
        stored = lookup(self._context, kind, self._caller.workspace_id)

        def find(id_: str) -> R | None:
            new = self._new.get(id_)
            return new if isinstance(new, kind) else stored(id_)

        return find


_KINDS: dict[type[Resource], Kind] = {
    Action: "action",
    Connection: "connection",
    Integration: "integration",
    Label: "label",
    NotificationGroup: "notificationGroup",
}


def _key_faults(uses: UsedResources) -> Iterator[Violation]:
    """No two resources of a kind share a stable key: one of them would be lost."""
    for place in ("integrations", "connections", "actions", "labels"):
        seen: set[str] = set()
        for key, each in getattr(uses, place).items():
            if each.stable_key is not None and each.stable_key in seen:
                pointer = f"/dependencies/{place}/{pointer_token(key)}/stableKey"
                message = f"The stable key {each.stable_key!r} is used twice."
                yield Violation(
                    "stableKeyTwice", pointer, message, "Give each resource a key of its own."
                )
            seen.add(each.stable_key or "")


def _with_what_stays(given: FlowInput, before: Flow) -> FlowInput:
    """What is sent, and what of a flow that is there no document changes."""
    kept = {name: getattr(before, name) for name in NOT_EXPORTED}
    return given.model_copy(update={**kept, "enabled": before.is_enabled})


def _moved(fault: Violation, pointer: str) -> Violation:
    return replace(fault, pointer=f"{pointer}{fault.pointer}")
