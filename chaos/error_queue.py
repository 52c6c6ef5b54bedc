"""Records that failed and were tried again: each has arrived, or is still among the errors."""

from collections import Counter
from collections.abc import Iterator

from chaos.plans import KEPT
from chaos.scenario import Played
from tests.support.samples import ALICE

from millrace.domain.failed_record import FailedRecord
from millrace.usecases.record_errors import KeptRecords

type Place = tuple[str, str, int]
"""A step, the run that a record came from, and its place there."""


class ErrorQueue:
    """All errors of the flow."""

    def __init__(self, played: Played) -> None:
        self._played = played
        self._plan = played.world.plan
        self._received = played.world.shop.received
        self._kept = KeptRecords(played.world.stores.blobs)
        self._paths = {
            step["id"]: step["action"]["http"]["path"]
            for step in self._plan.steps
            if step["type"] == "Import"
        }
        entries = [entry for is_over in (False, True) for entry in self._page(resolved=is_over)]
        self._imports = [entry for entry in entries if entry.step_id in self._paths]
        self._places = {(each.step_id, each.origin_run_id, each.position) for each in entries}
        self._over = {
            (each.step_id, each.origin_run_id, each.position)
            for each in entries
            if not each.is_open
        }
        self._ids = {entry.id: self._record_id(entry) for entry in self._imports}
        self._waiting = {
            (entry.step_id, self._ids[entry.id]) for entry in self._imports if entry.is_open
        }

    def _page(self, *, resolved: bool) -> tuple[FailedRecord, ...]:
        store = self._played.world.stores.failed_records
        flow_id = self._played.flow.id
        return store.page(ALICE.workspace_id, flow_id, resolved=resolved, limit=10_000).items

    def _record_id(self, entry: FailedRecord) -> str:
        if entry.record is None:
            raise AssertionError(entry)  # what an import was given is kept
        return str(self._kept.read(entry.record)["id"])

    def has(self, place: Place) -> bool:
        """Whether the record of that place failed, whatever came of it."""
        return place in self._places

    def is_over(self, place: Place) -> bool:
        """Whether it failed, and was tried again with success."""
        return place in self._over

    @property
    def allowed(self) -> Counter[tuple[str, str]]:
        """How often records may have arrived because they were tried again, by path and id."""
        found: Counter[tuple[str, str]] = Counter()
        for entry in self._imports:
            if not entry.is_open:
                for step_id in (entry.step_id, *self._after(entry.step_id)):
                    found[self._paths[step_id], self._ids[entry.id]] += 1
        return found

    def faults(self) -> Iterator[str]:
        """What was lost on the way out of the queue, or never left it."""
        for entry in self._imports:
            id_ = self._ids[entry.id]
            if entry.is_open:
                if self._plan.retries_errors:
                    yield f"{entry.id} ({id_}) is open although nothing is refused any more"
                continue
            if not self._received[self._paths[entry.step_id]][id_]:
                yield f"{entry.id} ({id_}) is resolved and never arrived"
            for step_id in self._after(entry.step_id):
                there = self._received[self._paths[step_id]][id_] or (step_id, id_) in self._waiting
                if not there and not self._is_filtered(step_id, id_):
                    yield f"{entry.id} ({id_}) is resolved and was lost before {step_id}"

    def _after(self, step_id: str) -> list[str]:
        return [step["id"] for step in self._plan.steps if step_id in step["dependsOn"]]

    def _is_filtered(self, step_id: str, id_: str) -> bool:
        (step,) = (step for step in self._plan.steps if step["id"] == step_id)
        return "filter" in step and int(id_.rpartition("-")[2]) % KEPT == 1
