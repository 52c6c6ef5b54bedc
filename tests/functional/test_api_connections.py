"""Connections over the real handlers: each kind of authentication, pinged, its secrets kept."""

import hashlib
import hmac
import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.functional.loopback_server import Reply, answer, serving
from tests.support.app import Answer, Client, LambdaContext
from tests.support.aws import TABLE

SECRET = "canary/+ s3cret"
GRANTED = b'{"access_token": "canary-t0ken", "expires_in": 3600}'
OAUTH = {"type": "oauth2ClientCredentials", "tokenUrl": "https://auth.example/t", "clientId": "c"}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "bearer": ({"type": "bearer"}, "token"),
    "basic": ({"type": "basic", "username": "ann"}, "password"),
    "apiKey in header": ({"type": "apiKey", "name": "X-Key", "prefix": "k "}, "key"),
    "apiKey in query": ({"type": "apiKey", "in": "query", "name": "key"}, "key"),
    "oauth2 in header": (OAUTH, "clientSecret"),
    "oauth2 in body": (OAUTH | {"credentialsIn": "body"}, "clientSecret"),
    "hmac": (
        {"type": "hmac", "signedText": "{timestamp}.{path}", "timestampHeader": "X-Time"},
        "secret",
    ),
}


def created(client: Client, base_url: str, auth: dict[str, Any], **fields: Any) -> str:  # noqa: ANN401 - JSON
    """The id of a new connection."""
    given = {"name": "Shop", "baseUrl": base_url, "auth": auth, **fields}
    made = client("POST", "/v1/connections", given)
    assert made.status == 201, made.body
    id_: str = made.body["id"]
    return id_


def ping(client: Client, id_: str, body: object = None) -> Answer:
    """The answer to a ping; how long it took is there and left out."""
    told = client("POST", f"/v1/connections/{id_}/ping", body)
    if told.status == 200:
        assert told.body.pop("durationMs") >= 0
    return told


def test_ping_of_a_system_that_answers(alice: Client) -> None:
    """The connection's own ping settings, and those of the request before them."""
    with serving(*[answer(204, headers="X-Echo: 1\r\n")] * 3) as server:
        auth = {"type": "bearer", "token": "t0k"}
        settings = {"method": "HEAD", "path": "/health?deep=1"}
        id_ = created(alice, f"{server.url}/v1", auth, ping=settings)
        for body in (None, {}, {"method": "GET", "path": "/other"}):
            told = ping(alice, id_, body)
            assert (told.status, told.body) == (200, {"ok": True, "status": 204, "error": None})
        bare = created(alice, server.url, {"type": "none"})
    lines = [request.partition(b"\r\n")[0] for request in server.requests]
    assert lines == [
        b"HEAD /v1/health?deep=1 HTTP/1.1",
        b"HEAD /v1/health?deep=1 HTTP/1.1",
        b"GET /v1/other HTTP/1.1",
    ]
    assert b"Authorization: Bearer t0k" in server.requests[0]
    assert ping(alice, bare).body["error"]["code"] == "connectionLost"


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (401, "http401", "it does not accept the credentials"),
        (404, "http404", "set another path"),
        (503, "http503", "answered 503"),
        (302, "redirected", "redirects are not followed"),
    ],
)
def test_ping_of_a_system_that_refuses(alice: Client, status: int, code: str, told: str) -> None:
    """One request, no second try; what the system said is data, and its words are not shown."""
    elsewhere = "Location: http://127.0.0.1:9/\r\nRetry-After: 60\r\n"
    with serving(answer(status, b"you sent Bearer t0k", elsewhere), answer()) as server:
        id_ = created(alice, server.url, {"type": "bearer", "token": "t0k"})
        found = ping(alice, id_)
    assert (found.status, found.body["ok"], found.body["status"]) == (200, False, status)
    assert (found.body["error"]["code"], told in found.body["error"]["message"]) == (code, True)
    assert "t0k" not in json.dumps(found.body)
    assert len(server.requests) == 1


def test_ping_by_oauth_asks_for_a_token_each_time(alice: Client) -> None:
    """So the stored secret is tried; a refusal of the token endpoint is told."""
    with serving(answer(body=GRANTED), answer(), answer(400, b'{"error": "invalid_client"}')) as s:
        auth = OAUTH | {"tokenUrl": f"{s.url}/token", "clientSecret": SECRET}
        id_ = created(alice, s.url, auth)
        assert ping(alice, id_).body["ok"] is True
        refused = ping(alice, id_).body
    assert (refused["status"], refused["error"]["code"]) == (None, "tokenRefused")
    assert "invalid_client" in refused["error"]["message"]
    assert b"Authorization: Bearer canary-t0ken" in s.requests[1]


