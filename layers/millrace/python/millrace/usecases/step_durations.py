"""How long the steps of a flow take, from its runs: what the compiler plans with."""

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import Final

from millrace.domain.flow import Flow
from millrace.domain.run import RunStatus, StepStatus
from millrace.usecases.context import Context

RUNS: Final = 10
"""Successful runs to learn from; some dozens more would cost a deploy more than they tell it."""

_LOOK_BACK: Final = 50
_FINISHED: Final = frozenset({RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED})


def past_durations(context: Context, flow: Flow) -> Mapping[str, float]:
    """Mean seconds by step id over the last successful runs; a step that never succeeded is absent.

    Step ids are stable across versions, so a new version learns from the runs of the old ones.
    """
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    recent = context.runs.page(flow.workspace_id, flow.id, limit=_LOOK_BACK).items
    for run in [run for run in recent if run.status in _FINISHED and run.replay is None][:RUNS]:
        for record in context.runs.steps(run.key, run.attempt):
            if record.status is StepStatus.SUCCEEDED and record.ended_at is not None:
                spent = (record.ended_at - record.started_at).total_seconds()
                seconds[record.step_id].append(spent)
    return {step_id: fmean(spent) for step_id, spent in seconds.items()}
