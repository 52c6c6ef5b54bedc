"""The worker: runs one step of a run, resuming where an earlier try left off.

    claim -> (read input -> act -> remember)* -> result

A result that is there already is answered without doing anything, so a delivery that the state
machine repeats is harmless. Outbound requests carry a key made of run, step, position and body,
so a receiver that honours it sees no request twice even when a try dies between sending and
remembering.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain, groupby
from typing import Final

from millrace.domain.action import Action, ActionWork, ExportAction, ImportAction, ProcessAction
from millrace.domain.aws_imports import S3Import
from millrace.domain.base import Json, Model, Record
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    StepError,
    StepFailed,
)
from millrace.domain.flow import Version
from millrace.domain.imports import HttpImport
from millrace.domain.ports import Process
from millrace.domain.records import Origin, Written, idempotency_key
from millrace.domain.run import Run, RunKey, StepRecord, StepStatus
from millrace.domain.run_states import check_attempt
from millrace.domain.step import Step
from millrace.usecases.call_ends import error_for_machine
from millrace.usecases.context import Context
from millrace.usecases.finders import lookup, work_of
from millrace.usecases.import_answers import answered
from millrace.usecases.pinned import run_version
from millrace.usecases.row import Row
from millrace.usecases.run_values import values_of_action
from millrace.usecases.step_errors import Failed
from millrace.usecases.step_export import export
from millrace.usecases.step_input import AllTaken, Item, Origins, Verdict, records_of
from millrace.usecases.step_job import Job, in_parts, taken_of
from millrace.usecases.step_progress import Progress
from millrace.usecases.surroundings import surroundings_of

_STOP_BEFORE_DEADLINE: Final = timedelta(seconds=60)


class AttemptTask(Model):
    """What the state machine hands to the worker in any case."""

    workspace_id: str
    run_id: str
    attempt: int


class StepTask(AttemptTask):
    """What it hands to the worker for a step."""

    step_id: str
    task_token: str | None = None
    """By which the machine is told, if it does not go on when the worker returns."""


def run_step(
    context: Context,
    task: StepTask,
    time_left: Callable[[], timedelta],
    on_run: Callable[[Run], None] = lambda _: None,
) -> StepRecord:
    """Run a step to its result; `on_run` is told which run it is of.

    Raises StepFailed, StepTransient, StepThrottled or StepPartialSuccess, by which the machine
    decides; each is remembered with the step before it is raised.
    """
    run, version = run_at_work(context, task, on_run)
    step = find_step(version, task.step_id)
    token = task.task_token
    record = carry_out(context, run, version, step, too_late(time_left), token)
    if token is not None and (record.status.has_output or record.status is StepStatus.SKIPPED):
        context.machines.end_task(token)
    return record


def run_at_work(
    context: Context, task: AttemptTask, on_run: Callable[[Run], None]
) -> tuple[Run, Version]:
    """The run as it is now, and its version. Raises StepFailed if it is not on that attempt."""
    return at_work(context, task, on_run, context.runs.get)


def at_work(
    context: Context,
    task: AttemptTask,
    on_run: Callable[[Run], None],
    read: Callable[[RunKey], Run],
) -> tuple[Run, Version]:
    """The same for a run that is read in another way."""
    try:
        run = read(RunKey(task.workspace_id, task.run_id))
        on_run(run)
        check_attempt(run, task.attempt)
        return run, run_version(context, run)
    except (ConflictError, NotFoundError) as error:
        raise StepFailed("runOver", error.message) from error


def too_late(time_left: Callable[[], timedelta]) -> Callable[[], bool]:
    """Whether the invocation is about to end."""
    return lambda: time_left() < _STOP_BEFORE_DEADLINE


def carry_out(
    context: Context,
    run: Run,
    version: Version,
    step: Step,
    must_stop: Callable[[], bool],
    task_token: str | None = None,
    row: Row | None = None,
) -> StepRecord:
    """Run a step of a version in a run's present attempt; between two pages it may have to stop.

    A step of type Flow is not over when it waits for the other run. `row` is what is known of the
    steps before it in the same invocation.
    Raises as `run_step` does; StepThrottled when it had to stop.
    """
    if step.is_skipped:
        return _not_run(context, run, step)
    if row is None:
        record = context.runs.claim_step(run, step.id, context.clock())
    else:
        record = row.begin(step)
    if not record.status.is_terminal:
        progress = Progress(context, run, step, record, must_stop, row)
        earlier = _earlier(context, run, step)
        record = (
            progress.take_over(earlier)
            if earlier
            else _try(Job(context, run, version, step, progress, row), task_token)
        )
    _raise_for(record, step)
    return record


def _earlier(context: Context, run: Run, step: Step) -> StepRecord | None:
    """The result that the run takes over from the run that it goes on from, if it does."""
    if run.retry_of is None or step.id not in run.carried_over:
        return None
    first = context.runs.get(RunKey(run.workspace_id, run.retry_of))
    return context.runs.step(first.key, first.attempt, step.id)


def _not_run(context: Context, run: Run, step: Step) -> StepRecord:
    """The answer for a step that the run leaves out; nothing is recorded of it."""
    now = context.clock()
    return StepRecord(
        step_id=step.id,
        attempt=run.attempt,
        status=StepStatus.SKIPPED,
        started_at=now,
        ended_at=now,
    )


def find_step(version: Version, step_id: str) -> Step:
    """The step of that id. Raises StepFailed."""
    for step in version.steps:
        if step.id == step_id:
            return step
    raise StepFailed("unknownStep", f"version {version.number} has no step {step_id!r}")


def _try(job: Job, task_token: str | None) -> StepRecord:
    try:
        if job.step.type == "Flow":
            return _call(job, task_token)
        _perform(job)
        return job.progress.end()
    except StepFailed as error:
        return job.progress.fail(error)
    except StepError as error:
        job.progress.interrupt(error)
        raise
    finally:
        job.context.connectors.let_go()


def _raise_for(record: StepRecord, step: Step) -> None:
    """Raise where the machine, not the worker, decides what a result means for the flow."""
    error = error_for_machine(record, step)
    if error is not None:
        raise error


def _perform(job: Job) -> None:
    match _work(job):
        case ExportAction() as work:
            export(job, work)
        case ProcessAction() as work:
            _process(job, work)
        case ImportAction() as work:
            _import(job, work)


def _call(job: Job, task_token: str | None) -> StepRecord:
    """Gather what another flow is to be given, and have it run; what passes by goes on after."""
    from millrace.usecases.calls import call  # noqa: PLC0415 - starts runs, which few steps do

    if task_token is None:
        message = "a synchronous flow cannot wait for another one; deploy it asynchronous"
        raise StepFailed("subflowOfSynchronousFlow", message)
    position: int = job.progress.checkpoint or 0
    for page in job.pages(position):
        failed = job.unjudged(page)
        passed = [] if isinstance(page, AllTaken) else _with_verdict(page, Verdict.PASS)
        taken = page if isinstance(page, AllTaken) else _with_verdict(page, Verdict.TAKE)
        position += len(page)
        job.progress.advance(
            position,
            taken=len(page),
            records=records_of(taken),
            there=page.page if isinstance(page, AllTaken) else None,
            ignored=len(page) - len(taken) - len(passed) - len(failed),
            failed=failed,
            succeeded=[item for item in page if item.failure is None],
            kept=[*records_of(passed), *_proceeding(job.step, failed)],
        )
    return call(job.context, job.run, job.version, job.step, job.progress, task_token)


def _with_verdict(items: Iterable[Item], verdict: Verdict) -> list[Item]:
    return [item for item in items if item.verdict is verdict]


def _work(job: Job) -> ActionWork:
    work = work_of(job.step, lookup(job.context, Action, job.run.workspace_id))
    if work is None:
        raise StepFailed("actionMissing", f"the action of step {job.step.id!r} is gone")
    return work


def _process(job: Job, work: ProcessAction) -> None:
    surroundings = surroundings_of(job.context, job.run, job.step, work, job.delta_before)
    process = job.context.connectors.process(work, surroundings)
    position, done = 0, None
    if (checkpoint := job.progress.checkpoint) is not None:
        position, done = checkpoint["position"], checkpoint["done"]
        process.restore(checkpoint["state"], job.progress.kept())
    if done is None:
        position = _feed(job, process, position)
    before = done or 0
    for number, rest in enumerate(process.finish(before), start=before + 1):
        job.progress.advance(
            {"position": position, "state": process.state(), "done": number},
            taken=0,
            records=rest.batch.records,
            ignored=rest.batch.ignored,
            failed=[
                Failed(failure, "process", rest.origins[failure.index])
                for failure in rest.batch.failures
            ],
            kept=rest.batch.kept,
        )


def _feed(job: Job, process: Process, position: int) -> int:
    """Give a process all its input from a position on; how many records that are in all."""
    for page in in_parts(job.pages(position), process.batch_size):
        going_on: list[Sequence[Record]] = []
        failed: list[Failed] = []
        succeeded: list[Sequence[Item]] = []
        kept: list[Json] = []
        ignored = 0
        for verdict, items in _by_verdict(page):
            match verdict:
                case Verdict.TAKE:
                    batch = process.feed(records_of(items), Origins(items, job.run))
                    going_on.append(batch.records)
                    kept += batch.kept
                    ignored += batch.ignored
                    bad, good = job.sorted_out(items, batch.failures, "process")
                    failed += bad
                    succeeded.append(good)
                case Verdict.PASS:
                    going_on.append(records_of(items))
                    succeeded.append(items)
                case Verdict.DROP:
                    ignored += len(items)
                    succeeded.append(items)
                case Verdict.FAIL:
                    failed += job.unjudged(items)
        position += len(page)
        if proceeding := _proceeding(job.step, failed):
            going_on.append(proceeding)
        job.progress.advance(
            {"position": position, "state": process.state(), "done": None},
            taken=len(page),
            # One list alone is handed on itself: it may stand beside its JSON.
            records=going_on[0] if len(going_on) == 1 else [*chain.from_iterable(going_on)],
            ignored=ignored,
            failed=failed,
            succeeded=chain.from_iterable(succeeded),
            kept=kept,
        )
    return position


def _by_verdict(page: Sequence[Item]) -> Iterator[tuple[Verdict, Sequence[Item]]]:
    """Items that follow each other and are judged alike."""
    if isinstance(page, AllTaken):
        yield Verdict.TAKE, page
        return
    for verdict, group in groupby(page, key=lambda item: item.verdict):
        yield verdict, list(group)


def _proceeding(step: Step, failed: Iterable[Failed]) -> list[Record]:
    """Records that go on although they failed."""
    if not step.proceed_on_failure:
        return []
    return [each.item.record for each in failed if each.item is not None]


def _import(job: Job, work: ImportAction) -> None:
    connection, secrets = None, dict[str, str]()
    if work.connection_id is not None:
        connection, secrets = job.connection(work.connection_id)

    def key(origin: Origin, body: bytes) -> str:
        return idempotency_key(origin, job.step.id, body)

    values = values_of_action(job.context, job.run, work.target, job.delta_before)
    importer = job.context.connectors.importer(work, connection, secrets, values, key)

    def write(items: Sequence[Item]) -> Written:
        taken = taken_of(items)
        return importer.write(records_of(taken), Origins(taken, job.run)) if taken else Written()

    # Of items with the same key the last one stays, and queues keep the order of messages.
    in_any_order = isinstance(work.target, HttpImport | S3Import)
    requests = job.batches(importer.batch_size)
    with job.answers(requests, write, one_by_one=not in_any_order) as answers:
        for items, told, behind in answers:
            taken = taken_of(items)
            failed, _ = job.sorted_out(taken, told.failures, "import")
            told_of = answered(job.step.response_mapping, records_of(taken), told)
            job.dealt_with(
                items,
                failed,
                {taken[index].position: record for index, record in told_of.items()},
                ignored=len(told.ignored),
                durable=importer.batch_size > 1,
                behind=behind,
            )
