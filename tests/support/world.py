"""Everything a use case is given, in memory, with shortcuts for what most tests begin with."""

from dataclasses import dataclass, field
from datetime import timedelta

from tests.support.connectors import ScriptedConnectors
from tests.support.functions import ScriptedFunctions
from tests.support.samples import ALICE
from tests.support.time_and_ids import CountingIds, FakeClock

from millrace.compiler import Targets
from millrace.domain.base import Json
from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.flow import Flow, FlowInput, Version
from millrace.domain.run import Run, RunKey, StepRecord, Trigger
from millrace.domain.step import Step
from millrace.storage.memory import (
    MemoryBlobs,
    MemoryMachines,
    MemoryNotifications,
    MemoryQueues,
    MemoryResources,
    MemoryRuns,
    MemorySchedules,
    MemorySecrets,
    scratch,
)
from millrace.storage.memory_failed_records import MemoryFailedRecords
from millrace.storage.memory_pool_entries import MemoryPoolEntries
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.deploy import deploy_version
from millrace.usecases.flow_changes import create_flow, replace_flow
from millrace.usecases.flows import get_flow, latest_version
from millrace.usecases.lifecycle import AttemptEvent, on_attempt
from millrace.usecases.run_ends import Failure
from millrace.usecases.run_step import StepTask, run_step
from millrace.usecases.runs import start_run

AMPLE = timedelta(minutes=15)


@dataclass
class World:
    """The ports in memory, and a workspace's owner at work."""

    resources: MemoryResources = field(default_factory=MemoryResources)
    runs: MemoryRuns = field(default_factory=MemoryRuns)
    failed_records: MemoryFailedRecords = field(default_factory=MemoryFailedRecords)
    pool_entries: MemoryPoolEntries = field(default_factory=MemoryPoolEntries)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    secrets: MemorySecrets = field(default_factory=MemorySecrets)
    machines: MemoryMachines = field(default_factory=MemoryMachines)
    functions: ScriptedFunctions = field(default_factory=ScriptedFunctions)
    notifications: MemoryNotifications = field(default_factory=MemoryNotifications)
    schedules: MemorySchedules = field(default_factory=MemorySchedules)
    queues: MemoryQueues = field(default_factory=MemoryQueues)
    connectors: ScriptedConnectors = field(default_factory=ScriptedConnectors)
    clock: FakeClock = field(default_factory=FakeClock)
    new_id: CountingIds = field(default_factory=CountingIds)

    @property
    def context(self) -> Context:
        """What use cases are given."""
        return Context(
            resources=self.resources,
            runs=self.runs,
            failed_records=self.failed_records,
            pool_entries=self.pool_entries,
            blobs=self.blobs,
            secrets=self.secrets,
            connectors=self.connectors,
            machines=self.machines,
            functions=self.functions,
            schedules=self.schedules,
            queues=lambda: self.queues,
            notifications=self.notifications,
            targets=Targets("arn:run-step", "arn:lifecycle"),
            clock=self.clock,
            new_id=self.new_id,
            scratch=scratch,
        )

    def connection(self, name: str = "shop") -> Connection:
        """A new connection, its stable key the name."""
        given = ConnectionInput(name=name, stable_key=name, base_url="https://shop.example")
        return CONNECTIONS.create(self.context, ALICE, given)

    def flow(self, *steps: Step, **settings: Json) -> Flow:
        """A new flow with a draft of these steps."""
        given = FlowInput(**{"name": "Orders", "steps": steps, **settings})
        return create_flow(self.context, ALICE, given)[0]

    def deployed(self, *steps: Step, **settings: Json) -> Flow:
        """A new flow whose first version is deployed."""
        flow = self.flow(*steps, **settings)
        self.deploy(flow)
        return get_flow(self.context, ALICE, flow.id)

    def flow_of(self, run: Run) -> Flow:
        """The flow of a run as it is now."""
        return get_flow(self.context, ALICE, run.flow_id)

    def deploy(self, flow: Flow) -> Version:
        """Deploy the latest version of a flow."""
        version = latest_version(self.context, get_flow(self.context, ALICE, flow.id))
        return deploy_version(self.context, ALICE, flow.id, version.id, version.revision)

    def change(self, flow: Flow, *steps: Step, **settings: Json) -> Flow:
        """Replace a flow's steps and settings."""
        now = get_flow(self.context, ALICE, flow.id)
        given = FlowInput(**{"name": now.name, "steps": steps, **settings})
        return replace_flow(self.context, ALICE, flow.id, given, now.revision)[0]

    def start(self, flow: Flow, payload: Json = None) -> Run:
        """Start a run of the deployed version by hand."""
        run, _ = start_run(self.context, flow, Trigger(source="manual"), payload)
        return run

    def step(
        self, run: Run, step_id: str, time_left: timedelta = AMPLE, token: str | None = None
    ) -> StepRecord:
        """Have the worker run a step of the run's present attempt; the machine waits by a token."""
        task = StepTask(
            workspace_id=run.workspace_id,
            run_id=run.id,
            attempt=self.runs.get(run.key).attempt,
            step_id=step_id,
            task_token=token,
        )
        return run_step(self.context, task, lambda: time_left)

    def tell(
        self, run: Run, event: str, attempt: int = 1, failure: Failure | None = None
    ) -> dict[str, Json]:
        """Tell the lifecycle function what a machine would."""
        told = {
            "event": event,
            "workspaceId": run.workspace_id,
            "runId": run.id,
            "attempt": attempt,
            "failure": failure,
        }
        return on_attempt(self.context, AttemptEvent.model_validate(told))

    def now(self, run: Run) -> Run:
        """The run as it is stored now."""
        return self.runs.get(RunKey(run.workspace_id, run.id))
