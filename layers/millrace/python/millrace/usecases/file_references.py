"""References of a file: stable keys, of what the file makes or what is stored, become ids."""

from typing import Any

from millrace.domain.action import Action, ActionWork, ProcessAction
from millrace.domain.address import AddressInput
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.flow import Flow, FlowInput
from millrace.domain.flow_parts import Alias
from millrace.domain.integration import Integration
from millrace.domain.label import Label
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.operations import over_other_pools
from millrace.domain.resource import Resource
from millrace.domain.step import Step
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.usecases.context import Context
from millrace.usecases.flows import find_flow


class FileReferences:
    """Finds what a file means; what is unknown stays as it was written, to be reported so."""

    def __init__(self, context: Context, workspace_id: str) -> None:
        self._context = context
        self._workspace_id = workspace_id
        self.connections: dict[str, Connection] = {}
        """Of the file, by stable key, and so on."""
        self.actions: dict[str, Action] = {}
        self.flow_ids: dict[str, str] = {}
        self._ids: dict[tuple[type[Resource], str], str] = {}
        """What is stored, by kind and reference, each read once."""

    def integration(self, reference: str) -> str:
        """The id of an integration."""
        return self._stored(Integration, reference)

    def flow[F: FlowInput](self, given: F) -> F:
        """A flow with ids for all that it refers to; its integration's it has already."""
        groups = given.notification_groups
        return given.model_copy(
            update={
                "steps": tuple(map(self._step, given.steps)),
                "labels": tuple(self._stored(Label, each) for each in given.labels),
                "notification_groups": tuple(
                    self._stored(NotificationGroup, each) for each in groups
                ),
                "run_next_flow_ids": tuple(map(self._flow, given.run_next_flow_ids)),
                "aliases": tuple(map(self._alias, given.aliases)),
            }
        )

    def address[A: AddressInput](self, given: A) -> A:
        """A webhook or callback with the id of its virtual environment."""
        if given.virtual_environment_id is None:
            return given
        id_ = self._stored(VirtualEnvironment, given.virtual_environment_id)
        return given.model_copy(update={"virtual_environment_id": id_})

    def work(self, work: ActionWork) -> ActionWork:
        """What an action does, with the ids of its connection and its data pools."""
        if isinstance(work, ProcessAction):
            operations = over_other_pools(work.operations, self._data_pool)
            return work.model_copy(update={"operations": operations})
        if work.connection_id is None:
            return work
        return work.model_copy(update={"connection_id": self._connection(work.connection_id)})

    def _step(self, step: Step) -> Step:
        update: dict[str, Any] = {}
        if step.action is not None:
            update["action"] = self.work(step.action)
        if step.referrer is not None:
            update["referrer"] = self._action(step.referrer)
        if step.flow_id is not None:
            update["flow_id"] = self._flow(step.flow_id)
        if step.keep_delta_behind_flow_id is not None:
            behind = self._flow(step.keep_delta_behind_flow_id)
            update["keep_delta_behind_flow_id"] = behind
        return step.model_copy(update=update)

    def _alias(self, alias: Alias) -> Alias:
        update: dict[str, str] = {}
        if alias.action_id is not None:
            update["action_id"] = self._action(alias.action_id)
        if alias.connection_id is not None:
            update["connection_id"] = self._connection(alias.connection_id)
        if alias.flow_id is not None:
            update["flow_id"] = self._flow(alias.flow_id)
        return alias.model_copy(update=update)

    def _connection(self, reference: str) -> str:
        made = self.connections.get(reference)
        return self._stored(Connection, reference) if made is None else made.id

    def _data_pool(self, reference: str) -> str:
        return self._stored(DataPool, reference)

    def _action(self, reference: str) -> str:
        made = self.actions.get(reference)
        return self._stored(Action, reference) if made is None else made.id

    def _flow(self, reference: str) -> str:
        if reference in self.flow_ids:
            return self.flow_ids[reference]
        if reference.startswith(f"{Flow.prefix}_"):
            return reference
        found = find_flow(self._context, self._workspace_id, reference)
        return reference if found is None else found.id

    def _stored(self, kind: type[Resource], reference: str) -> str:
        if reference.startswith(f"{kind.prefix}_"):
            return reference
        if (kind, reference) not in self._ids:
            found = self._context.resources.find(kind, self._workspace_id, reference)
            self._ids[kind, reference] = reference if found is None else found.id
        return self._ids[kind, reference]
