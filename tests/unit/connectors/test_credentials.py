"""Each kind of authentication adds its proof, to the connection's own origin only."""

import hashlib
import hmac
import json
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Barrier
from time import sleep
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import TypeAdapter
from tests.unit.connectors.fake_transport import (
    NOW,
    FakeTime,
    ScriptedTransport,
    client,
    connection,
    http_client,
    lost,
    ok,
    refused,
    script,
)

from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.http_client import TRIES, ResponseRejected
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.oauth2 import AccessTokens
from millrace.domain.authentication import Auth
from millrace.domain.errors import StepError, StepFailed, StepTransient

OWN = "https://api.example/v1/orders"
TOKEN_URL = "https://auth.example/token"
OAUTH = {"type": "oauth2ClientCredentials", "tokenUrl": TOKEN_URL, "clientId": "c:1"}


def auth(**given: Any) -> Auth:  # noqa: ANN401 - JSON
    """An authentication as a client sends it."""
    adapter: TypeAdapter[Auth] = TypeAdapter(Auth)
    return adapter.validate_python(given)


def test_api_key_in_a_header() -> None:
    """The header has the configured name, the value its prefix."""
    transport = script(ok())
    stored = connection(auth=auth(type="apiKey", name="Authorization", prefix="Token "))
    client(transport, stored, key="k3y").send("GET", OWN)
    assert transport.requests[0].headers["Authorization"] == "Token k3y"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (OWN, f"{OWN}?api%5Bkey%5D=k%263y"),
        (f"{OWN}?a=%2f&b", f"{OWN}?a=%2f&b&api%5Bkey%5D=k%263y"),
        (f"{OWN}?api[key]=old&a=1#top", f"{OWN}?a=1&api%5Bkey%5D=k%263y"),
        ("https://other.example/?a=1&api%5Bkey%5D=k%263y", "https://other.example/?a=1"),
        ("https://other.example/?api[key]=its-own", "https://other.example/?api[key]=its-own"),
    ],
    ids=["alone", "added", "replaced", "never sent elsewhere", "another's parameter"],
)
def test_api_key_in_the_query(url: str, sent: str) -> None:
    """The key is added once, encoded, and to the own origin only; the rest stays as written."""
    transport = script(ok())
    stored = connection(auth=auth(**{"type": "apiKey", "in": "query", "name": "api[key]"}))
    client(transport, stored, key="k&3y").send("GET", url)
    assert transport.requests[0].url == sent


def test_basic_takes_an_empty_password() -> None:
    """Systems that take a key as the user name get it with nothing behind the colon."""
    transport = script(ok())
    stored = connection(auth=auth(type="basic", username="k3y"))
    client(transport, stored, password="").send("GET", OWN)
    wanted = b64encode(b"k3y:").decode()
    assert transport.requests[0].headers["Authorization"] == f"Basic {wanted}"


def test_signature_covers_what_the_template_names() -> None:
    """Method, path as it is sent, time and body, signed as the receiver computes it."""
    transport = script(ok())
    stored = connection(
        auth=auth(
            type="hmac",
            algorithm="sha512",
            header="X-Sig",
            prefix="v1=",
            encoding="base64",
            signedText="{{{timestamp}}}\n{method} {path}\n{body}",
            timestampHeader="X-Time",
        )
    )
    body = b'{"z": "\xc3\xa4{body}"}'
    client(transport, stored, secret="s3cret").send("POST", f"{OWN}?q=a b", body=body)
    headers = transport.requests[0].headers
    time = str(int(NOW.timestamp()))
    signed = f"{{{time}}}\nPOST /v1/orders?q=a%20b\n".encode() + body
    mac = hmac.new(b"s3cret", signed, hashlib.sha512).digest()
    assert (headers["X-Time"], headers["X-Sig"]) == (time, f"v1={b64encode(mac).decode()}")


@pytest.mark.parametrize(
    ("format_", "time"),
    [
        ("unixSeconds", "1769850000"),
        ("unixMilliseconds", "1769850000000"),
        ("rfc3339", "2026-01-31T09:00:00.000Z"),
    ],
)
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_signature_in_hex(algorithm: str, format_: str, time: str) -> None:
    """Each digest and each way of writing the time."""
    transport = script(ok())
    given = {"algorithm": algorithm, "signedText": "{timestamp}.{body}", "timestampHeader": "T"}
    stored = connection(auth=auth(type="hmac", timestampFormat=format_, **given))
    client(transport, stored, secret="s3cret").send("GET", OWN)
    headers = transport.requests[0].headers
    wanted = hmac.new(b"s3cret", f"{time}.".encode(), algorithm).hexdigest()
    assert (headers["T"], headers["X-Signature"]) == (time, wanted)


