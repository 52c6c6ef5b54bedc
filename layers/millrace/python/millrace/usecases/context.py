"""What every use case is given: the ports, the clock and the id factory."""

from collections.abc import Callable
from dataclasses import dataclass

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
