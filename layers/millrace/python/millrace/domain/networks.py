"""Where requests may be sent: to public addresses, and into networks that the operator allows.

What is not public is listed here by the special-purpose registries of IANA, rather than asked of
`ipaddress.is_global`, which takes addresses of translators for public ones although they lead to
any IPv4 address.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

_OPENABLE: Final = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    "shared": ("100.64.0.0/10",),  # carrier-grade NAT, RFC 6598
    "benchmarking": ("198.18.0.0/15",),
}
"""Closed, unless the operator allows a network in them."""

_CLOSED: Final = {
    "unspecified": ("0.0.0.0/8", "::/128"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),  # credentials of instances and containers
    "instance metadata": ("fd00:ec2::/32",),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    # Each of these names an IPv4 address, which some machine on the way may then send it to.
    "IPv4-mapped": ("::ffff:0:0/96",),
    "NAT64": ("64:ff9b::/96", "64:ff9b:1::/48"),
    "6to4": ("2002::/16",),
    "Teredo": ("2001::/32",),
    "reserved": ("192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4", "2001::/23", "fec0::/10"),
    "documentation": (
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
        *("2001:db8::/32", "3fff::/20"),
    ),
}
"""Closed, whatever the operator allows."""

_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that is given to anybody."""

_NUMBER: Final = re.compile(r"(?P<hex>0x[0-9a-f]*)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]*)")
_EVERY_WORKSPACE: Final = "*"


@cache
def _ranges() -> tuple[tuple[str, Network, bool], ...]:
    """Kinds, their networks, and whether these can be opened; the closed ones first."""
    return tuple(
        (kind, ip_network(text), can_be_opened)
        for table, can_be_opened in ((_CLOSED, False), (_OPENABLE, True))
        for kind, texts in table.items()
        for text in texts
    )


def spelled_out(host: str) -> tuple[Address, ...]:
    """The addresses that a host stands for without being looked up; none for a name.

    Takes all spellings that resolvers take, such as 127.1, 0x7f000001 and 017700000001, and the
    names that never leave the machine (RFC 6761).
    """
    text = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if text == "localhost" or text.endswith(".localhost"):
        return IPv4Address("127.0.0.1"), IPv6Address("::1")
    if ":" not in text:
        number = _ipv4(text)
        return () if number is None else (number,)
    try:
        return (ip_address(text),)
    except ValueError:
        return ()


def _ipv4(text: str) -> IPv4Address | None:
    """As inet_aton reads it: one to four numbers, the last of which fills what is left."""
    parts = text.split(".")
    found = [_NUMBER.fullmatch(part) for part in parts]
    if len(parts) > 4:  # noqa: PLR2004 - the bytes of an address
        return None
    numbers = []
    for match in found:
        if match is None:
            return None
        base = {"hex": 16, "octal": 8, "decimal": 10}[match.lastgroup or ""]
        numbers.append(int(match[0].removeprefix("0x") or "0", base))
    *heads, last = numbers
    if last >= 256 ** (4 - len(heads)) or any(head > 255 for head in heads):  # noqa: PLR2004 - as above
        return None
    return IPv4Address(last + sum(head << 8 * (3 - place) for place, head in enumerate(heads)))


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the requests of a workspace may go."""

    allowed: frozenset[Network] = frozenset()
    runtime_api: str = ""
    """Host and port by which a Lambda function gets its events, `AWS_LAMBDA_RUNTIME_API`."""

    def refusal(self, address: Address, port: int) -> str | None:
        """What kind of address it is that may not be reached; None for one that may."""
        if self._is_runtime_api(address, port):
            return "Lambda runtime"
        for kind, network, can_be_opened in _ranges():
            if address in network:
                is_allowed = can_be_opened and any(address in each for each in self.allowed)
                return None if is_allowed else kind
        is_public = address.version == 4 or address in _UNICAST  # noqa: PLR2004 - IPv4
        return None if is_public else "reserved"

    def _is_runtime_api(self, address: Address, port: int) -> bool:
        """Whoever asks there for the next event takes it from the function, and may answer it.

        It is behind each loopback address if it listens on all.
        """
        host, _, its_port = self.runtime_api.rpartition(":")
        if str(port) != its_port:
            return False
        return address.is_loopback or address in spelled_out(host)


class _NamedNetwork(BaseModel):
    """What the operator says of a network that is not public."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cidrs: list[str]
    workspaces: list[str]
    """Their ids; `*` is every one."""

    @field_validator("cidrs")
    @classmethod
    def _can_be_opened(cls, cidrs: list[str]) -> list[str]:
        for text in cidrs:
            network = ip_network(text)
            openable = (each for _, each, can_be_opened in _ranges() if can_be_opened)
            if not any(_holds(each, network) for each in openable):
                msg = f"{text} is in none of the networks that can be allowed"
                raise ValueError(msg)
        return cidrs


def _holds(outer: Network, inner: Network) -> bool:
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)


_NAMED: Final = TypeAdapter(dict[str, _NamedNetwork])


@dataclass(frozen=True, slots=True)
class AllowedNetworks:
    """The networks that are not public, which the operator allows to workspaces."""

    networks: Mapping[str, _NamedNetwork] = field(default_factory=dict)
    runtime_api: str = ""

    @classmethod
    def from_text(cls, text: str, runtime_api: str = "") -> Self:
        """From JSON: name to `{"cidrs": […], "workspaces": […]}`. Raises ValueError."""
        try:
            return cls(_NAMED.validate_json(text or "{}"), runtime_api)
        except ValidationError as error:
            msg = f"the allowed networks cannot be read: {error}"
            raise ValueError(msg) from error

    def of(self, workspace_id: str) -> Reach:
        """Where the requests of a workspace may go."""
        return Reach(frozenset(self._cidrs(workspace_id)), self.runtime_api)

    def _cidrs(self, workspace_id: str) -> Iterable[Network]:
        for each in self.networks.values():
            if {_EVERY_WORKSPACE, workspace_id} & {*each.workspaces}:
                yield from map(ip_network, each.cidrs)
