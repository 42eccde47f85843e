"""How much one agent, and one agent provider, may ask of the server at once (#person-token-endpoint, Retention).

Anyone can make agents, so what an agent can cause is bounded: distinct resources in an hour, and requests waiting for a
person. In memory, bounded, one per process.
"""

from __future__ import annotations

from collections import OrderedDict

from ..effects import Clock
from ..errors import RateLimited

__all__ = [
    "AUDITS_PER_MINUTE",
    "MAX_OPEN_PER_AGENT",
    "MAX_OPEN_PER_PROVIDER",
    "MISSION_MISSES_PER_MINUTE",
    "REVOCATIONS_PER_MINUTE",
    "DistinctResources",
]

MAX_OPEN_PER_AGENT = 20
MAX_OPEN_PER_PROVIDER = 2000
REVOCATIONS_PER_MINUTE = 120
#: Of one agent: missions named that it does not have (#mission-endpoint-errors), and audit records.
MISSION_MISSES_PER_MINUTE = 30
AUDITS_PER_MINUTE = 1200
_MAX_AGENTS = 10_000


class DistinctResources:
    """At most `limit` distinct resources by agent within `window_s` seconds."""

    def __init__(self, *, clock: Clock, limit: int = 60, window_s: float = 3600.0) -> None:
        self._clock, self._limit, self._window_s = clock, limit, window_s
        self._named: OrderedDict[str, tuple[float, set[str]]] = OrderedDict()

    def count(self, agent: str, resource: str) -> None:
        """Count a resource an agent names. Raises `RateLimited` for one too many."""
        now = self._clock()
        started, named = self._named.pop(agent, (now, set[str]()))
        if now - started >= self._window_s:
            started, named = now, set[str]()
        full = resource not in named and len(named) >= self._limit
        if not full:
            named.add(resource)
        self._named[agent] = (started, named)
        if len(self._named) > _MAX_AGENTS:
            self._named.popitem(last=False)
        if full:
            wait_s = max(1, int(started + self._window_s - now))
            raise RateLimited(
                "The agent names more resources than this server accepts in an hour.", retry_after_s=wait_s
            )
