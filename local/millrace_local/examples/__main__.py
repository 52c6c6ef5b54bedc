"""The examples' servers by hand, to try changes of the flow files.

`python -m millrace_local.examples` serves until Ctrl-C;
`python -m millrace_local.examples deliver URL` sends the GitHub deliveries to a webhook.
"""

import argparse
import threading

import urllib3
from rich.console import Console

from millrace_local.examples.github import deliver, read_deliveries
from millrace_local.examples.world import DELIVERIES, GITHUB_SECRET, outside_world


def main() -> None:
    """Run the command given."""
    parser = argparse.ArgumentParser(
        prog="python -m millrace_local.examples", description="The examples' outside world."
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="start the source and the receivers (the default)")
    sending = commands.add_parser("deliver", help="send the GitHub deliveries to a webhook")
    sending.add_argument("url", help="the webhook's address, as `millrace apply` prints it")
    arguments = parser.parse_args()
    console = Console(highlight=False, markup=False)
    if arguments.command == "deliver":
        try:
            _deliver(arguments.url, console)
        except urllib3.exceptions.HTTPError:
            parser.exit(1, f"nothing answers at {arguments.url}; is the address right?\n")
    else:
        _serve(console)


def _serve(console: Console) -> None:
    with outside_world() as world:
        console.print("In the shell that applies the flows:")
        for name, value in world.environment.items():
            console.print(f"  export {name}={value}")
        console.print("Serving; Ctrl-C ends and prints what arrived.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            console.print()
        console.print(f"source: {world.source.served} pages served")
        for name in ("warehouse", "alerts", "slack"):
            receiver = getattr(world, name)
            console.print(f"{name}: {len(receiver.records)} records, refused {receiver.refused}")


def _deliver(url: str, console: Console) -> None:
    for delivery in read_deliveries(DELIVERIES):
        outcome = deliver(url, delivery, GITHUB_SECRET)
        console.print(f"{delivery.event:7} {outcome.status} {outcome.run_id or ''}")


if __name__ == "__main__":
    main()
