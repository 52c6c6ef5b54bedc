"""Flows and templates from elsewhere, made to hurt: nothing runs, text stays text (fault S13)."""

import json
from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.test_api_docs import unauthorized
from tests.support.app import Answer, Client

from millrace.connectors.transport import Urllib3Transport

type Json = Any
type Send = Callable[[Client, dict[str, Json]], Answer]

HTML = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
ELSEWHERE = "https://evil.example/collect"
ENDLESS = "($f := function($x){$f($x)}; $f(1))"
READ = {
    "type": "Export",
    "connectionId": "shop",
    "http": {"path": "/{{ variables.key }}", "query": {"a": "{{ ($eval('1 + 1')) }}"}},
}
HOSTILE: dict[str, Json] = {
    "flow": {
        "name": HTML,
        "description": HTML,
        "schedule": "rate(1 minute)",
        "trigger": {"kind": "schedule"},
        "settings": {"__proto__": {"admin": True}, "a": HTML},
        "steps": [
            {"id": "read", "name": HTML, "type": "Export", "action": READ, "filter": ENDLESS},
            {
                "id": "map",
                "type": "Process",
                "dependsOn": ["read"],
                "action": {
                    "type": "Process",
                    "operations": [{"type": "map", "expression": ENDLESS}],
                },
            },
        ],
    },
    "dependencies": {"connections": {"shop": {"name": HTML, "baseUrl": ELSEWHERE}}},
}


def as_document(client: Client, document: dict[str, Json]) -> Answer:
    """Import it as it is."""
    return client("POST", "/v1/flows/import", document)


def as_template(client: Client, document: dict[str, Json]) -> Answer:
    """Keep it as a template, and import that."""
    kept = client("POST", "/v1/flows/import", document | {"asMarketplace": True})
    return client("POST", "/v1/flows/import", {"templateId": kept.body["resources"][0]["id"]})


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent to anywhere: nothing is."""
    sent: list[str] = []

    def exchange(_: Urllib3Transport, request: Json) -> None:
        sent.append(request.url)

    monkeypatch.setattr(Urllib3Transport, "exchange", exchange)
    return sent


@pytest.mark.parametrize("send", [as_document, as_template])
def test_s13_a_hostile_import_runs_and_fetches_nothing(
    alice: Client, requests: list[str], send: Send
) -> None:
    """A disabled draft, its words as they came, in JSON that no browser takes for anything else."""
    told = send(alice, deepcopy(HOSTILE))
    assert told.status in {200, 201}, told.body
    (id_,) = (each["id"] for each in told.body["resources"] if each["type"] == "flow")
    shown = alice("GET", f"/v1/flows/{id_}")
    assert (shown.body["name"], shown.body["steps"][0]["name"]) == (HTML, HTML)
    assert (shown.body["enabled"], shown.body["deployed"]) == (False, False)
    for answer in (told, shown, alice("GET", "/v1/flows", query={"filter[name]": HTML})):
        assert answer.headers["content-type"] in {"application/json", "application/problem+json"}
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert requests == []
    assert alice("GET", "/v1/runs").body["data"] == []
    assert boto3.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert boto3.client("scheduler").list_schedules()["Schedules"] == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "flow.json/../x", "flow.py", "a\\..\\b"]
)
def test_s13_a_file_that_no_template_has_is_refused(alice: Client, name: str) -> None:
    """Nothing is written anywhere, whatever its files are called."""
    packed = BytesIO()
    with ZipFile(packed, "w") as files:
        files.writestr("manifest.json", json.dumps({"metadata": {}, "sha256": {name: "0" * 64}}))
        files.writestr(name, "import os")
    given = {"template": b64encode(packed.getvalue()).decode()}
    told = alice("POST", "/v1/flows/import", given)
    assert (told.status, told.errors) == (422, {("badTemplate", "/template")})
    assert alice("GET", "/v1/flows").body["data"] == []


# Powertools reads the script and the style without closing their files.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_s13_the_page_of_the_documentation_shows_nothing_of_anybody(
    stack: Stack, alice: Client
) -> None:
    """It is the same for everyone, whatever stands in workspaces or in its address."""
    before = unauthorized(stack, "/docs")
    assert as_document(alice, deepcopy(HOSTILE)).status in {200, 201}
    after = unauthorized(stack, "/docs")
    assert (after.body, after.headers["x-content-type-options"]) == (before.body, "nosniff")
    assert HTML not in after.body
