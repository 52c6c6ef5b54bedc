"""How far a try of a step is: counts, output and checkpoint, remembered together or not at all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from millrace.domain.base import Json, Record
from millrace.domain.delta import DeltaWindow
from millrace.domain.errors import ConflictError, StepError, StepFailed, StepThrottled
from millrace.domain.run import Counts, OutputPage, Run, RunError, StepRecord, StepStatus
from millrace.domain.step import Step
from millrace.usecases.checkpoints import Checkpoints
from millrace.usecases.context import Context
from millrace.usecases.pages import PageWriter
from millrace.usecases.payloads import object_prefix
from millrace.usecases.row import Row
from millrace.usecases.step_errors import ErrorLog, Failed, check_number
from millrace.usecases.step_input import Item

CONTINUES: Final = "continues"
"""The code of the error by which a step stops because its time is over."""

_REMEMBER_EVERY: Final = timedelta(seconds=1)


class Progress:
    """One try of a step, from where the try before it left off."""

    def __init__(
        self,
        context: Context,
        run: Run,
        step: Step,
        record: StepRecord,
        must_stop: Callable[[], bool],
        row: Row | None = None,
    ) -> None:
        self._context = context
        self._row = row
        self._key = run.key
        self._record = record
        self.must_stop = must_stop
        # A try that lost its place may still be writing, so each writes under a name of its own.
        place = f"{record.attempt:02d}/{record.step_id}/{record.tries:03d}"
        if row is not None and not row.is_on_record:
            place += f"-{context.new_id('try')}"  # there may be others of that number
        prefix = f"{object_prefix(run.key)}/{place}"
        self._writer = PageWriter(context.blobs, prefix, record.output)
        self._checkpoints = Checkpoints(context.blobs, prefix, record.checkpoint)
        self._checkpoint = self._checkpoints.read()
        self._errors = ErrorLog(context, run, step, place)
        self._saved_at: datetime = context.clock()

    @property
    def taken(self) -> int:
        """How many records were dealt with."""
        return self._record.counts.records_in

    @property
    def checkpoint(self) -> Json:
        """Where to go on; None: from the start."""
        return self._checkpoint

    @property
    def delta(self) -> DeltaWindow | None:
        """What an export of changes reads, if a try before this one began to."""
        return self._record.delta

    def begin_delta(self, window: DeltaWindow) -> None:
        """Remember what is to be read before anything is."""
        self._save({"delta": window})

    @property
    def began_at(self) -> datetime:
        """When the first try of the step began."""
        return self._record.started_at

    def kept(self) -> Iterator[Json]:
        """What was kept by then."""
        return self._checkpoints.kept()

    def advance(  # noqa: PLR0913 - all of it is remembered together or not at all
        self,
        checkpoint: Json,
        *,
        taken: int,
        records: Sequence[Record] = (),
        there: OutputPage | None = None,
        ignored: int = 0,
        failed: Sequence[Failed] = (),
        succeeded: Iterable[Item] = (),
        kept: Sequence[Json] = (),
        durable: bool = False,
        behind: int = 0,
    ) -> None:
        """Count records that were dealt with, hand some on, and note what became of single ones.

        `there` is the page of another step that holds just these records, if one does. `kept` is
        what the next try has to know beside the checkpoint, and all that was kept before. All is
        written at once if `durable`, else once in a while: what is forgotten is read again.
        `behind` it so many requests are under way already; a step that must stop waits for them.
        """
        before = self._record.counts
        self._writer.write(records, there)
        self._checkpoints.keep(kept)
        self._checkpoint = checkpoint
        self._errors.failed(failed)
        self._errors.succeeded(succeeded)
        self._record = self._record.model_copy(
            update={
                "counts": Counts(
                    records_in=before.records_in + taken,
                    records_out=before.records_out + len(records),
                    records_ignored=before.records_ignored + ignored,
                    records_failed=before.records_failed + len(failed),
                ),
                "error": self._record.error or _first(failed),
            }
        )
        check_number(self._record.counts.records_failed)
        now = self._context.clock()
        if durable or now - self._saved_at >= _REMEMBER_EVERY:
            self._save({})
            self._saved_at = now
        if not behind and self.must_stop():
            # The machine comes back at once, in a new invocation with its full time.
            raise StepThrottled(CONTINUES, "the step goes on in a new invocation", now)

    def interrupt(self, error: StepError) -> None:
        """Remember where to go on after an error that may pass."""
        self._save(
            {
                "status": StepStatus.RETRYING,
                "error": RunError(code=error.code, message=error.message),
            }
        )

    def end(self) -> StepRecord:
        """Write the result of a step that dealt with all its records."""
        failed = self._record.counts.records_failed
        status = StepStatus.PARTIALLY_SUCCEEDED if failed else StepStatus.SUCCEEDED
        error = self._record.error if failed else None
        now = self._context.clock()
        return self._save({"status": status, "error": error, "ended_at": now})

    def take_over(self, earlier: StepRecord) -> StepRecord:
        """Write as this step's result what it came to in another run."""
        return self._write(
            {
                "status": earlier.status,
                "counts": earlier.counts,
                "output": earlier.output,
                "child_run_id": earlier.child_run_id,
                "delta": earlier.delta,
                "ended_at": self._context.clock(),
            }
        )

    @property
    def child_run_id(self) -> str | None:
        """The run of another flow that the step waits for, if it has begun."""
        return self._record.child_run_id

    def gathered(self) -> tuple[OutputPage, ...]:
        """What was handed on so far, durable."""
        return self._writer.pages()

    def wait_for(self, child_run_id: str, token: str) -> StepRecord:
        """Remember the run whose end is the step's, and how to tell the machine of it."""
        return self._save({"child_run_id": child_run_id, "task_token": token})

    def fail(self, error: StepFailed) -> StepRecord:
        """Write the result of a step that cannot be helped."""
        return self._save(
            {
                "status": StepStatus.FAILED,
                "error": RunError(code=error.code, message=error.message),
                "ended_at": self._context.clock(),
            }
        )

    def _save(self, update: dict[str, object]) -> StepRecord:
        self._errors.write()
        update = {"output": self._writer.pages(), **update}
        if self._checkpoint is not None:
            update["checkpoint"] = self._checkpoints.written(self._checkpoint)
        return self._write(update)

    def _write(self, update: dict[str, object]) -> StepRecord:
        self._record = self._record.model_copy(update=update)
        try:
            if self._row is not None:
                return self._row.save(self._record)
            return self._context.runs.save_step(self._key, self._record)
        except ConflictError as error:
            raise StepFailed("superseded", error.message) from error


def _first(failed: Sequence[Failed]) -> RunError | None:
    if not failed:
        return None
    failure = failed[0].failure
    return RunError(code=failure.code, message=failure.message)
