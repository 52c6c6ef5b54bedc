"""Addresses that need no look at the network to be refused, so that they are not even stored."""

from typing import Final

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from millrace.domain.networks import Reach, spelled_out

_PORTS: Final = {"http": 80, "https": 443}


def refused(url: str, reach: Reach) -> str | None:
    """Why no request may be sent to an http or https address, as far as the address tells.

    What a name stands for is not asked: it may be something else by the time of a request.
    """
    # Of an international name only the form that DNS has can be sent.
    if not url.partition("://")[2].partition("/")[0].isascii():
        return "its host is not ASCII; DNS has such names in a form that begins with xn--"
    try:
        parts = parse_url(url)
    except LocationParseError:
        return "its host cannot be read"
    host = parts.host or ""
    port = parts.port or _PORTS.get(parts.scheme or "", 0)
    kinds = [reach.refusal(address, port) for address in spelled_out(host)]
    if not kinds or None in kinds:
        return None
    return f"{host} is not public ({kinds[0]}), and in no network that this workspace may reach"
