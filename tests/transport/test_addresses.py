"""Which addresses are public, in every spelling."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.transport import address_refusal
from aauthlib.transport.addresses import parse_address

PRIVATE = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",
]  # fmt: skip

private_ipv4 = st.sampled_from(PRIVATE).flatmap(lambda network: st.ip_addresses(network=network))
public_ipv4 = st.ip_addresses(v=4).filter(
    lambda address: (
        address.is_global
        and not address.is_multicast
        and address not in ip_network("192.88.99.0/24")
        and address not in ip_network("192.0.0.0/24")
        and address != IPv4Address("168.63.129.16")
    )
)


def carriers(address: IPv4Address) -> list[IPv6Address]:
    """IPv6 addresses that lead to an IPv4 one: IPv4-mapped, 6to4 (with any host part), NAT64."""
    number = int(address)
    return [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 0x1234),
        IPv6Address((0x0064FF9B << 96) | number),
    ]


@pytest.mark.spec("signature-key#7.3")
@given(private_ipv4)
def test_no_private_ipv4_address_is_public_in_any_form(address: IPv4Address) -> None:
    for form in (address, *carriers(address)):
        assert address_refusal(form) is not None


@pytest.mark.spec("signature-key#7.3")
@given(public_ipv4)
def test_a_public_ipv4_address_is_public_in_every_form(address: IPv4Address) -> None:
    for form in (address, *carriers(address)):
        assert address_refusal(form) is None


@pytest.mark.spec("signature-key#7.3")
@given(st.ip_addresses(v=6, network="2000::/3").filter(lambda a: a not in IPv6Network("2002::/16")))
def test_nothing_python_knows_to_be_private_is_admitted(address: IPv6Address) -> None:
    if address_refusal(address) is None:
        assert address.is_global


@pytest.mark.spec("signature-key#7.3")
@given(st.ip_addresses(v=6))
def test_ipv6_outside_global_unicast_is_refused(address: IPv6Address) -> None:
    in_use = (IPv6Network("2000::/3"), IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
    if not any(address in network for network in in_use):
        assert address_refusal(address) is not None


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize(
    "text",
    [
        "::", "::1", "::7f00:1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b:1::1", "100::1",
        "2001::1", "2001:db8::1", "3fff::1", "5f00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "2002:7f00:1::", "2002:a00:1::1", "169.254.169.254", "100.100.100.200", "168.63.129.16", "255.255.255.255",
    ],
)  # fmt: skip
def test_well_known_inner_addresses_are_refused(text: str) -> None:
    assert address_refusal(parse_address(text)) is not None


@pytest.mark.parametrize("text", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "1.1.1.1", "2a00:1450::1"])
def test_public_addresses_are_admitted(text: str) -> None:
    assert address_refusal(parse_address(text)) is None


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "2606:2800::1%1", "127.1", "0x7f.0.0.1", "2130706433", "", "a.example"]
)
def test_only_plain_addresses_are_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"address"):
        parse_address(text)


def test_an_address_with_a_zone_is_link_local() -> None:
    assert address_refusal(IPv6Address("2606:2800::1%1")) == "link-local"
