"""Two requests at once on one flow: a rival acts between what one reads and what it writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.model import OperationModel
from tests.functional.test_api_errors import table
from tests.functional.test_api_resources import FLOW, STEP, deployed
from tests.support.app import Answer, Client, load_handler
from tests.support.aws_moments import refused

DEPLOY = {"deployedAt": "2026-01-31T12:00:00Z"}


@contextmanager
def interrupted(client: Client, operation: str, act: Callable[[], object]) -> Iterator[Client]:
    """A client of an API of its own, before whose first such call somebody else does something."""
    pending = [act]

    def interrupt(model: OperationModel, **_: object) -> None:
        if pending and model.name == operation:
            pending.pop()()

    session = boto3.DEFAULT_SESSION
    assert session is not None
    session.events.register("before-call.dynamodb", interrupt)
    try:
        yield Client(load_handler("api"), client.authorizer, client.token)
    finally:
        session.events.unregister("before-call.dynamodb", interrupt)
        assert not pending


def renamed(name: str) -> list[dict[str, Any]]:
    """A patch of the name."""
    return [{"op": "replace", "path": "/name", "value": name}]


def place(flow: Answer) -> str:
    """Where a flow is."""
    return f"/v1/flows/{flow.body['id']}"


@pytest.fixture
def flow(alice: Client) -> Answer:
    """A flow that is a draft."""
    return alice("POST", "/v1/flows", FLOW)


def test_c1_of_two_patches_on_one_etag_one_stands(alice: Client, flow: Answer) -> None:
    """200 and 412, also if both had read the flow before either wrote; one entry in the trail."""
    told: list[Answer] = []
    path = place(flow)

    def first() -> None:
        told.append(alice("PATCH", path, renamed("first"), headers=flow.etag))

    with interrupted(alice, "TransactWriteItems", first) as client:
        told.append(client("PATCH", path, renamed("second"), headers=flow.etag))
    assert [(answer.status, answer.body.get("code")) for answer in told] == [
        (200, None),
        (412, "revisionMismatch"),
    ]
    assert alice("GET", path).body == told[0].body
    events = [entry["event"] for entry in alice("GET", f"{path}/audit").body["data"]]
    assert events == ["patched", "created"]


def test_c1_a_patch_without_the_revision_is_428(alice: Client, flow: Answer) -> None:
    """The sender is told what to send, and nothing changes."""
    before = table()
    answer = alice("PATCH", place(flow), renamed("blind"))
    assert (answer.status, answer.body["code"]) == (428, "preconditionRequired")
    assert "If-Match" in answer.body["detail"]
    assert table() == before


def test_c1_a_delete_before_a_deploy_leaves_nothing(alice: Client, flow: Answer) -> None:
    """The flow is gone, and so is the machine that was made for it."""
    path = place(flow)
    version = f"{path}/versions/{flow.body['latestVersionId']}"
    etag = alice("GET", version).etag

    def delete() -> None:
        assert alice("DELETE", path, headers=flow.etag).status == 204

    with interrupted(alice, "TransactWriteItems", delete) as client:
        answer = client("PUT", version, DEPLOY, headers=etag)
    assert answer.status in {404, 412}, answer.body
    assert alice("GET", path).status == alice("GET", version).status == 404
    assert boto3.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert not [item for item in table() if item["sk"]["S"].startswith(("flow", "ver"))]


def test_c1_a_deploy_before_a_delete_keeps_the_flow(alice: Client, flow: Answer) -> None:
    """412: who deletes has not seen that the flow is live, and it goes on."""
    path = place(flow)
    version = f"{path}/versions/{flow.body['latestVersionId']}"

    def deploy() -> None:
        told = alice("PUT", version, DEPLOY, headers=alice("GET", version).etag)
        assert told.status == 200

    with interrupted(alice, "TransactWriteItems", deploy) as client:
        answer = client("DELETE", path, headers=flow.etag)
    assert (answer.status, answer.body["code"]) == (412, "revisionMismatch")
    live = alice("GET", path).body
    assert live["deployedVersionId"] == flow.body["latestVersionId"]
    assert alice("POST", f"{path}/run").status == 202


@pytest.mark.parametrize("moment", ["BatchGetItem", "TransactWriteItems"])
def test_c1_a_clone_of_a_flow_that_is_edited_is_of_one_state(alice: Client, moment: str) -> None:
    """All as it was before the edit, or all as it was after it; the edit stands either way."""
    flow = deployed(alice)
    path = f"/v1/flows/{flow['id']}"
    edit = {**FLOW, "description": "edited", "steps": [{**FLOW["steps"][0], "id": "other"}]}  # type: ignore[dict-item]  # FLOW is plain JSON

    def edited() -> None:
        assert alice("PUT", path, edit, headers=alice("GET", path).etag).status == 200

    with interrupted(alice, moment, edited) as client:
        told = client("POST", f"{path}/clone", {"connectionMap": {}})
    assert told.status == 201, told.body
    clone = alice("GET", f"/v1/flows/{told.body['created'][0]['id']}").body
    state = (clone["description"], clone["steps"][0]["id"])
    assert state == (("edited", "other") if moment == "BatchGetItem" else (None, "map"))
    assert alice("GET", path).body["description"] == "edited"


def test_a_version_that_changed_while_it_was_deployed_is_deployed_as_it_is_now(
    alice: Client, flow: Answer
) -> None:
    """The machine that the first deploy left behind is brought up to the version's steps."""
    path, version = place(flow), f"{place(flow)}/versions/{flow.body['latestVersionId']}"
    states = boto3.client("stepfunctions")

    def step_names() -> set[str]:
        (machine,) = states.list_state_machines()["stateMachines"]
        found = states.describe_state_machine(stateMachineArn=machine["stateMachineArn"])
        return {name for name in ("map", "other") if f'"{name}"' in found["definition"]}

    def change() -> None:
        given = FLOW | {"steps": [{"id": "other", "type": "Process", "action": STEP}]}
        assert alice("PUT", path, given, headers=flow.etag).status == 200

    etag = alice("GET", version).etag
    with interrupted(alice, "TransactWriteItems", change) as client:
        assert client("PUT", version, DEPLOY, headers=etag).status == 412
    assert step_names() == {"map"}
    etag = alice("GET", version).etag
    with refused("CreateStateMachine", "StateMachineAlreadyExists"):
        assert alice("PUT", version, DEPLOY, headers=etag).status == 200
    assert step_names() == {"other"}
