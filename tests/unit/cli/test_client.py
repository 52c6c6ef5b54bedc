"""The API client: what it sends, and what it makes of answers."""

import json
from collections.abc import Callable
from unittest.mock import NonCallableMagicMock, create_autospec

import pytest
import urllib3

from millrace_cli.client import ApiClient, ApiError
from millrace_cli.errors import CliError

URL = "http://api.example/base"


def answer(content: object, status: int = 200) -> urllib3.HTTPResponse:
    """A response that holds this JSON, or these bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urllib3.HTTPResponse(body, status=status)


@pytest.fixture
def pool() -> NonCallableMagicMock:
    """The connection pool, with no network behind it."""
    stand_in: NonCallableMagicMock = create_autospec(urllib3.PoolManager, instance=True)
    return stand_in


@pytest.fixture
def client(pool: urllib3.PoolManager) -> ApiClient:
    """A client of that pool."""
    return ApiClient(URL, "t", pool)


def test_a_call_carries_the_token_and_json(client: ApiClient, pool: NonCallableMagicMock) -> None:
    """The token goes in the Authorization header and nowhere else; text stays UTF-8."""
    pool.request.return_value = answer({"runId": "run_1"}, 202)
    assert client.start_run("a/b", {"name": "Zoë"}) == {"runId": "run_1"}
    (method, url), options = pool.request.call_args
    assert (method, url) == ("POST", f"{URL}/v1/flows/a%2Fb/run")
    assert options["headers"]["Authorization"] == "Bearer t"
    assert options["body"] == '{"payload": {"name": "Zoë"}}'.encode()


def test_addresses_are_given_as_a_whole(client: ApiClient, pool: NonCallableMagicMock) -> None:
    """The API knows paths only; the client knows where it reaches the API."""
    flow = {
        "stableKey": "f",
        "webhooks": [{"stableKey": "w", "path": "/hooks/hook_1"}],
        "callbacks": [{"stableKey": "c", "path": "/callbacks/cb_1"}],
    }
    pool.request.return_value = answer({"connections": [], "actions": [], "flows": [flow]})
    (applied,) = client.apply({})["flows"]
    assert applied["webhooks"][0]["url"] == f"{URL}/hooks/hook_1"
    assert applied["callbacks"][0]["url"] == f"{URL}/callbacks/cb_1"


def test_lists_follow_their_links(client: ApiClient, pool: NonCallableMagicMock) -> None:
    """All pages are one sequence, whether a link is a path or a whole address."""
    pool.request.side_effect = [
        answer({"data": [{"id": 1}], "links": {"next": "/v1/flows?cursor=a"}}),
        answer({"data": [{"id": 2}], "links": {"next": f"{URL}/v1/flows?cursor=b"}}),
        answer({"data": [{"id": 3}]}),
    ]
    assert [flow["id"] for flow in client.flows("my-key")] == [1, 2, 3]
    assert [call.args[1] for call in pool.request.call_args_list] == [
        f"{URL}/v1/flows?filter%5BstableKey%5D=my-key",
        f"{URL}/v1/flows?cursor=a",
        f"{URL}/v1/flows?cursor=b",
    ]


@pytest.mark.parametrize("link", ["http://evil.example/v1/flows", "@evil.example/v1/flows"])
def test_a_link_to_another_host_never_gets_the_token(pool: NonCallableMagicMock, link: str) -> None:
    """The token is for one host."""
    client = ApiClient("http://api.example", "t", pool)
    pool.request.side_effect = [answer({"data": [], "links": {"next": link}})]
    with pytest.raises(CliError, match="another host"):
        list(client.flows())
    assert pool.request.call_count == 1


def test_a_problem_lists_every_error(client: ApiClient, pool: NonCallableMagicMock) -> None:
    """problem+json becomes lines that a person can act on."""
    problem = {
        "title": "Unprocessable",
        "detail": "the document breaks 1 rule",
        "code": "ruleViolation",
        "errors": [{"pointer": "/flows/0", "message": "no steps", "remedy": "add one"}],
    }
    pool.request.return_value = answer(problem, 422)
    with pytest.raises(ApiError) as caught:
        client.apply({})
    assert caught.value.lines == (
        "the document breaks 1 rule",
        "  /flows/0: no steps (add one)",
    )
    assert (caught.value.status, caught.value.code) == (422, "ruleViolation")


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (lambda: answer(b"<html>", 502), "status 502"),
        (lambda: answer(b"<html>", 200), "something else than JSON"),
        (lambda: answer({"detail": "x", "code": "unauthenticated"}, 401), "check MILLRACE_TOKEN"),
        (lambda: answer({"message": "Forbidden"}, 403), "check MILLRACE_TOKEN"),
        (lambda: answer({"detail": "no editor", "code": "forbidden"}, 403), "^no editor$"),
        (lambda: answer({"message": "Not Found"}, 404), "status 404; check MILLRACE_URL"),
    ],
    ids=["gateway", "not-an-api", "token", "authorizer", "role", "no-such-route"],
)
def test_strange_answers_are_explained(
    client: ApiClient,
    pool: NonCallableMagicMock,
    response: Callable[[], urllib3.HTTPResponse],
    message: str,
) -> None:
    """A wrong address or token is recognised as such."""
    pool.request.return_value = response()
    with pytest.raises(CliError, match=message):
        client.run("run_1")


def test_no_connection_names_the_way_out(client: ApiClient, pool: NonCallableMagicMock) -> None:
    """A stack that is down is the commonest fault of all."""
    connection = urllib3.connection.HTTPConnection("api.example")
    pool.request.side_effect = urllib3.exceptions.NewConnectionError(connection, "refused")
    with pytest.raises(CliError, match="make run"):
        client.run("run_1")
    pool.request.side_effect = urllib3.exceptions.ProtocolError("reset")
    with pytest.raises(CliError, match="ProtocolError"):
        client.run("run_1")
