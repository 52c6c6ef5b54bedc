"""Importing a flow document: what is missing is made, what is there is used; nothing is run.

Resources are found again by stable key. A flow that is there is changed, and stays enabled or not;
one that is new is disabled. What it uses is the business of `import_resources`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic.alias_generators import to_camel

from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings, flow_key
from millrace.domain.flow_document import NOT_EXPORTED, FlowDocument
from millrace.domain.flow_parts import TriggerKind
from millrace.domain.integration import Integration
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.ports import Change, Replace
from millrace.domain.template import Template
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.flow_changes import changed_flow, check_flow, creation, new_flow
from millrace.usecases.flows import latest_version
from millrace.usecases.import_addresses import ImportedAddresses
from millrace.usecases.import_overrides import ImportMetadata, overridden, place_of
from millrace.usecases.import_resources import ImportedResources
from millrace.usecases.import_result import ImportPlan, ImportResult, told_of
from millrace.usecases.references import ToCome
from millrace.usecases.renaming import renamed_settings, renamed_step
from millrace.usecases.resources import changed, fields_of, refuse
from millrace.usecases.trigger_sync import resync_triggers

_AS_IT_IS: Final = ImportMetadata()


def import_flow(
    context: Context,
    caller: Caller,
    document: FlowDocument,
    metadata: ImportMetadata = _AS_IT_IS,
    template: Template | None = None,
) -> ImportResult:
    """Store a flow and what it uses, all or nothing; `template` is what the document came from.

    Raises:
        RuleViolationError: with pointers into the document, for all that is wrong with it.
        TooLargeError: it is too much for one transaction.
    """
    planned = _Import(context, caller, document, metadata, template)
    refuse(planned.faults())
    return planned.store()


def import_faults(
    context: Context, caller: Caller, document: FlowDocument, metadata: ImportMetadata
) -> list[Violation]:
    """All that is wrong with a document that is well formed; nothing is stored."""
    return [*_Import(context, caller, document, metadata, None).faults()]


@dataclass(frozen=True, slots=True)
class _Missing:
    """Another resource that the flow names in a field, and that is not there."""

    field: str
    name: str
    noun: str

    @property
    def message(self) -> str:
        return f"There is no {self.noun} {self.name!r} here: make it, and name it in this field."


class _Import:
    """One import of one document, over what is there."""

    def __init__(
        self,
        context: Context,
        caller: Caller,
        document: FlowDocument,
        metadata: ImportMetadata,
        template: Template | None,
    ) -> None:
        self._context = context
        self._caller = caller
        self._metadata = metadata
        self._template = template
        self._plan = ImportPlan()
        document = overridden(document, metadata)
        self._flow = document.flow
        self._uses = document.dependencies
        connection_map = metadata.connection_map
        self._resources = ImportedResources(context, caller, document, connection_map, self._plan)
        self._resource_faults = self._resources.plan()
        given = self._renamed()
        self._missing = tuple(self._all_missing())
        self._before = self._find_flow(given)
        self._latest = None if self._before is None else latest_version(context, self._before)
        self._given = self._with_what_stays(given)
        self._addresses = ImportedAddresses(context, caller, self._flow, self._before)

    def faults(self) -> Iterator[Violation]:
        yield from self._resource_faults
        for fault in self._flow_faults():
            # Keys are secrets, which no document holds; without them the endpoint lets nobody in.
            if fault.code != "apiKeysMissing":
                yield replace(fault, pointer=place_of(fault.pointer, self._metadata))
        for fault in self._addresses.faults():
            yield replace(fault, pointer=f"/flow{fault.pointer}")

    def store(self) -> ImportResult:
        flow, changes = self._changed_flow()
        change = self._plan.store_flow(self._before, flow, self._given, changes)
        self._plan.told.insert(0, told_of(flow, change))
        self._addresses.plan(flow, self._plan)
        self._see_to(flow)
        self._plan.commit(self._context, self._caller, "imported")
        if self._before is not None:
            resync_triggers(self._context, flow)
        return ImportResult(
            revision=flow.revision,
            resources=tuple(self._plan.told),
            needs_configuring=tuple(self._plan.unfinished),
        )

    def _renamed(self) -> FlowInput:
        rename = self._resources.rename
        settings = fields_of(self._flow, FlowSettings) | renamed_settings(self._flow, rename)
        steps = tuple(renamed_step(step, rename) for step in self._flow.steps)
        return FlowInput(**settings, enabled=False, steps=steps)

    def _find_flow(self, given: FlowInput) -> Flow | None:
        name = flow_key(given.stable_key, given.integration_id)
        if given.stable_key is None or name is None:
            return None
        return self._context.resources.find(Flow, self._caller.workspace_id, name)

    def _with_what_stays(self, given: FlowInput) -> FlowInput:
        """What is sent, and what of a flow that is there no document changes.

        That is also what the document names in vain: somebody may have set it here by now.
        """
        before = self._before
        if before is None:
            return given
        names = (*NOT_EXPORTED, *(missing.field for missing in self._missing))
        kept = {name: getattr(before, name) for name in names}
        return given.model_copy(update={**kept, "enabled": before.is_enabled})

    def _all_missing(self) -> Iterator[_Missing]:
        def is_missing(kind: type[Flow | NotificationGroup], key: str | None) -> bool:
            return key is not None and self._resources.rename(kind, key) is None

        groups, flows = self._uses.notification_groups, self._uses.flows
        for key in self._flow.notification_groups:
            if is_missing(NotificationGroup, key):
                yield _Missing("notification_groups", groups[key].name, "notification group")
        for key in self._flow.run_next_flow_ids:
            if is_missing(Flow, key):
                yield _Missing("run_next_flow_ids", flows[key].name, "flow")
        for alias in self._flow.aliases:
            if alias.flow_id is not None and is_missing(Flow, alias.flow_id):
                yield _Missing("aliases", flows[alias.flow_id].name, "flow")

    def _flow_faults(self) -> Iterator[Violation]:
        resources = self._resources
        yield from check_flow(
            self._context,
            self._caller.workspace_id,
            self._given,
            self._before,
            () if self._latest is None else self._latest.steps,
            find=resources.find,
            to_come=ToCome(ids=frozenset(resources.known)),
        )
        yield from self._group_faults()

    def _group_faults(self) -> Iterator[Violation]:
        """The flow's group is one of the integration that the document brings along."""
        group_id, integration_id = self._given.flow_group_id, self._given.integration_id
        integration = self._resources.known.get(integration_id or "")
        if group_id is None or not isinstance(integration, Integration):
            return
        if group_id not in {group.id for group in integration.groups}:
            message = f"The integration {integration.name!r} has no group {group_id!r}."
            yield Violation("unknownGroup", "/flowGroupId", message, "Add it to its groups.")

    def _changed_flow(self) -> tuple[Flow, list[Change]]:
        find_action = self._resources.find.action
        before, latest = self._before, self._latest
        if before is None or latest is None:
            flow, draft = new_flow(
                self._context, self._caller, self._given, find_action=find_action
            )
            flow = flow.model_copy(update=self._origin())
            return flow, creation(flow, draft)
        flow, changes = changed_flow(
            self._context, self._caller, before, latest, self._given, find_action=find_action
        )
        origin = self._origin()
        if any(getattr(flow, name) != value for name, value in origin.items()):
            stamp = changed(self._context, self._caller, before)
            flow = flow.model_copy(update={**stamp, **origin})
            changes = [Replace(before, flow), *changes[1:]]
        return flow, changes

    def _origin(self) -> dict[str, Any]:
        if self._template is None:
            return {}
        return {
            "template_id": self._template.id,
            "template_version": str(self._template.version),
        }

    def _see_to(self, flow: Flow) -> None:
        """What the flow still needs."""
        for missing in self._missing:
            self._plan.leave(flow, to_camel(missing.field), missing.message)
        if flow.endpoint_security_type == "organization" and not flow.organization_api_keys_count:
            message = "Set the API keys that open its endpoint."
            self._plan.leave(flow, "organizationApiKeys", message)
        kind = flow.trigger.kind
        if kind is TriggerKind.WEBHOOK and not (flow.webhook_ids or self._flow.webhooks):
            self._plan.leave(flow, "webhooks", "Create the webhook that starts it.")
        if kind is TriggerKind.CALLBACK and not (flow.callback_ids or self._flow.callbacks):
            self._plan.leave(flow, "callbacks", "Create the callback that starts it.")
