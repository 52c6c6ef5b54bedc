"""Outbound requests reach public addresses and allowed networks, whatever names and texts say."""

import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AF_INET, AF_INET6, SHUT_RDWR, create_connection, create_server, gaierror, socket
from threading import Thread
from time import monotonic, sleep

import pytest
from tests.functional.conftest import Stack
from tests.functional.loopback_server import LOOPBACK, REACH, answer, serving
from tests.support.app import Client
from urllib3.connection import HTTPConnection

from millrace.connectors.dialing import Dialer
from millrace.connectors.http_messages import HttpRequest, TransportError
from millrace.connectors.registry import HttpConnectors
from millrace.connectors.transport import Urllib3Transport
from millrace.domain.action import ExportAction
from millrace.domain.authentication import Auth, BearerAuth, NoAuth, OAuth2ClientCredentialsAuth
from millrace.domain.base import Json
from millrace.domain.connection import Connection
from millrace.domain.errors import StepFailed
from millrace.domain.networks import Address, AllowedNetworks
from millrace.domain.ports import Connectors
from millrace.domain.run_values import RunValues

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def server_at(address: Address, port: int = 0) -> socket:
    """A socket that listens there."""
    family = AF_INET if isinstance(address, IPv4Address) else AF_INET6
    return create_server((str(address), port), family=family)


def another_loopback() -> Address:
    """MacOS has but one address of IPv4 there, and some containers have no IPv6."""
    with suppress(OSError), server_at(ip_address("127.0.0.2")):
        return ip_address("127.0.0.2")
    return ip_address("::1")


INSIDE = another_loopback()
"""Where a server is not to be reached: only 127.0.0.1 is allowed here."""
ALLOWED = ip_address("127.0.0.1")
"""Stands for a public address, and cannot be told from one by who resolves and connects."""
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
LAST = WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

LITERALS = [
    "169.254.169.254",
    "[fd00:ec2::254]",
    "127.2",
    "0",
    "0x7f000002",
    "2130706434",
    "017700000002",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "100.64.0.1",
    "127.0.0.2.",
    "%31%32%37.0.0.2",
]


@dataclass
class Resolver:
    """Answers with these addresses in turn, the last for ever, and counts."""

    answers: list[tuple[Address, ...]]
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, port: int) -> tuple[Address, ...]:
        """See `dialing.Resolver`."""
        del port
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


NEVER_ASKED = Resolver([])


