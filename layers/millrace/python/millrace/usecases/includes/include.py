"""What is related to flows and versions, beside them."""

from collections.abc import Mapping, Sequence
from functools import cache

from millrace import limits
from millrace.domain.flow import Flow, Version
from millrace.domain.run import Run
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.includes.relation import Node, Relation, Scope, Wanted
from millrace.usecases.includes.resolve import resolve


def relations_of_flows() -> Mapping[str, Relation]:
    """What may be included in flows."""
    # Few requests include anything, and the catalogue knows resources of all kinds.
    from millrace.usecases.includes.catalogue import FLOW  # noqa: PLC0415

    return FLOW


def relations_of_versions() -> Mapping[str, Relation]:
    """What may be included in versions."""
    from millrace.usecases.includes.catalogue import VERSION  # noqa: PLC0415 - as above

    return VERSION


def include_in_flows(
    context: Context, caller: Caller, flows: Sequence[Flow], wanted: Wanted
) -> list[Node]:
    """Flows of a list with what is wanted of them; of their versions the newest few."""
    nodes = [Node(flow) for flow in flows]
    if wanted:
        resolve(Scope(context, caller.workspace_id), nodes, wanted, relations_of_flows())
    return nodes


def include_in_flow(context: Context, caller: Caller, flow: Flow, wanted: Wanted) -> Node:
    """A flow with what is wanted of it; of its versions as many as a page has."""

    def versions(flow: Flow) -> Sequence[Version]:
        return context.resources.page(
            Version,
            caller.workspace_id,
            parent_id=flow.id,
            limit=limits.INCLUDED_VERSIONS,
            newest_first=True,
        ).items

    node = Node(flow)
    if wanted:
        scope = Scope(context, caller.workspace_id, versions=versions)
        resolve(scope, [node], wanted, relations_of_flows())
    return node


def include_in_versions(
    context: Context, caller: Caller, flow: Flow, versions: Sequence[Version], wanted: Wanted
) -> list[Node]:
    """Versions of a flow with what is wanted of them."""

    @cache
    def all_runs() -> tuple[Run, ...]:
        page = context.runs.page(caller.workspace_id, flow.id, limit=limits.INCLUDED_RUNS)
        return page.items

    def runs(version: Version) -> Sequence[Run]:
        return [run for run in all_runs() if run.version_id == version.id]

    parent = Node(flow)
    nodes = [Node(version, parent) for version in versions]
    if wanted:
        scope = Scope(context, caller.workspace_id, runs=runs)
        resolve(scope, nodes, wanted, relations_of_versions())
    return nodes
