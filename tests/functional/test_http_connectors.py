"""Exports and imports over a real socket, against a receiver that misbehaves."""

import gzip
import json
import socket
import time
import zlib
from datetime import UTC, datetime

import pytest
from tests.functional.loopback_server import REACH, Reply, answer, raw, reset, serving
from tests.support.samples import origins

from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_export import HttpExporter
from millrace.connectors.http_import import HttpImporter
from millrace.connectors.http_messages import HttpRequest, TransportError
from millrace.connectors.oauth2 import AccessTokens
from millrace.connectors.transport import Urllib3Transport
from millrace.domain.action import HttpExport
from millrace.domain.authentication import BearerAuth
from millrace.domain.base import Json
from millrace.domain.connection import Connection
from millrace.domain.errors import StepFailed, StepThrottled, StepTransient
from millrace.domain.imports import HttpImport
from millrace.domain.records import idempotency_key

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
TOKEN = "t0k"
DEADLINE_SECONDS = 0.3
BODY_BYTES_MAX = 100_000

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def transport() -> Urllib3Transport:
    """A transport of little patience."""
    return Urllib3Transport(
        timeout_seconds=DEADLINE_SECONDS, body_bytes_max=BODY_BYTES_MAX, reach=REACH
    )


def client(base_url: str) -> ConnectionClient:
    """A client with a token that does not wait between tries."""
    stored = Connection(
        id="con_1",
        workspace_id="ws_1",
        created_at=NOW,
        created_by="tok_1",
        modified_at=NOW,
        modified_by="tok_1",
        name="Shop",
        base_url=base_url,
        auth=BearerAuth(type="bearer"),
    )
    http = HttpClient(transport(), sleep=lambda _: None, clock=lambda: NOW)
    return ConnectionClient(stored, {"token": TOKEN}, http, AccessTokens(http.clock))


def export(base_url: str, **http: Json) -> list[Json]:
    """All records of an export."""
    exporter = HttpExporter(
        HttpExport.model_validate({"path": "/orders", **http}), client(base_url)
    )
    return [record for page in exporter.pages() for record in page.records]


def exchange(reply: Reply) -> bytes:
    """The body of one exchange."""
    with serving(reply) as server:
        return transport().exchange(HttpRequest("GET", server.url)).body


def drip(connection: socket.socket, prefix: bytes, drop: bytes) -> None:
    """A prefix, then a drop now and then, much longer than the deadline."""
    connection.sendall(prefix)
    for _ in range(30):
        connection.sendall(drop)
        time.sleep(DEADLINE_SECONDS / 10)


def test_export_rides_out_a_receiver_in_trouble() -> None:
    """Resets, cut and broken answers and 503s go by unnoticed; every record comes once."""
    first = answer(body=b'[{"id": 1}, {"id": 2}]')
    second = answer(body=b'[{"id": 3}]')
    with serving(
        reset(),
        first,
        reset(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{"),
        raw(b'HTTP/1.1 200 OK\r\n\r\n[{"id": 3}, {"i'),
        raw(CHUNKED + b'8\r\n[{"id": \r\n'),
        answer(503, headers="Retry-After: 1\r\n"),
        second,
    ) as server:
        pagination = {"type": "offset", "limit": 2}
        assert export(server.url, pagination=pagination) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert [request.split()[1] for request in server.requests[1:3]] == [
        b"/orders?offset=0&limit=2",
        b"/orders?offset=2&limit=2",
    ]


def test_next_link_to_another_port_gets_no_credentials() -> None:
    """The token stays with the origin that it belongs to."""
    with serving(answer(body=b'{"items": [{"id": 2}]}')) as other:
        link = json.dumps({"items": [{"id": 1}], "next": f"{other.url}/orders"}).encode()
        with serving(answer(body=link)) as own:
            pagination = {"type": "nextLink"}
            records = export(own.url, recordsPath="/items", pagination=pagination)
    assert records == [{"id": 1}, {"id": 2}]
    assert b"Bearer t0k" in own.requests[0]
    assert b"uthorization" not in other.requests[0]


def test_import_sends_the_same_key_again_after_a_lost_answer() -> None:
    """A receiver that died after the write can see that the second request is the first one."""
    work = HttpImport(path="/orders", batch_size=2)
    with serving(reset(), answer(201)) as server:
        importer = HttpImporter(
            work,
            client(server.url),
            lambda origin, body: idempotency_key(origin, "step", body),
        )
        assert importer.write([{"id": 1}, {"name": "Zoë"}], origins(2)).failures == []
    lost, sent = server.requests
    assert lost == sent
    assert sent.endswith('\r\n\r\n[{"id":1},{"name":"Zoë"}]'.encode())
    assert b"Idempotency-Key: " in sent


@pytest.mark.parametrize(
    ("value", "seconds"), [("60", 60), ("Sat, 31 Jan 2026 09:10:00 GMT", 600), ("99999999", 86_400)]
)
def test_receiver_names_the_time_to_come_back(value: str, seconds: int) -> None:
    """A long Retry-After becomes the machine's wait."""
    with (
        serving(answer(429, headers=f"Retry-After: {value}\r\n")) as server,
        pytest.raises(StepThrottled) as raised,
    ):
        export(server.url)
    assert (raised.value.until - NOW).total_seconds() == seconds


@pytest.mark.parametrize(
    "headers", ["Retry-After: -1\r\n", "Retry-After: 1\r\nRetry-After: 99\r\n"]
)
def test_contradictory_retry_after_is_ignored(headers: str) -> None:
    """Two headers or a negative number leave the own backoff in force."""
    with serving(answer(429, headers=headers), answer(body=b"[]")) as server:
        assert export(server.url) == []


@pytest.mark.parametrize(
    ("prefix", "drop"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
    ],
    ids=["silence", "endless headers", "slow body", "endless chunks"],
)
def test_r11_receiver_cannot_stretch_the_deadline(prefix: bytes, drop: bytes) -> None:
    """However it trickles, an exchange ends when its whole time is over."""
    with pytest.raises(TransportError) as raised:
        exchange(lambda connection: drip(connection, prefix, drop))
    assert raised.value.code == "timedOut"
    assert raised.value.is_transient


@pytest.mark.parametrize(
    "reply",
    [
        raw(CHUNKED + b"4000\r\n" + b"x" * 0x4000 + b"\r\n" * 1),
        reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 99)[:-9]),
        raw(b"hello\r\n\r\n"),
        raw(b""),
    ],
    ids=["cut chunks", "reset in body", "short body", "cut gzip", "no HTTP", "nothing"],
)
def test_r12_incomplete_answer_is_transient(reply: Reply) -> None:
    """An answer that is not whole is never taken for one."""
    with pytest.raises(TransportError) as raised:
        exchange(reply)
    assert raised.value.code == "connectionLost"
    assert raised.value.is_transient


