"""What the examples must lead to, worked out from their input in plain Python.

Nothing of Millrace is used here, so an error in a mapping, a filter, a page or a retry shows as a
difference.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace_local.examples.github import Delivery

type Record = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILES_PER_KM = 0.621371
_KEPT_MAGNITUDE = 2.5
_STRONG_MAGNITUDE = 5
_ISSUE_ACTIONS = {"opened", "closed", "reopened", "assigned", "labeled", "deleted"}


@dataclass(frozen=True, slots=True)
class Quakes:
    """What the two receivers must hold and the summary must say."""

    warehouse: list[Record]
    alerts: list[Record]
    summary: list[Record]


def quakes(features: Iterable[Record]) -> Quakes:
    """The earthquakes example, from the features of the feed."""
    kept = [_converted(f) for f in features if f["properties"]["mag"] >= _KEPT_MAGNITUDE]
    strong = [
        {
            "id": quake["id"],
            "text": f"M {quake['magnitude']:.1f} {quake['place']}",
            "magnitude": quake["magnitude"],
            "depthMiles": quake["depthMiles"],
        }
        for quake in kept
        if quake["magnitude"] >= _STRONG_MAGNITUDE
    ]
    return Quakes(kept, strong, [_figures("warehouse", kept), _figures("alerts", strong)])


def slack_messages(deliveries: Iterable[Delivery]) -> list[Record]:
    """The GitHub example: the messages that Slack must get, in the order of the deliveries."""
    messages = []
    for delivery in deliveries:
        body = json.loads(delivery.body)
        text = None
        if delivery.event == "issues" and body["action"] in _ISSUE_ACTIONS:
            text = _issue_text(body)
        elif delivery.event == "push" and body["commits"]:
            text = _push_text(body)
        if text:
            repository = body["repository"]
            link = _link(repository["html_url"], repository["full_name"])
            messages.append(_message(text, link))
    return messages


def differences(expected: Sequence[Record], found: Sequence[Record]) -> list[str]:
    """In words, what differs between two multisets of records; empty if nothing does."""
    wanted, got = Counter(map(_canonical, expected)), Counter(map(_canonical, found))
    return [
        *(f"missing {count} time(s): {record}" for record, count in (wanted - got).items()),
        *(f"unexpected {count} time(s): {record}" for record, count in (got - wanted).items()),
    ]


def _converted(feature: Record) -> Record:
    properties = feature["properties"]
    longitude, latitude, depth_km = feature["geometry"]["coordinates"]
    time = _EPOCH + timedelta(milliseconds=properties["time"])
    return {
        "id": feature["id"],
        "kind": properties["type"],
        "magnitude": properties["mag"],
        "place": properties["place"],
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "longitude": longitude,
        "latitude": latitude,
        "depthMiles": round(depth_km * _MILES_PER_KM, 1),
        "tsunami": properties["tsunami"] == 1,
    }


def _figures(system: str, records: Sequence[Record]) -> Record:
    magnitudes = [record["magnitude"] for record in records]
    return {
        "system": system,
        "records": len(records),
        "strongest": max(magnitudes),
        "meanMagnitude": math.fsum(magnitudes) / len(magnitudes),
        "deepestMiles": max(record["depthMiles"] for record in records),
    }


def _issue_text(body: Record) -> str:
    issue = body["issue"]
    link = _link(issue["html_url"], f"#{issue['number']} {issue['title']}")
    text = f"*{body['sender']['login']}* {body['action']} issue {link}"
    if body.get("assignee"):
        text += f" to *{body['assignee']['login']}*"
    if body.get("label"):
        text += f" `{body['label']['name']}`"
    return text


def _push_text(body: Record) -> str:
    count = len(body["commits"])
    link = _link(body["compare"], body["head_commit"]["message"].split("\n")[0])
    branch = body["ref"].removeprefix("refs/heads/")
    commits = "1 commit" if count == 1 else f"{count} commits"
    return f"*{body['sender']['login']}* pushed {commits} to `{branch}`: {link}"


def _message(text: str, link: str) -> Record:
    return {
        "text": text,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": link}]},
        ],
    }


def _link(url: str, text: str) -> str:
    return f"<{url}|{text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}>"


def _canonical(record: Record) -> str:
    """One text for records that are equal as JSON: 5 and 5.0 are, a mean to nine places is."""
    return json.dumps({key: _rounded(value) for key, value in record.items()}, sort_keys=True)


def _rounded(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return round(float(value), 9)
