"""Rate limits per caller: token buckets, bounded in number, with an injected clock (signature-key#4.5).

A bucket holds `count` requests and refills evenly over `per_s` seconds. Knows callers only as keys: who they are, and
which limit applies, is decided by whoever asks.
"""

from __future__ import annotations

import ipaddress
import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from ..effects import Clock
from ..errors import ConfigurationError

__all__ = ["Limit", "RateLimiter", "address_key"]

_PERIODS_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_LIMIT = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)\Z")
_IPV6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` requests in `per_s` seconds, refilled evenly."""

    count: float
    per_s: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read `3/minute` (second, minute, hour, day). Raises `ConfigurationError`."""
        match = _LIMIT.match(text)
        if match is None:
            raise ConfigurationError(f"{text!r} is not a rate limit; write a number and a period, such as '3/minute'.")
        return cls(float(match.group(1)), _PERIODS_S[match.group(2)])

    def times(self, factor: float) -> Limit:
        """This limit, `factor` times as high."""
        return Limit(self.count * factor, self.per_s)


class RateLimiter:
    """Token buckets by key. When there are too many, what was used least recently is forgotten first."""

    def __init__(self, clock: Clock, *, max_buckets: int = 100_000) -> None:
        self._clock = clock
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable, limit: Limit) -> float:
        """Take one request from the bucket `key`.

        Returns 0 when it was there, else the seconds until the next one will be.
        """
        now = self._clock()
        left, since = self._buckets.get(key, (limit.count, now))
        # A clock that steps back must not empty a bucket.
        left = min(limit.count, left + max(0.0, now - since) * limit.count / limit.per_s)
        wait_s = 0.0
        if left >= 1.0:
            left -= 1.0
        else:
            wait_s = (1.0 - left) * limit.per_s / limit.count
        self._buckets[key] = (left, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)
        return wait_s


def address_key(address: str) -> str:
    """What an anonymous caller is counted by: an IPv4 address, or the /64 network of an IPv6 address.

    One host on IPv6 has a whole /64 to itself, so counting single addresses would count nothing.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), _IPV6_PREFIX)))
    return str(parsed)
