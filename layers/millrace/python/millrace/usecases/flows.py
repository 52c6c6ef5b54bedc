"""Stored flows and their versions: read, found, listed.

What changes them is in `flow_changes`, since most requests only read and need no compiler.
"""

from collections.abc import Iterable

from millrace.domain.errors import NotFoundError
from millrace.domain.flow import Flow, LatestSteps, Version
from millrace.domain.integration import Integration
from millrace.domain.ports import Listing, Ref
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.lists import check_page


def get_flow(context: Context, caller: Caller, flow_id: str) -> Flow:
    """A stored flow."""
    return context.resources.get(Flow, caller.workspace_id, flow_id)


def get_flow_with_steps(
    context: Context, caller: Caller, flow_id: str
) -> tuple[Flow, tuple[Step, ...]]:
    """A stored flow and the steps of its latest version, in one read."""
    flow_ref, steps_ref = Ref(Flow, flow_id), Ref(LatestSteps, flow_id)
    found = context.resources.get_many(caller.workspace_id, (flow_ref, steps_ref))
    flow, latest = found.get(flow_ref), found.get(steps_ref)
    if flow is None or latest is None:
        raise NotFoundError(f"there is no flow {flow_id!r}")
    return flow, latest.steps


def find_flow(context: Context, workspace_id: str, name: str) -> Flow | None:
    """The flow of a stable key; of one in an integration, behind its id or key and a slash."""
    place, slash, key = name.rpartition("/")
    if slash and not place.startswith(f"{Integration.prefix}_"):
        integration = context.resources.find(Integration, workspace_id, place)
        name = "" if integration is None else f"{integration.id}/{key}"
    return context.resources.find(Flow, workspace_id, name) if name else None


def get_version(context: Context, caller: Caller, flow_id: str, version_id: str) -> Version:
    """One version of a flow."""
    return context.resources.get(Version, caller.workspace_id, version_id, parent_id=flow_id)


def list_versions(
    context: Context,
    caller: Caller,
    flow_id: str,
    limit: int,
    cursor: str | None,
    *,
    newest_first: bool = False,
    page: int = 1,
) -> tuple[Flow, Listing[Version]]:
    """A flow and one page of its versions: that of a cursor, or of a number from 1."""
    if cursor is None:
        check_page(page, limit)
    flow = get_flow(context, caller, flow_id)
    listing = context.resources.page(
        Version,
        caller.workspace_id,
        parent_id=flow.id,
        limit=limit,
        cursor=cursor,
        newest_first=newest_first,
        skip=(page - 1) * limit if cursor is None else 0,
    )
    return flow, listing


def latest_version(context: Context, flow: Flow) -> Version:
    """The version with the highest number."""
    return context.resources.get(
        Version, flow.workspace_id, flow.latest_version_id, parent_id=flow.id
    )


def latest_versions(context: Context, flows: Iterable[Flow]) -> dict[str, Version]:
    """Those of several flows of one workspace, by the flows' ids, in one read.

    Raises NotFoundError if one is gone.
    """
    flows = tuple(flows)
    if not flows:
        return {}
    refs = {flow.id: Ref(Version, flow.latest_version_id, flow.id) for flow in flows}
    found = context.resources.get_many(flows[0].workspace_id, refs.values())
    versions = {id_: version for id_, ref in refs.items() if (version := found.get(ref))}
    for id_ in refs.keys() - versions.keys():
        raise NotFoundError(f"there is no flow {id_!r}")
    return versions
