"""Lists of flows, and what filters them: several must all hold, of several values any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from millrace import limits
from millrace.domain.flow import Flow
from millrace.domain.ports import Ref
from millrace.usecases.context import Context
from millrace.usecases.flows import find_flow
from millrace.usecases.lists import Asked, Part, Test, find_part

type Values = Sequence[str]

BOOLEAN: Final = {"true": True, "false": False}

NO_VERSIONS: Final = "none"


def _name(flow: Flow, value: str) -> bool:
    return value.casefold() in flow.name.casefold()


def _labelled(flow: Flow, value: str) -> bool:
    """Whether it has any label, or the label of an id."""
    if value in BOOLEAN:
        return bool(flow.labels) is BOOLEAN[value]
    return value in flow.labels


def _versions(flow: Flow, value: str) -> bool:
    return flow.versions_count == (0 if value == NO_VERSIONS else int(value))


TESTS: Final[Mapping[str, Callable[[Flow, str], bool]]] = {
    "name": _name,
    "templateId": lambda flow, value: flow.template_id == value,
    "templateVersion": lambda flow, value: flow.template_version == value,
    "integrationId": lambda flow, value: flow.integration_id == value,
    "labelled": _labelled,
    "enabled": lambda flow, value: flow.is_enabled is BOOLEAN[value],
    "deployed": lambda flow, value: (flow.deployed_version_id is not None) is BOOLEAN[value],
    "versions": _versions,
}
"""Whether a flow passes one value of a filter."""


def list_flows(context: Context, asked: Asked[Flow], filters: Mapping[str, Values]) -> Part[Flow]:
    """The part of a workspace's flows that is asked for."""
    narrowed = replace(
        asked, tests=_tests(filters), among=_named(context, asked.workspace_id, filters)
    )
    return find_part(context.resources, narrowed)


def _tests(filters: Mapping[str, Values]) -> list[Test[Flow]]:
    """The tests of those filters that look at each flow."""
    return [_any_of(TESTS[name], values) for name, values in filters.items() if name in TESTS]


def _named(context: Context, workspace_id: str, filters: Mapping[str, Values]) -> list[Flow] | None:
    """The flows that `id`, `versions.id` and `stableKey` name; None if none of them is given."""
    ids: set[str] | None = None
    if "id" in filters:
        ids = set(filters["id"])
    if "versions.id" in filters:
        found = {context.resources.parent_of(workspace_id, id_) for id_ in filters["versions.id"]}
        owners = {id_ for id_ in found if id_ is not None}
        ids = owners if ids is None else ids & owners
    if "stableKey" in filters:
        keyed = [find_flow(context, workspace_id, key) for key in filters["stableKey"]]
        flows = {flow.id: flow for flow in keyed if flow is not None}
        return [flow for flow in flows.values() if ids is None or flow.id in ids]
    if ids is None:
        return None
    refs = [Ref(Flow, id_) for id_ in sorted(ids)]
    read = context.resources.get_many(workspace_id, refs)
    return [flow for ref in refs if (flow := read.get(ref)) is not None]


def values_allowed(name: str) -> int:
    """How many values a filter may have."""
    return limits.LOOKED_UP if name in {"versions.id", "stableKey"} else limits.PAGE_ITEMS_MAX


def _any_of(test: Callable[[Flow, str], bool], values: Values) -> Test[Flow]:
    return lambda flow: any(test(flow, value) for value in values)
