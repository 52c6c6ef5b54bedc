"""How soon callers are answered, and what a run costs: `python -m benchmarks.latency [--json]`.

Times are those of the local stack, brought up for this and thrown away: a client that keeps its
connections open, the HTTP API, the ingress function, DynamoDB, and an EXPRESS machine of three
steps behind the callback. The stack, its functions and the client share this machine, so these are
no times of AWS, where each function has a processor of its own and each request its way; they are
the project's to compare with its own of before. Policies are not enforced meanwhile: AWS checks
them on machines of its own, and here that is a fifth of the time. What AWS would bill is counted by
`billed`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import urllib3
from benchmarks.billed import Bill, bills, process_step
from benchmarks.figures import logs_aside
from tests.e2e.local_stacks import free_port
from tests.support.aws import ROOT

from millrace_local.config import Config
from millrace_local.first_run import ensure_token
from millrace_local.lifecycle import down, up

STEPS: Final = 3
WARM_UP: Final = 30
AT_ONCE: Final = 8
BILLED: Final = (1, 5, 20)

FLOWS: Final = [
    {
        "name": "Callback",
        "stableKey": "callback",
        "isSynchronous": True,
        "callbacks": [{"name": "in", "stableKey": "callback-in"}],
        "steps": [process_step(number) for number in range(STEPS)],
    },
    {
        "name": "Webhook",
        "stableKey": "webhook",
        "webhooks": [{"name": "in", "stableKey": "webhook-in"}],
        "steps": [process_step(0)],
    },
]


class Caller:
    """Sends requests to the local stack over connections that stay open."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token
        self._pool = urllib3.PoolManager(maxsize=AT_ONCE)
        self._numbers = count()

    def api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
        """The answer of the flow API."""
        headers = {"Authorization": f"Bearer {self._token}"}
        told = self._pool.request(method, self.url + path, json=body, headers=headers)
        return self._told(path, told)

    def deliver(self, address: str) -> float:
        """Milliseconds until a public address answers a delivery like no other."""
        start = time.perf_counter()
        body = {"id": next(self._numbers), "total": 41}
        told = self._pool.request("POST", self.url + address, json=body)
        took = 1_000 * (time.perf_counter() - start)
        self._told(address, told)
        return took

    @staticmethod
    def _told(path: str, told: urllib3.BaseHTTPResponse) -> Any:  # noqa: ANN401 - any JSON
        if told.status >= 300:  # noqa: PLR2004 - where other answers than success begin
            raise SystemExit(f"{path}: {told.status} {told.data.decode()}")
        return told.json()


@contextmanager
def local_stack() -> Iterator[Caller]:
    """A stack of its own, gone afterwards."""
    with TemporaryDirectory() as folder:
        config = replace(
            Config.of_project(ROOT), state=Path(folder), port=free_port(), enforces_policies=False
        )
        stack = up(config)
        try:
            if stack.api_url is None:
                raise SystemExit("the template has no HTTP API")
            yield Caller(stack.api_url, ensure_token(stack, stack.api_url))
        finally:
            down(config)


def address_of(caller: Caller, flow_id: str, kind: str, place: str) -> str:
    """Where a flow's one webhook or callback is called."""
    (found,) = caller.api("GET", f"/v1/flows/{flow_id}/{kind}")["data"]
    return f"/{place}/{found['id']}"


def one_by_one(requests: int, call: Callable[[], float], pause: float = 0.0) -> list[float]:
    """Sorted milliseconds of calls that follow each other."""
    for _ in range(WARM_UP):
        call()
    times = []
    for _ in range(requests):
        times.append(call())
        time.sleep(pause)
    return sorted(times)


def per_second(requests: int, call: Callable[[], float]) -> float:
    """Answers a second while eight callers ask, each anew once it is answered."""
    with ThreadPoolExecutor(AT_ONCE) as callers:
        list(callers.map(lambda _: call(), range(WARM_UP)))
        start = time.perf_counter()
        list(callers.map(lambda _: call(), range(requests)))
        return requests / (time.perf_counter() - start)


def measured(requests: int) -> dict[str, Any]:
    """All figures."""
    with local_stack() as caller:
        applied = caller.api("POST", "/v1/apply", {"flows": FLOWS})
        callback_flow, webhook_flow = (flow["id"] for flow in applied["flows"])
        callback = address_of(caller, callback_flow, "callbacks", "callbacks")
        webhook = address_of(caller, webhook_flow, "webhooks", "hooks")
        held = one_by_one(requests, lambda: caller.deliver(callback))
        rate = per_second(2 * requests, lambda: caller.deliver(callback))
        # Each starts a run, which may end before the next one is measured.
        accepted = one_by_one(requests // 2, lambda: caller.deliver(webhook), pause=0.3)
    return figures(held, rate, accepted, bills(BILLED))


def figures(
    held: list[float], rate: float, accepted: list[float], billed: dict[int, Bill]
) -> dict[str, Any]:
    """What is told of sorted milliseconds, of answers a second, and of bills by steps."""
    return {
        "callback_p50_ms": round(statistics.median(held), 1),
        "callback_p99_ms": round(held[int(0.99 * (len(held) - 1))], 1),
        "callback_rps_8": round(rate, 1),
        "webhook_p50_ms": round(statistics.median(accepted), 1),
        "webhook_p99_ms": round(accepted[int(0.99 * (len(accepted) - 1))], 1),
        "usd_per_1000_runs": {
            str(steps): round(bill.dollars_per_1000, 4) for steps, bill in billed.items()
        },
        "transitions_per_run": {str(steps): bill.transitions for steps, bill in billed.items()},
        "billed": {str(steps): bill.told() for steps, bill in billed.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--requests", type=int, default=300, help="of each kind, one by one")
    arguments = parser.parse_args()
    with logs_aside():
        found = measured(arguments.requests)
    if arguments.json:
        json.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    billed = found.pop("billed")
    lines = ["latency: the local stack, its client on the same machine"]
    lines += [f"{name}: {value}" for name, value in found.items()]
    lines += [f"a run of {steps} steps: {bill}" for steps, bill in billed.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
