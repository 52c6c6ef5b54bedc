"""Commands about record errors: list them, try them again, resolve them."""

from typing import Annotated

import typer

from millrace_cli import context
from millrace_cli.commands.flows import FlowName, find_flow

app = typer.Typer(
    cls=context.Group, no_args_is_help=True, help="Records that failed: list, retry, resolve."
)

Step = Annotated[str | None, typer.Option(help="Only those of this step.", show_default=False)]


@app.command("list")
def list_(
    ctx: typer.Context,
    flow: FlowName,
    step: Step = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    resolved: Annotated[bool, typer.Option("--resolved", help="Those dealt with.")] = False,
) -> None:
    """List the records that failed in a flow."""
    from itertools import islice

    from rich.table import Table

    client = context.client(ctx)
    found = client.errors(find_flow(client, flow)["id"], step, resolved=resolved)
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in ("step", "record", "code", "message", "id"):
        table.add_column(title, overflow="fold")
    for error in islice(found, limit):
        place = str(error.get("traceKey") or error["position"])
        shown = (error["stepId"], place, error["code"], error["message"], error["id"])
        table.add_row(*shown)
    if table.row_count:
        context.console().print(table)
    else:
        typer.echo("no errors")


@app.command()
def retry(ctx: typer.Context, flow: FlowName, step: Step = None) -> None:
    """Try all open errors of a flow again, or those of a step; prints the ids of the runs."""
    client = context.client(ctx)
    answer = client.retry_errors(find_flow(client, flow)["id"], step)
    for run in answer["runs"]:
        typer.echo(run["runId"])
        typer.echo(f"{run['errors']:,} records of step {run['stepId']}", err=True)
    for left in answer["leftOut"]:
        typer.echo(f"left out: {left['errorId']} ({left['reason']})", err=True)
    if answer["hasMore"]:
        typer.echo("there are more; once these runs are over, run the command again", err=True)


@app.command()
def resolve(ctx: typer.Context, flow: FlowName, step: Step = None) -> None:
    """Say of all open errors of a flow, or those of a step, that they are dealt with."""
    client = context.client(ctx)
    answer = client.resolve_errors(find_flow(client, flow)["id"], step)
    more = "; there are more, run the command again" if answer["hasMore"] else ""
    typer.echo(f"{answer['changed']:,} resolved{more}")
