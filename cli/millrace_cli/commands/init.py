"""The first workspace and token of a new deployment: written by whoever may write to its table."""

from typing import Annotated

import typer

from millrace_cli import context
from millrace_cli.errors import CliError


def init(
    table: Annotated[str, typer.Option(help="The deployment's table: its output TableName.")],
    workspace: Annotated[str, typer.Option(help="The name of the new workspace.")] = "default",
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Create a workspace and its first token, with your AWS credentials; no API needed."""
    from botocore.exceptions import BotoCoreError, ClientError

    from millrace.config import Config
    from millrace.domain.token import Caller, TokenInput
    from millrace.usecases.tokens import create_token, create_workspace
    from millrace.wiring import aws_context

    use_cases = aws_context(Config.from_environment({"MILLRACE_TABLE": table}))
    try:
        created = create_workspace(use_cases, workspace)
        caller = Caller(workspace_id=created.id, token_id=created.created_by)
        token, text = create_token(use_cases, caller, TokenInput(name="first token", role="admin"))
    except (BotoCoreError, ClientError) as error:
        raise CliError(f"cannot write to the table {table!r}: {error}") from error
    if json:
        context.print_json({"workspaceId": created.id, "tokenId": token.id, "token": text})
        return
    typer.echo(f"workspace {created.id}\ntoken     {text}")
    typer.echo("The token is shown this once. Use it with MILLRACE_URL and MILLRACE_TOKEN.")
