"""What is known of a deployed version without the compiler, which made its machine."""

from typing import Final

from millrace.domain.errors import ConflictError
from millrace.domain.flow import Flow, Version
from millrace.usecases.context import Context
from millrace.usecases.pinned import keep

SYNCHRONOUS: Final = "-sync"
"""How the names of EXPRESS machines end."""


def is_synchronous(machine_arn: str) -> bool:
    """Whether a machine is an EXPRESS one."""
    return machine_arn.endswith(SYNCHRONOUS)


def deployed_version(context: Context, flow: Flow) -> Version:
    """The version that triggers start. Raises ConflictError if there is none.

    A deployment changes the flow along with the version, so it is read once for each revision.
    """
    if flow.deployed_version_id is None:
        raise ConflictError("the flow has no deployed version; deploy one first")
    key = (flow.workspace_id, flow.id)
    known = context.deployed.get(key)
    if known is not None and known[0] == flow.revision:
        return known[1]
    version = context.resources.get(
        Version, flow.workspace_id, flow.deployed_version_id, parent_id=flow.id
    )
    keep(context.deployed, key, (flow.revision, version))
    return version
