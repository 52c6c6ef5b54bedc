"""Commands about runs: list them, show one, read what a step put out."""

import json
from datetime import datetime
from typing import Annotated

import typer

from millrace_cli import context
from millrace_cli.commands.flows import FlowName, find_flow

app = typer.Typer(cls=context.Group, no_args_is_help=True, help="List and show runs.")

RunId = Annotated[str, typer.Argument(metavar="ID", help="A run's id.", show_default=False)]


@app.command("list")
def list_(
    ctx: typer.Context,
    flow: FlowName,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
) -> None:
    """List the latest runs of a flow."""
    from itertools import islice

    from rich.table import Table

    from millrace_cli.timeline import duration_text, status_text

    client = context.client(ctx)
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in ("id", "status", "started", "time", "in", "out", "failed"):
        right = title in {"time", "in", "out", "failed"}
        table.add_column(title, no_wrap=True, justify="right" if right else "left")
    for run in islice(client.runs(find_flow(client, flow)["id"]), limit):
        started = datetime.fromisoformat(run.get("startedAt") or run["createdAt"])
        ended = run.get("endedAt")
        counts = run.get("counts", {})
        seconds = (datetime.fromisoformat(ended) - started).total_seconds() if ended else None
        table.add_row(
            run["id"],
            status_text(run["status"]),
            started.strftime("%Y-%m-%d %H:%M:%S"),
            "" if seconds is None else duration_text(seconds),
            *(f"{counts.get(f'records{what}', 0):,}" for what in ("In", "Out", "Failed")),
        )
    if table.row_count:
        context.console().print(table)
    else:
        typer.echo(f"no runs yet; `millrace run {flow}` starts one")


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
