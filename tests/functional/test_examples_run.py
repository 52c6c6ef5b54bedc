"""The examples' own checks: they pass an engine that does its work and catch one that does not.

The engine here is a stand-in that answers the API over HTTP and moves the records in plain
Python; `lose` and `repeat` make it break its promises.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, Literal

import pytest
import urllib3
from rich.console import Console

from millrace_local.examples import expected
from millrace_local.examples.github import Delivery
from millrace_local.examples.loopback import Answer, LoopbackServer, Request
from millrace_local.examples.run import run_examples
from millrace_local.examples.world import GITHUB_SECRET

type JsonObject = dict[str, Any]
type Mischief = Literal["none", "lose", "repeat", "forget", "trust"]

MOMENT = "2026-01-31T09:00:00.000Z"


def step(name: str, came_in: int, went_out: int, ignored: int = 0) -> JsonObject:
    """A step record as the API gives it."""
    counts = {
        "recordsIn": came_in,
        "recordsOut": went_out,
        "recordsIgnored": ignored,
        "recordsFailed": 0,
    }
    return {
        "stepId": name,
        "status": "succeeded",
        "startedAt": MOMENT,
        "endedAt": MOMENT,
        "counts": counts,
    }


class Engine:
    """Stands in for the API and everything behind it."""

    def __init__(self, mischief: Mischief) -> None:
        self.mischief = mischief
        self.url = ""
        self.bases: dict[str, str] = {}
        self.runs: dict[str, JsonObject] = {}
        self.run_of_delivery: dict[str, str] = {}
        self.summary: list[JsonObject] = []
        self.applied: list[str] = []
        retries = urllib3.Retry(
            10,
            allowed_methods=None,
            status_forcelist=[429, 503],
            respect_retry_after_header=False,
        )
        self.http = urllib3.PoolManager(retries=retries)

    def respond(self, request: Request) -> Answer:
        """Answer one call of the API or of the webhook."""
        if request.path.startswith("/hooks/"):
            return self._hook(request)
        if request.headers.get("authorization") != "Bearer t":
            return Answer(401, {"code": "unauthenticated", "title": "no"})
        if request.method == "POST":
            return self._post_call(request)
        match request.path.split("/")[2:]:
            case ["flows", _, "runs"]:
                return Answer(200, {"data": list(self.runs.values())})
            case ["runs", run_id]:
                return Answer(200, self.runs[run_id])
            case _:
                return Answer(200, {"data": self.summary, "truncated": False})

    def _post_call(self, request: Request) -> Answer:
        if request.path == "/v1/apply":
            return Answer(200, self._apply(json.loads(request.body)))
        return Answer(202, {"runId": self._quakes(), "status": "running"})

    def _apply(self, document: JsonObject) -> JsonObject:
        self.bases |= {c["stableKey"]: c["baseUrl"] for c in document["connections"]}
        flow = document["flows"][0]
        self.applied.append(flow["stableKey"])
        hooks = [
            {"id": "hook_1", "stableKey": hook["stableKey"], "path": "/hooks/hook_1"}
            for hook in flow.get("webhooks", [])
        ]
        return {
            "flows": [
                {
                    "id": f"flow_{flow['stableKey']}",
                    "stableKey": flow["stableKey"],
                    "change": "created",
                    "versionNumber": 1,
                    "deployed": True,
                    "webhooks": hooks,
                    "callbacks": [],
                }
            ]
        }

    def _hook(self, request: Request) -> Answer:
        digest = hmac.new(GITHUB_SECRET.encode(), request.body, hashlib.sha256).hexdigest()
        signed = request.headers["x-hub-signature-256"] == f"sha256={digest}"
        if not signed and self.mischief != "trust":
            return Answer(401, {"code": "unauthenticated"})
        delivery_id = request.headers["x-github-delivery"]
        known = self.run_of_delivery.get(delivery_id)
        if known and self.mischief != "forget":
            return Answer(202, {"runId": known, "deduplicated": True})
        event = request.headers["x-github-event"]
        messages = expected.slack_messages([Delivery(event, request.body, delivery_id)])
        for message in messages:
            self._post("slack", message, key=delivery_id)
        run_id = self._record(
            step("interesting", 1, len(messages), 1 - len(messages)),
            step("slack", len(messages), len(messages)),
            deliveryId=delivery_id,
        )
        self.run_of_delivery[delivery_id] = run_id
        return Answer(202, {"runId": run_id, "deduplicated": False})

    def _quakes(self) -> str:
        features: list[JsonObject] = []
        link: str | None = "/features"
        while link:
            page = self.http.request("GET", self.bases["earthquake-source"] + link).json()
            features += page["features"]
            link = page.get("next")
        quakes = expected.quakes(features)
        for start in range(0, len(quakes.warehouse), 50):
            self._post("warehouse", quakes.warehouse[start : start + 50], key=f"w{start}")
        for number, alert in enumerate(quakes.alerts):
            if self.mischief == "lose" and number == 7:
                continue
            self._post("alerts", alert, key=f"a{number}")
            if self.mischief == "repeat" and number == 7:
                self._post("alerts", alert, key="another")
        self.summary = quakes.summary
        kept, strong = len(quakes.warehouse), len(quakes.alerts)
        return self._record(
            step("read", 0, len(features)),
            step("convert", len(features), kept, len(features) - kept),
            step("strong", kept, strong, kept - strong),
        )

    def _post(self, connection: str, body: object, key: str) -> None:
        headers = {"Idempotency-Key": key, "Authorization": "Bearer local-example-token"}
        url = self.bases[connection] + "/"
        self.http.request("POST", url, body=json.dumps(body), headers=headers)

    def _record(self, *steps: JsonObject, **trigger: str) -> str:
        run_id = f"run_{len(self.runs)}"
        self.runs[run_id] = {
            "id": run_id,
            "flowId": "flow_1",
            "versionNumber": 1,
            "status": "succeeded",
            "trigger": {"source": "manual", **trigger},
            "createdAt": MOMENT,
            "startedAt": MOMENT,
            "endedAt": MOMENT,
            "steps": list(steps),
        }
        return run_id


@contextmanager
def running(mischief: Mischief) -> Iterator[Engine]:
    """The engine behind a server of its own."""
    engine = Engine(mischief)
    with LoopbackServer(engine.respond) as server, engine.http:
        engine.url = server.url
        yield engine


def run(engine: Engine, *, known: bool = True) -> tuple[bool, str]:
    """Whether the examples passed, and what they printed."""
    console = Console(file=StringIO(), width=100)
    passed = run_examples(engine.url, "t" if known else "wrong", console)
    assert isinstance(console.file, StringIO)
    return passed, console.file.getvalue()


def test_an_engine_that_does_its_work_passes_twice_in_a_row() -> None:
    """Graph, timeline, counts and checks are printed; a second call finds its flows there."""
    with running("none") as engine:
        passed, text = run(engine)
        assert passed, text
        assert "✗" not in text
        assert "convert (Process)" in text
        assert "12 deliveries" in text
        assert "warehouse got exactly the 297 records expected, each once" in text
        assert "alerts got exactly the 39 records expected, each once" in text
        assert ".venv/bin/millrace runs output run_12 summary" in text
        assert run(engine)[0]
        assert engine.applied == ["github-to-slack", "earthquakes"] * 2


@pytest.mark.parametrize(
    ("mischief", "line"),
    [
        ("lose", "missing 1 time(s)"),
        ("repeat", "arrived more than once"),
        ("forget", "instead of"),
        ("trust", "answered 202"),
    ],
)
def test_an_engine_that_breaks_a_promise_is_caught(mischief: Mischief, line: str) -> None:
    """A lost record, a duplicate, a forgotten delivery id and a forged signature: each shows."""
    with running(mischief) as engine:
        passed, text = run(engine)
    assert not passed
    assert line in text


def test_a_refused_token_is_a_failed_check_and_not_a_traceback() -> None:
    """What the API says is printed, and the answer is no."""
    with running("none") as engine:
        passed, text = run(engine, known=False)
    assert not passed
    assert "check MILLRACE_TOKEN" in text
