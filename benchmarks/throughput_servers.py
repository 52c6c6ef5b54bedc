"""A source and a sink on loopback, each a process of its own.

They do as little as they can, so that what is measured is the client.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import PIPE, Popen
from urllib.parse import parse_qs, urlsplit

_RECORD = (
    '{{"id": {0}, "customer": "Customer {0}", "total": {0}.25, "state": "open", '
    '"created": "2026-01-31T09:00:00Z", "address": {{"city": "Bern", "zip": "{0}"}}, '
    '"lines": [{{"sku": "A-{0}", "count": 2}}]}}'
)


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def answer(self, body: bytes) -> None:
        """A 200 with JSON."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Source(_Quiet):
    """`GET /TOTAL?offset=0&limit=500`: a page of that many records."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        start = int(query["offset"][0])
        end = min(start + int(query["limit"][0]), int(address.path[1:]))
        items = ",".join(_RECORD.format(number) for number in range(start, end))
        self.answer(f'{{"items": [{items}]}}'.encode())


class _Sink(_Quiet):
    """Counts the records that it is sent; `GET` tells how many, and begins anew."""

    received = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        _Sink.received += body.count(b'"orderId"')
        self.answer(b"{}")

    def do_GET(self) -> None:
        received, _Sink.received = _Sink.received, 0
        self.answer(str(received).encode())


@contextmanager
def serving(kind: str) -> Iterator[str]:
    """A server in a process of its own; its address."""
    command = [sys.executable, "-m", __name__, kind]
    with Popen(command, stdout=PIPE, text=True) as process:  # noqa: S603 - this module
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def main() -> None:
    """Serve until told to end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), {"source": _Source, "sink": _Sink}[sys.argv[1]])
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
