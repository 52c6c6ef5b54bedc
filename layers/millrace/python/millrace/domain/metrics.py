"""What is counted of a flow's runs, by version and time: kept as runs end, added up when asked."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import ceil, log2
from typing import Final, Literal, Self

from millrace.domain.run import Run, RunStatus

type Grain = Literal["hour", "day"]
"""How finely counters are kept; everything coarser is added up from days."""

_FORMATS: Final[Mapping[Grain, str]] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d"}
_STEPS_PER_DOUBLING: Final = 8
_TOOK: Final = "took"

type Counters = Mapping[str, int]
"""Sums by name: all of them grow by addition, so that runs that end at once can be counted."""


def grain_of(grain: Grain, moment: datetime) -> str:
    """The hour or day of a moment; its text sorts by time."""
    return moment.strftime(_FORMATS[grain])


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of one version in one hour or day."""

    grain: str
    version_id: str
    counters: Counters


class MetricKey(StrEnum):
    """What can be asked of the runs of an interval."""

    RUNS = "runs"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partiallySucceeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    MANUAL = "manual"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    FLOW = "flow"
    CALLBACK = "callback"
    QUEUE = "queue"
    RETRIES = "retries"
    ERRORS = "errors"
    RECORDS_IN = "recordsIn"
    RECORDS_OUT = "recordsOut"
    RECORDS_IGNORED = "recordsIgnored"
    RECORDS_FAILED = "recordsFailed"
    DURATION_TOTAL_MS = "durationTotalMs"
    DURATION_MEAN_MS = "durationMeanMs"
    DURATION_P50_MS = "durationP50Ms"
    DURATION_P95_MS = "durationP95Ms"
    DURATION_MAX_MS = "durationMaxMs"


def counters_of(run: Run) -> Counters:
    """What a run that is over adds to the counters."""
    began = run.started_at or run.created_at
    took = 0 if run.ended_at is None else int((run.ended_at - began).total_seconds() * 1_000)
    counted = {
        MetricKey.RUNS: 1,
        run.status.value: 1,
        run.trigger.source: 1,
        MetricKey.RETRIES: run.attempt - 1,
        MetricKey.ERRORS: int(run.error is not None or run.status is RunStatus.FAILED),
        MetricKey.RECORDS_IN: run.counts.records_in,
        MetricKey.RECORDS_OUT: run.counts.records_out,
        MetricKey.RECORDS_IGNORED: run.counts.records_ignored,
        MetricKey.RECORDS_FAILED: run.counts.records_failed,
        MetricKey.DURATION_TOTAL_MS: took,
        _bucket(took): 1,
    }
    return {str(name): number for name, number in counted.items() if number}


def _bucket(milliseconds: int) -> str:
    """The counter of runs that took about this long.

    A greatest value cannot be kept by addition; how many took about how long can, and tells the
    percentiles too, each rounded up by at most a twelfth.
    """
    place = 0 if milliseconds <= 1 else ceil(log2(milliseconds) * _STEPS_PER_DOUBLING)
    return f"{_TOOK}{place}"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters of any number of versions and hours, added up."""

    counters: Counters

    @classmethod
    def total(cls, counted: Iterable[Counters]) -> Self:
        """All of them together."""
        total: Counter[str] = Counter()
        for each in counted:
            total.update(each)
        return cls(total)

    def value(self, key: MetricKey) -> float:
        """One figure; zero if nothing ran."""
        runs = self.counters.get(MetricKey.RUNS, 0)
        match key:
            case MetricKey.DURATION_MEAN_MS:
                total = self.counters.get(MetricKey.DURATION_TOTAL_MS, 0)
                return round(total / runs, 1) if runs else 0
            case MetricKey.DURATION_P50_MS:
                return self._within(0.5)
            case MetricKey.DURATION_P95_MS:
                return self._within(0.95)
            case MetricKey.DURATION_MAX_MS:
                return self._within(1)
            case _:
                return self.counters.get(key, 0)

    def _within(self, share: float) -> int:
        """The time within which this share of the runs ended."""
        took = {
            int(name.removeprefix(_TOOK)): number
            for name, number in self.counters.items()
            if name.startswith(_TOOK)
        }
        wanted = share * sum(took.values())
        seen = 0
        for place in sorted(took):
            seen += took[place]
            if seen >= wanted:
                return ceil(2 ** (place / _STEPS_PER_DOUBLING))
        return 0