def test_signature_arrives_as_the_receiver_computes_it(alice: Client) -> None:
    """Over a real socket, path and time included."""
    with serving(answer()) as server:
        id_ = created(alice, server.url, KINDS["hmac"][0] | {"secret": SECRET})
        assert ping(alice, id_, {"path": "/a b?q=ä"}).status == 422
        assert ping(alice, id_, {"path": "/a?q=ä"}).body["ok"] is True
    head = server.requests[0].decode()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    signed = f"{headers['X-Time']}.{head.split()[1]}".encode()
    assert headers["X-Signature"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


def test_ping_of_what_is_not_there(alice: Client, mallory: Client) -> None:
    """An unknown id and another's connection are the same 404; unknown fields are named."""
    id_ = created(alice, "https://shop.example", {"type": "none"})
    assert {ping(alice, "con_9").status, ping(mallory, id_).status} == {404}
    told = ping(alice, id_, {"url": "https://evil.example", "method": "POST", "path": "x"})
    assert told.status == 422
    assert {pointer for _, pointer in told.errors} == {"/url", "/method", "/path"}


def test_ping_without_the_secret_says_so(alice: Client) -> None:
    """A connection made before its secret is known can be pinged, in vain."""
    id_ = created(alice, "https://shop.example", {"type": "bearer"})
    told = ping(alice, id_)
    assert (told.body["ok"], told.body["error"]["code"]) == (False, "missingSecret")


@pytest.mark.parametrize(
    ("auth", "error"),
    [
        ({"type": "apiKey", "name": "a b"}, ("stringPatternMismatch", "/auth/name")),
        ({"type": "apiKey", "name": "a[b]"}, ("valueError", "/auth/name")),
        ({"type": "apiKey", "key": "a\nb"}, ("valueError", "/auth/key")),
        ({"type": "bearer", "token": ""}, ("valueError", "/auth/token")),
        ({"type": "hmac", "signedText": "x"}, ("valueError", "/auth/signedText")),
        ({"type": "hmac", "signedText": "{secret}"}, ("valueError", "/auth/signedText")),
        ({"type": "hmac", "signedText": "{body"}, ("valueError", "/auth/signedText")),
        ({"type": "hmac", "signedText": "{timestamp}"}, ("valueError", "/auth/signedText")),
        ({"type": "hmac", "signedText": "{body}", "algorithm": "md5"},
         ("literalError", "/auth/algorithm")),
        (OAUTH | {"tokenUrl": "https://a@b.example/"}, ("stringPatternMismatch", "/auth/tokenUrl")),
        (OAUTH | {"scopes": ["a b"]}, ("stringPatternMismatch", "/auth/scopes/0")),
        ({"type": "basic", "username": "a:b"}, ("stringPatternMismatch", "/auth/username")),
    ],
)  # fmt: skip
def test_authentication_that_cannot_work_is_refused(
    alice: Client, auth: dict[str, Any], error: tuple[str, str]
) -> None:
    """Each rule has its place in the answer."""
    given = {"name": "Shop", "baseUrl": "https://shop.example", "auth": auth}
    told = alice("POST", "/v1/connections", given)
    assert (told.status, error in told.errors) == (422, True), told.body


@pytest.mark.parametrize(
    ("limit", "works"),
    [
        ({"requestsPerSecond": 0.5, "burst": 3, "maxConcurrency": 2}, True),
        ({"maxConcurrency": 1}, True),
        ({}, False),
        ({"burst": 3, "maxConcurrency": 1}, False),
        ({"requestsPerSecond": 0}, False),
    ],
    ids=str,
)
def test_rate_limits_are_kept(alice: Client, limit: dict[str, Any], *, works: bool) -> None:
    """As they are given, if they limit something."""
    given = {"name": "Shop", "baseUrl": "https://shop.example", "rateLimit": limit}
    told = alice("POST", "/v1/connections", given)
    if works:
        kept = {name: value for name, value in told.body["rateLimit"].items() if value is not None}
        assert kept == limit
    else:
        assert told.status == 422


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_left_out_are_kept_while_the_kind_stays(alice: Client, kind: str) -> None:
    """A change of name keeps the one parameter, another kind of authentication forgets it."""
    auth, name = KINDS[kind]
    id_ = created(alice, "https://shop.example", auth | {name: SECRET})
    path = f"/v1/connections/{id_}"
    ssm = boto3.client("ssm")

    def stored() -> list[str]:
        names = [each["Name"] for each in ssm.describe_parameters()["Parameters"]]
        found = (ssm.get_parameter(Name=name, WithDecryption=True) for name in names)
        return [
            value for each in found for value in json.loads(each["Parameter"]["Value"]).values()
        ]

    given = {"name": "Other", "baseUrl": "https://shop.example", "auth": auth}
    changed = alice("PUT", path, given, headers=alice("GET", path).etag)
    assert (changed.status, stored()) == (200, [SECRET])
    (parameter,) = ssm.describe_parameters()["Parameters"]
    assert parameter["Type"] == "SecureString"
    bare = alice("PUT", path, given | {"auth": {"type": "none"}}, headers=changed.etag)
    assert (bare.status, stored()) == (200, [])


@pytest.fixture
def chatty(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log, all of it but what the AWS client and its simulation say."""
    with caplog.at_level(logging.DEBUG):
        for name in ("botocore", "boto3", "moto"):
            caplog.set_level(logging.WARNING, name)
        yield caplog


def runs_an_export(stack: Stack, client: Client, connection_id: str) -> list[Answer]:
    """A flow that reads from a connection, applied, deployed and run; what the API says of it."""
    pagination = {"type": "nextLink"}
    http = {"path": "/orders", "recordsPath": "/items", "pagination": pagination}
    action = {"type": "Export", "connectionId": connection_id, "http": http}
    step = {"id": "read", "type": "Export", "action": action}
    made = client("POST", "/v1/flows", {"name": "Orders", "steps": [step]})
    path = f"/v1/flows/{made.body['id']}"
    version = client("GET", f"{path}/versions/{made.body['latestVersionId']}")
    deploy = {"deployedAt": "2026-01-31T12:00:00Z"}
    place = f"{path}/versions/{version.body['id']}"
    assert client("PUT", place, deploy, headers=version.etag).status == 200
    run_id = client("POST", f"{path}/run").body["runId"]
    run = client("GET", f"/v1/runs/{run_id}").body
    task = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1, "stepId": "read"}
    try:
        stack.functions["run_step"](task, LambdaContext())
    except Exception as error:  # noqa: BLE001 - its text is what Lambda would log
        return [Answer(500, {}, repr(error)), client("GET", f"/v1/runs/{run_id}")]
    return [client("GET", f"/v1/runs/{run_id}"), client("GET", f"{path}/audit")]


def replies(kind: str) -> list[Reply]:
    """A first page whose link repeats the key, and then a refusal that repeats everything."""
    key = quote_plus(SECRET)
    link = "/orders?page=2" + (f"&key={key}" if kind == "apiKey in query" else "")
    page = json.dumps({"items": [{"id": 1}], "next": link}).encode()
    pair = b64encode(f"ann:{SECRET}".encode()).decode()
    sent = {"basic": pair, "oauth2 in header": "canary-t0ken", "oauth2 in body": "canary-t0ken"}
    echo = f"no: {SECRET} {key} {quote(SECRET)} {sent.get(kind)}".encode()
    tokens = [answer(body=GRANTED)] if kind.startswith("oauth2") else []
    # A header that is none makes urllib3 warn, with the whole address.
    pages = [answer(body=page, headers="no header\r\n"), answer(403, echo)]
    return [*tokens, *pages, *tokens, answer(401, echo)]


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_appear_nowhere(
    stack: Stack, alice: Client, chatty: pytest.LogCaptureFixture, kind: str
) -> None:
    """No answer, log line, stored item or stored page holds a secret, in whatever form.

    The connection is created, listed, changed, used by a run whose system repeats what it was
    sent, pinged and shown.
    """
    auth, name = KINDS[kind]
    with serving(*replies(kind)) as server:
        if kind.startswith("oauth2"):
            auth |= {"tokenUrl": f"{server.url}/token"}
        given = {"name": "Shop", "stableKey": "shop", "baseUrl": server.url}
        made = alice("POST", "/v1/connections", given | {"auth": auth | {name: SECRET}})
        path = f"/v1/connections/{made.body['id']}"
        told = [made, alice("GET", path), alice("GET", "/v1/connections")]
        rest = {"auth": auth | {name: SECRET}, "description": "of Ann"}
        told.append(alice("PUT", path, given | rest, headers=made.etag))
        told.append(alice("POST", "/v1/connections", given | {"auth": auth | {"x": SECRET}}))
        told += runs_an_export(stack, alice, made.body["id"])
        told.append(ping(alice, made.body["id"]))
    table = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    seen = "\n".join([*map(str, told), str(table), chatty.text, *map(repr, chatty.records)])
    assert len(server.requests) == len(replies(kind))
    forms = {SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET), "canary-t0ken"}
    for text in (SECRET, f"ann:{SECRET}", f"c:{quote_plus(SECRET)}"):
        forms.add(b64encode(text.encode()).decode())
    assert [form for form in forms if form in seen] == []
