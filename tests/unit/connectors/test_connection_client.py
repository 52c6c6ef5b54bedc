"""A connection's address, headers and credentials go where they belong and nowhere else."""

import pytest
from tests.unit.connectors.fake_transport import client, connection, ok, refused, script

from millrace.connectors.http_client import ResponseRejected
from millrace.domain.authentication import Auth, BasicAuth, BearerAuth
from millrace.domain.errors import StepFailed

OWN = "https://api.example/v1/orders"


@pytest.mark.parametrize(
    ("path", "query", "url"),
    [
        ("/orders", {}, OWN),
        ("/orders", {"a": "1 &2", "ü": "=/"}, f"{OWN}?a=1+%262&%C3%BC=%3D%2F"),
        ("/orders?open=1", {"a": "1"}, f"{OWN}?open=1&a=1"),
    ],
)
def test_url_is_base_path_and_query(path: str, query: dict[str, str], url: str) -> None:
    """Query values are encoded and join those that the path holds."""
    assert client(script()).url(path, query) == url


@pytest.mark.parametrize(
    ("auth", "secrets", "authorization"),
    [
        (BearerAuth(type="bearer"), {"token": "t0k"}, "Bearer t0k"),
        (BasicAuth(type="basic", username="ann"), {"password": "pä"}, "Basic YW5uOnDDpA=="),
    ],
    ids=["bearer", "basic"],
)
def test_credentials_are_added(auth: Auth, secrets: dict[str, str], authorization: str) -> None:
    """The stored secret becomes the Authorization header and wins over one written by hand."""
    transport = script(ok())
    own = client(transport, connection(auth=auth), **secrets)
    own.send("GET", OWN, headers={"authorization": "by hand"})
    headers = {name.lower(): value for name, value in transport.requests[0].headers.items()}
    assert headers["authorization"] == authorization


def test_headers_of_the_action_win_over_those_of_the_connection() -> None:
    """Headers merge whatever their case, the nearer one wins."""
    transport = script(ok())
    own = client(transport, connection(headers={"X-Team": "a", "Accept": "text/csv"}))
    own.send("GET", OWN, headers={"x-team": "b"})
    assert transport.requests[0].headers == {
        "Accept": "text/csv",
        "User-Agent": "millrace",
        "x-team": "b",
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/v1/orders",
        "http://api.example/v1/orders",
        "https://api.example:8443/v1/orders",
        "https://api.example.evil.example/v1/orders",
        "https://evil.example\\@api.example/",
        "https://evil.example#@api.example/",
    ],
)
def test_other_origins_get_neither_credentials_nor_headers(url: str) -> None:
    """A link to another host, scheme or port is followed without anything of the connection."""
    transport = script(ok())
    own = client(
        transport,
        connection(headers={"X-Api-Key": "k3y"}, auth=BearerAuth(type="bearer")),
        token="t0k",
    )
    own.send("GET", url, headers={"X-Other": "k3y"})
    assert set(transport.requests[0].headers) == {"Accept", "User-Agent"}


@pytest.mark.parametrize(
    "url", ["HTTPS://API.example:443/v1/orders", "https://api.example/elsewhere", OWN]
)
def test_own_origin_is_recognised_however_it_is_written(url: str) -> None:
    """Case and the default port make no other origin."""
    transport = script(ok())
    client(transport, connection(auth=BearerAuth(type="bearer")), token="t0k").send("GET", url)
    assert transport.requests[0].headers["Authorization"] == "Bearer t0k"


@pytest.mark.parametrize(
    "url",
    ["ftp://api.example/", "file:///etc/hosts", "/orders", "https://", "https://[::", "",
     "https://ann:pw@api.example/", "javascript:alert(1)"],
)  # fmt: skip
def test_address_that_is_not_plain_http_is_refused(url: str) -> None:
    """Only http and https, with a host and without a user name, are ever requested."""
    with pytest.raises(StepFailed) as raised:
        client(script()).send("GET", url)
    assert raised.value.code == "badLink"


def test_missing_secret_is_named() -> None:
    """A connection whose secret was never stored says so instead of sending nothing."""
    with pytest.raises(StepFailed, match="'Shop' has no token stored") as raised:
        client(script(), connection(auth=BearerAuth(type="bearer"))).send("GET", OWN)
    assert raised.value.code == "missingSecret"


def test_secret_repeated_by_the_receiver_is_not_in_the_message() -> None:
    """What a receiver echoes of the credentials is masked, in their encoded form too."""
    body = b"no access for YW5uOnMzY3JldA== alias s3cret"
    own = client(
        script(refused(403, body)),
        connection(auth=BasicAuth(type="basic", username="ann")),
        password="s3cret",
    )
    with pytest.raises(ResponseRejected, match=r"no access for \*\*\* alias \*\*\*"):
        own.send("GET", OWN)


def test_base_url_that_is_no_address_is_a_named_error() -> None:
    """A connection that cannot be reached at all fails the step, not the worker."""
    with pytest.raises(StepFailed) as raised:
        client(script(), connection(base_url="https://[::"))
    assert raised.value.code == "badLink"
