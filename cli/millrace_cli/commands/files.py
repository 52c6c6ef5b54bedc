"""Commands that read a flow file: apply, compile, graph."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from millrace_cli import context
from millrace_cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millrace.compiler import Definition, Finding
    from millrace_cli.source import Source

type Json = Any
type JsonObject = dict[str, Any]

File = Annotated[Path, typer.Argument(help="A YAML or JSON file.", show_default=False)]
FlowKey = Annotated[
    str | None,
    typer.Option("--flow", help="Stable key of the flow, if the file holds several."),
]


def apply(
    ctx: typer.Context,
    file: File,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Create or update all that FILE holds, and deploy its flows; ${NAME} is the environment's."""
    from millrace_cli.client import ApiError
    from millrace_cli.source import read_source, substitute

    source = substitute(read_source(file))
    try:
        answer = context.client(ctx).apply(source.document)
    except ApiError as error:
        if not error.errors:
            raise
        raise CliError(
            *(
                source.complain(e.get("pointer", ""), e["message"], e.get("remedy"))
                for e in error.errors
            )
        ) from None
    if as_json:
        context.print_json(answer)
    else:
        _print_changes(answer)


def compile_(
    file: File,
    flow: FlowKey = None,
    durations: Annotated[
        Path | None, typer.Option(help="JSON file: step id to expected seconds.")
    ] = None,
    explain: Annotated[bool, typer.Option(help="Print the plan to stderr.")] = False,
) -> None:
    """Print the Step Functions machine of the flow in FILE; needs no API."""
    from millrace import compiler
    from millrace_cli.source import read_source

    seconds = None if durations is None else _durations(durations)
    source = read_source(file)
    definition, pointer = flow_definition(source, flow)
    try:
        compiled = compiler.compile_flow(definition, durations=seconds)
    except compiler.CompileError as error:
        raise _refused(source, pointer, error.findings) from None
    if explain:
        typer.echo(compiler.explain(compiled), err=True)
    sys.stdout.write(compiled.asl.rstrip("\n") + "\n")


def graph(
    file: File,
    flow: FlowKey = None,
    format_: Annotated[
        Literal["text", "mermaid", "svg"], typer.Option("--format", help="How to draw.")
    ] = "text",
) -> None:
    """Draw the steps of the flow in FILE; needs no API."""
    from millrace import compiler
    from millrace_cli.source import read_source

    definition, _ = flow_definition(read_source(file), flow)
    sys.stdout.write(compiler.draw(definition, format_).rstrip("\n") + "\n")


def flow_definition(source: "Source", key: str | None = None) -> tuple["Definition", str]:
    """The checked graph of the file's flow, and the pointer to that flow.

    The file is a flow itself or has a list of them under `flows`; `key` chooses among several.
    Unknown fields that are no likely misspelling are pointed out on stderr.

    Raises:
        CliError: there is no such flow, or the compiler has findings; one line for each.
    """
    from millrace import compiler

    document, pointer = _choose_flow(source, key)
    definition, findings = compiler.read_definition(document)
    if definition is not None:
        findings = compiler.check(definition)
    spelling = compiler.check_spelling(document)
    for finding in spelling.passed_over:
        place = pointer + finding.pointer
        typer.echo(source.complain(place, f"warning: {finding.message}", finding.remedy), err=True)
    findings += spelling.findings
    if definition is None or findings:
        raise _refused(source, pointer, compiler.in_document_order(findings))
    return definition, pointer


def _choose_flow(source: "Source", key: str | None) -> tuple[Json, str]:
    document = source.document
    if not isinstance(document, dict) or not isinstance(document.get("flows"), list):
        return document, ""
    flows = document["flows"]
    keys = [flow.get("stableKey") if isinstance(flow, dict) else None for flow in flows]
    if key is not None and key in keys:
        index = keys.index(key)
    elif key is None and len(flows) == 1:
        index = 0
    else:
        names = ", ".join(str(name) for name in keys) or "none"
        problem = "choose a flow with --flow" if key is None else f"no flow {key!r}"
        raise CliError(source.complain("/flows", problem, f"the file holds: {names}"))
    return flows[index], f"/flows/{index}"


def _refused(source: "Source", pointer: str, findings: "Iterable[Finding]") -> CliError:
    def line(finding: "Finding") -> str:
        place = pointer + finding.pointer
        step = "" if finding.step is None else f" of step {finding.step!r}"
        complaint = source.complain(place, finding.message, finding.remedy)
        return f"{complaint} [{finding.code}{step} at {place or '/'}]"

    return CliError(*map(line, findings))


def _durations(path: Path) -> dict[str, float]:
    from millrace import compiler
    from millrace_cli.source import read_source

    source = read_source(path)
    seconds, findings = compiler.read_durations(source.document)
    if findings:
        raise _refused(source, "", findings)
    return seconds


def _print_changes(answer: JsonObject) -> None:
    """One line a resource, never wrapped: an address is there to be copied."""
    from rich.text import Text

    colours = {"created": "green", "updated": "yellow"}
    rows = [
        (item["change"], f"{kind[:-1]} {item['stableKey']}", "")
        for kind in ("connections", "actions")
        for item in answer[kind]
    ]
    for flow in answer["flows"]:
        deployed = ", deployed" if flow["deployed"] else ""
        version = f"v{flow['versionNumber']}{deployed}"
        rows.append((flow["change"], f"flow {flow['stableKey']}", version))
        rows += [
            (address["change"], f"{kind[:-1]} {address['stableKey']}", address["url"])
            for kind in ("webhooks", "callbacks")
            for address in flow[kind]
        ]
    width = max(len(what) for _, what, _ in rows)
    console = context.console()
    for change, what, more in rows:
        style = colours.get(change, "bright_black")
        line = Text.assemble((f"{change:<9}  ", style), f"{what:<{width}}  {more}")
        console.print(line, soft_wrap=True)
