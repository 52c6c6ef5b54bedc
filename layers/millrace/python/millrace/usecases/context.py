"""What every use case is given: the ports, the clock and the id factory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millrace.domain.base import Clock, IdFactory
from millrace.domain.ports import (
    Blobs,
    Connectors,
    FailedRecords,
    Functions,
    Machines,
    Notifications,
    PoolEntries,
    Queues,
    Resources,
    Runs,
    Schedules,
    Scratch,
    Secrets,
)
from millrace.targets import Targets

if TYPE_CHECKING:
    from millrace.domain.flow import Version


@dataclass(frozen=True, slots=True)
class Context:
    """The outside world, as the use cases see it."""

    resources: Resources
    runs: Runs
    failed_records: FailedRecords
    pool_entries: PoolEntries
    blobs: Blobs
    secrets: Secrets
    connectors: Connectors
    machines: Machines
    functions: Functions
    schedules: Schedules
    queues: Callable[[], Queues]
    notifications: Notifications
    targets: Targets
    clock: Clock
    new_id: IdFactory
    scratch: Callable[[], Scratch]
    pinned: dict[tuple[str, str, str], "Version"] = field(default_factory=dict)
    """Versions that runs were pinned to, as a warm function has them: see `pinned.run_version`."""

    deployed: dict[tuple[str, str], tuple[int, "Version"]] = field(default_factory=dict)
    """The deployed versions of flows of these revisions: see `deployed.deployed_version`."""

    addresses: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The workspaces and flows of public addresses that were called: see `deliveries.admit`."""
