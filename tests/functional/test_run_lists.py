"""Lists of runs over the API: all of a workspace or those of a flow, filtered."""

from datetime import timedelta

import pytest
from tests.functional.conftest import Stack
from tests.functional.test_lists import ask, counted, follow, link
from tests.support.app import Client
from tests.support.samples import run
from tests.support.time_and_ids import NOON

from millrace.domain.run import RunKey, RunOutcome, RunStatus, Trigger


@pytest.fixture
def flows(stack: Stack, alice: Client) -> tuple[str, str]:
    """Two flows with three runs each, a second apart; every other one succeeded."""
    ids = [alice("POST", "/v1/flows", {"name": name}).body["id"] for name in "ab"]
    workspace_id = alice("GET", "/v1/tokenInfo").body["workspaceId"]
    for number in range(6):
        made = run(
            f"run_{number}",
            workspace_id=workspace_id,
            flow_id=ids[number // 3],
            created_at=NOON + timedelta(seconds=number),
            trigger=Trigger(source="webhook" if number == 4 else "manual"),
        )
        stack.context.runs.create(made)
        if number % 2:
            key = RunKey(workspace_id, made.id)
            stack.context.runs.finish(key, RunOutcome(status=RunStatus.SUCCEEDED), NOON)
    return ids[0], ids[1]


@pytest.mark.usefixtures("flows")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "543210"),
        ({"filter_status": "succeeded"}, "531"),
        ({"filter_status": "succeeded, running", "perPage": "2"}, "543210"),
        ({"filter_triggerSource": "webhook,schedule"}, "4"),
        ({"filter_createdAfter": "2026-01-31T12:00:02Z"}, "5432"),
        ({"filter_createdBefore": "2026-01-31T13:00:02+01:00"}, "10"),
        ({"filter_status": "failed"}, ""),
        ({"filter_status": "running", "perPage": "1"}, "420"),
    ],
)
def test_runs_of_a_workspace_are_found_by_what_they_are(
    alice: Client, mallory: Client, query: dict[str, str], expected: str
) -> None:
    """Newest first, page after page by the links; nobody else sees any of them."""
    answer = ask(alice, "/v1/runs", **query)
    found = ""
    while True:
        assert answer.status == 200, answer.body
        found += "".join(each["id"][-1] for each in answer.body["data"])
        following = link(answer, "next")
        if following is None:
            break
        assert f'<{following}>; rel="next"' in answer.headers["link"]
        answer = follow(alice, following)
    assert found == expected
    assert ask(mallory, "/v1/runs").body["data"] == []


def test_runs_are_found_by_their_flow(alice: Client, flows: tuple[str, str]) -> None:
    """By one flow or several; the flow's own list has the same filters but this one."""
    first, second = flows
    for query, expected in (
        ({"filter_flowId": first}, "210"),
        ({"filter_flowId": f"{first},{second}", "filter_status": "running"}, "420"),
        ({"filter_flowId": "flow_9"}, ""),
        ({"filter_flowId": "x" * 3_000}, ""),
        ({"filter_flowId": ""}, ""),
        ({"filter_flowId": second, "filter_status": "succeeded"}, "53"),
    ):
        answer = ask(alice, "/v1/runs", **query)
        assert "".join(each["id"][-1] for each in answer.body["data"]) == expected
    own = ask(alice, f"/v1/flows/{second}/runs", filter_status="succeeded", perPage="1")
    assert [each["id"] for each in own.body["data"]] == ["run_5"]
    assert [each["id"] for each in follow(alice, link(own, "next")).body["data"]] == ["run_3"]
    refused = ask(alice, f"/v1/flows/{second}/runs", filter_flowId=first)
    assert refused.errors == {("unknownFilter", "filter[flowId]")}


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"filter_status": "finished"}, "filter[status]"),
        ({"filter_status": ""}, "filter[status]"),
        ({"filter_triggerSource": "manual,sun"}, "filter[triggerSource]"),
        ({"filter_createdAfter": "yesterday"}, "filter[createdAfter]"),
        ({"filter_createdBefore": "2026-01-31T12:00:00"}, "filter[createdBefore]"),
        ({"filter_createdBefore": "9999-12-31T23:59:59-05:00"}, "filter[createdBefore]"),
        ({"filter_flowId": ",".join(map(str, range(101)))}, "filter[flowId]"),
        ({"filter_name": "a"}, "filter[name]"),
        ({"sort": "createdAt"}, "sort"),
        ({"perPage": "101"}, "perPage"),
    ],
)
def test_what_no_run_could_be_is_refused(alice: Client, query: dict[str, str], place: str) -> None:
    """By the name of the parameter."""
    answer = ask(alice, "/v1/runs", **query)
    assert (answer.status, {pointer for _, pointer in answer.errors}) == (400, {place})


def test_a_page_of_runs_takes_one_query_and_one_read(alice: Client, flows: tuple[str, str]) -> None:
    """However many it shows; those of a flow take the flow and the query."""
    with counted(alice) as (client, calls):
        assert len(ask(client, "/v1/runs", filter_status="running").body["data"]) == 3
    assert calls == {"Query": 1, "BatchGetItem": 1}
    with counted(alice) as (client, calls):
        ask(client, f"/v1/flows/{flows[0]}/runs", filter_status="running")
    assert calls == {"GetItem": 1, "Query": 1}


@pytest.mark.usefixtures("flows")
def test_a_run_takes_one_query(alice: Client) -> None:
    """With its steps."""
    with counted(alice) as (client, calls):
        assert client("GET", "/v1/runs/run_0").body["id"] == "run_0"
    assert calls == {"Query": 1}
