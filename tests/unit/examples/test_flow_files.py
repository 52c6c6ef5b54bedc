"""The flow files of the examples do what their expected results, in plain Python, say."""

import json
from pathlib import Path
from typing import Any

import jsonatapy
import pytest

from millrace.domain.action import ActionInput
from millrace.domain.connection import ConnectionInput
from millrace.domain.flow import FlowInput
from millrace.domain.webhook import WebhookInput
from millrace_cli.commands.files import flow_definition
from millrace_cli.source import read_source, substitute
from millrace_local.examples import expected
from millrace_local.examples.github import read_deliveries
from millrace_local.examples.world import DELIVERIES, EARTHQUAKES_FLOW, GITHUB_FLOW, ROOT

SECRETS = {"WAREHOUSE_TOKEN": "t", "GITHUB_SECRET": "s"}
FEATURES = json.loads((ROOT / "examples/data/earthquakes.json").read_text())["features"]


def step(file: Path, step_id: str) -> dict[str, Any]:
    """A step of the file's flow."""
    flow = read_source(ROOT / file).document["flows"][0]
    found: dict[str, Any] = next(step for step in flow["steps"] if step["id"] == step_id)
    return found


def operation(file: Path, step_id: str, index: int = 0) -> jsonatapy.JsonataExpression:
    """The expression of one operation of a Process step, compiled."""
    return jsonatapy.compile(step(file, step_id)["action"]["operations"][index]["expression"])


@pytest.mark.parametrize("file", [GITHUB_FLOW, EARTHQUAKES_FLOW], ids=lambda file: file.stem)
def test_flow_files_hold_what_the_api_takes(file: Path) -> None:
    """Secrets apart, a file applies as it stands: its defaults are the local servers."""
    source = substitute(read_source(ROOT / file), SECRETS)
    document = source.document
    assert document.keys() <= {"connections", "actions", "flows"}
    for connection in document["connections"]:
        assert ConnectionInput.model_validate(connection).stable_key
    for action in document.get("actions", []):
        assert ActionInput.model_validate(action).stable_key
    for flow in document["flows"]:
        for webhook in flow.pop("webhooks", []):
            assert WebhookInput.model_validate(webhook).stable_key
        assert FlowInput.model_validate(flow).steps
    assert flow_definition(source)[0].steps


def test_the_github_flow_makes_the_expected_messages() -> None:
    """Filter and map agree with plain Python on every delivery."""
    interesting, message = operation(GITHUB_FLOW, "interesting"), operation(GITHUB_FLOW, "message")
    deliveries = list(read_deliveries(DELIVERIES))
    records = [
        {"headers": {"x-github-event": one.event}, "body": json.loads(one.body)}
        for one in deliveries
    ]
    messages = [message.evaluate(record) for record in records if interesting.evaluate(record)]
    assert messages == expected.slack_messages(deliveries)
    assert 0 < len(messages) < len(deliveries)


def test_slack_messages_escape_what_slack_would_read_as_markup() -> None:
    """A title cannot mention everyone or forge a link."""
    body = json.loads((DELIVERIES / "issues.09.json").read_text())
    body["issue"]["title"] = "<!everyone> & co"
    record = {"headers": {"x-github-event": "issues"}, "body": body}
    message = operation(GITHUB_FLOW, "message").evaluate(record)
    assert "|#1 &lt;!everyone&gt; &amp; co>" in message["text"]


def test_the_earthquake_flow_makes_the_expected_records() -> None:
    """Filter, conversion and alert texts agree with plain Python on every record."""
    keep, convert = (operation(EARTHQUAKES_FLOW, "convert", index) for index in (0, 1))
    strong = jsonatapy.compile(step(EARTHQUAKES_FLOW, "strong")["filter"])
    alert = operation(EARTHQUAKES_FLOW, "strong")
    quakes = [convert.evaluate(feature) for feature in FEATURES if keep.evaluate(feature)]
    alerts = [alert.evaluate(quake) for quake in quakes if strong.evaluate(quake)]
    wanted = expected.quakes(FEATURES)
    assert quakes == wanted.warehouse
    assert alerts == wanted.alerts


def test_the_summary_tells_the_two_branches_apart() -> None:
    """What comes out of the alert branch is grouped as alerts, the rest as warehouse."""
    aggregate = step(EARTHQUAKES_FLOW, "summary")["action"]["operations"][0]
    system = jsonatapy.compile(aggregate["groupBy"]["system"])
    wanted = expected.quakes(FEATURES)
    assert {system.evaluate(record) for record in wanted.warehouse} == {"warehouse"}
    assert {system.evaluate(record) for record in wanted.alerts} == {"alerts"}
    assert [set(record) for record in wanted.summary] == [{"system", *aggregate["figures"]}] * 2
