"""Copies of a flow: a clone over other connections, and a duplicate over the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import Field, StrictBool

from millrace import limits
from millrace.domain.action import Action, ActionWork
from millrace.domain.audit import AuditEvent
from millrace.domain.base import Model, Name
from millrace.domain.connection import Connection
from millrace.domain.errors import InvalidRequestError, Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings
from millrace.domain.pointers import pointer_of
from millrace.domain.ports import Create, Ref
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.usecases.audit import audited
from millrace.usecases.context import Context
from millrace.usecases.finders import Lookup
from millrace.usecases.flow_changes import check_flow, creation, new_flow
from millrace.usecases.flows import get_flow_with_steps, get_version
from millrace.usecases.resources import born, fields_of, refuse
from millrace.usecases.stored_finders import stored
from millrace.usecases.work_rules import connection_of, unknown_connection

_COPY: Final = " (copy)"


class CloneRequest(Model):
    """How a clone differs from its original."""

    name: Name | None = Field(default=None, description="Absent: the original's, with (copy).")
    integration_id: str | None = None
    flow_group_id: str | None = None
    connection_map: dict[str, str] = Field(
        default_factory=dict,
        max_length=limits.STEPS_PER_VERSION,
        description="For each connection that the flow uses, the one that the clone uses instead; "
        "it may be the same.",
    )
    sandbox: StrictBool = Field(default=False, description="The clone is not for production use.")


class DuplicateRequest(Model):
    """Which version of a flow to copy; absent: the latest."""

    version_id: str | None = None


class CopiedResource(Model):
    """One resource that a copy brought about, and what it is a copy of."""

    type: Literal["flow", "action"]
    id: str
    name: str
    source_id: str


class ReusedResource(Model):
    """One resource that a copy refers to as its original does."""

    type: Literal["action"]
    id: str
    name: str


class MissingSetting(Model):
    """What a copy cannot have from its original, and needs before it can be used."""

    type: Literal["flow"]
    id: str
    field: str
    message: str


class Copied(Model):
    """What was created, and what is left to do."""

    created: tuple[CopiedResource, ...]
    reused: tuple[ReusedResource, ...] = Field(
        default=(), description="What the copy shares with its original."
    )
    needs_configuring: tuple[MissingSetting, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewired:
    """Steps over other connections, and the actions that had to be copied for that."""

    steps: tuple[Step, ...]
    actions: tuple[Action, ...]
    sources: tuple[Action, ...]
    """What each of `actions` is a copy of."""
    all_actions: Mapping[str, Action]
    """The actions that the steps refer to, old and new, by id."""

    @property
    def shared(self) -> tuple[Action, ...]:
        """The actions that the steps refer to as before, in the order of the steps."""
        ids = dict.fromkeys(step.referrer for step in self.steps if step.referrer is not None)
        new = {action.id for action in self.actions}
        return tuple(
            self.all_actions[id_] for id_ in ids if id_ in self.all_actions and id_ not in new
        )

    @property
    def find_action(self) -> Lookup[Action]:
        """Finds what the steps refer to, stored or not."""
        return self.all_actions.get


def clone_flow(context: Context, caller: Caller, flow_id: str, given: CloneRequest) -> Copied:
    """Copy a flow over other connections, disabled, with its latest steps as a draft.

    Actions that name a connection which changes are copied with it; the others are shared. Raises
    InvalidRequestError that names every connection which the map leaves out, or names in vain.
    """
    flow, steps = get_flow_with_steps(context, caller, flow_id)
    actions = read_actions(context, caller, steps)
    _check_map(context, caller, used_connections(flow, steps, actions), given.connection_map)
    rewired = rewire(context, caller, steps, actions, given.connection_map)
    aliases = tuple(
        alias.model_copy(
            update={"connection_id": given.connection_map.get(alias.connection_id or "")}
        )
        for alias in flow.aliases
    )
    changes: dict[str, Any] = {
        "name": given.name or copy_name(flow.name),
        "integration_id": given.integration_id,
        "flow_group_id": given.flow_group_id,
        "aliases": aliases,
        "prod_flag": flow.prod_flag and not given.sandbox,
    }
    return _store_copy(context, caller, flow, rewired, changes, "cloned")


def duplicate_flow(
    context: Context, caller: Caller, flow_id: str, given: DuplicateRequest
) -> Copied:
    """Copy a flow beside the original, disabled, with the steps of one version as a draft."""
    flow, steps = get_flow_with_steps(context, caller, flow_id)
    if given.version_id is not None:
        steps = get_version(context, caller, flow_id, given.version_id).steps
    actions = read_actions(context, caller, steps)
    same = Rewired(steps=steps, actions=(), sources=(), all_actions=actions)
    return _store_copy(context, caller, flow, same, {"name": copy_name(flow.name)}, "duplicated")


def copy_name(name: str) -> str:
    """A name for a copy, within the limit of names."""
    return name[: limits.NAME_LENGTH - len(_COPY)].rstrip() + _COPY


def read_actions(context: Context, caller: Caller, steps: tuple[Step, ...]) -> dict[str, Action]:
    """The stored actions that steps refer to, by id; one that is gone is left out."""
    refs = {Ref(Action, step.referrer) for step in steps if step.referrer is not None}
    found = context.resources.get_many(caller.workspace_id, refs)
    return {ref.id: action for ref in refs if (action := found.get(ref)) is not None}


def used_connections(
    flow: FlowSettings, steps: tuple[Step, ...], actions: Mapping[str, Action]
) -> set[str]:
    """The ids of the connections of a flow's steps, their actions, and its aliases."""
    works = [step.action for step in steps if step.action is not None]
    works += [
        actions[step.referrer].work for step in steps if step.referrer and step.referrer in actions
    ]
    used = {id_ for work in works if (id_ := connection_of(work)) is not None}
    return used | {alias.connection_id for alias in flow.aliases if alias.connection_id is not None}


