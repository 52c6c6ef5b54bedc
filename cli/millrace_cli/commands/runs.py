"""Commands about runs: list them, show one, read what a step put out."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from millrace_cli import context
from millrace_cli.commands.flows import find_flow

app = typer.Typer(cls=context.Group, no_args_is_help=True, help="List and show runs.")

_ID_LENGTH = len("run_") + 26
"""A prefix and a ULID; ids are shown whole, so that they can be copied."""
_WIDTH_FOR_COUNTS = 96

RunId = Annotated[str, typer.Argument(metavar="ID", help="A run's id.", show_default=False)]


@app.command("list")
def list_(
    ctx: typer.Context,
    flow: Annotated[
        str | None, typer.Argument(metavar="FLOW", help="A flow's id or stable key; absent: all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    status: Annotated[
        str | None, typer.Option(help="Only these: running, failed... with commas between them.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Only of: manual, schedule, webhook, callback, queue, flow."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Created then or later (RFC 3339).")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Created earlier than that.")
    ] = None,
) -> None:
    """List the latest runs of a flow, or of all."""
    from itertools import islice

    from rich.table import Table

    from millrace_cli.timeline import duration_text, status_text

    client = context.client(ctx)
    console = context.console()
    counts_shown = ("In", "Out", "Failed") if console.width >= _WIDTH_FOR_COUNTS else ()
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column("id", no_wrap=True, min_width=_ID_LENGTH)
    table.add_column("status", no_wrap=True)
    table.add_column("started (UTC)", no_wrap=True)
    for title in ("time", *map(str.lower, counts_shown)):
        table.add_column(title, no_wrap=True, justify="right")
    flow_id = None if flow is None else find_flow(client, flow)["id"]
    given = {
        "status": status,
        "triggerSource": source,
        "createdAfter": after,
        "createdBefore": before,
    }
    filters = {name: value for name, value in given.items() if value is not None}
    for run in islice(client.runs(flow_id, filters), limit):
        started = datetime.fromisoformat(run.get("startedAt") or run["createdAt"])
        ended = run.get("endedAt")
        seconds = (datetime.fromisoformat(ended) - started).total_seconds() if ended else None
        table.add_row(
            run["id"],
            status_text(run["status"]),
            started.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "" if seconds is None else duration_text(seconds),
            *(f"{run['counts'][f'records{what}']:,}" for what in counts_shown),
        )
    if table.row_count:
        console.print(table)
    elif filters:
        typer.echo("no such runs")
    else:
        typer.echo(f"no runs yet; `millrace run {flow or 'FLOW'}` starts one")


@app.command()
def show(
    ctx: typer.Context,
    run_id: RunId,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Show a run as a timeline: bars over time, one a step."""
    from millrace_cli.timeline import timeline

    client = context.client(ctx)
    run = client.run(run_id)
    if as_json:
        context.print_json(run)
    else:
        context.console().print(timeline(run, client.flow(run["flowId"])["name"]))


@app.command()
def output(
    ctx: typer.Context,
    run_id: RunId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="A step's id.", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the first ones.")] = 100,
) -> None:
    """Print the records that a step put out, one JSON object a line."""
    answer = context.client(ctx).step_output(run_id, step, limit)
    for record in answer["data"]:
        typer.echo(json.dumps(record, ensure_ascii=False))
    if answer.get("truncated"):
        typer.echo(f"there are more than these {limit}; --limit shows up to 1000", err=True)