@pytest.mark.parametrize(
    "given",
    [
        {"type": "apiKey"},
        {"type": "apiKey", "in": "query"},
        {"type": "hmac", "signedText": "{body}"},
        OAUTH,
    ],
    ids=lambda given: given["type"],
)
def test_a_secret_that_was_never_stored_is_named(given: dict[str, Any]) -> None:
    """Nothing is sent without its proof."""
    transport = script()
    with pytest.raises(StepFailed, match="'Shop' has no") as raised:
        client(transport, connection(auth=auth(**given))).send("GET", OWN)
    assert (raised.value.code, transport.requests) == ("missingSecret", [])


@dataclass
class TokenServer:
    """Two hosts in one: a token endpoint that counts, and an API that takes its newest token."""

    expires_in: object = 3_600
    issued: int = 0
    refuses: bool = False
    transport: ScriptedTransport = field(init=False)

    def __post_init__(self) -> None:
        self.transport = ScriptedTransport(self.answer)

    def answer(self, request: HttpRequest) -> HttpResponse:
        """What either host says."""
        if request.url == TOKEN_URL:
            self.issued += 1
            told = {"access_token": f"tok-{self.issued}", "expires_in": self.expires_in}
            return ok(json.dumps(told).encode())
        is_newest = request.headers.get("Authorization") == f"Bearer tok-{self.issued}"
        return ok() if is_newest and not self.refuses else refused(401)

    def client(
        self,
        tokens: AccessTokens | None = None,
        time: FakeTime | None = None,
        **changes: Any,  # noqa: ANN401 - JSON
    ) -> ConnectionClient:
        """A client of a connection to it."""
        http = http_client(self.transport, time)
        stored = connection(auth=auth(**OAUTH | changes))
        secrets = {"client_secret": "s3cret+/"}
        return ConnectionClient(stored, secrets, http, tokens or AccessTokens(http.clock))


def test_token_is_asked_for_with_id_and_secret_in_the_header() -> None:
    """Both are form-encoded within Basic; scope and audience are form fields."""
    server = TokenServer()
    server.client(scopes=["read", "write"], audience="https://api").send("GET", OWN)
    asked, sent = server.transport.requests
    pair = b64encode(b"c%3A1:s3cret%2B%2F").decode()
    assert (asked.method, asked.headers["Authorization"]) == ("POST", f"Basic {pair}")
    assert parse_qs((asked.body or b"").decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["read write"],
        "audience": ["https://api"],
    }
    assert sent.headers["Authorization"] == "Bearer tok-1"


def test_token_is_asked_for_with_id_and_secret_in_the_body() -> None:
    """Some endpoints read nothing else."""
    server = TokenServer()
    server.client(credentialsIn="body").send("GET", OWN)
    asked = server.transport.requests[0]
    form = parse_qs((asked.body or b"").decode())
    assert (form["client_id"], form["client_secret"]) == (["c:1"], ["s3cret+/"])
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    ("expires_in", "lasts"),
    [(3_600, 3_540), ("3600", 3_540), (60, 30), (None, 240), ("soon", 240), (-1, 240)],
)
def test_token_is_kept_until_shortly_before_it_expires(expires_in: object, lasts: int) -> None:
    """It serves every request until then, also those of other clients of the process."""
    server, time = TokenServer(expires_in=expires_in), FakeTime()
    tokens = AccessTokens(time.clock)
    server.client(tokens, time).send("GET", OWN)
    time.now += timedelta(seconds=lasts - 1)
    server.client(tokens, time).send("GET", OWN)
    assert server.issued == 1
    time.now += timedelta(seconds=1)
    server.client(tokens, time).send("GET", OWN)
    assert server.issued == 2


def test_other_scopes_need_another_token() -> None:
    """A changed connection does not go on with what its former self was granted."""
    server = TokenServer()
    tokens = AccessTokens(FakeTime().clock)
    server.client(tokens).send("GET", OWN)
    server.client(tokens, scopes=["more"]).send("GET", OWN)
    assert server.issued == 2


def test_refused_token_is_renewed_once() -> None:
    """A token that was revoked early costs one more request, a system that refuses all no more."""
    server = TokenServer()
    own = server.client()
    own.send("GET", OWN)
    server.issued += 1
    own.send("GET", OWN)
    assert [request.url for request in server.transport.requests[2:]] == [OWN, TOKEN_URL, OWN]
    server.refuses = True
    with pytest.raises(ResponseRejected):
        own.send("GET", OWN)
    assert server.issued == 4
    assert len(server.transport.requests) == 8


def test_other_origins_get_no_token() -> None:
    """A link elsewhere that answers 401 gives no reason to ask for a token either."""
    server = TokenServer()
    with pytest.raises(ResponseRejected):
        server.client().send("GET", "https://other.example/orders")
    assert [request.headers.get("Authorization") for request in server.transport.requests] == [None]