def rewire(
    context: Context,
    caller: Caller,
    steps: tuple[Step, ...],
    actions: Mapping[str, Action],
    connection_map: Mapping[str, str],
) -> Rewired:
    """The steps over the connections that theirs are mapped to; what is not mapped stays."""
    sources = {
        id_: action
        for id_, action in actions.items()
        if _rewired(action.work, connection_map) is not action.work
    }
    copies = {
        id_: action.model_copy(
            update={
                **born(context, caller, Action),
                "work": _rewired(action.work, connection_map),
                "stable_key": None,
            }
        )
        for id_, action in sources.items()
    }
    changed = tuple(
        step.model_copy(
            update={
                "action": step.action and _rewired(step.action, connection_map),
                "referrer": copies[step.referrer].id if step.referrer in copies else step.referrer,
            }
        )
        for step in steps
    )
    new = {copy.id: copy for copy in copies.values()}
    return Rewired(
        steps=changed,
        actions=tuple(copies.values()),
        sources=tuple(sources.values()),
        all_actions={**actions, **new},
    )


def _rewired(work: ActionWork, connection_map: Mapping[str, str]) -> ActionWork:
    """The work over the connection that its own is mapped to; itself if that stays."""
    old = connection_of(work)
    new = old if old is None else connection_map.get(old, old)
    return work if new == old else work.model_copy(update={"connection_id": new})


def _check_map(
    context: Context, caller: Caller, used: set[str], connection_map: Mapping[str, str]
) -> None:
    refs = {Ref(Connection, id_) for id_ in connection_map.values()}
    found = context.resources.get_many(caller.workspace_id, refs)

    def violations() -> Iterator[Violation]:
        for id_ in sorted(used - connection_map.keys()):
            yield Violation(
                "connectionNotMapped",
                f"/connectionMap{pointer_of(id_)}",
                f"The flow uses the connection {id_!r}, and connectionMap does not map it.",
                "Map it to the connection that the clone is to use; it may be the same.",
            )
        for old, new in connection_map.items():
            pointer = f"/connectionMap{pointer_of(old)}"
            if old not in used:
                message = f"The flow does not use the connection {old!r}."
                yield Violation("connectionNotUsed", pointer, message, "Take it out.")
            if found.get(Ref(Connection, new)) is None:
                yield unknown_connection(new, pointer)

    wrong = tuple(violations())
    if wrong:
        raise InvalidRequestError("connectionMap does not fit the flow; see errors", wrong)


def _store_copy(
    context: Context,
    caller: Caller,
    source: Flow,
    rewired: Rewired,
    changes: Mapping[str, Any],
    event: AuditEvent,
) -> Copied:
    given = FlowInput(
        **{**fields_of(source, FlowSettings), "stable_key": None, **changes},
        enabled=False,
        steps=rewired.steps,
    )
    find_action = rewired.find_action
    find = stored(context, caller.workspace_id, rewired.steps, rewired.actions)
    find = replace(find, action=find_action)
    found = check_flow(context, caller.workspace_id, given, find=find)
    # Keys are secrets, which no copy takes along; without its own, its endpoint lets nobody in.
    refuse(each for each in found if each.code != "apiKeysMissing")
    flow, draft = new_flow(context, caller, given, find_action=find_action)
    flow = flow.model_copy(update={"source_id": source.id})
    created = [Create(action) for action in rewired.actions]
    context.resources.commit(*audited(context, caller, event, [*created, *creation(flow, draft)]))
    copies = (*zip(rewired.actions, rewired.sources, strict=True),)
    return Copied(
        created=(
            CopiedResource(type="flow", id=flow.id, name=flow.name, source_id=source.id),
            *(
                CopiedResource(type="action", id=copy.id, name=copy.name, source_id=original.id)
                for copy, original in copies
            ),
        ),
        reused=tuple(
            ReusedResource(type="action", id=action.id, name=action.name)
            for action in rewired.shared
        ),
        needs_configuring=tuple(_missing(flow, source)),
    )


def _missing(flow: Flow, source: Flow) -> Iterator[MissingSetting]:
    if source.organization_api_keys_count or flow.endpoint_security_type == "organization":
        yield MissingSetting(
            type="flow",
            id=flow.id,
            field="organizationApiKeys",
            message="API keys are not copied; set those that open the copy's endpoint.",
        )
