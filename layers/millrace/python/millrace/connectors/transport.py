"""HTTP over pooled connections, with bounds on time and size that a receiver cannot stretch."""

import gzip
import http.client
import io
import logging
import socket
import ssl
import time
import zlib
from collections.abc import Buffer, Iterator
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Final, Protocol

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError
from urllib3.util import parse_url

from millrace import limits
from millrace.connectors.dialing import Dialer, Resolver, look_up
from millrace.connectors.http_messages import HttpRequest, HttpResponse, TransportError
from millrace.domain.networks import Reach

_CHUNK_BYTES: Final = 65_536
_BAD_REQUEST: Final = "its address or a header is not valid HTTP"
_IN_MEMORY_BYTES: Final = 1_000_000
"""A stream up to this size needs no file."""


class Urllib3Transport:
    """Connections that are kept open and used again, each by one thread at a time.

    All outbound HTTP goes through here, to what is within `reach` and nowhere else. A connection
    that is open stays with its address, so workspaces of different reach share no transport.
    Proxies of the environment are not heeded.
    """

    def __init__(
        self,
        timeout_seconds: float = limits.OUTBOUND_TIMEOUT_SECONDS,
        body_bytes_max: int = limits.OUTBOUND_BODY_BYTES,
        *,
        stream_seconds: float = limits.OUTBOUND_STREAM_SECONDS,
        stream_bytes_max: int = limits.OUTBOUND_STREAM_BYTES,
        reach: Reach = Reach(),  # noqa: B008 - it cannot be changed
        resolve: Resolver = look_up,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._body_bytes_max = body_bytes_max
        self._stream_seconds = stream_seconds
        self._stream_bytes_max = stream_bytes_max
        # Of each host so many are kept as requests of one step may be under way.
        self._pools = urllib3.PoolManager(retries=False, maxsize=limits.STEP_CONCURRENCY_MAX)
        _keep_addresses_out_of_logs()
        self._pools.pool_classes_by_scheme = _pool_classes(Dialer(reach, resolve))

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport. Time runs from looking up the name to the last byte of the body."""
        seconds = self._stream_seconds if request.is_stream else self._timeout_seconds
        try:
            if parse_url(request.url).auth is not None:
                raise TransportError("badRequest", _BAD_REQUEST, is_transient=False)
            response = self._pools.request(
                request.method,
                request.url,
                body=request.body,
                headers={"Accept-Encoding": "gzip, deflate", **request.headers},
                timeout=urllib3.Timeout(total=seconds),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                if not request.wants_body:
                    response.close()
                    return HttpResponse(response.status, {}, b"")
                answer = self._answer(response, is_stream=request.is_stream)
            except BaseException:
                # What is left of the answer must not be taken for the next one.
                response.close()
                raise
            response.release_conn()
        except (HTTPError, OSError, ValueError, EOFError, zlib.error) as error:
            raise _classified(error) from error
        return answer

    def _answer(self, response: urllib3.BaseHTTPResponse, *, is_stream: bool) -> HttpResponse:
        headers = {name.lower(): response.headers[name] for name in response.headers}
        is_success = HTTPStatus(200) <= response.status < HTTPStatus(300)
        if is_stream and is_success:
            file = _stored(_chunks(response, self._stream_bytes_max))
            return HttpResponse(response.status, headers, b"", file)
        body = b"".join(_chunks(response, self._body_bytes_max))
        return HttpResponse(response.status, headers, body)


def _stored(chunks: Iterator[bytes]) -> IO[bytes]:
    """A file of these bytes, on disk if there are many, which is gone when it is closed."""
    file = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by who reads it
    try:
        for chunk in chunks:
            file.write(chunk)
    except BaseException:
        # Whatever ends it, nobody else knows the file.
        file.close()
        raise
    file.seek(0)
    return file


def _chunks(response: urllib3.BaseHTTPResponse, bytes_max: int) -> Iterator[bytes]:
    """The body, decompressed here so that no small answer can swell beyond the cap."""
    source = _decompressed(response)
    left = bytes_max
    while chunk := source.read(_CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise TransportError(
                "answerTooLarge",
                f"the answer is larger than {bytes_max} bytes",
                is_transient=False,
            )
        yield chunk


def _decompressed(response: urllib3.BaseHTTPResponse) -> "_Readable":
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    match encoding:
        case "identity" | "":
            return response
        case "gzip" | "x-gzip":
            return gzip.GzipFile(fileobj=response)
        case "deflate":
            return _Inflated(response)
        case _:
            raise TransportError(
                "unknownEncoding",
                f"the answer is in the encoding '{encoding[:32]}'; "
                "only gzip and deflate were offered",
                is_transient=False,
            )


class _Inflated:
    """What `deflate` compressed: in zlib's format (RFC 9110, 8.4.1.2) or, as some send it, bare."""

    def __init__(self, source: "_Readable") -> None:
        self._source = source
        self._decompressor: zlib._Decompress | None = None
        self._waiting = b""

    def read(self, size: int, /) -> bytes:
        """Some bytes; none at the end. Raises EOFError if that comes too early."""
        while self._decompressor is None or not self._decompressor.eof:
            data = self._waiting or self._source.read(_CHUNK_BYTES)
            if self._decompressor is None:
                if not data:
                    return b""
                is_zlib = data[0] & 0x0F == zlib.DEFLATED
                bits = zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
                self._decompressor = zlib.decompressobj(bits)
            piece = self._decompressor.decompress(data, size)
            self._waiting = self._decompressor.unconsumed_tail
            if piece:
                return piece
            if not data:
                raise EOFError
        return b""


def _keep_addresses_out_of_logs() -> None:
    """Silence the lines of urllib3 that hold whole addresses: a query may hold a key."""
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _DeadlineReader(io.RawIOBase):
    """A socket's bytes until a deadline.

    A socket's timeout bounds each read, and a receiver that sends a byte now and then never meets
    it; here each read may take only what is left of the whole.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        timeout = sock.gettimeout()
        # urllib3 has just set the timeout to what is left of the request's total.
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock))


def _pool_classes(dialer: Dialer) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Pools by scheme, whose connections are made by this dialer."""

    class HttpConnection(HTTPConnection):
        response_class = _BoundedResponse

        def _new_conn(self) -> socket.socket:
            return dialer.dial(self)

        def connect(self) -> None:
            super().connect()
            dialer.confirm(self)

    class HttpsConnection(HTTPSConnection):
        response_class = _BoundedResponse

        def _new_conn(self) -> socket.socket:
            return dialer.dial(self)

        def connect(self) -> None:
            super().connect()
            dialer.confirm(self)

    class HttpPool(urllib3.HTTPConnectionPool):
        ConnectionCls = HttpConnection

    class HttpsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = HttpsConnection

    return {"http": HttpPool, "https": HttpsPool}


def _classified(error: Exception) -> TransportError:
    """What an exception of urllib3 or the standard library means for a retry."""
    match error:
        case NameResolutionError(__cause__=socket.gaierror(errno=number)):
            return TransportError(
                "nameNotResolved",
                "its name cannot be resolved",
                is_transient=number == socket.EAI_AGAIN,
            )
        # To urllib3 a connection that cannot be made is a kind of time-out.
        case Urllib3TimeoutError() if not isinstance(error, NewConnectionError):
            return TransportError("timedOut", "no whole answer in time", is_transient=True)
        case SSLError(args=(reason, *_)):
            is_refused = isinstance(reason, ssl.SSLCertVerificationError)
            return TransportError(
                "certificateRefused" if is_refused else "connectionLost",
                "its certificate cannot be verified" if is_refused else "TLS failed",
                is_transient=not is_refused,
            )
        case gzip.BadGzipFile() | zlib.error():
            return TransportError(
                "badEncoding", "the answer is not compressed as it says", is_transient=False
            )
        case ValueError():
            return TransportError("badRequest", _BAD_REQUEST, is_transient=False)
        case _:
            return TransportError(
                "connectionLost", f"connection lost ({type(error).__name__})", is_transient=True
            )