def zipped(body: bytes, encoding: str = "gzip") -> Reply:
    """An answer with a Content-Encoding."""
    return answer(body=body, headers=f"Content-Encoding: {encoding}\r\n")


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (zipped(gzip.compress(b"0" * 50_000_000)), "answerTooLarge"),
        (answer(body=b"0" * (BODY_BYTES_MAX + 1)), "answerTooLarge"),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n" + b"0" * 200_000),
            "answerTooLarge",
        ),
        (zipped(gzip.compress(gzip.compress(b"0" * 50_000_000)), "gzip, gzip"), "unknownEncoding"),
        (
            answer(headers="Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"),
            "unknownEncoding",
        ),
        (zipped(zlib.compress(b"0" * 50_000_000), "deflate"), "answerTooLarge"),
        (zipped(b"[]", "br"), "unknownEncoding"),
        (zipped(b"[]"), "badEncoding"),
    ],
    ids=[
        "gzip bomb",
        "large",
        "10 GB",
        "nested gzip",
        "gzip twice",
        "deflate bomb",
        "brotli",
        "not gzip",
    ],
)
def test_p5_answer_that_would_swell_is_refused(reply: Reply, code: str) -> None:
    """Size is bounded after decompression, and only what was offered is decompressed."""
    with pytest.raises(TransportError) as raised:
        exchange(reply)
    assert raised.value.code == code
    assert not raised.value.is_transient


def test_p5_only_the_layer_that_is_named_is_unpacked() -> None:
    """10 GB within 10 KB take gzip within gzip; what is inside stays as it is."""
    inner = gzip.compress(b"0" * 50_000_000)
    assert exchange(zipped(gzip.compress(inner))) == inner


def test_p5_a_bomb_without_end_costs_no_more_than_the_cap() -> None:
    """It is unpacked as it is read, and both end where the cap is."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a piece stands for itself, and may be said again.
    megabyte = packer.compress(b"0" * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)

    def forever(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + head)
        while True:
            connection.sendall(megabyte * 100)

    with pytest.raises(TransportError) as raised:
        exchange(forever)
    assert raised.value.code == "answerTooLarge"


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (answer(body=b"0" * BODY_BYTES_MAX), b"0" * BODY_BYTES_MAX),
        (zipped(gzip.compress(b"[1]") + gzip.compress(b" ")), b"[1] "),
        (raw(CHUNKED + b"2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n"), b"[1]"),
        (raw(b"HTTP/1.0 200 OK\r\n\r\n[1]"), b"[1]"),
        (answer(204), b""),
    ],
    ids=["largest", "gzip in two members", "chunks", "until the end", "nothing"],
)
def test_whole_answers_are_read_whole(reply: Reply, body: bytes) -> None:
    """Whatever the framing, the body comes complete and decompressed."""
    assert exchange(reply) == body


def test_one_connection_serves_many_requests() -> None:
    """Connections are kept open, so that each request need not shake hands anew."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"

    def three_times(connection: socket.socket) -> None:
        for left in (2, 1, 0):
            connection.sendall(whole)
            if left:
                connection.recv(65_536)

    with serving(three_times) as server:
        one = transport()
        bodies = [one.exchange(HttpRequest("GET", server.url)).body for _ in range(3)]
    assert bodies == [b"[]"] * 3
    assert len(server.requests) == 1


def test_nobody_listening_is_transient() -> None:
    """A receiver that restarts refuses connections for a while."""
    with serving() as server:
        url = server.url
    with pytest.raises(StepTransient, match=r"GET 127\.0\.0\.1:\d+: connection lost"):
        export(url)


@pytest.mark.parametrize("header", ["a\r\nX-Evil: 1", "Grüße €"])
def test_header_that_is_no_http_fails_the_step(header: str) -> None:
    """A line break or text that no header can hold is the author's to correct."""
    with serving() as server, pytest.raises(StepFailed) as raised:
        export(server.url, headers={"X-Note": header})
    assert raised.value.code == "badRequest"


def test_redirect_is_not_followed() -> None:
    """A receiver cannot send the export, or its token, elsewhere."""
    with (
        serving(answer(302, headers="Location: http://127.0.0.1:9/\r\n")) as server,
        pytest.raises(StepFailed, match="answered 302; redirects are not followed"),
    ):
        export(server.url)