@dataclass
class Counter:
    """Counts who connects, says `reply` to each, and keeps the first bytes."""

    listener: socket
    replies: int
    heads: list[bytes] = field(default_factory=list)
    connections: list[socket] = field(default_factory=list)

    def serve(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self.connections.append(connection)
                for left in reversed(range(self.replies)):
                    if not (head := connection.recv(65_536)):
                        break
                    self.heads.append(head)
                    # Told of the end, the client does not try this connection once more.
                    connection.sendall(WHOLE if left else LAST)


@contextmanager
def listening(address: Address, port: int = 0, replies: int = 1) -> Iterator[Counter]:
    """A server at an address, which ends each connection after some replies."""
    with server_at(address, port) as listener:
        counter = Counter(listener, replies)
        thread = Thread(target=counter.serve)
        thread.start()
        try:
            yield counter
        finally:
            for each in (listener, *counter.connections):
                with suppress(OSError):  # it is closed already
                    each.shutdown(SHUT_RDWR)
            thread.join()


def port_of(counter: Counter) -> int:
    """Where it listens."""
    port: int = counter.listener.getsockname()[1]
    return port


def asked(transport: Urllib3Transport, url: str) -> bytes:
    """The body of one exchange."""
    return transport.exchange(HttpRequest("GET", url)).body


def refusal(transport: Urllib3Transport, url: str) -> TransportError:
    """How an exchange is refused; another try would not help."""
    with pytest.raises(TransportError) as raised:
        asked(transport, url)
    assert not raised.value.is_transient
    return raised.value


def stored(base_url: str, auth: Auth | None = None, workspace_id: str = "ws_1") -> Connection:
    """A connection that came into the store by whatever way."""
    return Connection(
        id="con_1",
        workspace_id=workspace_id,
        created_at=NOW,
        created_by="tok_1",
        modified_at=NOW,
        modified_by="tok_1",
        name="Shop",
        base_url=base_url,
        auth=auth or NoAuth(),
    )


def exported(connectors: Connectors, connection: Connection, **http: Json) -> list[Json]:
    """All records of an export."""
    work = {"type": "Export", "connectionId": "con_1", "http": {"path": "/orders", **http}}
    secrets = {"token": "t0k", "client_secret": "s3cret", "key": "k3y"}
    exporter = connectors.exporter(
        ExportAction.model_validate(work), connection, secrets, RunValues()
    )
    return [record for page in exporter.pages(None) for record in page.records]


# ---------------------------------------------------------------- S6: what is spelled out


@pytest.mark.parametrize("host", [*LITERALS, "①②⑦.0.0.1", "127。0。0。1"])
def test_s6_a_spelled_out_address_is_refused_at_save(alice: Client, host: str) -> None:
    """With its place and what to do; nothing is stored."""
    for scheme, port in (("http", ""), ("https", ":8443")):
        url = f"{scheme}://{host}{port}"
        auth = {"type": "oauth2ClientCredentials", "tokenUrl": f"{url}/t?a=b", "clientId": "c"}
        given = {"name": "Shop", "baseUrl": f"{url}/v1", "auth": auth | {"clientSecret": "s"}}
        told = alice("POST", "/v1/connections", given)
        assert told.status == 422
        assert told.errors == {
            ("addressRefused", "/baseUrl"),
            ("addressRefused", "/auth/tokenUrl"),
        }
        assert "docs/operations.md" in told.body["errors"][0]["remedy"]
    assert alice("GET", "/v1/connections").body["data"] == []


@pytest.mark.parametrize(
    "url", ["http://user@8.8.8.8", "http://u:p@api.example", "ftp://a.example"]
)
def test_s6_user_names_and_other_schemes_are_refused_at_save(alice: Client, url: str) -> None:
    """Of `http://api.example@10.0.0.1` a reader may take the wrong half for the host."""
    given = {"name": "Shop", "baseUrl": url, "auth": {"type": "none"}}
    told = alice("POST", "/v1/connections", given)
    assert (told.status, told.errors) == (422, {("valueError", "/baseUrl")})


@pytest.mark.parametrize("host", [*LITERALS, "localhost.", "localhost", "a.localhost", "127.1"])
def test_s6_a_spelled_out_address_is_refused_at_call(host: str) -> None:
    """It is not even looked up, and the refusal names the host as it was given."""
    transport = Urllib3Transport(resolve=NEVER_ASKED)
    for url in (f"http://{host}/", f"https://{host}:8443/"):
        assert refusal(transport, url).code == "addressRefused"


@pytest.mark.parametrize(
    "url",
    ["http://user@127.0.0.1/", "http://①②⑦.0.0.1/", "ftp://api.example/", "file:///etc/passwd"],
)
def test_s6_what_is_no_plain_address_is_refused_at_call(url: str) -> None:
    """Neither user names nor other alphabets nor other schemes."""
    assert refusal(Urllib3Transport(resolve=NEVER_ASKED), url).code == "badRequest"


def test_s6_a_step_fails_for_good_and_without_secrets() -> None:
    """The error names method and host, and nothing that was to be sent."""
    connection = stored("http://127.0.0.2:9/v1", BearerAuth(type="bearer"))
    with pytest.raises(StepFailed) as raised:
        exported(HttpConnectors(), connection, query={"key": "s3cret"})
    assert raised.value.code == "addressRefused"
    assert raised.value.message == (
        "GET 127.0.0.2:9: it leads to an address that is not public, and in no network that this "
        "workspace may reach"
    )


def test_s6_a_token_endpoint_is_refused_at_call() -> None:
    """The client's secret goes nowhere either."""
    auth = OAuth2ClientCredentialsAuth(
        type="oauth2ClientCredentials", token_url="http://127.0.0.2:9/token", client_id="c"
    )
    with pytest.raises(StepFailed) as raised:
        exported(HttpConnectors(), stored("https://api.example", auth))
    assert raised.value.code == "addressRefused"
    assert "s3cret" not in raised.value.message


def test_s6_a_link_to_the_next_page_is_refused_at_call() -> None:
    """What a system answers is checked as what a user writes."""
    page = b'{"items": [{"id": 1}], "next": "http://127.0.0.2:9/latest/meta-data"}'
    linked = {"recordsPath": "/items", "pagination": {"type": "nextLink"}}
    connectors = HttpConnectors(networks=lambda: LOOPBACK)
    with serving(answer(body=page)) as server, pytest.raises(StepFailed) as raised:
        exported(connectors, stored(server.url), **linked)
    assert raised.value.code == "addressRefused"


def test_a_redirect_to_the_inside_is_not_followed() -> None:
    """Nor any other: so nothing has to be stripped of credentials."""
    with listening(INSIDE) as inside:
        host = f"[{INSIDE}]" if isinstance(INSIDE, IPv6Address) else INSIDE
        location = f"Location: http://{host}:{port_of(inside)}/\r\n"
        for status in (301, 302, 303, 307, 308):
            with serving(answer(status, headers=location)) as server:
                connection = stored(server.url, BearerAuth(type="bearer"))
                with pytest.raises(StepFailed, match="redirects are not followed") as raised:
                    exported(HttpConnectors(networks=lambda: LOOPBACK), connection)
            assert raised.value.code == "redirected"
    assert inside.heads == []


def test_a_ping_is_refused(stack: Stack, alice: Client) -> None:
    """A connection whose network is not allowed any more is stored, and reaches nothing."""
    given = {"name": "Shop", "baseUrl": "http://127.0.0.1:9", "auth": {"type": "none"}}
    made = alice("POST", "/v1/connections", given).body
    found = stack.context.resources.get(Connection, made["workspaceId"], made["id"])
    pong = HttpConnectors().ping(found, {}, "GET", "/")
    assert (pong.status, pong.code) == (None, "addressRefused")


# ---------------------------------------------------------------- S7: what names stand for


def test_s7_of_several_addresses_only_those_within_reach_are_connected_to() -> None:
    """Whichever comes first; the name is looked up once."""
    resolver = Resolver([(INSIDE, ip_address("169.254.169.254"), ALLOWED)])
    with listening(INSIDE) as inside, listening(ALLOWED, port_of(inside)) as public:
        transport = Urllib3Transport(reach=REACH, resolve=resolver)
        assert asked(transport, f"http://shop.example:{port_of(inside)}/") == b"[]"
    assert (len(public.heads), inside.heads) == (1, [])
    assert resolver.asked == ["shop.example"]


def test_s7_a_name_of_the_inside_is_refused() -> None:
    """Without telling what it stands for: names of a private network are nobody's business."""
    resolver = Resolver([(INSIDE, ip_address("10.1.2.3"))])
    with listening(INSIDE) as inside:
        transport = Urllib3Transport(reach=REACH, resolve=resolver)
        refused = refusal(transport, f"http://shop.example:{port_of(inside)}/")
    assert refused.code == "addressRefused"
    assert not any(each in refused.message for each in ("127.0.0.2", "10.1.2.3", "private"))
    assert inside.heads == []


def test_s7_a_name_that_changes_after_the_check_changes_nothing() -> None:
    """The connection goes to what was checked: nobody looks the name up again to connect."""
    resolver = Resolver([(ALLOWED,), (INSIDE,)])
    with listening(INSIDE) as inside, listening(ALLOWED, port_of(inside)) as public:
        transport = Urllib3Transport(reach=REACH, resolve=resolver)
        url = f"http://shop.example:{port_of(inside)}/"
        assert asked(transport, url) == b"[]"
        assert resolver.asked == ["shop.example"]
        # The next connection is a new question, and its answer is checked as well.
        assert refusal(transport, url).code == "addressRefused"
    assert (len(public.heads), inside.heads) == (1, [])
    assert len(resolver.asked) == 2


def test_s7_a_connection_that_is_kept_stays_with_its_address() -> None:
    """It needs no name any more."""
    resolver = Resolver([(ALLOWED,), (INSIDE,)])
    with listening(ALLOWED, replies=3) as public:
        transport = Urllib3Transport(reach=REACH, resolve=resolver)
        url = f"http://shop.example:{port_of(public)}/"
        assert [asked(transport, url) for _ in range(3)] == [b"[]"] * 3
    assert len(resolver.asked) == 1


def test_s7_the_name_stays_in_the_host_header_and_in_tls() -> None:
    """Virtual hosts and certificates go by it, although the socket was given an address."""
    with listening(ALLOWED) as public:
        transport = Urllib3Transport(reach=REACH, resolve=Resolver([(ALLOWED,)]))
        where = f"shop.example:{port_of(public)}"
        asked(transport, f"http://{where}/")
        with pytest.raises(TransportError):  # the server does not speak TLS
            asked(transport, f"https://{where}/")
    plain, hello = public.heads
    assert f"\r\nHost: {where}\r\n".encode() in plain
    name = b"shop.example"
    assert ssl.HAS_SNI
    assert struct.pack("!BH", 0, len(name)) + name in hello


def test_s7_a_socket_that_comes_by_another_way_is_not_used() -> None:
    """Whatever another urllib3 may do to connect: who is at the other end is looked at again."""
    with listening(INSIDE) as inside:
        connection = HTTPConnection("shop.example", port_of(inside))
        connection.sock = create_connection((str(INSIDE), port_of(inside)))
        with pytest.raises(TransportError) as raised:
            Dialer(REACH).confirm(connection)
    assert raised.value.code == "addressRefused"
    assert connection.is_closed
    assert inside.heads == []


def test_s7_the_other_end_is_confirmed_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of each connection that the transport makes."""

    def astray(self: Dialer, connection: HTTPConnection) -> socket:
        del self
        return create_connection((str(INSIDE), connection.port))

    monkeypatch.setattr(Dialer, "dial", astray)
    with listening(INSIDE) as inside:
        url = f"http://shop.example:{port_of(inside)}/"
        assert refusal(Urllib3Transport(reach=REACH), url).code == "addressRefused"
    assert inside.heads == []


# ---------------------------------------------------------------- who may reach what


def test_a_workspace_does_not_reach_what_another_may() -> None:
    """Not even over a connection that the other has left open in the same process."""
    text = '{"office": {"cidrs": ["127.0.0.1/32"], "workspaces": ["ws_1"]}}'
    connectors = HttpConnectors(networks=lambda: AllowedNetworks.from_text(text))
    with listening(ALLOWED, replies=2) as office:
        url = f"http://127.0.0.1:{port_of(office)}"
        assert exported(connectors, stored(url)) == []
        with pytest.raises(StepFailed) as raised:
            exported(connectors, stored(url, workspace_id="ws_2"))
    assert raised.value.code == "addressRefused"
    assert len(office.heads) == 1
    assert connectors.check_address("ws_1", url) is None
    assert connectors.check_address("ws_2", url) is not None


def test_the_lambda_runtime_is_out_of_reach_where_loopback_is_allowed(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Its address is in the functions' environment, and refused at save and at call."""
    with listening(ALLOWED) as runtime:
        monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", f"127.0.0.1:{port_of(runtime)}")
        stack: Stack = request.getfixturevalue("stack")
        url = f"http://localhost:{port_of(runtime)}/2018-06-01/runtime/invocation/next"
        given = {"name": "Shop", "baseUrl": url, "auth": {"type": "none"}}
        told = stack.client("Alice")("POST", "/v1/connections", given)
        assert (told.status, told.errors) == (422, {("addressRefused", "/baseUrl")})
        with pytest.raises(StepFailed) as raised:
            exported(stack.context.connectors, stored(url))
    assert raised.value.code == "addressRefused"
    assert runtime.heads == []


def test_proxies_of_the_environment_are_not_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One would look names up by itself, and connect to what it likes."""
    with listening(ALLOWED) as proxy, listening(ALLOWED) as public:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port_of(proxy)}")
        transport = Urllib3Transport(reach=REACH, resolve=Resolver([(ALLOWED,)]))
        assert asked(transport, f"http://shop.example:{port_of(public)}/") == b"[]"
    assert proxy.heads == []


# ---------------------------------------------------------------- R11, R12: time


def test_r11_looking_a_name_up_takes_its_time_from_the_whole() -> None:
    """A resolver has its own idea of how long to try."""

    def slow(host: str, port: int) -> tuple[Address, ...]:
        del host, port
        sleep(1)
        return (ALLOWED,)

    began = monotonic()
    with pytest.raises(TransportError) as raised:
        asked(Urllib3Transport(0.2, reach=REACH, resolve=slow), "http://shop.example/")
    assert (raised.value.code, raised.value.is_transient) == ("timedOut", True)
    assert monotonic() - began < 0.9


def test_r11_an_address_that_does_not_answer_leaves_time_for_the_next() -> None:
    """The time of a request is shared by the addresses of its host."""
    with create_server((str(ALLOWED), 0), backlog=0) as full:
        port: int = full.getsockname()[1]
        waiting = [socket() for _ in range(3)]
        for each in waiting:  # a queue that is full answers nobody
            each.settimeout(0)
            each.connect_ex((str(ALLOWED), port))
        both = replace(REACH, allowed=frozenset(map(ip_network, (ALLOWED, INSIDE))))
        with listening(INSIDE, port) as other:
            transport = Urllib3Transport(1, reach=both, resolve=Resolver([(ALLOWED, INSIDE)]))
            assert asked(transport, f"http://shop.example:{port}/") == b"[]"
        for each in waiting:
            each.close()
    assert len(other.heads) == 1


def test_r12_a_name_that_does_not_exist_is_final() -> None:
    """And a resolver in trouble is not."""

    def unknown(host: str, port: int) -> tuple[Address, ...]:
        raise gaierror(-2, f"{host}:{port} not known")

    refused = refusal(Urllib3Transport(resolve=unknown), "http://shop.example/?key=s3cret")
    assert (refused.code, refused.message) == ("nameNotResolved", "its name cannot be resolved")


def test_a_transport_of_no_special_reach_goes_to_public_addresses_only() -> None:
    """Who forgets to say what is allowed has allowed nothing."""
    with listening(ALLOWED) as inside:
        found = refusal(Urllib3Transport(), f"http://127.0.0.1:{port_of(inside)}/")
    assert (found.code, inside.heads) == ("addressRefused", [])
