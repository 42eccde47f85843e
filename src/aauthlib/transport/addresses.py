"""Which IP addresses a request may go to (HTTP Signature Keys, Section 7.3; #jwks-discovery). Pure functions.

The tables are written out rather than left to `ipaddress.is_global`, whose answers differ between Python releases.
IPv6 forms that carry an IPv4 destination are judged by that destination.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

__all__ = ["IPAddress", "address_refusal", "parse_address"]

IPAddress: TypeAlias = IPv4Address | IPv6Address

_IPV4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "of this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "behind carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud platform's own"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarking"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_IPV6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "for documentation"),
        ("3ffe::/16", "reserved"),
        ("3fff::/20", "for documentation"),
    )
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def parse_address(text: str) -> IPAddress:
    """An address in its usual spelling, without a zone; raises `ValueError`."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("an address with a zone is local to a link")
    return address


def address_refusal(address: IPAddress) -> str | None:
    """Why `address` is no destination on the public internet, as an adjective for a message; `None` when it is one."""
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in _IPV4 if address in network), None)
    if address.scope_id is not None:
        return "link-local"
    for carried in (address.ipv4_mapped, address.sixtofour, _nat64(address)):
        if carried is not None:
            reason = address_refusal(carried)
            return f"{reason} (inside an IPv6 address)" if reason else None
    for network, reason in _IPV6:
        if address in network:
            return reason
    return None if address in _GLOBAL_UNICAST else "reserved"


def _nat64(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 destination behind the well-known NAT64 prefix (RFC 6052)."""
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
