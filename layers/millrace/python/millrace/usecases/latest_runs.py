"""The latest run of a flow and of its versions: told by runs, best effort, and looked up."""

import logging
from collections.abc import Iterable

from millrace.domain.errors import UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.run import LatestRun, Run
from millrace.usecases.context import Context

logger = logging.getLogger(__name__)


def tell_flow(context: Context, run: Run, flow: Flow | None = None) -> None:
    """Let the flow know of a run that started or ended; a run never fails for it.

    One that is known already to have a later run of the same version has nothing to be told.
    """
    known = None if flow is None else flow.latest_run
    told = run.latest
    if known and known.version_id == told.version_id and known.start_date > told.start_date:
        return
    try:
        context.resources.record_run(run.workspace_id, run.flow_id, told)
    except UnavailableError as error:
        logger.warning("%s: %s of %s", error.message, run.id, run.flow_id, exc_info=error)


def latest_runs(
    context: Context, workspace_id: str, versions: Iterable[tuple[Flow, str]]
) -> dict[str, LatestRun]:
    """The latest runs of versions, by version id; a version that never ran is left out.

    What the flows know needs no read, which is all in the usual case; the rest takes one.
    """
    found: dict[str, LatestRun] = {}
    unknown: list[tuple[str, str]] = []
    for flow, version_id in versions:
        if flow.latest_run is None:
            continue
        if flow.latest_run.version_id == version_id:
            found[version_id] = flow.latest_run
        else:
            unknown.append((flow.id, version_id))
    if unknown:
        found |= context.resources.latest_runs(workspace_id, unknown)
    return found
