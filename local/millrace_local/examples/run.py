"""Runs both examples against a live API and checks every record that comes out.

`make run` calls it; so can anybody with an API that may call loopback addresses.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import urllib3
from rich.console import Console
from rich.text import Text

from millrace.compiler import draw
from millrace_cli.client import ApiClient
from millrace_cli.commands.files import flow_definition
from millrace_cli.commands.flows import wait_for
from millrace_cli.errors import CliError
from millrace_cli.source import read_source, substitute
from millrace_cli.timeline import timeline
from millrace_local.examples import expected
from millrace_local.examples.github import Delivery, Outcome, deliver, read_deliveries
from millrace_local.examples.loopback import FaultPlan
from millrace_local.examples.receivers import Receiver
from millrace_local.examples.report import Report
from millrace_local.examples.world import (
    DELIVERIES,
    EARTHQUAKES_FLOW,
    GITHUB_FLOW,
    GITHUB_SECRET,
    ROOT,
    World,
    outside_world,
)

type JsonObject = dict[str, Any]

_RUN_SECONDS = 90.0
"""A run that takes longer is stuck: the slowest takes under ten."""
_LATEST_RUNS = 50
_ACCEPTED = 202
_UNAUTHORIZED = 401
_MILLRACE = ".venv/bin/millrace"


def run_examples(api_url: str, token: str, console: Console) -> bool:
    """Apply both flows, run them on real input, print what happened, and say if all was right.

    Can be repeated: flows that are there already stay as they are. The servers that the flows
    talk to live only as long as this call; `python -m millrace_local.examples` starts them alone.
    """
    client = ApiClient(api_url, token)
    passed = True
    with outside_world() as world:
        for example in (_github_to_slack, _earthquakes):
            report = Report(console)
            try:
                example(client, world, report)
            except CliError as error:
                report.check("the API did what it was asked", list(error.lines))
            except urllib3.exceptions.HTTPError as error:
                report.check("the webhook answered", [str(error)])
            passed &= report.passed
    return passed


def _github_to_slack(client: ApiClient, world: World, report: Report) -> None:
    flow = _apply(client, GITHUB_FLOW, world.environment, report)
    url = flow.webhook_urls["github"]
    deliveries = list(read_deliveries(DELIVERIES))
    outcomes, runs = _deliver_all(client, url, deliveries)
    forged = replace(deliveries[0], delivery_id=str(uuid4()))
    refused = deliver(url, forged, "not-the-secret")
    repeated = deliver(url, deliveries[0], GITHUB_SECRET)
    run_ids = [run["id"] for run in runs]
    messages = expected.slack_messages(deliveries)

    talkative = [run for run in runs if _counts(run, "slack")["recordsOut"]]
    for run in talkative[:1] or runs[:1]:
        report.show(timeline(run, flow.name))
    report.show(_delivery_summary(deliveries, messages))
    report.check(
        f"{len(deliveries)} deliveries accepted, each started a run of its own",
        [
            *(f"answered {o.status}" for o in outcomes if o.status != _ACCEPTED),
            *(f"{n} deliveries gave {run_id}" for run_id, n in Counter(run_ids).items() if n > 1),
        ],
    )
    report.check("all runs succeeded", _not_succeeded(runs))
    report.check(
        "the same delivery again gave the same run",
        [f"answered {repeated.status}, {repeated.run_id} instead of {run_ids[:1]}"]
        if repeated.run_id is None or repeated.run_id != outcomes[0].run_id
        else [],
    )
    report.check(
        "a wrong signature got 401 and started nothing",
        [
            *([f"answered {refused.status}"] * (refused.status != _UNAUTHORIZED)),
            *(f"started {run_id}" for run_id in _runs_of(client, flow.id, forged)),
        ],
    )
    _check_counts(report, runs, "interesting", len(deliveries), len(messages))
    _check_receiver(report, "Slack", world.slack, messages)
    report.next(
        (f"{_MILLRACE} runs list {flow.key}", "all its runs"),
        *((f"{_MILLRACE} runs output {run['id']} message", "a message") for run in talkative[:1]),
    )


def _deliver_all(
    client: ApiClient, url: str, deliveries: list[Delivery]
) -> tuple[list[Outcome], list[JsonObject]]:
    """Send each when the run of the one before is over: a laptop has few cores to share."""
    outcomes, runs = [], []
    for delivery in deliveries:
        outcome = deliver(url, delivery, GITHUB_SECRET)
        outcomes.append(outcome)
        if outcome.run_id:
            runs.append(wait_for(client, outcome.run_id, _RUN_SECONDS))
    return outcomes, runs


def _earthquakes(client: ApiClient, world: World, report: Report) -> None:
    flow = _apply(client, EARTHQUAKES_FLOW, world.environment, report)
    run_id: str = client.start_run(flow.id)["runId"]
    run = wait_for(client, run_id, _RUN_SECONDS)
    quakes = expected.quakes(world.features)

    report.show(timeline(run, flow.name))
    report.check("the run succeeded", _not_succeeded([run]))
    read = _counts(run, "read")["recordsOut"]
    report.check(
        f"read: {len(world.features):,} out",
        [f"{read:,} were read"] * (read != len(world.features)),
        f"the source served {world.source.served} pages, {_faults(world.source.plan)}",
    )
    _check_counts(report, [run], "convert", len(world.features), len(quakes.warehouse))
    _check_counts(report, [run], "strong", len(quakes.warehouse), len(quakes.alerts))
    _check_receiver(report, "warehouse", world.warehouse, quakes.warehouse)
    _check_receiver(report, "alerts", world.alerts, quakes.alerts)
    summary = client.step_output(run_id, "summary")["data"]
    report.check("the summary agrees with the data", expected.differences(quakes.summary, summary))
    report.next(
        (f"{_MILLRACE} runs output {run_id} summary", "the summary"),
        (f"{_MILLRACE} runs show {run_id}", "this timeline"),
        (f"{_MILLRACE} flows show {flow.key}", "its steps"),
    )


@dataclass(frozen=True, slots=True)
class _Applied:
    id: str
    key: str
    name: str
    webhook_urls: Mapping[str, str]


def _apply(
    client: ApiClient, file: Path, environment: Mapping[str, str], report: Report
) -> _Applied:
    """Store and deploy the file's one flow, and show its heading and graph."""
    source = substitute(read_source(ROOT / file), environment)
    definition: JsonObject = source.document["flows"][0]
    report.heading(definition["name"], str(file))
    graph, _ = flow_definition(source)
    report.show(Text(draw(graph, "text").rstrip("\n")))
    flow = client.apply(source.document)["flows"][0]
    report.check(
        f"flow {flow['change']}, version {flow['versionNumber']} deployed",
        [] if flow["deployed"] else ["it is not deployed"],
    )
    urls = {hook["stableKey"]: hook["url"] for hook in flow["webhooks"]}
    return _Applied(flow["id"], flow["stableKey"], definition["name"], urls)


