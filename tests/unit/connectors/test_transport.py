"""What breaks below HTTP is told apart by whether another try can help."""

import socket
import ssl

import pytest
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, NameResolutionError, SSLError

from millrace.connectors.transport import _classified


def caused(error: HTTPError, cause: Exception) -> HTTPError:
    """The error as urllib3 raises it: from what it was caused by."""
    error.__cause__ = cause
    return error


def unresolved(number: int) -> HTTPError:
    """A name that the resolver has this to say about."""
    cause = socket.gaierror(number, "no")
    return caused(NameResolutionError("api.example", HTTPConnection("api.example"), cause), cause)


def untrusted(cause: ssl.SSLError) -> HTTPError:
    """A TLS handshake that ended so; urllib3 has the cause in its arguments alone."""
    return SSLError(cause)


@pytest.mark.parametrize(
    ("error", "code", "is_transient"),
    [
        (unresolved(socket.EAI_AGAIN), "nameNotResolved", True),
        (unresolved(socket.EAI_NONAME), "nameNotResolved", False),
        (untrusted(ssl.SSLCertVerificationError()), "certificateRefused", False),
        (untrusted(ssl.SSLEOFError()), "connectionLost", True),
    ],
    ids=["resolver busy", "no such name", "bad certificate", "handshake cut"],
)
def test_r12_fault_is_classified(error: HTTPError, code: str, *, is_transient: bool) -> None:
    """A name that does not exist and a bad certificate are final; the rest may pass."""
    found = _classified(error)
    assert (found.code, found.is_transient) == (code, is_transient)
