"""What every command needs: the client, the consoles, and one way to report a failure."""

import json
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from millrace_cli.errors import CliError

if TYPE_CHECKING:
    from rich.console import Console

    from millrace_cli.client import ApiClient


class Group(TyperGroup):
    """Turns a CliError of any command into lines on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own signature, its click is private
        """Run the command; called by typer."""
        try:
            return super().invoke(ctx)
        except CliError as error:
            for line in error.lines:
                typer.echo(line, err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def client(ctx: typer.Context) -> "ApiClient":
    """The API client: the one handed in by a test or script, else that of the settings."""
    from millrace_cli.client import ApiClient
    from millrace_cli.settings import find_settings

    if not isinstance(ctx.obj, ApiClient):
        settings = find_settings()
        ctx.obj = ApiClient(settings.url, settings.token)
    return ctx.obj


def console() -> "Console":
    """Standard output, as wide as the terminal; plain text when it is not one.

    Markup is off, because names and messages are the user's and may hold brackets.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Machine-readable output: indented JSON and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
