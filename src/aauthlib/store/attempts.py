"""Counting attempts by key within a time, so that guessing and flooding stay slow.

In memory, bounded, one per process.
"""

from __future__ import annotations

from collections import OrderedDict

from ..effects import Clock

__all__ = ["Attempts"]

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
