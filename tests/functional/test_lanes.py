"""Limited flows over the real handlers: what callers and senders are told."""

from typing import Any

from tests.functional.conftest import Stack
from tests.functional.test_api_resources import FLOW, deployed
from tests.functional.test_ingress import HOOK, deliver
from tests.support.app import Answer, Client, LambdaContext, answer_of, http_event

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.lane import Lane, LaneChange, Waiting
from millrace.domain.run import LaneKey
from millrace.usecases.lane_entry import SCHEDULED


def limited(alice: Client, on_conflict: str = "queue", **settings: Json) -> dict[str, Any]:
    """A deployed flow of which one run at a time may be at work."""
    rule = {"limit": 1, "onConflict": on_conflict, **settings.pop("rule", {})}
    return deployed(alice, FLOW | {"concurrency": rule, **settings})


def end(stack: Stack, alice: Client, run_id: str) -> None:
    """The run's machine does its work and tells the end."""
    workspace_id = alice("GET", f"/v1/runs/{run_id}").body["workspaceId"]
    data = {"workspaceId": workspace_id, "runId": run_id, "attempt": 1}
    stack.functions["run_step"]({"stepId": "map", **data}, LambdaContext())
    stack.functions["lifecycle"]({"event": "attemptSucceeded", **data}, LambdaContext())


def test_one_too_many_waits_and_is_told_why(stack: Stack, alice: Client) -> None:
    """202 with `queued`; the run and the limits say why and until when, until its turn comes."""
    flow = limited(alice, rule={"keyExpression": "customer"})
    path = f"/v1/flows/{flow['id']}/run"
    asked = {"payload": {"customer": "a"}}
    first, second = (alice("POST", path, asked).body for _ in range(2))
    assert (first["status"], second["status"]) == ("running", "queued")
    waiting = alice("GET", f"/v1/runs/{second['runId']}").body["waiting"]
    assert (waiting["position"], waiting["priority"]) == (1, 3)
    assert first["runId"] in waiting["reason"]
    (lane,) = alice("GET", "/v1/limits").body["lanes"]
    assert (lane["flowId"], lane["key"], lane["limit"]) == (flow["id"], "a", 1)
    assert (lane["taken"], lane["waiting"], lane["next"]) == (1, 1, [waiting])
    end(stack, alice, first["runId"])
    begun = alice("GET", f"/v1/runs/{second['runId']}").body
    assert (begun["status"], begun["waiting"]) == ("running", None)
    end(stack, alice, second["runId"])
    assert alice("GET", "/v1/limits").body["lanes"] == []


def test_lanes_are_told_by_flow_and_to_their_workspace_only(alice: Client, mallory: Client) -> None:
    """A filter that is not known is refused by name."""
    flow = limited(alice)
    alice("POST", f"/v1/flows/{flow['id']}/run")
    one = {"filter[flowId]": flow["id"]}
    assert len(alice("GET", "/v1/limits", query=one).body["lanes"]) == 1
    assert alice("GET", "/v1/limits", query={"filter[flowId]": "flow_0"}).body["lanes"] == []
    for query in (None, one):
        assert mallory("GET", "/v1/limits", query=query).body["lanes"] == []
    refused = alice("GET", "/v1/limits", query={"filter[name]": "x"})
    assert (refused.status, refused.errors) == (400, {("unknownFilter", "filter[name]")})


def test_manual_goes_past_the_line(alice: Client) -> None:
    """It begins at once and takes a slot all the same."""
    flow = limited(alice)
    path = f"/v1/flows/{flow['id']}"
    version = flow["deployedVersionId"]
    told = [
        alice("POST", f"{path}/{place}").body["status"]
        for place in (
            "run",
            "start",
            f"start/{version}",
            "start/raw",
            "manual",
            f"manual/{version}",
        )
    ]
    assert told == ["running", "queued", "queued", "queued", "running", "running"]
    (lane,) = alice("GET", "/v1/limits").body["lanes"]
    assert (lane["taken"], lane["limit"]) == (3, 1)


def test_r14_a_queued_run_is_cancelled_twice(stack: Stack, alice: Client) -> None:
    """Both times 200 with the same run; it never begins."""
    flow = limited(alice)
    first, second = (alice("POST", f"/v1/flows/{flow['id']}/run").body for _ in range(2))
    path = f"/v1/runs/{second['runId']}"
    once, twice = (alice("POST", f"{path}/cancel") for _ in range(2))
    assert (once.status, twice.status) == (200, 200)
    assert once.body == twice.body
    assert (once.body["status"], once.body["startedAt"]) == ("cancelled", None)
    end(stack, alice, first["runId"])
    assert alice("GET", path).body == once.body


