"""Signatures over requests, by HMAC (RFC 2104) and as a connection's template says."""

import hmac
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from string import Formatter

from urllib3.util import parse_url

from millrace.connectors.http_messages import HttpRequest
from millrace.domain.authentication import HmacAuth
from millrace.domain.base import rfc3339


@dataclass(frozen=True, slots=True)
class Signature:
    """How to sign, and with what."""

    auth: HmacAuth
    secret: str

    def headers(self, request: HttpRequest, now: datetime) -> dict[str, str]:
        """The headers that prove who sends the request, and when."""
        auth = self.auth
        timestamp = self._timestamp(now)
        signed = self._signed(request, timestamp)
        mac = hmac.new(self.secret.encode(), signed, auth.algorithm)
        text = mac.hexdigest() if auth.encoding == "hex" else b64encode(mac.digest()).decode()
        headers = {auth.header: auth.prefix + text}
        if auth.timestamp_header is not None:
            headers[auth.timestamp_header] = timestamp
        return headers

    def _signed(self, request: HttpRequest, timestamp: str) -> bytes:
        parts = {
            "method": request.method.encode(),
            # As urllib3 will write it into the request line, not as it was put together.
            "path": parse_url(request.url).request_uri.encode(),
            "timestamp": timestamp.encode(),
            "body": request.body or b"",
        }
        return b"".join(
            text.encode() + (parts[part] if part is not None else b"")
            for text, part, _, _ in Formatter().parse(self.auth.signed_text)
        )

    def _timestamp(self, now: datetime) -> str:
        match self.auth.timestamp_format:
            case "unixSeconds":
                return str(int(now.timestamp()))
            case "unixMilliseconds":
                return str(int(now.timestamp() * 1_000))
            case "rfc3339":
                return rfc3339(now)
