"""Steps that read: exports from their last checkpoint on, and lookups for what comes in."""

from collections.abc import Sequence

from millrace.domain.action import ExportAction
from millrace.domain.base import Json, Record
from millrace.domain.delta import DeltaWindow
from millrace.domain.flow_parts import ResponseMapping
from millrace.domain.ports import Exporter
from millrace.domain.records import RecordError, RecordFailure
from millrace.domain.response_mapping import merged
from millrace.domain.run_values import NO_VALUES, is_lookup
from millrace.usecases.ahead import one_ahead
from millrace.usecases.delta_windows import window_of
from millrace.usecases.import_answers import errors
from millrace.usecases.lookups import Ask, Lookup
from millrace.usecases.payloads import load_payload
from millrace.usecases.run_values import DeltaValues, values_of_action
from millrace.usecases.step_errors import Failed
from millrace.usecases.step_input import Item, end_of, records_of
from millrace.usecases.step_job import Job, taken_of

type _Found = list[list[Record] | RecordError]
"""For each record that was asked for."""


def export(job: Job, work: ExportAction) -> None:
    """Read what an export gives, or look up what comes in. Raises as `run_step` does."""
    if work.http is not None and is_lookup(work.http):
        _look_up(job, work)
        return
    if job.run.replay is not None and job.run.replay.step_id == job.step.id:
        _hand_on(job)
        return
    window = _window(job, work)
    if window is not None and window.is_empty:
        return
    exporter = _exporter(job, work, window)
    checkpoint = job.progress.checkpoint
    if checkpoint is not None and checkpoint["cursor"] is None:
        return
    for page in one_ahead(exporter.pages(None if checkpoint is None else checkpoint["cursor"])):
        job.progress.advance(
            {"cursor": page.next_cursor},
            taken=len(page.records) + len(page.failures),
            records=page.records,
            failed=job.failed_from(job.progress.taken, page.failures, "export"),
        )


def _exporter(job: Job, work: ExportAction, window: DeltaWindow | None) -> Exporter:
    delta: DeltaValues = job.delta_before if window is None else lambda: window.values
    if work.http is not None:
        return _asking(job, work, delta)()
    values = NO_VALUES
    if work.s3 is not None:
        values = values_of_action(job.context, job.run, work.s3, delta)
    connectors = job.context.connectors
    return connectors.reader(work, lambda: load_payload(job.context, job.run), window, values)


def _asking(job: Job, work: ExportAction, delta: DeltaValues) -> Ask:
    """Makes exporters over HTTP, each for values of its own."""
    if work.connection_id is None:
        raise AssertionError  # http has one
    connection, secrets = job.connection(work.connection_id)
    values = values_of_action(job.context, job.run, work.request, delta)

    def ask(**asked: Json) -> Exporter:
        connectors = job.context.connectors
        return connectors.exporter(work, connection, secrets, values.beside(**asked))

    return ask


def _window(job: Job, work: ExportAction) -> DeltaWindow | None:
    """What an export of changes reads, remembered before it asks for anything."""
    if work.delta is None or job.progress.delta is not None:
        return job.progress.delta
    window = window_of(job.context, job.run, job.version, job.step, work, job.progress.began_at)
    job.progress.begin_delta(window)
    return window


def _look_up(job: Job, work: ExportAction) -> None:
    """One export for each record or batch of them, which go on with what was found."""
    ask = _asking(job, work, job.delta_before)
    lookup = Lookup(ask, job.context.connectors.lookup_key, work.request.lookup)

    def find(items: Sequence[Item]) -> _Found | None:
        try:
            return lookup.find(records_of(taken_of(items)))
        except RecordError:
            return None

    def remember(items: Sequence[Item], found: _Found | None, behind: int) -> None:
        if found is not None:
            _remember(job, items, found, behind)
            return
        # What cannot be had together is asked for each half by itself.
        taken = taken_of(items)
        middle = items.index(taken[len(taken) // 2])
        for half in (items[:middle], items[middle:]):
            remember(half, find(half), behind)

    with job.answers(job.batches(lookup.size), find) as answers:
        for items, found, behind in answers:
            remember(items, found, behind)


def _remember(job: Job, items: Sequence[Item], found: _Found, behind: int) -> None:
    """Let records go on with what was found for them."""
    mapping = job.step.response_mapping or ResponseMapping()
    failed: list[Failed] = []
    answered_ones: dict[int, Record] = {}
    for item, each in zip(taken_of(items), found, strict=True):
        answer: Record = {"data": each, "errors": []}
        if isinstance(each, RecordError):
            failure = RecordFailure.of(0, each)
            failed.append(Failed.of(job.run, item, failure, "export"))
            answer = {"errors": errors(failure)}
        answered_ones[item.position] = merged(item.record, mapping, answer)
    job.dealt_with(items, failed, answered_ones, behind=behind)


def _hand_on(job: Job) -> None:
    """Records that an export could not read, as somebody wrote them since."""
    for items in job.pages(job.progress.checkpoint or 0):
        job.progress.advance(
            end_of(items),
            taken=len(items),
            records=records_of(items),
            succeeded=items,
        )
