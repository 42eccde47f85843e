"""What of a client's address is limited when somebody guesses, and what is shown (#ps-approval-endpoint-auth)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

__all__ = ["network_of", "place_of"]


def network_of(address: str | None) -> str | None:
    """What is limited for a client address: an IPv4 address, or the /64 that one IPv6 subscriber has.

    `None` for a loopback address: that is a proxy on this machine, and limiting it would limit everybody at once.
    """
    parsed = _parsed(address)
    if parsed is None:
        return None
    return str(parsed) if parsed.version == 4 else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


def place_of(address: str | None) -> str:
    """The network an address is in, for its owner to recognise: /24 or /48, never the address; empty when unknown."""
    parsed = _parsed(address)
    if parsed is None:
        return ""
    return str(ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def _parsed(address: str | None) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return None if parsed.is_loopback else parsed
