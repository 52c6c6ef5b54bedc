"""Draws a run as bars over time, one a step, so that a glance shows where the time went.

Every status has a sign of its own besides its colour, so the picture reads the same on paper, in a
log file and for the colour-blind. Times are taken from the run's own record, never from the clock,
except that something still running has no end yet: its bar reaches to the latest known moment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

type JsonObject = dict[str, Any]

_SIGNS: Mapping[str, tuple[str, str]] = {
    "queued": ("○", "bright_black"),
    "running": ("▸", "cyan"),
    "retrying": ("↻", "yellow"),
    "succeeded": ("✓", "green"),
    "partiallySucceeded": ("!", "yellow"),
    "failed": ("✗", "red"),
    "cancelled": ("-", "bright_black"),
    "superseded": ("-", "bright_black"),
    "skipped": ("-", "bright_black"),
    "notReached": ("○", "bright_black"),
    "interrupted": ("▸", "yellow"),
    "incomplete": ("▸", "yellow"),
}
_UNKNOWN = ("?", "")
COUNTS = ("recordsIn", "recordsOut", "recordsIgnored", "recordsFailed")
COUNT_TITLES = ("in", "out", "ignored", "failed")
_BAR_MINIMUM = 12
_TICK_EVERY = 9
"""Characters between two marks of the time axis, at least."""
_WIDTH_FOR_COUNTS = 64
"""A narrower terminal shows bars and times only."""


def timeline(run: JsonObject, flow_name: str | None = None) -> RenderableType:
    """The whole picture of one run, as `GET /v1/runs/{id}` gives it."""
    steps = sorted(run.get("steps", []), key=lambda step: _moment(step["startedAt"]))
    parts: list[RenderableType] = [_heading(run, flow_name)]
    failed_steps = {step["stepId"] for step in steps if step.get("error")}
    if run.get("error") and run["error"].get("stepId") not in failed_steps:
        parts.append(_error(run["error"], run["status"]))
    if len(run.get("attempts", [])) > 1:
        parts.extend(map(_attempt, run["attempts"]))
    if steps:
        parts.extend((Text(), _Bars(run, steps)))
        parts.extend(
            _error(step["error"], step["status"], step["stepId"])
            for step in steps
            if step.get("error")
        )
    else:
        parts.append(Text("  no step has started yet", style="bright_black"))
    return Group(*parts)


def status_text(status: str) -> Text:
    """A status as sign and word, in its colour."""
    sign, style = _SIGNS.get(status, _UNKNOWN)
    return Text(f"{sign} {status}", style=style)


def duration_text(seconds: float) -> str:
    """A duration with the unit a person would choose: 40 ms, 3.2 s, 2 min 5 s, 3 h 20 min."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def _heading(run: JsonObject, flow_name: str | None) -> Text:
    title = Text.assemble((flow_name or run["flowId"], "bold"), f" v{run['versionNumber']}  ")
    title.append_text(status_text(run["status"]))
    started, ended = run.get("startedAt"), run.get("endedAt")
    if started and ended:
        title.append(f" in {duration_text(_seconds(started, ended))}")
    begun = _moment(started or run["createdAt"]).strftime("%Y-%m-%d %H:%M:%S UTC")
    source = run.get("trigger", {}).get("source", "unknown")
    title.append(f"\n{run['id']}  {source} trigger, {begun}", style="bright_black")
    return title


def _attempt(attempt: JsonObject) -> Text:
    line = Text(f"  attempt {attempt['number']} ")
    line.append_text(status_text(attempt["status"]))
    if attempt.get("endedAt"):
        line.append(f" after {duration_text(_seconds(attempt['startedAt'], attempt['endedAt']))}")
    if attempt.get("error"):
        line.append(f": {attempt['error']['message']}")
    return line


def _error(error: JsonObject, status: str, step_id: str | None = None) -> RenderableType:
    sign, style = _SIGNS.get(status, _UNKNOWN)
    where = step_id or error.get("stepId")
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(
        Text(f"  {sign}", style=style),
        Text.assemble(
            (f"{where}: " if where else "", "bold"),
            error["message"],
            (f" [{error['code']}]", "bright_black"),
        ),
    )
    return grid


