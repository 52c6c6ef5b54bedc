"""Commands about flows: list them, show one, run one."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace_cli import context
from millrace_cli.errors import CliError

if TYPE_CHECKING:
    from millrace_cli.client import ApiClient

type JsonObject = dict[str, Any]

app = typer.Typer(
    cls=context.Group, no_args_is_help=True, help="List, show, test, export and import flows."
)

FlowName = Annotated[
    str, typer.Argument(metavar="FLOW", help="Id or stable key.", show_default=False)
]

_WIDTH_FOR_IDS = 110
"""In a narrower list a flow goes by its key, which every command takes as well."""
_POLL_SECONDS = (0.1, 1.0)
"""First and longest wait between two looks at a run."""
_TERMINAL = {"succeeded", "partiallySucceeded", "failed", "cancelled", "superseded"}
_SUCCESS = {"succeeded", "partiallySucceeded"}


def find_flow(client: "ApiClient", name: str) -> JsonObject:
    """The flow of that id or stable key.

    Raises:
        CliError: there is none.
    """
    if name.startswith("flow_"):
        return client.flow(name)
    flow = next(client.flows(stable_key=name), None)
    if flow is None:
        raise CliError(f"no flow has the key {name!r}; `millrace flows list` shows them")
    return flow


def wait_for(client: "ApiClient", run_id: str, timeout: float | None = None) -> JsonObject:
    """The run once it is over.

    Raises:
        CliError: it is still going on after `timeout` seconds.
    """
    pause, longest = _POLL_SECONDS
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        run = client.run(run_id)
        if run["status"] in _TERMINAL:
            return run
        if deadline is not None and time.monotonic() > deadline:
            raise CliError(
                f"{run_id} is still {run['status']} after {timeout:.0f} s; "
                f"`millrace runs show {run_id}` shows it"
            )
        time.sleep(pause)
        pause = min(pause * 1.3, longest)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the flows of the workspace."""
    from rich.table import Table

    console = context.console()
    with_ids = console.width >= _WIDTH_FOR_IDS
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in ("key", "name", "steps", "state", "starts", *["id"] * with_ids):
        table.add_column(title, overflow="fold", no_wrap=title in {"key", "state", "id"})
    for flow in context.client(ctx).flows():
        table.add_row(
            flow.get("stableKey") or flow["id"],
            flow["name"],
            str(flow["stepsCount"]),
            _state(flow),
            flow.get("schedule") or flow["trigger"]["kind"],
            *[flow["id"]] * with_ids,
        )
    if table.row_count:
        console.print(table)
    else:
        typer.echo("no flows yet; `millrace apply FILE` makes some")


@app.command()
def show(
    ctx: typer.Context,
    flow: FlowName,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Show a flow: its settings and the steps of its deployed or latest version."""
    from rich.table import Table
    from rich.text import Text

    client = context.client(ctx)
    found = find_flow(client, flow)
    version = client.version(
        found["id"], found.get("deployedVersionId") or found["latestVersionId"]
    )
    if as_json:
        context.print_json(found | {"version": version})
        return
    settings = Table.grid(padding=(0, 2))
    for name, value in (
        ("id", found["id"]),
        ("key", found.get("stableKey")),
        ("description", found.get("description")),
        ("state", _state(found)),
        ("version", str(version["number"])),
        ("starts", found.get("schedule") or found.get("trigger", {}).get("kind")),
    ):
        if value:
            settings.add_row(Text(name, style="bright_black"), value)
    steps = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in ("step", "type", "after"):
        steps.add_column(title, overflow="fold")
    for step in version["steps"]:
        skipped = " (skipped)" if step.get("isSkipped") else ""
        steps.add_row(step["id"], step["type"] + skipped, ", ".join(step.get("dependsOn", [])))
    context.console().print(Text(found["name"], style="bold"), settings, "", steps, sep="\n")


@app.command("export")
def export(ctx: typer.Context, flow: FlowName) -> None:
    """Print a flow and all it uses as a JSON document, without credentials."""
    client = context.client(ctx)
    context.print_json(client.export_flow(find_flow(client, flow)["id"]))


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="What `flows export` printed; - is standard input.",
            allow_dash=True,
            exists=False,
            show_default=False,
        ),
    ],
) -> None:
    """Make or change a flow by a document; a new one is disabled."""
    from millrace_cli.source import read_json

    answer = context.client(ctx).import_flow(read_json(file))
    for each in answer["resources"]:
        typer.echo(f"{each['change']:<10}{each['type']} {each['name']}  {each['id']}")
    for each in answer["needsConfiguring"]:
        typer.echo(f"to do: {each['type']} {each['name']}, {each['field']}: {each['message']}")


@app.command("test")
def try_(
    ctx: typer.Context,
    flow: FlowName,
    payload: Annotated[
        Path | None,
        typer.Option(
            help="JSON file to start with, instead of the saved test request; - is standard input.",
            allow_dash=True,
            exists=False,
        ),
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Only this step, after those that it depends on.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Test the draft: one page is read, nothing is written (exit code 1 unless it succeeds)."""
    from millrace_cli.source import read_json
    from millrace_cli.trial import trial_table

    asked = {} if payload is None else {"payload": read_json(payload)}
    client = context.client(ctx)
    found = find_flow(client, flow)
    result = client.test(found["id"], asked, step)
    if as_json:
        context.print_json(result)
    else:
        context.console().print(trial_table(result, found["name"]))
    if result["status"] not in _SUCCESS:
        raise typer.Exit(1)


def run(
    ctx: typer.Context,
    flow: FlowName,
    payload: Annotated[
        Path | None,
        typer.Option(
            help="JSON file to start with; - is standard input.", allow_dash=True, exists=False
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait and show the timeline.")] = False,
) -> None:
    """Start a run; prints its id, or with --wait its timeline (exit code 1 unless it succeeds)."""
    from millrace_cli.source import read_json
    from millrace_cli.timeline import timeline

    content = None if payload is None else read_json(payload)
    client = context.client(ctx)
    found = find_flow(client, flow)
    run_id: str = client.start_run(found["id"], content)["runId"]
    typer.echo(run_id, err=wait)
    if not wait:
        return
    ended = wait_for(client, run_id)
    context.console().print(timeline(ended, found["name"]))
    if ended["status"] not in _SUCCESS:
        raise typer.Exit(1)


def _state(flow: JsonObject) -> str:
    if not flow.get("deployedVersionId"):
        return "draft"
    return "live" if flow.get("enabledAt") else "disabled"
