"""A small HTTP server on 127.0.0.1 whose answers are a function, and a plan of faults for it."""

import json
import random
import socket
import struct
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

type Json = Any
type _Socket = socket.socket | tuple[bytes, socket.socket]
"""What socketserver calls a request; the tuple is for UDP only."""

HOST = "127.0.0.1"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 s: close sends RST instead of FIN, which the client sees as a reset."""


class Fault(StrEnum):
    """What can go wrong with a request, once."""

    UNAVAILABLE = "503"
    THROTTLED = "429"
    RESET = "reset"
    ANSWER_LOST = "answer lost"
    """The request is carried out, but the connection breaks before the answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets; `reset` breaks the connection instead."""

    status: int = 200
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False


RESET = Answer(reset=True)


def refusal(fault: Fault) -> Answer:
    """The answer to a request that meets this fault before anything is done."""
    match fault:
        case Fault.UNAVAILABLE:
            return Answer(503, {"error": "temporarily unavailable"})
        case Fault.THROTTLED:
            return Answer(429, {"error": "too many requests"}, {"Retry-After": "1"})
        case _:
            return RESET


class FaultPlan:
    """Decides which requests fail: only ever the first try of one, so that trying again helps.

    First tries draw from a shuffled deck of the given faults and `good` blanks, dealt over and
    over; so every fault turns up once in each round whatever the order of requests, and the same
    seed gives the same sequence.
    """

    def __init__(self, seed: int, faults: Sequence[Fault], good: int) -> None:
        self._deck: list[Fault | None] = [*faults, *[None] * good]
        random.Random(seed).shuffle(self._deck)  # noqa: S311 - a plan to repeat, not a secret
        self._seen: set[Hashable] = set()
        self._lock = Lock()
        self.dealt: list[Fault] = []

    def draw(self, request: Hashable) -> Fault | None:
        """The fault for this try; `request` is what makes two tries the same request."""
        with self._lock:
            if request in self._seen:
                return None
            fault = self._deck[len(self._seen) % len(self._deck)]
            self._seen.add(request)
            if fault:
                self.dealt.append(fault)
            return fault


class LoopbackServer:
    """Serves `respond` in threads of its own while the `with` block lasts.

    The preferred port is taken if it is free, so that addresses stay the same from run to run,
    else any other; `url` says which.
    """

    def __init__(self, respond: Callable[[Request], Answer], port: int = 0) -> None:
        try:
            self._server = _Server((HOST, port), _handler(respond))
        except OSError:
            self._server = _Server((HOST, 0), _handler(respond))
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # clients keep connections open; nobody waits for them to hang up
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: _Socket, client_address: object) -> None:
        if isinstance(request, socket.socket):
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Socket) -> None:
        """Close without the shutdown of the base class, whose FIN would come before a RST."""
        if isinstance(request, socket.socket):
            self._connections.discard(request)
        self.close_request(request)

    def hang_up(self) -> None:
        """End kept connections: their threads would go on answering for a server that is gone."""
        for connection in list(self._connections):
            with suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)


def _handler(respond: Callable[[Request], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave in one packet
        disable_nagle_algorithm = True
        timeout = 30

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(parts.query))
            answer = respond(Request(self.command, parts.path, query, headers, body))
            if answer.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                self.close_connection = True
                return
            content = b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _serve  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
            """Say nothing: what counts is counted by `respond`."""

    return Handler
