"""Counting failed attempts, so that guessing stays slow (#ps-approval-endpoint-auth).

In memory, bounded, one per process. A key is whatever is being limited: a username, a network.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from ..effects import Clock

__all__ = ["Attempts", "network_of"]

_MAX_KEYS = 10_000


class Attempts:
    """At most `limit` attempts by key within `window_s` seconds of the first."""

    def __init__(self, *, limit: int, window_s: float, clock: Clock) -> None:
        self._limit, self._window_s, self._clock = limit, window_s, clock
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Seconds until `key` may try again; 0 when it may now."""
        started, count = self._counts.get(key, (0.0, 0))
        return max(0.0, started + self._window_s - self._clock()) if count >= self._limit else 0.0

    def count(self, key: str) -> None:
        """Count an attempt: before it is judged, so that many at once gain nothing."""
        now = self._clock()
        started, count = self._counts.pop(key, (now, 0))
        if now - started >= self._window_s:
            started, count = now, 0
        self._counts[key] = (started, count + 1)
        if len(self._counts) > _MAX_KEYS:
            self._counts.popitem(last=False)

    def clear(self, key: str) -> None:
        """Forget `key`: it proved itself."""
        self._counts.pop(key, None)


def network_of(address: str | None) -> str | None:
    """What is limited for a client address: an IPv4 address, or the /64 that one IPv6 subscriber has.

    `None` for a loopback address: that is a proxy on this machine, and limiting it would limit everybody at once.
    """
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback:
        return None
    return str(parsed) if parsed.version == 4 else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
