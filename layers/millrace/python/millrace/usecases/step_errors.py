"""What a try of a step notes of single records: those that failed, and errors that are over."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.errors import NotFoundError, StepFailed
from millrace.domain.failed_record import (
    ErrorPlace,
    ErrorSource,
    FailedRecord,
    KeptRecord,
    classify,
)
from millrace.domain.flow import Flow
from millrace.domain.records import Origin, RecordError, RecordFailure
from millrace.domain.run import Run
from millrace.domain.step import Step
from millrace.usecases.context import Context
from millrace.usecases.pages import encode_page
from millrace.usecases.step_input import Item, Verdict

_NOTE_AT_ONCE: Final = 250
"""Failures in memory: so many are written whether a checkpoint is due or not."""

_MESSAGE_LENGTH: Final = 2_000


@dataclass(frozen=True, slots=True)
class Failed:
    """A record that a step could not handle."""

    failure: RecordFailure
    source: ErrorSource
    origin: Origin
    item: Item | None = None
    """None for what was no record of the step's input."""

    @classmethod
    def of(cls, run: Run, item: Item, failure: RecordFailure, source: ErrorSource) -> "Failed":
        """The failure of an item of a step's input."""
        return cls(failure, source, item.origin_in(run), item)

    @property
    def record(self) -> Record | None:
        """The record as it came into the step."""
        return None if self.item is None else self.item.record

    @property
    def error_id(self) -> str | None:
        """The error that it has already, if it is tried again."""
        return None if self.item is None else self.item.error_id


