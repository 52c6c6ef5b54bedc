"""How the runs of a flow went, by version and interval, from the counters that runs leave."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from millrace import limits
from millrace.domain.errors import InvalidRequestError, Violation
from millrace.domain.metrics import Counters, Grain, MetricKey, Metrics, grain_of
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.flows import get_flow

type Unit = Literal["hour", "day", "week", "month"]

_USUAL: Final[dict[Unit, timedelta]] = {
    "hour": timedelta(days=1),
    "day": timedelta(days=30),
    "week": timedelta(weeks=12),
    "month": timedelta(days=365),
}
_ALL: Final = ",".join(MetricKey)


@dataclass(frozen=True, slots=True)
class Question:
    """Which metrics of a flow are wanted; what is absent is as usual."""

    unit: Unit = "day"
    start: datetime | None = None
    end: datetime | None = None
    keys: str | None = None
    workspaces: str | None = None
    with_versions: bool = True


@dataclass(frozen=True, slots=True)
class Interval:
    """What ran in one interval: all versions together, and each that ran."""

    start: datetime
    end: datetime
    total: Metrics
    versions: dict[str, Metrics]


@dataclass(frozen=True, slots=True)
class Answer:
    """The intervals, without a gap, and the metrics to show of each."""

    intervals: tuple[Interval, ...]
    keys: tuple[MetricKey, ...]


def version_metrics(context: Context, caller: Caller, flow_id: str, asked: Question) -> Answer:
    """The metrics of a flow's runs. Runs count when they end.

    Intervals are whole (UTC; weeks begin on Monday), so the first may begin before `start` and the
    last may end after `end`. Raises InvalidRequestError with all that is wrong.
    """
    end = asked.end or context.clock()
    start = asked.start or end - _USUAL[asked.unit]
    faults = [*_faults(caller, asked, start, end)]
    if faults:
        raise InvalidRequestError("a parameter is not what it should be; see errors", faults)
    flow = get_flow(context, caller, flow_id)
    edges = [*_edges(asked.unit, start, end)]
    grain: Grain = "hour" if asked.unit == "hour" else "day"
    begins = {grain_of(grain, edge): edge for edge in edges[:-1]}
    ran: defaultdict[datetime, defaultdict[str, list[Counters]]]
    ran = defaultdict(lambda: defaultdict(list))
    rows = 0
    for counted in context.runs.counted(flow.workspace_id, flow.id, grain, edges[0], edges[-1]):
        begin = begins.get(counted.grain) or _begin(
            asked.unit, datetime.fromisoformat(f"{counted.grain}T00:00:00Z")
        )
        rows += counted.version_id not in ran[begin]
        ran[begin][counted.version_id].append(counted.counters)
    if asked.with_versions and rows > limits.METRIC_ROWS:
        fault = Violation(
            "tooManyRows",
            "modelType",
            f"{rows:,} versions and intervals have runs; {limits.METRIC_ROWS:,} is the limit.",
            "Ask for a shorter interval, a larger unit, or modelType=flow.",
        )
        raise InvalidRequestError("the answer would be too large; see errors", [fault])
    intervals = (
        Interval(
            begin,
            until,
            Metrics.total(each for counters in ran[begin].values() for each in counters),
            {id_: Metrics.total(ran[begin][id_]) for id_ in sorted(ran[begin])}
            if asked.with_versions
            else {},
        )
        for begin, until in pairwise(edges)
    )
    return Answer(tuple(intervals), tuple(MetricKey(key) for key in _listed(asked.keys or _ALL)))


def _faults(caller: Caller, asked: Question, start: datetime, end: datetime) -> Iterator[Violation]:
    if start >= end:
        yield Violation(
            "emptyInterval",
            "intervalStart",
            "The interval ends before it begins.",
            "Give an intervalEnd after intervalStart.",
        )
    elif _count(asked.unit, start, end) > limits.METRIC_INTERVALS:
        yield Violation(
            "tooManyIntervals",
            "intervalUnit",
            f"That is more than {limits.METRIC_INTERVALS:,} intervals of a {asked.unit}.",
            "Ask for a shorter interval or a larger unit.",
        )
    for key in _listed(asked.keys or ""):
        if key not in {*MetricKey}:
            yield Violation(
                "unknownKey", "keys", f"There is no metric {key!r}.", f"There are: {_ALL}."
            )
    for workspace in _listed(asked.workspaces or ""):
        if workspace != caller.workspace_id:
            yield Violation(
                "unknownWorkspace",
                "managedCompanies",
                f"There is no workspace {workspace!r} that this token may see.",
                "Leave it out: the token's own is the only one.",
            )


def _listed(text: str) -> tuple[str, ...]:
    """The items of a comma list, each once."""
    return tuple(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))


def _count(unit: Unit, start: datetime, end: datetime) -> int:
    """The least number of intervals of a unit in a time."""
    hours = {"hour": 1, "day": 24, "week": 168, "month": 744}[unit]
    return -int(-(end - start).total_seconds() // (hours * 3_600))


def _begin(unit: Unit, moment: datetime) -> datetime:
    """When the interval around a moment begins."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    match unit:
        case "hour":
            return hour
        case "day":
            return hour.replace(hour=0)
        case "week":
            return hour.replace(hour=0) - timedelta(days=hour.weekday())
        case "month":
            return hour.replace(hour=0, day=1)


def _edges(unit: Unit, start: datetime, end: datetime) -> Iterator[datetime]:
    """Where the intervals that hold the time from start to end begin, and where the last ends."""
    longest = {"hour": 1, "day": 24, "week": 168, "month": 31 * 24}[unit]
    edge = _begin(unit, start)
    while edge < end:
        yield edge
        edge = _begin(unit, edge + timedelta(hours=longest))
    yield edge
