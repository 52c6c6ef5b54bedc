"""Draws the result of a test: a line a step, and below what it made, would send, or missed."""

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from millrace_cli.timeline import COUNT_TITLES, COUNTS, count_text, duration_text, status_text

type JsonObject = dict[str, Any]

_SHOWN = 3
"""Records, requests and errors of a step; `--json` has more."""


def trial_table(result: JsonObject, flow_name: str) -> RenderableType:
    """The whole picture of one test, as the API answers it."""
    title = Text.assemble((flow_name, "bold"), f" v{result['versionNumber']}  test ")
    title.append_text(status_text(result["status"]))
    title.append(f" in {duration_text(result['durationMs'] / 1_000)}")
    title.append(f"\n{result['id']}", style="bright_black")
    return Group(title, Text(), _steps(result["steps"]), *_details(result["steps"]))


def _steps(steps: list[JsonObject]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column("step", overflow="ellipsis", no_wrap=True, max_width=28)
    table.add_column("status", no_wrap=True)
    for title in ("time", *COUNT_TITLES):
        table.add_column(title, justify="right", no_wrap=True)
    for step in steps:
        counts = step["counts"]
        table.add_row(
            step["stepId"],
            status_text(step["status"]),
            duration_text(step["durationMs"] / 1_000) if step.get("startedAt") else "",
            *[count_text(counts.get(name, 0)) for name in COUNTS],
        )
    return table


def _details(steps: list[JsonObject]) -> Iterator[Text]:
    for step in steps:
        lines = [*_lines(step)]
        if lines:
            yield Text(f"\n{step['stepId']}", style="bold")
            yield from lines


def _lines(step: JsonObject) -> Iterator[Text]:
    if error := step.get("error"):
        yield Text(f"  {error['message']} [{error['code']}]", style="red")
    if step.get("hasMore"):
        yield Text("  the first page; there is more", style="bright_black")
    requests, errors, output = (step[name] for name in ("requests", "errors", "output"))
    for request in requests["data"][:_SHOWN]:
        yield Text(f"  would send {request['method']} {request['url']} {request['body']}")
    yield from _more(requests, "requests")
    for each in errors["data"][:_SHOWN]:
        record = f": {_line(each['record'])}" if each.get("record") else ""
        yield Text(f"  {each['message']} [{each['code']}]{record}", style="yellow")
    yield from _more(errors, "errors")
    if not requests["count"]:
        yield from (Text(f"  {_line(record)}") for record in output["data"][:_SHOWN])
        yield from _more(output, "records")


def _more(shown: JsonObject, what: str) -> Iterator[Text]:
    rest = shown["count"] - len(shown["data"][:_SHOWN])
    if rest > 0:
        yield Text(f"  and {rest:,} more {what}", style="bright_black")


def _line(record: JsonObject) -> str:
    return json.dumps(record, ensure_ascii=False)
