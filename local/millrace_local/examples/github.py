"""GitHub's part: delivers real events to a webhook, signed the way GitHub signs them.

Source of the headers: GitHub docs, "Webhook events and payloads", section "Delivery headers".
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import urllib3


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook call: the event's name, its body, and the id that names this delivery."""

    event: str
    body: bytes
    delivery_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the webhook answered."""

    status: int
    run_id: str | None
    deduplicated: bool


def read_deliveries(folder: Path) -> Iterator[Delivery]:
    """One delivery with a new id for each `EVENT.NN.json`, in the order of the names."""
    for path in sorted(folder.glob("*.json")):
        yield Delivery(path.name.partition(".")[0], path.read_bytes(), str(uuid4()))


def deliver(url: str, delivery: Delivery, secret: str) -> Outcome:
    """Send it once, as GitHub does: no retries, redirects not followed."""
    signature = hmac.new(secret.encode(), delivery.body, hashlib.sha256).hexdigest()
    answer = urllib3.request(
        "POST",
        url,
        body=delivery.body,
        headers={
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/example",
            "X-GitHub-Event": delivery.event,
            "X-GitHub-Delivery": delivery.delivery_id,
            "X-Hub-Signature-256": f"sha256={signature}",
        },
        retries=False,
        timeout=30,
    )
    try:
        content = json.loads(answer.data)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        content = {}
    return Outcome(answer.status, content.get("runId"), bool(content.get("deduplicated")))