class ErrorLog:
    """Collects what one try of a step has to note, and writes it before the step's checkpoint.

    What is written twice, by a step that died and goes on, is there once.
    """

    def __init__(self, context: Context, run: Run, step: Step, place: str) -> None:
        self._context = context
        self._run = run
        self._step = step
        self._place = f"errors/{run.workspace_id}/{run.flow_id}/{run.id}/{place}"
        self._new: list[tuple[Failed, datetime]] = []
        self._over: dict[str, None] = {}
        self._objects = 0

    def failed(self, failures: Iterable[Failed]) -> None:
        """Remember records that failed."""
        now = self._context.clock()
        self._new += [(failure, now) for failure in failures]
        if len(self._new) >= _NOTE_AT_ONCE:
            self.write()

    def succeeded(self, items: Iterable[Item]) -> None:
        """Remember that these records met no error: those that they had are over.

        Those of others with the same trace key are over if the step did its work on the record.
        """
        by_key = {} if self._step.trace_key is None else self._open_trace_keys
        if not by_key and self._run.replay is None:
            return  # no record has an error
        for item in items:
            if item.error_id is not None:
                self._over[item.error_id] = None
            if not by_key or item.verdict is not Verdict.TAKE:
                continue
            if (key := self._trace_key(item.record)) is not None:
                self._over |= dict.fromkeys(by_key.get(key, ()))

    def write(self) -> None:
        """Write what there is to note."""
        if self._new:
            self._write_new()
            self._new = []
        if self._over:
            owner = (self._run.workspace_id, self._run.flow_id)
            self._context.failed_records.change(*owner, self._over, self._resolved)
            self._over = {}

    def _write_new(self) -> None:
        again = {each.error_id: (each, at) for each, at in self._new if each.error_id is not None}
        fresh = [(each, at) for each, at in self._new if each.error_id is None]
        kept = self._keep([each.record for each, _ in fresh])
        self._context.failed_records.put(
            [self._entry(each, at, record) for (each, at), record in zip(fresh, kept, strict=True)]
        )
        if again:
            self._context.failed_records.change(
                self._run.workspace_id,
                self._run.flow_id,
                again,
                lambda entry: self._failed_again(entry, *again[entry.id]),
            )

    def _entry(self, failed: Failed, at: datetime, record: KeptRecord | None) -> FailedRecord:
        code, message = failed.failure.code, failed.failure.message
        return FailedRecord(
            id=ErrorPlace.at(failed.origin, self._step.id).error_id,
            workspace_id=self._run.workspace_id,
            flow_id=self._run.flow_id,
            version_id=self._run.version_id,
            run_id=self._run.id,
            step_id=self._step.id,
            attempt=self._run.attempt,
            origin_run_id=failed.origin.run_id,
            position=failed.origin.position,
            occurred_at=at,
            source=failed.source,
            code=code,
            message=message[:_MESSAGE_LENGTH],
            classification=classify(code),
            trace_key=None if failed.record is None else self._trace_key(failed.record),
            record=record,
            virtual_environment_id=self._run.virtual_environment_id,
            inputs_run_id=self._run.id if self._run.has_inputs else None,
        )

    def _failed_again(self, entry: FailedRecord, failed: Failed, at: datetime) -> FailedRecord:
        if entry.run_id == self._run.id:
            return entry  # a step that died and goes on says it once more
        return entry.changed(
            run_id=self._run.id,
            attempt=self._run.attempt,
            occurred_at=at,
            source=failed.source,
            code=failed.failure.code,
            message=failed.failure.message[:_MESSAGE_LENGTH],
            classification=classify(failed.failure.code),
            retry_run_id=None,
            resolved_at=None,
            resolved_by=None,
        )

    def _resolved(self, entry: FailedRecord) -> FailedRecord:
        # In a retry a record may succeed in an attempt after the one in which it failed.
        if not entry.is_open:
            return entry
        return entry.changed(resolved_at=self._context.clock(), resolved_by=self._run.id)

    def _keep(self, records: Sequence[Record | None]) -> list[KeptRecord | None]:
        """Where failed records are kept for a retry: small ones inline, the others together."""
        if not self._keeps_records:
            return [None for _ in records]
        lines: list[str] = []
        kept: list[KeptRecord | None] = []
        key = f"{self._place}-{self._objects:06d}.ndjson.gz"
        for record in records:
            text = None if record is None else _text(record)
            if text is None:
                kept.append(None)
            elif len(text) <= limits.INLINE_RECORD_BYTES:
                kept.append(KeptRecord(inline=text))
            else:
                kept.append(KeptRecord(key=key, line=len(lines)))
                lines.append(text)
        if lines:
            self._context.blobs.put(key, encode_page([line.encode() for line in lines]))
            self._objects += 1
        return kept

    @cached_property
    def _flow(self) -> Flow | None:
        try:
            return self._context.resources.get(Flow, self._run.workspace_id, self._run.flow_id)
        except NotFoundError:
            return None

    @cached_property
    def _keeps_records(self) -> bool:
        return not (self._step.skip_retries or (self._flow is not None and self._flow.skip_retries))

    @cached_property
    def _open_trace_keys(self) -> Mapping[str, tuple[str, ...]]:
        """The errors that a success may resolve."""
        found = self._context.failed_records.open_trace_keys(
            self._run.workspace_id, self._run.flow_id, self._step.id
        )
        if found and self._flow is not None and not self._flow.auto_resolve_matching_trace_keys:
            return {}
        return found

    def _trace_key(self, record: Record) -> str | None:
        if self._step.trace_key is None:
            return None
        try:
            value = self._context.connectors.evaluate(self._step.trace_key, record)
        except RecordError:
            return None
        if value is None:
            return None
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        return text.encode("utf-8", "replace").decode()[: limits.TRACE_KEY_LENGTH]


def check_number(failed: int) -> None:
    """Raise StepFailed where it is the step that is wrong rather than its records."""
    if failed > limits.RECORD_ERRORS_OF_A_STEP:
        raise StepFailed(
            "tooManyErrors",
            f"more than {limits.RECORD_ERRORS_OF_A_STEP:,} records failed; the first of them are "
            "in the flow's errors",
        )


def _text(record: Record) -> str | None:
    """A record as JSON, in ASCII so that text that is not Unicode comes back as it was."""
    try:
        return json.dumps(record, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None  # such as an integer of more digits than Python writes
