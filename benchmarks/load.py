"""Many deliveries at once, each run once: `python -m benchmarks.load [--json] [--deliveries 2000]`.

A local stack of its own takes deliveries from sixteen callers and is asked afterwards for its runs:
every accepted delivery has exactly one, and each of them ended. Each delivery has a name of its own
and is sent again until it is accepted, as senders do. Times are those of the machine at hand.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import urllib3
from benchmarks.billed import process_step
from benchmarks.latency import Caller, address_of, local_stack

AT_ONCE: Final = 16
TRIES: Final = 5
PAGE: Final = 100
ENDED: Final = frozenset({"succeeded", "partiallySucceeded", "failed", "cancelled", "superseded"})
DELIVERY_ID: Final = "X-Delivery-Id"

FLOW: Final = {
    "name": "Load",
    "stableKey": "load",
    "webhooks": [{"name": "in", "stableKey": "load-in", "deliveryIdHeader": DELIVERY_ID}],
    "steps": [process_step(0)],
}


class Sender:
    """Delivers, and remembers which runs it was told of."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(maxsize=AT_ONCE, retries=False)

    def deliver(self, number: int) -> tuple[str | None, float]:
        """The run that a delivery is told of, if it is accepted, and how long that took."""
        start = time.perf_counter()
        headers = {DELIVERY_ID: f"delivery-{number}"}
        body = {"id": number, "total": 41}
        for _ in range(TRIES):
            try:
                told = self._pool.request("POST", self._url, json=body, headers=headers)
            except urllib3.exceptions.HTTPError:
                continue
            if told.status == 202:  # noqa: PLR2004 - what a webhook answers unless it says otherwise
                return told.json()["runId"], time.perf_counter() - start
        return None, time.perf_counter() - start


def runs_of(caller: Caller, flow_id: str) -> list[dict[str, Any]]:
    """All runs of a flow, page by page."""
    runs: list[dict[str, Any]] = []
    path: str | None = f"/v1/flows/{flow_id}/runs?perPage={PAGE}"
    while path is not None:
        page = caller.api("GET", path)
        runs += page["data"]
        path = page["links"].get("next")
    return runs


def ended(caller: Caller, flow_id: str, patience_seconds: float) -> list[dict[str, Any]]:
    """All runs of a flow, once all are over or there is no more patience."""
    give_up = time.monotonic() + patience_seconds
    while True:
        runs = runs_of(caller, flow_id)
        if all(run["status"] in ENDED for run in runs) or time.monotonic() > give_up:
            return runs
        time.sleep(1)


def judged(told: Iterable[str | None], runs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How often something is wrong that must not be.

    `told` has what each delivery was told of, the id of a run if it was accepted at last. A run
    more than the deliveries that were accepted may be of one whose answer was lost, which is sent
    again by the same name, so each delivery may have one at most.
    """
    answers = [*told]
    accepted = Counter(run_id for run_id in answers if run_id is not None)
    there = Counter(run["status"] for run in runs)
    return {
        "not_accepted": answers.count(None),
        "accepted_without_run": len(accepted.keys() - {run["id"] for run in runs}),
        "told_the_run_of_another": sum(more - 1 for more in accepted.values()),
        "more_runs_than_accepted": max(0, len(runs) - len(accepted)),
        "not_succeeded": there.total() - there["succeeded"],
    }


def measured(deliveries: int) -> dict[str, Any]:
    """All figures; `wrong` counts what must not be."""
    with local_stack() as caller:
        (flow,) = caller.api("POST", "/v1/apply", {"flows": [FLOW]})["flows"]
        sender = Sender(caller.url + address_of(caller, flow["id"], "webhooks", "hooks"))
        start = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as senders:
            told = list(senders.map(sender.deliver, range(deliveries)))
        delivered = time.perf_counter() - start
        runs = ended(caller, flow["id"], 60 + deliveries / 2)
        all_ended = time.perf_counter() - start
    accepted = sum(run_id is not None for run_id, _ in told)
    times = sorted(1_000 * seconds for _, seconds in told)
    return {
        "deliveries": deliveries,
        "accepted": accepted,
        "runs": len(runs),
        "runs_by_status": dict(Counter(run["status"] for run in runs)),
        "accepted_per_s": round(accepted / delivered, 1),
        "p50_ms": round(statistics.median(times), 1),
        "p99_ms": round(times[int(0.99 * (len(times) - 1))], 1),
        "seconds_until_all_ended": round(all_ended, 1),
        "wrong": judged((run_id for run_id, _ in told), runs),
    }


def main() -> None:
    """Measure and print; something wrong fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--deliveries", type=int, default=2_000)
    arguments = parser.parse_args()
    figures = measured(arguments.deliveries)
    if arguments.json:
        json.dump(figures, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        lines = [f"load: {AT_ONCE} callers and a local stack on the same machine"]
        lines += [f"{name}: {value}" for name, value in figures.items()]
        sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(any(figures["wrong"].values()))


if __name__ == "__main__":
    main()