def test_a_process_asks_for_a_token_once_at_a_time() -> None:
    """Threads that need a token together share the one that the first of them fetches."""
    server = TokenServer()
    tokens = AccessTokens(FakeTime().clock)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: server.client(tokens).send("GET", OWN), range(40)))
    assert server.issued == 1


def test_c3_a_token_that_expires_under_fifty_requests_is_renewed_once() -> None:
    """All are refused together and share one new token, though its endpoint is in trouble once."""
    server = TokenServer()
    own = server.client()
    own.send("GET", OWN)
    server.issued += 1  # what it gave is worth nothing any more
    together, troubles = Barrier(50), [refused(500)]

    def answer(request: HttpRequest) -> HttpResponse:
        if request.url == TOKEN_URL and troubles:
            return troubles.pop()
        answer = server.answer(request)
        if answer.status == 401:
            together.wait(10)
        return answer

    server.transport.answer = answer
    with ThreadPoolExecutor(50) as pool:
        answers = [*pool.map(lambda _: own.send("GET", OWN), range(50))]
    assert [answer.status for answer in answers] == [200] * 50
    assert server.issued == 3
    asked = [request.url for request in server.transport.requests]
    assert (asked.count(TOKEN_URL), asked.count(OWN)) == (1 + 2, 1 + 50 + 50)


def test_c3_a_token_endpoint_in_trouble_is_not_asked_by_all_that_wait() -> None:
    """Requests that began to wait for a token while it was tried for share the failure."""
    together = Barrier(20)

    def answer(_: HttpRequest) -> HttpResponse:
        if len(transport.requests) == 1:
            sleep(0.3)  # until all have come to where they wait
        return refused(500)

    transport = ScriptedTransport(answer)
    http = http_client(transport)
    secrets = {"client_secret": "s3cret+/"}
    own = ConnectionClient(connection(auth=auth(**OAUTH)), secrets, http, AccessTokens(http.clock))

    def fail(_: int) -> None:
        together.wait(10)
        with pytest.raises(StepTransient, match="no access token"):
            own.send("GET", OWN)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(fail, range(20)))
    asked = len(transport.requests)
    assert asked <= 2 * TRIES
    with pytest.raises(StepTransient):
        own.send("GET", OWN)
    assert len(transport.requests) == asked + TRIES


@pytest.mark.parametrize(
    ("answers", "kind", "code", "told"),
    [
        (
            [refused(400, b'{"error": "invalid_client", "hint": "s3cret+/"}')],
            StepFailed,
            "tokenRefused",
            r"no access token: POST auth\.example answered 400 \(invalid_client\)$",
        ),
        (
            [refused(401, b'{"error": "s3cret+/"}')],
            StepFailed,
            "tokenRefused",
            r"no access token: POST auth\.example answered 401$",
        ),
        (
            [refused(500, b"s3cret+/")] * TRIES,
            StepTransient,
            "tokenUnavailable",
            r"no access token: POST auth\.example answered 500$",
        ),
        (
            [lost()] * TRIES,
            StepTransient,
            "tokenUnavailable",
            r"no access token: POST auth\.example: connection lost",
        ),
        (
            [ok(b'{"token": "s3cret+/"}')] * TRIES,
            StepFailed,
            "brokenAnswer",
            r"no access token: POST auth\.example: its answer holds no access_token$",
        ),
        (
            [refused(302, location="https://evil.example")],
            StepFailed,
            "redirected",
            r"redirects are not followed$",
        ),
    ],
    ids=["refused", "refused with noise", "trouble", "lost", "no token", "redirect"],
)
def test_trouble_at_the_token_endpoint_is_told_without_what_it_said(
    answers: list[Any], kind: type[StepError], code: str, told: str
) -> None:
    """Refusal is final, trouble is not; of its answer only registered codes are repeated."""
    own = client(script(*answers), connection(auth=auth(**OAUTH)), client_secret="s3cret+/")
    with pytest.raises(kind, match=told) as raised:
        own.send("GET", OWN)
    assert raised.value.code == code


def test_trouble_at_the_token_endpoint_that_passes_is_not_noticed() -> None:
    """One 500 costs a second try, no more."""
    transport = script(refused(500), ok(b'{"access_token": "t"}'), ok())
    client(transport, connection(auth=auth(**OAUTH)), client_secret="s").send("GET", OWN)
    assert transport.requests[2].headers["Authorization"] == "Bearer t"


@pytest.mark.parametrize("echo", ["k+3/y", "k%2B3%2Fy", b64encode(b"k+3/y").decode()])
def test_echoed_key_is_masked_however_it_is_written(echo: str) -> None:
    """As it is, as it stands in an address, and in base64."""
    stored = connection(auth=auth(**{"type": "apiKey", "in": "query"}))
    own = client(script(refused(400, f"bad {echo}".encode())), stored, key="k+3/y")
    with pytest.raises(ResponseRejected, match=r"bad \*\*\*$"):
        own.send("GET", OWN)
