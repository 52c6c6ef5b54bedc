"""Connections that break, from the handshake to the middle of an answer (fault R12)."""

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.functional.loopback_server import LOOPBACK, reset, serving
from tests.functional.test_egress import ALLOWED, exported, server_at, stored

from millrace.connectors.http_client import TRIES
from millrace.connectors.registry import HttpConnectors
from millrace.domain.authentication import ApiKeyAuth
from millrace.domain.errors import StepError, StepFailed, StepTransient


@contextmanager
def self_signed(folder: Path) -> Iterator[str]:
    """The address of a server on loopback whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ALLOWED)]), critical=False)
        .sign(key, SHA256())
    )
    (folder / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (folder / "certificate").write_bytes(certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")

    def answering(plain: socket) -> None:
        with context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(65_536)

    with server_at(ALLOWED) as listener:
        thread = Thread(target=lambda: _once(listener, answering))
        thread.start()
        yield f"https://{ALLOWED}:{listener.getsockname()[1]}"
        thread.join()


def _once(listener: socket, answering: Callable[[socket], None]) -> None:
    """Answer one connection, which ends in whatever way."""
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        answering(connection)


def broken(base_url: str, kind: type[StepError]) -> StepError:
    """How an export fails whose requests have secrets wherever they may have some."""
    auth = ApiKeyAuth.model_validate({"type": "apiKey", "in": "query", "name": "token"})
    connection = stored(base_url, auth).model_copy(update={"headers": {"X-Own": "h3ader"}})
    connectors = HttpConnectors(networks=lambda: LOOPBACK)
    with pytest.raises(kind) as raised:
        exported(connectors, connection, query={"q": "qu3ry"}, headers={"X-More": "m0re"})
    return raised.value


def test_r12_a_certificate_that_nobody_vouches_for_is_final(tmp_path: Path) -> None:
    """Nothing is sent, and the message tells the host and no secret."""
    with self_signed(tmp_path) as url:
        failed = broken(url, StepFailed)
    assert failed.code == "certificateRefused"
    host = url.removeprefix("https://")
    assert failed.message == f"GET {host}: its certificate cannot be verified"


def test_r12_a_connection_that_is_reset_may_be_tried_again_and_tells_no_secret() -> None:
    """Wherever in the answer it is cut."""
    for after in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1, 2"):
        with serving(*[reset(after)] * TRIES) as server:
            host = server.url.removeprefix("http://")
            failed = broken(server.url, StepTransient)
        assert all(
            secret in server.requests[0] for secret in (b"k3y", b"h3ader", b"qu3ry", b"m0re")
        )
        assert failed.code == "connectionLost"
        assert re.fullmatch(rf"GET {host}: connection lost \(\w+\)", failed.message)