def test_a_busy_flow_refuses_callers_and_senders(stack: Stack, alice: Client) -> None:
    """409 by name; the same delivery is taken later."""
    flow = limited(alice, "reject")
    hook = alice("POST", f"/v1/flows/{flow['id']}/webhooks", HOOK).body["id"]
    path = f"/v1/flows/{flow['id']}/run"
    first = alice("POST", path).body
    for refused in (alice("POST", path), deliver(stack, hook)):
        assert (refused.status, refused.body["code"]) == (409, "flowBusy")
    end(stack, alice, first["runId"])
    assert deliver(stack, hook).status == 202
    assert deliver(stack, hook).headers["millrace-deduplicated"] == "true"


def test_a_busy_flow_skips_what_comes(stack: Stack, alice: Client) -> None:
    """The caller gets a run that is over, the sender is told `skipped`; both say why."""
    flow = limited(alice, "skip")
    hook = alice("POST", f"/v1/flows/{flow['id']}/webhooks", HOOK).body["id"]
    path = f"/v1/flows/{flow['id']}/run"
    alice("POST", path)
    skipped = alice("POST", path)
    assert (skipped.status, skipped.body["status"]) == (200, "cancelled")
    assert skipped.body["error"]["code"] == "skipped"
    sent = deliver(stack, hook)
    assert (sent.status, sent.body["skipped"]) == (202, True)
    run = alice("GET", f"/v1/runs/{sent.body['runId']}").body
    assert run["error"] == skipped.body["error"]


def test_a_skipped_call_is_answered_at_once(stack: Stack, alice: Client) -> None:
    """409 with the run's id, for a flow that answers synchronously too."""
    flow = limited(alice, "skip", isSynchronous=True)
    made = alice("POST", f"/v1/flows/{flow['id']}/callbacks", {}).body
    alice("POST", f"/v1/flows/{flow['id']}/run")
    refused = call(stack, made["id"])
    assert (refused.status, refused.body["code"]) == (409, "runSkipped")
    assert refused.body["runId"] == refused.headers["millrace-run-id"]


def call(stack: Stack, callback_id: str) -> Answer:
    """Call a callback."""
    sent = http_event("ingress", "POST", f"/callbacks/{callback_id}", b"{}", {})
    sent["pathParameters"] = {"callbackId": callback_id}
    return answer_of(stack.functions["ingress"](sent, LambdaContext()))


def test_a_full_line_is_429(stack: Stack, alice: Client) -> None:
    """To callers and senders alike, with nothing recorded."""
    flow = limited(alice)
    hook = alice("POST", f"/v1/flows/{flow['id']}/webhooks", HOOK).body["id"]
    line = {f"run_{n}": Waiting(priority=3, until=9**12) for n in range(limits.QUEUE_DEPTH)}
    full = Lane(revision=1, slots={"run_a": 9**12}, waiting=line)
    key = LaneKey(flow["workspaceId"], flow["id"], "runs")
    stack.context.runs.swap_lane(LaneChange(key, None, full))
    for refused in (alice("POST", f"/v1/flows/{flow['id']}/start"), deliver(stack, hook)):
        assert (refused.status, refused.body["code"]) == (429, "queueFull")
    assert alice("GET", "/v1/runs").body["data"] == []


def test_scheduled_occurrences_do_not_overlap(stack: Stack, alice: Client) -> None:
    """Of a flow without `concurrency` too."""
    flow = deployed(alice, FLOW | {"schedule": "rate(1 hour)"})
    started = flow["workspaceId"]
    key = LaneKey(started, flow["id"], SCHEDULED)
    assert stack.context.runs.lane(key) is None
    runs = [
        stack.functions["trigger"](
            {"workspaceId": started, "flowId": flow["id"], "scheduledFor": planned}, None
        )["runId"]
        for planned in planned_of(alice, flow)
    ]
    told = [alice("GET", f"/v1/runs/{run_id}").body["status"] for run_id in runs]
    assert told == ["running", "queued"]
    end(stack, alice, runs[0])
    assert alice("GET", f"/v1/runs/{runs[1]}").body["status"] == "running"


def planned_of(alice: Client, flow: dict[str, Any]) -> list[str]:
    """The next two planned instants of a flow."""
    answer = alice("GET", f"/v1/flows/{flow['id']}/schedule/next", query={"n": "2"})
    return [each["scheduledFor"] for each in answer.body["data"]]
