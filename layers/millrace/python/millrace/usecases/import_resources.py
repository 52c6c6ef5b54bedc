"""What an imported flow uses: found in a few reads however much it is, or made.

What is there by its stable key is used. Actions are a part of what the flow does and are changed;
all others are the workspace's own and stay as they are.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pydantic.alias_generators import to_camel

from millrace.domain.action import Action, ActionInput
from millrace.domain.authentication import NoAuth
from millrace.domain.base import Model
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, flow_key
from millrace.domain.flow_document import FlowDocument, FlowReference
from millrace.domain.integration import Integration
from millrace.domain.label import Label
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.pointers import pointer_of
from millrace.domain.ports import KeyRef, Ref
from millrace.domain.resource import Resource
from millrace.domain.token import Caller
from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.import_result import Imported, ImportPlan
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.plain import DATA_POOLS, LABELS
from millrace.usecases.plan import keys_used_twice
from millrace.usecases.references import references_of_work
from millrace.usecases.renaming import renamed_work
from millrace.usecases.stored_finders import Finders
from millrace.usecases.work_rules import check_work, named_by, unknown_connection


class ImportedResources:
    """What becomes of the resources of a document, of which `connection_map` names some others."""

    def __init__(
        self,
        context: Context,
        caller: Caller,
        document: FlowDocument,
        connection_map: Mapping[str, str],
        plan: ImportPlan,
    ) -> None:
        self._context = context
        self._caller = caller
        self._uses = document.dependencies
        self._connection_map = connection_map
        self._plan = plan
        self._by_key = context.resources.find_many(caller.workspace_id, self._keys())
        self._by_id = context.resources.get_many(caller.workspace_id, self._named(document))
        self._flows = context.resources.find_many(
            caller.workspace_id, filter(None, map(self._flow_key, self._uses.flows.values()))
        )
        self._ids: dict[tuple[type[Resource], str], str | None] = {}
        """By kind and key in the document; None: it cannot be had."""
        self.known: dict[str, Resource] = {}
        """What is there or will be, by id."""
        self.find = Finders(
            action=partial(self._known, Action),
            connection=partial(self._known, Connection),
            data_pool=partial(self._known, DataPool),
        )

    def plan(self) -> tuple[Violation, ...]:
        """Plan what becomes of all; gives what is wrong, with pointers into the request."""
        return tuple(self._planned())

    def _planned(self) -> Iterator[Violation]:
        yield from self._keys_used_twice()
        yield from self._map_faults()
        yield from self._put_all(INTEGRATIONS, "integrations", self._uses.integrations)
        yield from self._put_all(LABELS, "labels", self._uses.labels)
        yield from self._put_all(CONNECTIONS, "connections", self._uses.connections)
        yield from self._put_all(DATA_POOLS, "dataPools", self._uses.data_pools)
        for key, action in self._uses.actions.items():
            given = action.model_copy(update={"work": renamed_work(action.work, self.rename)})
            pointer = f"/dependencies/actions{pointer_of(key)}/work"
            before = self._stored(Action, action)
            named = () if before is None else named_by(before.work)
            yield from check_work(self._context, given.work, pointer, self.find, named)
            self._put_action(key, given)
        for key, group in self._uses.notification_groups.items():
            self._use(NotificationGroup, key, self._stored(NotificationGroup, group))
        for key, flow in self._uses.flows.items():
            name = self._flow_key(flow)
            there = None if name is None else self._flows.get(name)
            self._ids[Flow, key] = None if there is None else there.id

    def rename(self, kind: type[Resource], key: str) -> str | None:
        """The id behind a key; what is no key of the document may be an id of the workspace."""
        return self._ids.get((kind, key), key)

    def _known[R: (Action, Connection, DataPool)](self, kind: type[R], id_: str) -> R | None:
        """What is there, or will be."""
        known = self.known.get(id_)
        return known if isinstance(known, kind) else self._by_id.get(Ref(kind, id_))

    def _keys(self) -> Iterator[KeyRef[Any]]:
        uses = self._uses
        kinds: tuple[tuple[type[Resource], Mapping[str, Model]], ...] = (
            (Integration, uses.integrations),
            (Label, uses.labels),
            (Connection, uses.connections),
            (DataPool, uses.data_pools),
            (Action, uses.actions),
            (NotificationGroup, uses.notification_groups),
        )
        for kind, given in kinds:
            for each in given.values():
                stable_key = _stable_key(each)
                if stable_key is not None:
                    yield KeyRef(kind, stable_key)
        for flow in uses.flows.values():
            if flow.integration_key is not None:
                yield KeyRef(Integration, flow.integration_key)

    def _named(self, document: FlowDocument) -> Iterator[Ref[Any]]:
        """Connections, data pools and actions that are named by the ids that they have here."""
        works = [action.work for action in self._uses.actions.values()]
        for step in document.flow.steps:
            if step.action is not None:
                works.append(step.action)
            if step.referrer is not None and step.referrer not in self._uses.actions:
                yield Ref(Action, step.referrer)
        for ref in {ref for work in works for _, ref in references_of_work(work)}:
            keyed = self._uses.data_pools if ref.kind is DataPool else self._uses.connections
            if ref.id not in keyed:
                yield ref
        for id_ in self._connection_map.values():
            yield Ref(Connection, id_)

    def _flow_key(self, reference: FlowReference) -> KeyRef[Flow] | None:
        integration_id = None
        if reference.integration_key is not None:
            place = self._by_key.get(KeyRef(Integration, reference.integration_key))
            if place is None:
                return None
            integration_id = place.id
        name = flow_key(reference.stable_key, integration_id)
        return None if reference.stable_key is None or name is None else KeyRef(Flow, name)

    def _stored[R: Resource](self, kind: type[R], given: Model) -> R | None:
        stable_key = _stable_key(given)
        return None if stable_key is None else self._by_key.get(KeyRef(kind, stable_key))

    def _put_all[I: Model, R: (Connection, DataPool, Integration, Label)](
        self, crud: Crud[I, R], place: str, given: Mapping[str, I]
    ) -> Iterator[Violation]:
        """Use what is there, make what is not."""
        for key, each in given.items():
            there = self._mapped(crud.kind, key) or self._stored(crud.kind, each)
            if there is not None:
                self._use(crud.kind, key, there)
                continue
            for fault in crud.check(self._context, self._caller, each, None):
                yield Violation(
                    fault.code,
                    f"/dependencies/{place}{pointer_of(key)}{fault.pointer}",
                    fault.message,
                    fault.remedy,
                )
            new, secrets = crud.new(self._context, self._caller, each)
            self._put(key, None, new, secrets)

    def _put_action(self, key: str, given: ActionInput) -> None:
        before = self._stored(Action, given)
        if before is None:
            self._put(key, None, *ACTIONS.new(self._context, self._caller, given))
        else:
            self._put(key, before, *ACTIONS.changed(self._context, self._caller, before, given))

    def _put(
        self, key: str, before: Imported | None, after: Imported, secrets: Mapping[str, str]
    ) -> None:
        self._plan.put(before, after, key=key, secrets=secrets)
        self._ids[type(after), key] = after.id
        self.known[after.id] = after
        self._see_to(after)

    def _use(self, kind: type[Resource], key: str, there: Imported | None) -> None:
        self._ids[kind, key] = None if there is None else there.id
        if there is not None:
            self._plan.tell(there, "used", key)
            self.known[there.id] = there
            self._see_to(there)

    def _see_to(self, resource: Imported) -> None:
        if (
            isinstance(resource, Connection)
            and not isinstance(resource.auth, NoAuth)
            and resource.secrets_key is None
        ):
            self._plan.leave(resource, "auth", "Set the credentials of its auth.")

    def _mapped[R: Resource](self, kind: type[R], key: str) -> R | None:
        if kind is not Connection or key not in self._connection_map:
            return None
        return self._by_id.get(Ref(kind, self._connection_map[key]))

    def _map_faults(self) -> Iterator[Violation]:
        for key, id_ in self._connection_map.items():
            pointer = f"/metadata/connectionMap{pointer_of(key)}"
            if key not in self._uses.connections:
                message = f"The document has no connection {key!r}."
                remedy = "Name a key of its dependencies.connections, or take it out."
                yield Violation("connectionNotUsed", pointer, message, remedy)
            if self._by_id.get(Ref(Connection, id_)) is None:
                yield unknown_connection(id_, pointer)

    def _keys_used_twice(self) -> Iterator[Violation]:
        for place in ("integrations", "connections", "data_pools", "actions", "labels"):
            pointer = f"/dependencies/{to_camel(place)}"
            yield from keys_used_twice(
                (f"{pointer}{pointer_of(key)}", each.stable_key)
                for key, each in getattr(self._uses, place).items()
            )


def _stable_key(given: Model) -> str | None:
    key: str | None = getattr(given, "stable_key", None)
    return key
