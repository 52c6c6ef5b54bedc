"""Connections to addresses that were looked at, and to no others.

A name is looked up once for each connection, here, and the socket is given an address, never the
name: whatever the name stands for a moment later does not matter. TLS and the Host header go by
the name all the same.
"""

import socket
import time
from collections.abc import Callable
from ipaddress import ip_address

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from millrace import limits
from millrace.connectors.http_messages import TransportError
from millrace.connectors.patience import within
from millrace.domain.networks import Address, Reach, spelled_out

type Resolver = Callable[[str, int], tuple[Address, ...]]
"""The addresses of a host, the best first. Raises socket.gaierror if there are none."""


def look_up(host: str, port: int) -> tuple[Address, ...]:
    """What the machine's resolver says. Raises socket.gaierror."""
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(row[4][0]) for row in rows))


class Dialer:
    """Makes connections to those addresses of a host that are within reach."""

    def __init__(self, reach: Reach, resolve: Resolver = look_up) -> None:
        self._reach = reach
        self._resolve = resolve

    def dial(self, connection: HTTPConnection) -> socket.socket:
        """A socket for a connection of urllib3, within the time that it has.

        Raises TransportError if no address is within reach, else as urllib3 does itself.
        """
        seconds = connection.timeout or limits.OUTBOUND_TIMEOUT_SECONDS
        deadline = time.monotonic() + seconds
        addresses = self._addresses(connection, seconds)
        error: OSError = TimeoutError()
        for tried, address in enumerate(addresses):
            # One that does not answer leaves time for the others.
            share = (deadline - time.monotonic()) / (len(addresses) - tried)
            if share <= 0:
                break
            try:
                return _connected(connection, address, share, deadline)
            except OSError as failed:
                error = failed
        if isinstance(error, TimeoutError):
            raise ConnectTimeoutError(connection, "no connection in time") from error
        raise NewConnectionError(connection, "no connection") from error

    def confirm(self, connection: HTTPConnection) -> None:
        """Raise TransportError if a connection leads out of reach, before anything is sent.

        It does not, as long as urllib3 asks `dial` for its sockets. How it comes by them is its
        own affair, and on Lambda its version is that of the runtime.
        """
        peer, port = connection.sock.getpeername()[:2]
        if self._reach.refusal(ip_address(peer), port) is not None:
            connection.close()
            raise _refused()

    def _addresses(self, connection: HTTPConnection, seconds: float) -> tuple[Address, ...]:
        """Those of its host that may be connected to, at least one."""
        # `host` has no dot at its end, which keeps the resolver from trying domains of its own.
        host, port = connection._dns_host, connection.port  # noqa: SLF001 - as urllib3 does here
        try:
            # The machine's resolver has its own idea of how long to try.
            found = spelled_out(host) or within(seconds, lambda: self._resolve(host, port), ())
        except socket.gaierror as error:
            raise NameResolutionError(connection.host, connection, error) from error
        if not found:
            raise ConnectTimeoutError(connection, "its name was not looked up in time")
        within_reach = tuple(each for each in found if self._reach.refusal(each, port) is None)
        if not within_reach:
            raise _refused()
        return within_reach


def _refused() -> TransportError:
    """Nothing is told of what the name stands for: it may be a name of the inside."""
    return TransportError(
        "addressRefused",
        "it leads to an address that is not public, and in no network that this workspace may "
        "reach",
        is_transient=False,
    )


def _connected(
    connection: HTTPConnection, address: Address, seconds: float, deadline: float
) -> socket.socket:
    """A socket that is connected within so many seconds, and has the rest for what follows."""
    is_ipv4 = address.version == 4  # noqa: PLR2004 - IPv4
    sock = socket.socket(socket.AF_INET if is_ipv4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        for option in connection.socket_options or ():
            sock.setsockopt(*option)
        sock.settimeout(seconds)
        sock.connect((str(address), connection.port))
        sock.settimeout(max(deadline - time.monotonic(), seconds / 100))
    except BaseException:
        # Whatever ends it, a time-out or the end of the program, nobody else knows the socket.
        sock.close()
        raise
    return sock
