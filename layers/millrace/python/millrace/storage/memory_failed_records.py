"""Record errors in a dictionary, for tests and for runs that leave nothing behind."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from millrace.domain.cursor import decode_cursor, encode_cursor
from millrace.domain.failed_record import FailedRecord
from millrace.domain.ports import Listing
from millrace.domain.run import Run

type _Owner = tuple[str, str]


class MemoryFailedRecords:
    """The `FailedRecords` port in a dictionary."""

    def __init__(self) -> None:
        self._entries: defaultdict[_Owner, dict[str, FailedRecord]] = defaultdict(dict)

    def put(self, entries: Sequence[FailedRecord]) -> None:
        """Note records that failed, in place of what is there under their ids."""
        for entry in entries:
            self._entries[entry.workspace_id, entry.flow_id][entry.id] = entry

    def get_many(
        self, workspace_id: str, flow_id: str, ids: Iterable[str]
    ) -> dict[str, FailedRecord]:
        """Those of these errors that are there, by id."""
        there = self._entries[workspace_id, flow_id]
        return {id_: there[id_] for id_ in ids if id_ in there}

    def page(
        self,
        workspace_id: str,
        flow_id: str,
        *,
        resolved: bool = False,
        step_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Listing[FailedRecord]:
        """One page of a flow's or a step's errors: by step, those of the newest runs first."""
        before = decode_cursor(cursor) if cursor else "~"
        found = sorted(
            (position, entry)
            for entry in self._entries[workspace_id, flow_id].values()
            if entry.is_open is not resolved
            and step_id in {None, entry.step_id}
            and (position := entry.list_position) < before
        )
        found.reverse()
        shown = tuple(entry for _, entry in found[:limit])
        is_last = len(found) <= limit
        return Listing(shown, None if is_last else encode_cursor(shown[-1].list_position))

    def change(
        self,
        workspace_id: str,
        flow_id: str,
        ids: Iterable[str],
        change: Callable[[FailedRecord], FailedRecord],
    ) -> dict[str, FailedRecord]:
        """Replace those that are there by what `change` makes of each; what they are now."""
        found = self.get_many(workspace_id, flow_id, ids)
        changed = {id_: change(entry) for id_, entry in found.items()}
        self.put([*changed.values()])
        return changed

    def open_trace_keys(
        self, workspace_id: str, flow_id: str, step_id: str
    ) -> dict[str, tuple[str, ...]]:
        """The trace keys of a step's open errors, and the ids of those that have each."""
        found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
        for entry in self._entries[workspace_id, flow_id].values():
            if entry.is_open and entry.step_id == step_id and entry.trace_key is not None:
                found[entry.trace_key] += (entry.id,)
        return dict(found)

    def drop_attempt(self, run: Run, step_id: str, attempt: int) -> None:
        """Forget what a step of a run noted up to an attempt."""
        there = self._entries[run.workspace_id, run.flow_id]
        for entry in [*there.values()]:
            is_theirs = (entry.origin_run_id, entry.step_id) == (run.id, step_id)
            if is_theirs and entry.is_open and entry.attempt <= attempt:
                del there[entry.id]
