"""``python -m millrace_local run|up|down|status|logs|bill``: the local stack, and what ships."""

import argparse
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from millrace_local.bill import write_bill
from millrace_local.config import Config
from millrace_local.errors import LocalStackError
from millrace_local.lifecycle import down, up
from millrace_local.stack import running_stack

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130  # the shell's convention: 128 + SIGINT


def say(line: str) -> None:
    """Print one line for the user."""
    print(line, flush=True)


def run_up(config: Config, _arguments: argparse.Namespace) -> int:
    """Start and deploy."""
    stack = up(config, say)
    seconds = ", ".join(f"{name} {spent:.1f} s" for name, spent in stack.phases.items())
    say(f"API: {stack.api_url}  ({seconds})")
    say(f"log: {config.log}")
    return 0


def run_examples(config: Config, _arguments: argparse.Namespace) -> int:
    """Start, deploy, run the examples on real input, and say where to look."""
    from millrace_local.first_run import first_run  # noqa: PLC0415 - the others need no examples

    return 0 if first_run(config, say) else 1


def run_down(config: Config, _arguments: argparse.Namespace) -> int:
    """Stop, keeping the state."""
    say("local stack stopped, its state is kept" if down(config) else "local stack is not up")
    return 0


def run_status(config: Config, _arguments: argparse.Namespace) -> int:
    """Tell whether the stack is up; 1 if not."""
    found = running_stack(config)
    say(f"up: process {found.pid}, {config.endpoint}" if found else "not up")
    return 0 if found else 1


def run_logs(config: Config, arguments: argparse.Namespace) -> int:
    """Print the end of the log, and with --follow what is added to it."""
    if not config.log.exists():
        raise LocalStackError("there is no log yet: the local stack has not been started")
    with config.log.open(errors="replace") as log:
        for line in log.readlines()[-arguments.lines :]:
            say(line.rstrip("\n"))
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            while arguments.follow:
                if line := log.readline():
                    say(line.rstrip("\n"))
                else:
                    time.sleep(0.2)
    return 0


def run_bill(config: Config, arguments: argparse.Namespace) -> int:
    """Write the bill of materials of what `sam build` has built."""
    say(f"bill of materials: {write_bill(config.root, config.root / arguments.build)}")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="millrace_local", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project's directory")
    commands = parser.add_subparsers(dest="command", required=True)
    verbs: dict[str, Callable[[Config, argparse.Namespace], int]] = {
        "run": run_examples,
        "up": run_up,
        "down": run_down,
        "status": run_status,
        "logs": run_logs,
        "bill": run_bill,
    }
    for name, action in verbs.items():
        command = commands.add_parser(name, help=(action.__doc__ or "").splitlines()[0])
        command.set_defaults(action=action)
        if name == "logs":
            command.add_argument("-n", "--lines", type=int, default=100)
            command.add_argument("-f", "--follow", action="store_true")
        if name == "bill":
            command.add_argument("--build", type=Path, default=Path(".aws-sam/build"))
    return parser.parse_args(arguments)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run one command; foreseeable failures are one line on stderr."""
    arguments = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        config = Config.of_project(arguments.root.resolve())
        status: int = arguments.action(config, arguments)
    except LocalStackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what this command started is stopped", file=sys.stderr)
        return INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
