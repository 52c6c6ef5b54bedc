"""The steps of a test: which are reached, and what each of them does."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from typing import Final

from millrace import limits
from millrace.compiler.graph import topological_order
from millrace.domain.base import Record, rfc3339
from millrace.domain.errors import (
    StepError,
    StepFailed,
    StepPartialSuccess,
    StepThrottled,
    StepTransient,
)
from millrace.domain.flow import Version
from millrace.domain.run import Counts, Run, StepRecord
from millrace.domain.step import Step
from millrace.domain.trial import (
    ShownRecords,
    ShownRequests,
    ShownTroubles,
    StepTrial,
    StepTrialError,
    StepTrialStatus,
    TrialStatus,
)
from millrace.usecases.context import Context
from millrace.usecases.pages import read_records
from millrace.usecases.run_step import carry_out
from millrace.usecases.step_input import input_records
from millrace.usecases.step_progress import CONTINUES
from millrace.usecases.trial_connectors import Deadline, Rehearsal
from millrace.usecases.trial_shown import Display

_LISTS_OF_A_STEP: Final = 4
_TIME_OVER: Final = f"the test's {limits.TEST_SECONDS} s were over"


@dataclass(slots=True)
class StepTrials:
    """The steps of a version, carried out for a run that only the context's own stores know."""

    context: Context
    run: Run
    version: Version
    deadline: Deadline
    _hidden: set[str] = field(default_factory=set)
    _halted: dict[str, str] = field(default_factory=dict)
    """Steps after which the flow does not go on, each with the step that is the reason."""

    def carry_out(self, scope: Collection[str]) -> Iterator[StepTrial]:
        """Each of these steps, in the order of the graph.

        Where a step stops the flow, what depends on it is not reached; other branches, which a
        run may have under way at that time, are carried out.
        """
        by_id = {step.id: step for step in self.version.steps}
        share = limits.TEST_RESULT_BYTES // (_LISTS_OF_A_STEP * max(1, len(scope)))
        for id_ in topological_order({id_: by_id[id_].depends_on for id_ in scope}):
            step = by_id[id_]
            reason = next(
                (self._halted[other] for other in step.depends_on if other in self._halted), None
            )
            if reason is not None:
                self._halted[id_] = reason
            if step.is_skipped:
                yield StepTrial(step_id=id_, status=StepTrialStatus.SKIPPED)
            elif reason is not None:
                yield _not_reached(id_, "stopped", f"step {reason!r} stopped the flow")
            elif self.deadline.is_over:
                yield _not_reached(id_, "timeOver", f"{_TIME_OVER} before")
            else:
                yield self._try(step, share)

    def status(self, steps: Iterable[StepTrial]) -> TrialStatus:
        """What the steps that were carried out mean for the whole."""
        found = {step.status for step in steps}
        if self._halted:
            return TrialStatus.FAILED
        if found & {StepTrialStatus.INTERRUPTED, StepTrialStatus.NOT_REACHED}:
            return TrialStatus.INCOMPLETE
        if found & {StepTrialStatus.FAILED, StepTrialStatus.PARTIALLY_SUCCEEDED}:
            return TrialStatus.PARTIALLY_SUCCEEDED
        return TrialStatus.SUCCEEDED

    def _try(self, step: Step, share: int) -> StepTrial:
        rehearsal = Rehearsal(self.context.connectors, step, self.deadline, self._hidden)
        started = self.context.clock()
        error = self._carry_out(step, rehearsal)
        took = self.context.clock() - started
        if error is not None and error.code != CONTINUES:
            is_partial = isinstance(error, StepPartialSuccess)
            if step.strategy("partial_success" if is_partial else "failure") == "stop":
                self._halted[step.id] = step.id
        record = self.context.runs.step(self.run.key, self.run.attempt, step.id)
        display = Display(self._hidden, share)
        return StepTrial(
            step_id=step.id,
            status=_status(record, error),
            started_at=started,
            duration_ms=milliseconds(took),
            counts=Counts() if record is None else record.counts,
            has_more=rehearsal.has_more,
            error=_told(record, error, display),
            input=self._input(step, display),
            output=self._output(record, display),
            errors=display.shown(ShownTroubles, rehearsal.troubles, rehearsal.troubles_count),
            requests=_requests(rehearsal, display),
        )

    def _carry_out(self, step: Step, rehearsal: Rehearsal) -> StepError | None:
        """What the worker makes of the step; None if the flow may go on."""
        if step.type == "Flow":
            return StepFailed("flowStep", "a test runs no other flow; test that one by itself")
        context = replace(self.context, connectors=rehearsal)
        one_by_one = step.model_copy(update={"concurrency": None})
        try:
            carry_out(context, self.run, self.version, one_by_one, lambda: self.deadline.is_over)
        except StepError as error:
            return error
        return None

    def _input(self, step: Step, display: Display) -> ShownRecords:
        if step.type == "Export":
            return ShownRecords()
        first: list[Record] = []
        count = 0
        for records in input_records(self.context, self.run, self.version, step):
            first += records[: limits.TEST_ITEMS_SHOWN - len(first)]
            count += len(records)
        return display.shown(ShownRecords, first, count)

    def _output(self, record: StepRecord | None, display: Display) -> ShownRecords:
        if record is None:
            return ShownRecords()
        records = chain.from_iterable(read_records(self.context.blobs, record.output))
        return display.shown(ShownRecords, records, record.counts.records_out)


def milliseconds(duration: timedelta) -> int:
    """A duration as results show it."""
    return round(duration.total_seconds() * 1_000)


def _not_reached(step_id: str, code: str, message: str) -> StepTrial:
    error = StepTrialError(code=code, message=message)
    return StepTrial(step_id=step_id, status=StepTrialStatus.NOT_REACHED, error=error)


def _status(record: StepRecord | None, error: StepError | None) -> StepTrialStatus:
    if error is not None and error.code == CONTINUES:
        return StepTrialStatus.INTERRUPTED
    if record is None or (error is not None and not isinstance(error, StepPartialSuccess)):
        return StepTrialStatus.FAILED
    return StepTrialStatus(record.status)


def _told(
    record: StepRecord | None, error: StepError | None, display: Display
) -> StepTrialError | None:
    if error is None:
        if record is None or record.error is None:
            return None
        told = record.error
        return StepTrialError(code=told.code, message=display.text(told.message))
    if error.code == CONTINUES:
        return StepTrialError(code="timeOver", message=f"{_TIME_OVER} before the step had ended")
    message = error.message
    if isinstance(error, StepThrottled):
        message = f"{message}; a run would come back at {rfc3339(error.until)}"
    is_transient = isinstance(error, StepTransient | StepThrottled)
    return StepTrialError(code=error.code, message=display.text(message), transient=is_transient)


def _requests(rehearsal: Rehearsal, display: Display) -> ShownRequests:
    requests = (
        # Cut only when no secret is in it any more, of which a part would be left.
        request.model_copy(update={"body": display.text(request.body)[: limits.TEST_BODY_LENGTH]})
        for request in rehearsal.requests
    )
    return display.shown(ShownRequests, requests, rehearsal.requests_count)
