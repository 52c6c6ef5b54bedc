"""The servers of the examples together, and the environment by which the flow files find them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace_local.examples import receivers
from millrace_local.examples.earthquake_source import PORT as SOURCE_PORT
from millrace_local.examples.earthquake_source import EarthquakeSource
from millrace_local.examples.loopback import LoopbackServer
from millrace_local.examples.receivers import Receiver

ROOT = Path(__file__).resolve().parents[3]
GITHUB_FLOW = Path("examples", "github-to-slack.yaml")
EARTHQUAKES_FLOW = Path("examples", "earthquakes.yaml")
DELIVERIES = ROOT / "events" / "github"

WAREHOUSE_TOKEN = "local-example-token"  # noqa: S105 - of a server that lives on loopback
GITHUB_SECRET = "local-example-secret"  # noqa: S105 - the same


@dataclass(frozen=True, slots=True)
class World:
    """The running servers."""

    features: list[dict[str, Any]]
    source: EarthquakeSource
    warehouse: Receiver
    alerts: Receiver
    slack: Receiver
    environment: Mapping[str, str]
    """Values for the `${NAME}` of the flow files."""


@contextmanager
def outside_world() -> Iterator[World]:
    """Start the servers; they stop when the block ends."""
    feed = (ROOT / "examples" / "data" / "earthquakes.json").read_text(encoding="utf-8")
    features: list[dict[str, Any]] = json.loads(feed)["features"]
    source = EarthquakeSource(features)
    warehouse = receivers.warehouse(WAREHOUSE_TOKEN)
    alerts = receivers.alerts()
    slack = receivers.slack()
    with ExitStack() as servers:
        urls = {
            name: servers.enter_context(LoopbackServer(respond, port)).url
            for name, respond, port in (
                ("EARTHQUAKES_URL", source.respond, SOURCE_PORT),
                ("WAREHOUSE_URL", warehouse.respond, receivers.WAREHOUSE_PORT),
                ("ALERTS_URL", alerts.respond, receivers.ALERTS_PORT),
                ("SLACK_URL", slack.respond, receivers.SLACK_PORT),
            )
        }
        secrets = {"WAREHOUSE_TOKEN": WAREHOUSE_TOKEN, "GITHUB_SECRET": GITHUB_SECRET}
        yield World(features, source, warehouse, alerts, slack, urls | secrets)
