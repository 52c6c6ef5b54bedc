"""Requests that name themselves: a run whose retry is outdated makes way for a newer one."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from millrace.domain.run import Run, RunStatus


def disagreements(runs: Sequence[Run]) -> Iterator[str]:
    """What is wrong with who made way for whom, of all runs of a flow."""
    by_id = {run.id: run for run in runs}
    for run in runs:
        newer = by_id.get(run.superseded_by or "")
        if (run.status is RunStatus.SUPERSEDED) != (newer is not None):
            yield f"run {run.id} is {run.status}, superseded by {run.superseded_by}"
        if newer is not None and not _follows(newer, run):
            yield f"run {run.id} made way for {newer.id}, which is no newer one for its request"
        if newer is not None and run.id not in newer.supersedes:
            yield f"run {newer.id} does not name {run.id}, which made way for it"
        for other in run.supersedes:
            if by_id[other].superseded_by != run.id:
                yield f"run {run.id} names {other}, which made way for {by_id[other].superseded_by}"


def _follows(newer: Run, older: Run) -> bool:
    is_same = newer.unique_request_id == older.unique_request_id is not None
    return is_same and _made(newer) > _made(older)


def _made(run: Run) -> tuple[datetime, str]:
    return run.created_at, run.id