def _check_counts(
    report: Report, runs: list[JsonObject], step: str, came_in: int, went_out: int
) -> None:
    found = Counter[str]()
    for run in runs:
        found.update(_counts(run, step))
    wanted = (came_in, went_out, came_in - went_out, 0)
    numbers = tuple(found[f"records{what}"] for what in ("In", "Out", "Ignored", "Failed"))
    report.check(
        f"{step}: {came_in:,} in, {went_out:,} out, {came_in - went_out:,} ignored",
        [] if numbers == wanted else [f"in, out, ignored, failed were {numbers}, not {wanted}"],
    )


def _check_receiver(
    report: Report, name: str, receiver: Receiver, wanted: list[JsonObject]
) -> None:
    report.check(
        f"{name} got exactly the {len(wanted):,} records expected, each once",
        [
            *(f"{record_id} arrived more than once" for record_id in receiver.duplicates),
            *expected.differences(wanted, receiver.records),
            *receiver.refused,
        ],
        f"{receiver.requests} requests, {_faults(receiver.plan)}; "
        f"writes repeated and recognised: {receiver.replays}",
    )


def _delivery_summary(deliveries: list[Delivery], messages: list[JsonObject]) -> Text:
    events = Counter(delivery.event for delivery in deliveries)
    listed = ", ".join(f"{count} {event}" for event, count in sorted(events.items()))
    return Text(f"{len(deliveries)} deliveries ({listed}) -> {len(messages)} messages")


def _faults(plan: FaultPlan) -> str:
    counts = Counter(fault.value for fault in plan.dealt)
    return "faults: " + (", ".join(f"{n} x {name}" for name, n in sorted(counts.items())) or "none")


def _counts(run: JsonObject, step_id: str) -> Counter[str]:
    for step in run.get("steps", []):
        if step["stepId"] == step_id:
            return Counter(step["counts"])
    return Counter()


def _not_succeeded(runs: list[JsonObject]) -> list[str]:
    return [
        f"{run['id']} {run['status']}: {(run.get('error') or {}).get('message', 'no error given')}"
        for run in runs
        if run["status"] != "succeeded"
    ]


def _runs_of(client: ApiClient, flow_id: str, delivery: Delivery) -> list[str]:
    """Ids of the runs, among the latest of the flow, that this delivery started."""
    return [
        run["id"]
        for run in islice(client.runs(flow_id), _LATEST_RUNS)
        if run["trigger"].get("deliveryId") == delivery.delivery_id
    ]
