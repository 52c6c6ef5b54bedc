"""Who may do what: tokens that are no good, roles that are too small, and what becomes of both."""

import json
from datetime import timedelta
from typing import Any, Final

import pytest
from botocore.endpoint import Endpoint
from botocore.exceptions import ConnectTimeoutError
from botocore.model import OperationModel
from tests.functional.conftest import Stack
from tests.functional.test_api_errors import BODIES, ids_of, missing, table
from tests.support.app import Client, LambdaContext, answer_of, http_event
from tests.support.aws import template

from millrace.domain.ports import Replace
from millrace.domain.token import ROLES, Role, Token
from millrace.http.openapi import document

LABEL: Final = {"name": "Red"}
ROUTES: Final = [
    (method.upper(), path, operation["security"][0]["bearer"][0])
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
]


def client_of(stack: Stack, text: str) -> Client:
    """Who calls with this token."""
    return Client(stack.functions["api"], stack.functions["authorizer"], text)


def of_role(stack: Stack, admin: Client, role: Role) -> Client:
    """A client with a new token of a role in the admin's workspace."""
    return client_of(stack, admin("POST", "/v1/tokens", {"name": role, "role": role}).body["token"])


def test_s10_every_route_refuses_the_roles_below_the_one_it_needs(
    stack: Stack, alice: Client
) -> None:
    """403 that tells both roles, whatever the request holds, and nothing is done."""
    ids = ids_of(stack, alice)
    clients = {role: of_role(stack, alice, role) for role in ROLES}
    headers = {"If-Match": '"1"'}
    before = table()
    for method, path, needed in ROUTES:
        for role in ROLES[: ROLES.index(needed)]:
            body = BODIES.get((method, path), {})
            answer = clients[role](method, path.format(**ids), body, headers=headers)
            assert (answer.status, answer.body["code"]) == (403, "forbidden"), (method, path)
            assert f"role {needed!r}" in answer.body["detail"]
            assert f"is {role!r}" in answer.body["detail"]
            assert answer.headers["content-type"] == "application/problem+json"
    assert table() == before


def test_every_route_lets_in_the_role_that_it_needs(stack: Stack, alice: Client) -> None:
    """What is asked of what is not there, or without a body, is refused for that alone."""
    ids = {name: missing(id_) for name, id_ in ids_of(stack, alice).items()}
    clients = {role: of_role(stack, alice, role) for role in ROLES}
    for method, path, needed in ROUTES:
        answer = clients[needed](method, path.format(**ids))
        assert answer.status != 403, (method, path)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"nmae": 1}', {"Content-Type": "application/json"}),
        (b"{", {"Content-Type": "application/json"}),
        (b"name=Red", {"Content-Type": "application/x-www-form-urlencoded"}),
        (None, {"Idempotency-Key": "\u00e4"}),
    ],
)
def test_the_role_is_asked_for_before_the_request_is_read(
    stack: Stack, alice: Client, body: bytes | None, headers: dict[str, str]
) -> None:
    """Who may not do it is not told how to do it right."""
    answer = of_role(stack, alice, "viewer")("POST", "/v1/labels", body, headers=headers)
    assert (answer.status, answer.body["code"]) == (403, "forbidden")


def test_an_answer_is_not_given_again_to_a_smaller_role(stack: Stack, alice: Client) -> None:
    """An Idempotency-Key of the workspace opens nothing that the token does not."""
    headers = {"Idempotency-Key": "k"}
    made = of_role(stack, alice, "editor")("POST", "/v1/labels", LABEL, headers=headers)
    again = of_role(stack, alice, "viewer")("POST", "/v1/labels", LABEL, headers=headers)
    assert (made.status, again.status) == (201, 403)
    assert alice("POST", "/v1/labels", LABEL, headers=headers).body == made.body


def test_a_token_without_a_word_of_its_role_may_read(stack: Stack, alice: Client) -> None:
    """The authorizer always says it; should it be left out, less is lost than given."""
    caller = {"workspaceId": alice("GET", "/v1/tokenInfo").body["workspaceId"], "tokenId": "tok_1"}
    statuses = []
    for method in ("GET", "POST"):
        request = http_event("api", method, "/v1/labels")
        request["requestContext"]["authorizer"] = {"lambda": caller}
        statuses.append(answer_of(stack.functions["api"](request, LambdaContext())).status)
    assert statuses == [200, 403]


def test_a_role_that_changes_counts_from_then_on(stack: Stack, alice: Client) -> None:
    """As soon as the authorizer is asked again, which is within the minute."""
    made = alice("POST", "/v1/tokens", {"name": "ci", "role": "viewer"})
    ci = client_of(stack, made.body["token"])
    assert ci("POST", "/v1/labels", LABEL).status == 403
    path, given = f"/v1/tokens/{made.body['id']}", {"name": "ci", "role": "editor"}
    assert alice("PUT", path, given, headers=made.etag).body["role"] == "editor"
    assert ci("POST", "/v1/labels", LABEL).status == 201


def expired(stack: Stack, admin: Client) -> str:
    """The text of a token whose time is over."""
    made = admin("POST", "/v1/tokens", {"name": "old", "role": "admin"}).body
    token = stack.context.resources.get(Token, made["workspaceId"], made["id"])
    over = stack.context.clock() - timedelta(milliseconds=1)
    ended = token.model_copy(update={"expires_at": over, "revision": 2})
    stack.context.resources.commit(Replace(token, ended))
    return str(made["token"])


