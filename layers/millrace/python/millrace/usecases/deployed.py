"""What is known of a deployed version without the compiler, which made its machine."""

from typing import Final

from millrace.domain.errors import ConflictError
from millrace.domain.flow import Flow, Version
from millrace.usecases.context import Context

SYNCHRONOUS: Final = "-sync"
"""How the names of EXPRESS machines end."""


def is_synchronous(machine_arn: str) -> bool:
    """Whether a machine is an EXPRESS one."""
    return machine_arn.endswith(SYNCHRONOUS)


def deployed_version(context: Context, flow: Flow) -> Version:
    """The version that triggers start. Raises ConflictError if there is none."""
    if flow.deployed_version_id is None:
        raise ConflictError("the flow has no deployed version; deploy one first")
    return context.resources.get(
        Version, flow.workspace_id, flow.deployed_version_id, parent_id=flow.id
    )
