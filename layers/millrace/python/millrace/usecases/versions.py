"""Versions of a flow: a new draft, going back to an older version, removing one."""

from typing import Any

from millrace import limits
from millrace.domain.errors import ConflictError
from millrace.domain.flow import Flow, LatestSteps, Version
from millrace.domain.ports import Change, Create, Delete, Put, Replace
from millrace.domain.token import Caller
from millrace.usecases.audit import audited
from millrace.usecases.context import Context
from millrace.usecases.deploy import deploy_version
from millrace.usecases.flow_changes import with_new_version
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.resources import born, changed, check_revision
from millrace.usecases.unfinished_runs import has_unfinished_runs


def create_draft(
    context: Context, caller: Caller, flow_id: str, version_id: str | None = None
) -> Version:
    """A new draft with the steps of a version, by default the latest.

    Raises ConflictError if there is a draft already.
    """
    flow = get_flow(context, caller, flow_id)
    source = get_version(context, caller, flow_id, version_id or flow.latest_version_id)
    if flow.draft_version_id is not None:
        raise ConflictError(
            f"the flow has a draft already, {flow.draft_version_id!r}; edit, deploy or delete it"
        )
    draft = Version(
        **born(context, caller, Version),
        flow_id=flow.id,
        number=flow.next_version_number,
        steps=source.steps,
    )
    after = flow.model_copy(
        update={
            **changed(context, caller, flow),
            **with_new_version(flow, draft),
        }
    )
    changes: list[Change] = [
        Replace(flow, after),
        Create(draft, parent_id=flow.id),
        Put(LatestSteps.of(draft)),
    ]
    context.resources.commit(*audited(context, caller, "draftCreated", changes))
    return draft


def roll_back(context: Context, caller: Caller, flow_id: str, version_id: str) -> Version:
    """Deploy a version again that was deployed before; the draft, if there is one, stays."""
    version = get_version(context, caller, flow_id, version_id)
    if not version.frozen:
        raise ConflictError("the version was never deployed; deploy it, there is no way back to it")
    return deploy_version(
        context, caller, flow_id, version_id, version.revision, event="rolledBack"
    )


def delete_version(
    context: Context, caller: Caller, flow_id: str, version_id: str, revision: int | None
) -> None:
    """Remove a version with its machine; its number is never given again.

    Raises ConflictError if it is deployed, is the only one, or has runs that are not over.
    """
    flow = get_flow(context, caller, flow_id)
    version = get_version(context, caller, flow_id, version_id)
    check_revision(version, revision)
    if version.deployed_at is not None:
        raise ConflictError("the version is deployed; undeploy it, or deploy another one first")
    if has_unfinished_runs(context, flow, version.id):
        raise ConflictError("runs of the version are not over; wait for them")
    others = _others(context, flow, version)
    update: dict[str, Any] = {
        "versions_count": flow.versions_count - 1,
        "recent_version_ids": tuple(other.id for other in others),
    }
    changes: list[Change] = [Delete(version, parent_id=flow.id)]
    if flow.draft_version_id == version.id:
        update["draft_version_id"] = None
    if flow.latest_deployed_version_id == version.id:
        update["latest_deployed_version_id"] = flow.deployed_version_id
    if flow.latest_version_id == version.id:
        latest = others[0]
        changes.append(Put(LatestSteps.of(latest)))
        update |= {
            "latest_version_id": latest.id,
            "latest_version_number": latest.number,
            "steps_count": len(latest.steps),
            "highest_version_number": flow.next_version_number - 1,
        }
    # The flow takes part even if nothing of it changes: so it cannot have deployed it meanwhile.
    after = flow.model_copy(update={**changed(context, caller, flow), **update})
    changes.append(Replace(flow, after))
    context.resources.commit(*audited(context, caller, "versionDeleted", changes))
    for machine_arn in version.machine_arns:
        context.machines.delete(machine_arn)


def _others(context: Context, flow: Flow, version: Version) -> list[Version]:
    """The flow's newest other versions, the newest first."""
    newest = context.resources.page(
        Version,
        flow.workspace_id,
        parent_id=flow.id,
        limit=limits.RECENT_VERSIONS + 1,
        newest_first=True,
    )
    others = [other for other in newest.items if other.id != version.id]
    if not others:
        raise ConflictError("it is the flow's only version; delete the flow, or change its steps")
    return others[: limits.RECENT_VERSIONS]
