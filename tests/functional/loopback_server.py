"""A server on loopback that speaks raw bytes, so that it can misbehave in every way."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

from tests.support.aws import ENVIRONMENT

from millrace.domain.networks import AllowedNetworks

LOOPBACK = AllowedNetworks.from_text(ENVIRONMENT["MILLRACE_ALLOWED_NETWORKS"])
"""What the functions under test may reach beside public addresses: servers of this kind."""
REACH = LOOPBACK.of("any")

# Until a test that went wrong ends; a busy machine may take seconds between two requests.
_PATIENCE_SECONDS = 30

type Reply = Callable[[socket.socket], None]
"""Writes an answer, or whatever else, to the connection; raises OSError when the client is gone."""


@dataclass
class LoopbackServer:
    """Plays one reply a request, in turn, each on a connection of its own."""

    listener: socket.socket
    replies: list[Reply]
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        """Answer until the replies are used up."""
        for reply in self.replies:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(_PATIENCE_SECONDS)
                self.requests.append(_read_request(connection))
                reply(connection)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(*replies: Reply) -> Iterator[LoopbackServer]:
    """A server with these replies, gone at the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_PATIENCE_SECONDS)
        server = LoopbackServer(listener, list(replies))
        thread = Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def answer(status: int = 200, body: bytes = b"", headers: str = "") -> Reply:
    """A well-formed answer; headers end in CRLF each."""
    head = (
        f"HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return lambda connection: connection.sendall(head.encode() + body)


def raw(data: bytes) -> Reply:
    """Bytes as they are, and then the end of the connection."""
    return lambda connection: connection.sendall(data)


def reset(after: bytes = b"") -> Reply:
    """Bytes, and then a TCP reset."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(after)
        linger_for_no_time = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)

    return reply
