"""Metrics of runs as a client of the API sees them."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.functional.conftest import Stack
from tests.support.app import Answer, Client
from tests.support.samples import run

from millrace.domain.run import Counts, RunError, RunOutcome, RunStatus

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
DONE = RunOutcome(status=RunStatus.SUCCEEDED, counts=Counts(records_in=3, records_out=2))
FAILED = RunOutcome(status=RunStatus.FAILED, error=RunError(code="http500", message="down"))


@pytest.fixture
def flow_id(stack: Stack, alice: Client) -> str:
    """A flow with four runs: three on a Saturday around noon, one on the Monday after."""
    made = alice("POST", "/v1/flows", {"name": "Orders"}).body
    for number, (version, ended, outcome) in enumerate(
        (
            ("ver_1", NOON, DONE),
            ("ver_1", NOON + timedelta(minutes=59), FAILED),
            ("ver_2", NOON + timedelta(hours=1), DONE),
            ("ver_2", NOON + timedelta(days=2), DONE),
        )
    ):
        begun = {"created_at": ended, "started_at": ended - timedelta(seconds=number + 1)}
        owner = {"workspace_id": made["workspaceId"], "flow_id": made["id"]}
        each = run(f"run_{number}", **owner, version_id=version, **begun)
        stack.context.runs.create(each)
        stack.context.runs.finish(each.key, outcome, ended)
    return str(made["id"])


def ask(client: Client, flow_id: str, **query: str) -> Answer:
    """Ask for the metrics of a flow."""
    return client("GET", f"/v1/flows/{flow_id}/versionMetrics", query=query)


HOURS = {
    "intervalStart": "2026-01-31T11:00:00Z",
    "intervalEnd": "2026-01-31T14:00:00Z",
    "intervalUnit": "hour",
}


def test_each_hour_tells_what_each_version_did(alice: Client, flow_id: str) -> None:
    """Hours without runs are zeros; those with runs name the versions that ran."""
    hours = ask(alice, flow_id, **HOURS).body["data"]
    assert [each["intervalStart"][11:13] for each in hours] == ["11", "12", "13"]
    runs = [each["metrics"]["runs"] for each in hours]
    assert (runs, {type(number) for number in runs}) == ([0, 2, 1], {int})
    assert [[one["versionId"] for one in each["versions"]] for each in hours] == [
        [],
        ["ver_1"],
        ["ver_2"],
    ]
    noon = hours[1]["metrics"]
    assert (noon["succeeded"], noon["failed"], noon["errors"], noon["recordsIn"]) == (1, 1, 1, 3)
    assert (noon["durationTotalMs"], noon["durationMeanMs"]) == (3_000, 1_500)
    assert 2_000 <= noon["durationMaxMs"] <= 2_000 * 13 / 12
    assert 1_000 <= noon["durationP50Ms"] <= 1_000 * 13 / 12


def test_days_weeks_and_months_are_added_up(alice: Client, flow_id: str) -> None:
    """Weeks begin on Monday, so the last run is in another one, and in another month."""
    time = {"intervalStart": "2026-01-30T09:00:00Z", "intervalEnd": "2026-02-03T00:00:00Z"}
    found = {}
    for unit in ("day", "week", "month"):
        data = ask(alice, flow_id, **time, intervalUnit=unit).body["data"]
        found[unit] = [(each["intervalStart"][5:10], each["metrics"]["runs"]) for each in data]
    assert found == {
        "day": [("01-30", 0), ("01-31", 3), ("02-01", 0), ("02-02", 1)],
        "week": [("01-26", 3), ("02-02", 1)],
        "month": [("01-01", 3), ("02-01", 1)],
    }


def test_metrics_can_be_chosen(alice: Client, flow_id: str) -> None:
    """By key, and for the flow as a whole."""
    data = ask(alice, flow_id, **HOURS, key="runs", keys="failed", modelType="flow").body["data"]
    assert data[1]["metrics"] == {"runs": 2, "failed": 1}
    assert data[1]["versions"] == []


def test_everything_wrong_is_told_at_once(alice: Client, mallory: Client, flow_id: str) -> None:
    """Each parameter that is wrong is named; another workspace's is one that is not there."""
    other = mallory("GET", "/v1/tokenInfo").body["workspaceId"]
    answer = ask(
        alice,
        flow_id,
        intervalStart="2020-01-01T00:00:00Z",
        intervalUnit="hour",
        keys="runs,speed",
        managedCompanies=other,
    )
    assert answer.status == 400
    assert answer.errors == {
        ("tooManyIntervals", "intervalUnit"),
        ("unknownKey", "keys"),
        ("unknownWorkspace", "managedCompanies"),
    }
    backwards = ask(alice, flow_id, **HOURS | {"intervalEnd": HOURS["intervalStart"]})
    assert backwards.errors == {("emptyInterval", "intervalStart")}
    assert ask(alice, flow_id, intervalUnit="year").status == 400


def test_metrics_are_their_owners(alice: Client, mallory: Client, flow_id: str) -> None:
    """One's own workspace may be named; another's flow is none."""
    own = alice("GET", "/v1/tokenInfo").body["workspaceId"]
    assert ask(alice, flow_id, managedCompanies=own).status == 200
    assert ask(mallory, flow_id).status == 404
