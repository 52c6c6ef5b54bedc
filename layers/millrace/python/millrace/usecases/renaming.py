"""A flow with other names for what it refers to: keys of a document for ids, or ids for keys."""

from collections.abc import Callable
from typing import Any

from millrace.domain.action import Action, ActionWork, ProcessAction
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.flow import Flow, FlowSettings
from millrace.domain.flow_parts import Alias
from millrace.domain.integration import Integration
from millrace.domain.label import Label
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.operations import over_other_pools
from millrace.domain.resource import Resource
from millrace.domain.step import Step

type Rename = Callable[[type[Resource], str], str | None]
"""Another name for what is named; None: it is to be left out."""


def renamed_settings(settings: FlowSettings, rename: Rename) -> dict[str, Any]:
    """Those fields of a flow that refer to others; what has no name any more is left out."""
    integration_id, group_id = settings.integration_id, settings.flow_group_id
    if integration_id is not None:
        integration_id = rename(Integration, integration_id)
        if integration_id is None:
            group_id = None
    return {
        "integration_id": integration_id,
        "flow_group_id": group_id,
        "labels": _all(Label, settings.labels, rename),
        "notification_groups": _all(NotificationGroup, settings.notification_groups, rename),
        "run_next_flow_ids": _all(Flow, settings.run_next_flow_ids, rename),
        "aliases": tuple(
            renamed
            for alias in settings.aliases
            if (renamed := _renamed_alias(alias, rename)) is not None
        ),
    }


def renamed_step(step: Step, rename: Rename) -> Step:
    """A step; what has no other name keeps its own, since the step could do nothing without."""
    update: dict[str, Any] = {}
    if step.action is not None:
        update["action"] = renamed_work(step.action, rename)
    if step.referrer is not None:
        update["referrer"] = rename(Action, step.referrer) or step.referrer
    if step.flow_id is not None:
        update["flow_id"] = rename(Flow, step.flow_id) or step.flow_id
    if (behind := step.keep_delta_behind_flow_id) is not None:
        update["keep_delta_behind_flow_id"] = rename(Flow, behind) or behind
    return step.model_copy(update=update)


def renamed_work(work: ActionWork, rename: Rename) -> ActionWork:
    """What an action does; what has no other name keeps its own."""
    if isinstance(work, ProcessAction):
        operations = over_other_pools(work.operations, lambda id_: rename(DataPool, id_) or id_)
        return work.model_copy(update={"operations": operations})
    if work.connection_id is None:
        return work
    name = rename(Connection, work.connection_id) or work.connection_id
    return work.model_copy(update={"connection_id": name})


def _all(kind: type[Resource], names: tuple[str, ...], rename: Rename) -> tuple[str, ...]:
    renamed = (rename(kind, name) for name in names)
    return tuple(dict.fromkeys(name for name in renamed if name is not None))


def _renamed_alias(alias: Alias, rename: Rename) -> Alias | None:
    kinds: tuple[tuple[str, type[Resource]], ...] = (
        ("action_id", Action),
        ("connection_id", Connection),
        ("flow_id", Flow),
    )
    for field, kind in kinds:
        name = getattr(alias, field)
        if name is not None:
            renamed = rename(kind, name)
            return None if renamed is None else alias.model_copy(update={field: renamed})
    return alias
