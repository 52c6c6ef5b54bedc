"""Several steps of a synchronous flow in one invocation, and with the last ones the run's end.

Each step has its record as if the machine had called the worker for it alone, so a machine that
calls again, after an error or a crash, gets the results that are there and has the rest done.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

from millrace.domain.flow import Step, Version
from millrace.domain.run import Run, StepRecord
from millrace.usecases.context import Context
from millrace.usecases.row import Row
from millrace.usecases.run_step import AttemptTask, carry_out, find_step, run_at_work, too_late

logger = logging.getLogger(__name__)


class RowTask(AttemptTask):
    """What the machine of a synchronous flow hands to the worker."""

    step_ids: tuple[str, ...]
    ends_run: bool = False
    """Whether these are the flow's last steps, after whose success the run is over."""


def run_row(
    context: Context,
    task: RowTask,
    time_left: Callable[[], timedelta],
    on_run: Callable[[Run], None],
    on_step: Callable[[str], None],
    on_result: Callable[[StepRecord], None],
) -> Run | None:
    """Run steps one after the other, and tell of each when it begins and ends; the run if it ended.

    Raises as `run_step` does, and then runs none of the steps after that one.
    """
    row = Row(context.clock())
    run, version = run_at_work(context, task, on_run)
    for step, following in _with_next(version, task.step_ids):
        if not row.is_fresh(context.clock()):
            row.read_at = context.clock()
            run, version = run_at_work(context, task, on_run)
        on_step(step.id)
        row.next_id = following
        record = carry_out(context, run, version, step, too_late(time_left), row=row)
        if not step.is_skipped:
            row.results[step.id] = record
        on_result(record)
    return _end(context, run, version, row) if task.ends_run else None


def _with_next(version: Version, ids: tuple[str, ...]) -> Iterator[tuple[Step, str | None]]:
    """Each step, and the next one that the run does not leave out."""
    steps = [find_step(version, id_) for id_ in ids]
    for place, step in enumerate(steps, start=1):
        yield step, next((after.id for after in steps[place:] if not after.is_skipped), None)


def _end(context: Context, run: Run, version: Version, row: Row) -> Run | None:
    """End a run that succeeded, but for what follows, which takes more than the worker may do.

    What goes wrong is no fault of the steps: the lifecycle function, told next, ends the run then.
    """
    from millrace.usecases.lifecycle import finish_run  # noqa: PLC0415 - large; few machines ask

    is_all = all(step.id in row.results for step in version.steps if not step.is_skipped)
    records = [*row.results.values()] if is_all else None
    try:
        return finish_run(context, run, follows=False, records=records)
    except Exception:
        # The steps are done: were it raised, the machine would try them again for nothing.
        logger.exception("%s could not be ended by the worker", run.id)
        return None
