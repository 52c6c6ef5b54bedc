"""A server on loopback that answers many requests at once, and counts how many those are."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from time import sleep
from typing import Any

type Reply = tuple[int, Any]
"""A status, and what is sent as JSON."""


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    path: str
    key: str | None
    body: Any


@dataclass
class BusyServer:
    """What arrived, and how many requests were under way at a time."""

    reply: Callable[[Heard], Reply]
    seconds: float
    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    most: int = 0
    _under_way: int = 0
    _lock: Lock = field(default_factory=Lock)

    def answer(self, heard: Heard) -> Reply:
        """The answer to a request, after a while."""
        with self._lock:
            self.heard.append(heard)
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        try:
            sleep(self.seconds)
            return self.reply(heard)
        finally:
            with self._lock:
                self._under_way -= 1


@contextmanager
def busy(
    reply: Callable[[Heard], Reply] = lambda _: (200, {}), seconds: float = 0.02
) -> Iterator[BusyServer]:
    """A server that takes so long for each answer, gone at the end of the block."""
    told = BusyServer(reply, seconds)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(data) if data else None
            key = self.headers.get("Idempotency-Key")
            status, document = told.answer(Heard(self.command, self.path, key, body))
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
