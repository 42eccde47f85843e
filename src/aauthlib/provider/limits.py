"""Rate limits of the provider's endpoints: how often per window, per name, in bounded memory.

In-process and approximate on purpose; it bounds work and guessing, and decides nothing. Knows no HTTP.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from ..effects import Clock
from ..errors import RateLimited

__all__ = ["RateLimit"]


class RateLimit:
    """At most `times` within `window_s` seconds for each name; fixed windows, the least recent names forgotten."""

    def __init__(self, times: int, *, window_s: float, clock: Clock, max_names: int = 10_000) -> None:
        self._times, self._window_s, self._clock, self._max_names = times, window_s, clock, max_names
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, name: str = "") -> None:
        """Raise `RateLimited` when `name` has used up this window, without counting."""
        started, count = self._counts.get(name, (0.0, 0))
        left_s = started + self._window_s - self._clock()
        if count >= self._times and left_s > 0:
            raise RateLimited("Too many requests for now; try again later.", retry_after_s=math.ceil(left_s))

    def count(self, name: str = "") -> None:
        """Count one use. Raises `RateLimited` when it is one too many."""
        self.check(name)
        now = self._clock()
        started, count = self._counts.pop(name, (now, 0))
        if now - started >= self._window_s:
            started, count = now, 0
        self._counts[name] = (started, count + 1)
        while len(self._counts) > self._max_names:
            self._counts.popitem(last=False)
