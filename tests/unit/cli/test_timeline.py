"""The picture of a run, character by character: it must read well without colour."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from millrace_cli.timeline import duration_text, timeline


def at(seconds: float) -> str:
    """A moment of the run, as the API writes it."""
    return f"2026-01-31T09:00:{seconds:06.3f}Z"


def step(
    name: str, start: float, end: float | None, counts: tuple[int, ...] = (), **more: object
) -> dict[str, Any]:
    """A step record as the API gives it; counts are in, out, ignored, failed."""
    names = ("recordsIn", "recordsOut", "recordsIgnored", "recordsFailed")
    record = {
        "stepId": name,
        "status": "succeeded",
        "startedAt": at(start),
        "counts": dict(zip(names, (*counts, 0, 0, 0, 0), strict=False)),
    }
    return record | ({} if end is None else {"endedAt": at(end)}) | more


def run(*steps: dict[str, Any], **more: object) -> dict[str, Any]:
    """A run as the API gives it."""
    return {
        "id": "run_1",
        "flowId": "flow_1",
        "versionNumber": 3,
        "status": "succeeded",
        "trigger": {"source": "manual"},
        "createdAt": at(0),
        "startedAt": at(0),
        "endedAt": at(8),
        "steps": list(steps),
    } | more


def drawn(picture: dict[str, Any], width: int) -> str:
    """The text of the picture on a terminal of that width, without the spaces at line ends."""
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(timeline(picture, "Quakes"))
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_bars_stand_in_start_order_under_a_time_axis() -> None:
    """Parallel steps lie side by side, gaps are empty, retries and counts are at the right."""
    picture = run(
        step("alerts", 4, 7.5, (39, 39)),
        step("read", 0, 3, (0, 1707), tries=3),
        step("warehouse", 4, 6, (297, 297)),
        step("convert", 3, 4, (1707, 297, 1410)),
        step("summary", 7.5, 8, (336, 2)),
    )
    assert drawn(picture, 80) == (
        """\
Quakes v3  ✓ succeeded in 8.0 s
run_1  manual trigger, 2026-01-31 09:00:00 UTC

   step       ╷0          ╷5 s        time     in    out  ignored  failed  tries
✓  read       ━━━━━━━╸               3.0 s      ·  1,707        ·       ·     ↻3
✓  convert           ╺━━             1.0 s  1,707    297    1,410       ·
✓  alerts               ━━━━━━━━━    3.5 s     39     39        ·       ·
✓  warehouse            ━━━━━        2.0 s    297    297        ·       ·
✓  summary                       ━  500 ms    336      2        ·       ·"""
    )


def test_failures_say_what_and_where() -> None:
    """A failed run shows its attempts, each step's own error, and what is still going on."""
    error = {"code": "rejected", "message": "the warehouse answered 404", "stepId": "write"}
    picture = run(
        step("read", 0, 2, (0, 10)),
        step("write", 2, 4, (10, 0, 0, 10), status="failed", error=error),
        step("tell", 2, None, (10, 4), status="running"),
        status="failed",
        error=error,
        attempts=[
            {
                "number": 1,
                "status": "failed",
                "startedAt": at(0),
                "endedAt": at(1),
                "error": {"code": "down", "message": "the source is down"},
            },
            {"number": 2, "status": "failed", "startedAt": at(1), "endedAt": at(8)},
        ],
    )
    assert drawn(picture, 80) == (
        """\
Quakes v3  ✗ failed in 8.0 s
run_1  manual trigger, 2026-01-31 09:00:00 UTC
  attempt 1 ✗ failed after 1.0 s: the source is down
  attempt 2 ✗ failed after 7.0 s

   step   ╷0       ╷2 s     ╷4 s      ╷6 s        time  in  out  ignored  failed
✓  read   ━━━━━━━━━                              2.0 s   ·   10        ·       ·
✗  write           ━━━━━━━━━╸                    2.0 s  10    ·        ·      10
▸  tell            ━━━━━━━━━━━━━━━━━━━━━━━━━━━▸  6.0 s  10    4        ·       ·
  ✗ write: the warehouse answered 404 [rejected]"""
    )


def test_a_narrow_terminal_shows_bars_and_times_only() -> None:
    """Below 64 columns the counts give way."""
    assert drawn(run(step("read", 0, 2, (0, 10)), step("write", 2, 8, (10, 10))), 40) == (
        """\
Quakes v3  ✓ succeeded in 8.0 s
run_1  manual trigger, 2026-01-31
09:00:00 UTC

   step   ╷0            ╷5 s        time
✓  read   ━━━━━━                   2.0 s
✓  write        ━━━━━━━━━━━━━━━━━  6.0 s"""
    )


def test_a_run_that_has_not_begun_says_so() -> None:
    """A queued run has no bars yet."""
    picture = run(status="queued", startedAt=None, endedAt=None)
    assert drawn(picture, 80).splitlines()[0] == "Quakes v3  ○ queued"
    assert drawn(picture, 80).splitlines()[-1] == "  no step has started yet"


def test_an_error_of_the_run_itself_is_shown() -> None:
    """What no step reports, such as a machine that vanished, is still said."""
    picture = run(step("read", 0, 2), status="failed", error={"code": "lost", "message": "gone"})
    assert "✗ gone [lost]" in drawn(picture, 80)


def test_brackets_in_messages_are_text() -> None:
    """A message cannot style the terminal or break the picture."""
    picture = run(
        step("a", 0, 1, status="failed", error={"code": "x", "message": "[red]no[/nope]"})
    )
    assert "[red]no[/nope]" in drawn(picture, 80)


def test_a_run_of_no_length_still_has_bars() -> None:
    """A step shorter than the clock's resolution is a dot, not a division by zero."""
    assert "╸" in drawn(run(step("a", 0, 0), endedAt=at(0)), 80)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0404, "40 ms"), (3.21, "3.2 s"), (125, "2 min 5 s"), (12_000, "3 h 20 min")],
)
def test_durations_carry_the_unit_a_person_would_choose(seconds: float, text: str) -> None:
    """No one reads 12000000 ms."""
    assert duration_text(seconds) == text