def revoked(_: Stack, admin: Client) -> str:
    """The text of a token that was deleted just now."""
    made = admin("POST", "/v1/tokens", {"name": "lost", "role": "admin"})
    assert admin("DELETE", f"/v1/tokens/{made.body['id']}", headers=made.etag).status == 204
    return str(made.body["token"])


def of_another(stack: Stack, admin: Client) -> str:
    """A good token of another workspace, with this workspace's id written into it."""
    workspace_id = admin("GET", "/v1/tokenInfo").body["workspaceId"]
    prefix, _, token_id, secret = stack.client("Other").token.split(".")
    return f"{prefix}.{workspace_id}.{token_id}.{secret}"


def unsigned(_: Stack, admin: Client) -> str:
    """A JWT that says who it is and that nobody need check."""
    info = admin("GET", "/v1/tokenInfo").body
    return f"eyJhbGciOiJub25lIn0.{info['workspaceId']}.{info['tokenId']}."


@pytest.mark.parametrize("bad", [expired, revoked, of_another, unsigned])
def test_s10_a_token_that_is_no_good_opens_nothing(stack: Stack, alice: Client, bad: Any) -> None:  # noqa: ANN401 - one of the functions above
    """API Gateway is told so, without a reason, and answers 403 by itself."""
    text = bad(stack, alice)
    request = http_event("authorizer", "GET", "/v1/flows", headers={"Authorization": text})
    for scheme in ("Bearer ", "bearer  ", "Basic ", ""):
        request["headers"]["authorization"] = f"{scheme}{text}"
        assert stack.functions["authorizer"](request, None) == {"isAuthorized": False}
    answer = client_of(stack, text)("GET", "/v1/flows")
    assert (answer.status, answer.body) == (403, {"message": "Forbidden"})


def test_a_token_is_read_as_it_is_now(
    stack: Stack, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authorizer's read is strongly consistent, so one that is revoked is gone at once."""
    send, reads = Endpoint.make_request, []

    def listening(endpoint: Endpoint, operation: OperationModel, request: Any) -> Any:  # noqa: ANN401 - handed on
        if operation.name == "GetItem":
            reads.append(json.loads(request["body"]))
        return send(endpoint, operation, request)

    monkeypatch.setattr(Endpoint, "make_request", listening)
    headers = {"Authorization": f"Bearer {alice.token}"}
    request = http_event("authorizer", "GET", "/v1/flows", headers=headers)
    assert stack.functions["authorizer"](request, None)["isAuthorized"]
    assert [each["ConsistentRead"] for each in reads] == [True]


def test_a_token_shows_its_last_use_and_never_its_hash(stack: Stack, alice: Client) -> None:
    """In lists and alone; a use changes no ETag."""
    made = alice("POST", "/v1/tokens", {"name": "ci", "role": "viewer"})
    assert made.body["lastUsedAt"] is None
    client_of(stack, made.body["token"])("GET", "/v1/flows")
    shown = alice("GET", f"/v1/tokens/{made.body['id']}")
    assert shown.body["lastUsedAt"] >= made.body["createdAt"]
    assert shown.headers["etag"] == made.headers["etag"]
    (listed,) = (
        each for each in alice("GET", "/v1/tokens").body["data"] if each["id"] == made.body["id"]
    )
    assert listed == shown.body
    assert not {name for name in shown.body if "hash" in name.lower() or name == "token"}


def test_a_table_that_takes_no_writes_keeps_nobody_out(
    stack: Stack, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The use of the token is not written down then, and the request goes on."""
    text = alice("POST", "/v1/tokens", {"name": "ci", "role": "viewer"}).body["token"]
    send, tried = Endpoint.make_request, []

    def throttled(endpoint: Endpoint, operation: OperationModel, request: Any) -> Any:  # noqa: ANN401 - handed on
        if operation.name == "UpdateItem":
            tried.append(operation.name)
            raise ConnectTimeoutError(endpoint_url="dynamodb")
        return send(endpoint, operation, request)

    monkeypatch.setattr(Endpoint, "make_request", throttled)
    assert client_of(stack, text)("GET", "/v1/flows").status == 200
    assert tried


def test_api_gateway_asks_for_each_token_anew_within_a_minute() -> None:
    """So long a revoked token may go on; only public addresses and the document ask for none."""
    resources = template()["Resources"]
    auth = resources["HttpApi"]["Properties"]["Auth"]
    identity = auth["Authorizers"][auth["DefaultAuthorizer"]]["Identity"]
    assert identity == {"Headers": ["Authorization"], "ReauthorizeEvery": 60}
    events = [
        each["Properties"]
        for resource in resources.values()
        for each in resource.get("Properties", {}).get("Events", {}).values()
        if each["Type"] == "HttpApi"
    ]
    public = {each["Path"] for each in events if "Auth" in each}
    assert public == {"/docs", "/v1/openapi.json", "/hooks/{webhookId}", "/callbacks/{callbackId}"}
    assert {each["Path"] for each in events} - public == {"/v1/{proxy+}"}
