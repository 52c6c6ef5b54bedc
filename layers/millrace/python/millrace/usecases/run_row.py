"""Several steps of a synchronous flow in one invocation, and with the last ones the run's end.

Each step has its record as if the machine had called the worker for it alone, so a machine that
calls again, after an error or a crash, gets the results that are there and has the rest done.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from pydantic import Field

from millrace.domain.base import Json
from millrace.domain.flow import Version
from millrace.domain.run import Run, RunKey, StepRecord
from millrace.usecases.context import Context
from millrace.usecases.row import Row, TakenError, is_fresh
from millrace.usecases.run_answers import RunAnswer, run_of
from millrace.usecases.run_step import (
    AttemptTask,
    at_work,
    carry_out,
    find_step,
    run_at_work,
    too_late,
)
from millrace.usecases.step_input import last_steps

logger = logging.getLogger(__name__)


class RowTask(AttemptTask):
    """What the machine of a synchronous flow hands to the worker."""

    step_ids: tuple[str, ...]
    ends_run: bool = False
    """Whether these are the flow's last steps, after whose success the run is over."""

    input: dict[str, Json] = Field(default_factory=dict)
    """What the machine was started with, and what its states added."""


def run_row(
    context: Context,
    task: RowTask,
    time_left: Callable[[], timedelta],
    on_run: Callable[[Run], None],
    on_step: Callable[[str], None],
    on_result: Callable[[StepRecord], None],
) -> RunAnswer | None:
    """Run steps one after the other, telling of each when it begins and ends; the run if it ended.

    Raises as `run_step` does, and then runs none of the steps after that one.
    """

    def try_(*, may_wait: bool) -> RunAnswer | None:
        row, version = _read(context, task, on_run, may_wait=may_wait)
        for step in (find_step(version, id_) for id_ in task.step_ids):
            if not row.is_fresh():
                row.write()
                row.read_at = context.clock()
                run_at_work(context, task, on_run)
            on_step(step.id)
            record = carry_out(context, row.run, version, step, too_late(time_left), row=row)
            if not step.is_skipped:
                row.results[step.id] = record
            on_result(record)
        if task.ends_run:
            return _end(context, row, version)
        row.write()
        return None

    try:
        return try_(may_wait=True)
    except TakenError:
        # Another invocation for the same steps is at work, or was. From here on what is on record
        # counts, and nothing waits.
        logger.warning("%s: others wrote of its steps; they are read again", task.run_id)
        return try_(may_wait=False)


def _read(
    context: Context, task: RowTask, on_run: Callable[[Run], None], *, may_wait: bool
) -> tuple[Row, Version]:
    """The row with the run and all its steps in one read. Raises StepFailed as `run_step` does.

    What was stored a moment ago and handed on needs no read: if anything came since, the store
    does not take what the row writes.
    """
    there: tuple[StepRecord, ...] = ()
    handed = run_of(task.input, RunKey(task.workspace_id, task.run_id)) if may_wait else None
    if handed is not None and is_fresh(handed.created_at, context.clock()):
        run, version = at_work(context, task, on_run, lambda _: handed)
        steps = [find_step(version, id_) for id_ in task.step_ids]
        return Row.of(context, run, steps, there, read_at=handed.created_at), version

    def read(key: RunKey) -> Run:
        nonlocal there
        run, there = context.runs.detail(key)
        return run

    run, version = at_work(context, task, on_run, read)
    steps = [find_step(version, id_) for id_ in task.step_ids]
    return Row.of(context, run, steps, there, may_wait=may_wait), version


def _end(context: Context, row: Row, version: Version) -> RunAnswer | None:
    """End a run that succeeded, but for what follows, which takes more than the worker may do.

    What goes wrong is no fault of the steps: the lifecycle function, told next, ends the run then.
    """
    from millrace.usecases.lifecycle import finish_run  # noqa: PLC0415 - large; few machines ask

    is_all = all(step.id in row.results for step in version.steps if not step.is_skipped)
    records = [*row.results.values()] if is_all else None
    if not is_all:
        row.write()
    try:
        run = finish_run(context, row.run, follows=False, records=records, fresh=row.waiting)
    except Exception:  # whatever it is, the results of the steps are not lost for it
        logger.exception("%s could not be ended by the worker", row.run.id)
        row.write()
        return None
    last = (row.results.get(id_) for id_ in last_steps(version))
    return RunAnswer(run=run, steps=tuple(record for record in last if record is not None))
