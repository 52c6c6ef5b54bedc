"""The `millrace` command: entry point and table of commands.

Modules that take long to import are imported inside the commands that need them, so that
`millrace --help` and completion stay quick.
"""

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from millrace_cli import context
from millrace_cli.commands import errors, files, flows, init, runs

app = typer.Typer(
    cls=context.Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Integration flows in your own AWS account.",
)
app.command("apply")(files.apply)
app.command("run")(flows.run)
app.add_typer(flows.app, name="flows")
app.add_typer(runs.app, name="runs")
app.add_typer(errors.app, name="errors")
app.command("init")(init.init)
app.command("graph")(files.graph)
app.command("compile")(files.compile_)


@app.command()
def openapi() -> None:
    """Print the API's OpenAPI document; needs no API."""
    from millrace.http.openapi import document

    context.print_json(document())


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        from importlib.metadata import version

        typer.echo(f"millrace {version('millrace')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Unicode shows ? for what it lacks rather than a traceback.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()
