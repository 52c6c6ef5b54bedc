"""The domain's things as tests need them: valid, small, and changed by naming what differs."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tests.support.functions import ScriptedFunctions
from tests.support.time_and_ids import NOON

from millrace.domain.action import ExportAction, HttpExport, ImportAction, ProcessAction
from millrace.domain.base import Json
from millrace.domain.connection import Connection
from millrace.domain.failed_record import (
    Classification,
    ErrorPlace,
    FailedRecord,
    KeptRecord,
)
from millrace.domain.flow import Flow, Version
from millrace.domain.imports import HttpImport
from millrace.domain.operations import FilterOperation, MapOperation
from millrace.domain.ports import Surroundings
from millrace.domain.records import Origin
from millrace.domain.run import Attempt, Run, RunStatus, Trigger
from millrace.domain.run_values import NO_VALUES
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.domain.webhook import Webhook
from millrace.storage.memory_pool_entries import MemoryPoolEntries

ALICE = Caller(workspace_id="ws_alice", token_id="tok_alice")
MALLORY = Caller(workspace_id="ws_mallory", token_id="tok_mallory")

BOOKKEEPING: dict[str, Any] = {
    "workspace_id": ALICE.workspace_id,
    "created_at": NOON,
    "created_by": ALICE.token_id,
    "modified_at": NOON,
    "modified_by": ALICE.token_id,
}


def connection(id_: str = "con_1", **changes: object) -> Connection:
    """A stored connection."""
    fields = BOOKKEEPING | {"name": "Shop", "base_url": "https://shop.example"} | changes
    return Connection(id=id_, **fields)


def version(id_: str = "ver_1", **changes: object) -> Version:
    """A stored draft without steps."""
    fields: dict[str, Any] = {"flow_id": "flow_1", "number": 1, "steps": ()}
    return Version(id=id_, **(BOOKKEEPING | fields | changes))


def flow(id_: str = "flow_1", **changes: object) -> Flow:
    """A stored flow with a draft."""
    fields: dict[str, Any] = {
        "name": "Orders",
        "stable_id": "stable_1",
        "draft_version_id": "ver_1",
        "latest_version_id": "ver_1",
        "recent_version_ids": ("ver_1",),
    }
    return Flow(id=id_, **(BOOKKEEPING | fields | changes))


def webhook(id_: str = "hook_1", **changes: object) -> Webhook:
    """A stored webhook without verification."""
    return Webhook(id=id_, **(BOOKKEEPING | {"flow_id": "flow_1"} | changes))


def surroundings(**update: Json) -> Surroundings:
    """Where a process runs: the step `change` of run 1, over a pool that is empty."""
    here = Surroundings(
        workspace_id=ALICE.workspace_id,
        run_id="run_1",
        attempt=1,
        step_id="change",
        pools={},
        values=NO_VALUES,
        entries=MemoryPoolEntries(),
        functions=ScriptedFunctions(),
        clock=lambda: NOON,
        first_run=lambda run_id: run_id,
    )
    return replace(here, **update)


def run(id_: str = "run_1", **changes: object) -> Run:
    """A run on its first attempt."""
    fields: dict[str, Any] = {
        "workspace_id": ALICE.workspace_id,
        "flow_id": "flow_1",
        "version_id": "ver_1",
        "version_number": 1,
        "status": RunStatus.RUNNING,
        "trigger": Trigger(source="manual"),
        "machine_arn": "arn:machine",
        "created_at": NOON,
        "started_at": NOON,
        "attempts": (Attempt(number=1, status=RunStatus.RUNNING, started_at=NOON),),
    }
    return Run(id=id_, **(fields | changes))


def failed_record(
    position: int = 0, run_id: str = "run_1", step_id: str = "write", **changes: object
) -> FailedRecord:
    """An open record error."""
    fields: dict[str, Any] = {
        "workspace_id": ALICE.workspace_id,
        "flow_id": "flow_1",
        "version_id": "ver_1",
        "run_id": run_id,
        "attempt": 1,
        "occurred_at": NOON,
        "source": "import",
        "code": "http422",
        "message": "not wanted",
        "classification": Classification.VALUE,
        "record": KeptRecord(inline='{"id":1}'),
    }
    return FailedRecord(
        id=ErrorPlace.at(Origin(run_id, position), step_id).error_id,
        step_id=step_id,
        origin_run_id=run_id,
        position=position,
        **(fields | changes),
    )


def _step(fields: dict[str, Any]) -> Step:
    return Step(**fields)


def export_step(id_: str = "read", connection_id: str = "con_1", **changes: object) -> Step:
    """A step that reads."""
    action = ExportAction(
        type="Export", connection_id=connection_id, http=HttpExport(path="/orders")
    )
    return _step({"id": id_, "type": "Export", "action": action} | changes)


def process_step(id_: str = "map", expression: str = "$", **changes: object) -> Step:
    """A step that maps."""
    operation = MapOperation(type="map", expression=expression)
    action = ProcessAction(type="Process", operations=(operation,))
    return _step({"id": id_, "type": "Process", "action": action} | changes)


def filter_step(id_: str = "keep", expression: str = "wanted", **changes: object) -> Step:
    """A step that keeps some records."""
    operation = FilterOperation(type="filter", expression=expression)
    action = ProcessAction(type="Process", operations=(operation,))
    return _step({"id": id_, "type": "Process", "action": action} | changes)


def import_step(
    id_: str = "write",
    connection_id: str = "con_1",
    batch_size: int | None = None,
    **changes: object,
) -> Step:
    """A step that writes."""
    action = ImportAction(
        type="Import",
        connection_id=connection_id,
        http=HttpImport(path="/orders", batch_size=batch_size),
    )
    return _step({"id": id_, "type": "Import", "action": action} | changes)


def unstamped(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps as they were sent, without who made them and when."""
    names = ("created_by", "created_date", "modified_by", "modified_date")
    return tuple(step.model_copy(update=dict.fromkeys(names)) for step in steps)


def origins(count: int, first: int = 0) -> list[Origin]:
    """Where so many records of a run came from."""
    return [Origin("run_1", first + number) for number in range(count)]
