"""Nobody reaches another workspace's things, whichever way ids are mixed, on any route."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from botocore.endpoint import Endpoint
from botocore.model import OperationModel
from tests.functional.conftest import Stack
from tests.functional.test_api_errors import BODIES, ids_of, table
from tests.support.app import Answer, Client, LambdaContext, answer_of, documented, http_event
from tests.support.samples import failed_record

type Ids = dict[str, str]

ROUTES: Final = [(method, path) for method, path in documented() if "{" in path]
ULID: Final = re.compile(r"[0-9A-Z]{26}")
KINDS: Final = {"flow_id", "connection_id", "run_id", "token_id"}
"""Of these each is tried in the places of all others."""

PARTS_OF_A_FLOW: Final = {"version_id", "webhook_id", "callback_id", "test_id", "error_id"}
CHOSEN_BY_AUTHORS: Final = {"step_id"}
"""Ids that are not ours: any workspace may have the same, so none of them is another's."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the calls to AWS, as they are made."""
    made: list[str] = []
    send = Endpoint.make_request

    def listening(endpoint: Endpoint, operation: OperationModel, request: Any) -> Any:  # noqa: ANN401 - handed on
        made.append(operation.name)
        return send(endpoint, operation, request)

    monkeypatch.setattr(Endpoint, "make_request", listening)
    return made


def names_in(path: str) -> list[str]:
    """The places of ids in a route."""
    return re.findall(r"{(\w+)}", path)


def gone_from(id_: str) -> str:
    """An id of the same form that nobody has."""
    return ULID.sub(lambda found: found[0][:-4] + "0000", id_)


def next_to(id_: str) -> str:
    """The id that would be guessed from another one."""
    return ULID.sub(lambda found: found[0][:-1] + ("1" if found[0][-1] == "0" else "0"), id_)


def asked(client: Client, method: str, path: str, ids: Ids) -> Answer:
    """The answer to a good request, but for its ids."""
    body = BODIES.get((method, path))
    return client(method, path.format(**ids), body, headers={"If-Match": '"1"'})


def without(ids: Ids, answer: Answer) -> tuple[int, dict[str, str], object]:
    """An answer without the ids that were asked for."""
    told = json.dumps(answer.body)
    for id_ in ids.values():
        told = told.replace(id_, "id")
    return answer.status, answer.headers, json.loads(told)


def wrong(path: str, mine: Ids, theirs: Ids, other: Ids) -> Iterator[tuple[str, Ids, Ids]]:
    """Ids for a route of which one is not there for the caller, and the same with a missing one.

    `theirs` are another workspace's, `other` those of another flow of the caller's.
    """
    own = {name: mine[name] for name in names_in(path)}
    for name in own.keys() - CHOSEN_BY_AUTHORS:
        gone = own | {name: gone_from(mine[name])}
        yield "another workspace's", own | {name: theirs[name]}, gone
        yield "a guess", own | {name: next_to(mine[name])}, gone
        for kind in KINDS - {name}:
            yield kind, own | {name: mine[kind]}, gone
        if name in PARTS_OF_A_FLOW and "flow_id" in own:
            yield "another flow's", own | {name: other[name]}, gone
            elsewhere = {"flow_id": other["flow_id"]}
            yield "my flow's", own | elsewhere, gone | elsewhere


def other_flow(stack: Stack, client: Client, mine: Ids) -> Ids:
    """The ids of a second flow and of all that belongs to it."""
    made = client("POST", f"/v1/flows/{mine['flow_id']}/duplicate").body["created"]
    path = f"/v1/flows/{made[0]['id']}"
    copy = client("GET", path).body
    error = failed_record(
        run_id="run_2", step_id="map", workspace_id=copy["workspaceId"], flow_id=copy["id"]
    )
    stack.context.failed_records.put([error])
    return {
        "flow_id": copy["id"],
        "version_id": copy["latestVersionId"],
        "webhook_id": client("POST", f"{path}/webhooks", {}).body["id"],
        "callback_id": client("POST", f"{path}/callbacks", {}).body["id"],
        "test_id": client("POST", f"{path}/test", {}).body["id"],
        "error_id": error.id,
    }


def test_s9_ids_that_are_not_the_callers_answer_as_missing_ones(
    stack: Stack, alice: Client, mallory: Client, calls: list[str]
) -> None:
    """On every route, for each id in its path: the same answer, after the same reads."""
    mine, theirs = ids_of(stack, mallory), ids_of(stack, alice)
    other = other_flow(stack, mallory, mine)
    before = table()
    tried = 0
    for method, path in ROUTES:
        for what, ids, gone in wrong(path, mine, theirs, other):
            calls.clear()
            found = without(ids, asked(mallory, method, path, ids))
            reads = [*calls]
            calls.clear()
            assert found == without(gone, asked(mallory, method, path, gone)), (method, path, what)
            assert found[0] == 404, (method, path, what)
            # What is not even an id of the kind need not be looked for.
            assert what in KINDS or reads == calls, (method, path, what)
            tried += 1
    assert tried > 6 * len(ROUTES)
    assert table() == before


def test_every_primary_key_begins_with_the_workspace(stack: Stack, alice: Client) -> None:
    """So no query of one workspace can come upon what is another's."""
    workspace_id = alice("GET", "/v1/tokenInfo").body["workspaceId"]
    ids_of(stack, alice)
    alice("POST", "/v1/labels", {"name": "Red"}, headers={"Idempotency-Key": "k"})
    kinds = {item["pk"]["S"].partition("#")[2].rpartition("#")[2] for item in table()}
    assert {item["pk"]["S"].partition("#")[0] for item in table()} == {workspace_id}
    assert len(kinds) > 20


def test_s5_an_unknown_address_is_looked_up_as_a_known_one(
    stack: Stack, alice: Client, calls: list[str]
) -> None:
    """One query tells both apart; what follows is only done for who knows an address already."""
    ids = ids_of(stack, alice)
    path = f"/v1/flows/{ids['flow_id']}/webhooks"
    signed = {"hmacPreset": "github", "hmacSecretKey": "it-is-a-secret"}
    known = alice("POST", path, signed).body["id"]
    answers, reads = {}, {}
    for id_ in (known, gone_from(known)):
        calls.clear()
        request = http_event("ingress", "POST", f"/hooks/{id_}", b"{}")
        request["pathParameters"] = {"webhookId": id_}
        answers[id_] = answer_of(stack.functions["ingress"](request, LambdaContext()))
        reads[id_] = [*calls]
    assert reads[known][0] == "Query"
    assert answers[known].status == 401
    assert reads[gone_from(known)] == ["Query"]
    assert answers[gone_from(known)].status == 404
