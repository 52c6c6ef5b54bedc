"""Which addresses are within reach: public ones, and what the operator allows, in any spelling."""

import json
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.domain.networks import AllowedNetworks, Reach, spelled_out

HTTP = 80
LOOPBACK = {"cidrs": ["127.0.0.0/8", "::1/128"], "workspaces": ["*"]}


def allowed(**networks: object) -> AllowedNetworks:
    """What the operator allows, by name."""
    return AllowedNetworks.from_text(json.dumps(networks))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("0", "0.0.0.0"),  # noqa: S104 - nothing is bound to it
        ("0x", "0.0.0.0"),  # noqa: S104 - as above
        ("0X7F000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0x7f.0.0.01", "127.0.0.1"),
        ("0250.0376.0250.0376", "168.254.168.254"),
        ("169.254.169.254.", "169.254.169.254"),
        ("10.1.65535", "10.1.255.255"),
        ("[::1]", "::1"),
        ("[FD00:EC2::254]", "fd00:ec2::254"),
        ("::ffff:169.254.169.254", "::ffff:169.254.169.254"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_address_is_read_in_every_spelling(host: str, address: str) -> None:
    """As inet_aton does, which resolvers ask before they look anything up."""
    assert spelled_out(host) == (ip_address(address),)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "api.localhost"])
def test_local_names_are_the_loopback(host: str) -> None:
    """They are never looked up elsewhere (RFC 6761)."""
    assert {str(address) for address in spelled_out(host)} == {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    "host",
    [
        *("api.example", "1.2.3.4.5", "256.1.1.1", "1.2.3.256", "08.1.1.1", "4294967296"),
        *("1..1", "", "0x7g", "1_0.1.1.1", "+1.1.1.1", "[::g]", "localhost.example"),
    ],
)
def test_a_name_has_to_be_looked_up(host: str) -> None:
    """What is no address in any spelling stands for nothing yet."""
    assert spelled_out(host) == ()


@pytest.mark.parametrize(
    ("kind", "addresses"),
    [
        ("unspecified", "0.0.0.0 0.1.2.3 ::"),
        ("loopback", "127.0.0.1 127.255.255.255 ::1"),
        ("private", "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 fc00::1 fd12:3456::1"),
        ("shared", "100.64.0.1 100.127.255.255"),
        ("link-local", "169.254.169.254 169.254.170.2 169.254.100.1 fe80::1 fe80::1%eth0"),
        ("instance metadata", "fd00:ec2::254 fd00:ec2::23"),
        ("benchmarking", "198.18.0.1 198.19.255.255"),
        ("documentation", "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1"),
        ("multicast", "224.0.0.1 239.255.255.255 ff02::1"),
        ("reserved", "192.0.0.1 192.88.99.1 240.0.0.1 255.255.255.255 2001:2::1 fec0::1"),
        ("reserved", "100::1 ::7f00:1 4000::1 5f00::1"),
        ("IPv4-mapped", "::ffff:169.254.169.254 ::ffff:8.8.8.8"),
        ("NAT64", "64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::1"),
        ("6to4", "2002:a9fe:a9fe::1 2002:808:808::"),
        ("Teredo", "2001::1 2001:0:a9fe:a9fe::"),
    ],
)
def test_what_is_not_public_is_out_of_reach(kind: str, addresses: str) -> None:
    """Each by its range; those of translators too, whatever IPv4 address is in them."""
    for address in addresses.split():
        assert Reach().refusal(ip_address(address), HTTP) == kind, address


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.0.0.1"),
        *("128.0.0.1", "172.15.0.1", "172.32.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255"),
        *("2606:4700::1111", "2001:200::1", "2a00:1450::1"),
    ],
)
def test_what_is_public_is_within_reach(address: str) -> None:
    """Also directly beside a range that is not."""
    assert Reach().refusal(ip_address(address), HTTP) is None


@given(st.ip_addresses())
def test_nothing_that_python_calls_local_is_within_reach(
    address: IPv4Address | IPv6Address,
) -> None:
    """Its tables are the registries of IANA; ours close more, never less."""
    assert address.is_global or Reach().refusal(address, HTTP) is not None


def test_an_allowed_network_is_opened_to_its_workspaces_only() -> None:
    """And no address beside it."""
    networks = allowed(
        office={"cidrs": ["10.20.0.0/16", "fd12::/64"], "workspaces": ["ws_1", "ws_2"]},
        loopback=LOOPBACK,
    )
    for address, workspaces in (
        ("10.20.0.1", {"ws_1", "ws_2"}),
        ("fd12::1", {"ws_1", "ws_2"}),
        ("10.21.0.1", set()),
        ("127.0.0.1", {"ws_1", "ws_2", "ws_3"}),
        ("::ffff:127.0.0.1", set()),
    ):
        found = ip_address(address)
        reached = {
            workspace
            for workspace in ("ws_1", "ws_2", "ws_3")
            if networks.of(workspace).refusal(found, HTTP) is None
        }
        assert reached == workspaces, address


@pytest.mark.parametrize(
    "cidr",
    [
        *("0.0.0.0/0", "::/0", "169.254.0.0/16", "169.254.169.254/32", "fe80::/10", "0.0.0.0/8"),
        *("64:ff9b::/96", "::ffff:0:0/96", "8.8.8.8/32", "10.0.0.1/8", "office", "127.0.0.0/7"),
    ],
)
def test_no_other_network_can_be_allowed(cidr: str) -> None:
    """A slip of the operator's must not open the metadata of the machine, or everything."""
    with pytest.raises(ValueError, match="allowed networks cannot be read"):
        allowed(mine={"cidrs": [cidr], "workspaces": ["*"]})


def test_the_metadata_of_instances_is_out_of_reach_in_an_allowed_network_too() -> None:
    """It is within the range that is private in IPv6."""
    networks = allowed(all={"cidrs": ["fc00::/7"], "workspaces": ["*"]})
    assert networks.of("ws_1").refusal(ip_address("fd00::1"), HTTP) is None
    found = networks.of("ws_1").refusal(ip_address("fd00:ec2::254"), HTTP)
    assert found == "instance metadata"


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"a": {}}', '{"a": {"cidrs": "10.0.0.0/8", "workspaces": ["*"]}}', '{"a": 1}'],
)
def test_what_cannot_be_read_allows_nothing(text: str) -> None:
    """Rather than leave out a part of it in silence."""
    with pytest.raises(ValueError, match="allowed networks cannot be read"):
        AllowedNetworks.from_text(text)


@pytest.mark.parametrize("api", ["127.0.0.1:9001", "169.254.100.1:9001", "localhost:9001"])
def test_the_runtime_api_is_out_of_reach_where_loopback_is_allowed(api: str) -> None:
    """By whatever address of the machine; its other ports are as the operator says."""
    reach = AllowedNetworks.from_text(json.dumps({"loopback": LOOPBACK}), api).of("ws_1")
    for address in ("127.0.0.1", "127.0.0.2", "::1"):
        assert reach.refusal(ip_address(address), 9001) == "Lambda runtime"
        assert reach.refusal(ip_address(address), 9002) is None
    assert reach.refusal(ip_address("169.254.100.1"), 9001) is not None
    assert reach.refusal(ip_address("8.8.8.8"), 9001) is None