@dataclass(frozen=True, slots=True)
class _Bars:
    """The table of steps, in the order given; how much it shows depends on the width."""

    run: JsonObject
    steps: list[JsonObject]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        begin = min(_moment(known["startedAt"]) for known in (*self.steps, _latest(self.run)))
        latest = max(_known_moments(self.run, self.steps))
        span = max((latest - begin).total_seconds(), 0.001)
        with_counts = options.max_width >= _WIDTH_FOR_COUNTS
        with_tries = any(step.get("tries", 1) > 1 for step in self.steps)
        table = Table(
            box=None, expand=True, padding=(0, 1), pad_edge=False, header_style="bright_black"
        )
        table.add_column("", width=1)
        table.add_column("step", overflow="ellipsis", no_wrap=True, max_width=28)
        table.add_column(_Axis(span), ratio=1, min_width=_BAR_MINIMUM)
        table.add_column("time", justify="right", no_wrap=True)
        for title in [*COUNT_TITLES * with_counts, *["tries"] * with_tries]:
            table.add_column(title, justify="right", no_wrap=True)
        for step in self.steps:
            sign, style = _SIGNS.get(step["status"], _UNKNOWN)
            start = (_moment(step["startedAt"]) - begin).total_seconds()
            ended = step.get("endedAt")
            end = (_moment(ended) - begin).total_seconds() if ended else span
            counts = step.get("counts", {})
            table.add_row(
                Text(sign, style=style),
                step["stepId"],
                _Bar(start / span, end / span, style, open_end=not ended),
                duration_text(end - start),
                *[count_text(counts.get(name, 0)) for name in COUNTS * with_counts],
                *[_tries(step.get("tries", 1))] * with_tries,
            )
        yield table


def count_text(number: int) -> Text:
    """How many, or a dot for none."""
    return Text(f"{number:,}") if number else Text("·", style="bright_black")


def _tries(tries: int) -> Text:
    return Text(f"↻{tries}", style="yellow") if tries > 1 else Text("")


@dataclass(frozen=True, slots=True)
class _Bar:
    """A line from one fraction of the width to another, exact to half a character."""

    start: float
    end: float
    style: str
    open_end: bool

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        first = min(round(self.start * width * 2), width * 2 - 1)
        last = max(min(round(self.end * width * 2), width * 2), first + 1)
        cells = [_cell(first - 2 * column, last - 2 * column) for column in range(width)]
        if self.open_end:
            cells[(last - 1) // 2] = "▸"
        yield Segment("".join(cells), Style.parse(self.style))

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_BAR_MINIMUM, options.max_width)


def _cell(first: int, last: int) -> str:
    """The character for a cell of two halves, 0 and 1, of which [first, last) are drawn."""
    left, right = first <= 0 < last, first <= 1 < last
    return {(True, True): "━", (True, False): "╸", (False, True): "╺"}.get((left, right), " ")


@dataclass(frozen=True, slots=True)
class _Axis:
    """The time axis over the bars: as many round marks as fit."""

    span: float

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        step = _round_step(self.span * _TICK_EVERY / width)
        line = ""
        for index in range(int(self.span / step) + 1):
            column = round(index * step / self.span * width)
            label = "0" if index == 0 else duration_text(index * step).replace(".0 ", " ")
            if column >= len(line) and column + 1 + len(label) <= width:
                line = f"{line:<{column}}╷{label} "
        yield Segment(f"{line:<{width}}"[:width], Style.parse("bright_black"))

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_BAR_MINIMUM, options.max_width)


def _round_step(at_least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten (minutes and hours: 1, 2, 5, 10, 30) above."""
    for step in (60, 120, 300, 600, 1800, 3600):
        if 20 < at_least <= step:  # noqa: PLR2004 - from here on seconds are no round numbers
            return step
    power = 0.001
    while True:
        for digit in (1, 2, 5):
            if digit * power >= at_least:
                return digit * power
        power *= 10


def _latest(run: JsonObject) -> JsonObject:
    """The latest attempt, whose steps these are; its start shows how long the first step waited."""
    attempts = run.get("attempts")
    return attempts[-1] if attempts else run


def _known_moments(run: JsonObject, steps: Iterable[JsonObject]) -> Iterable[datetime]:
    for step in steps:
        yield _moment(step["startedAt"])
        if step.get("endedAt"):
            yield _moment(step["endedAt"])
    if run.get("endedAt"):
        yield _moment(run["endedAt"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _seconds(start: str, end: str) -> float:
    return (_moment(end) - _moment(start)).total_seconds()
