"""When a request is signed: no two identical ones with the same `created` (#freshness-and-replay).

A server that remembers state-changing requests takes the second of two that were signed alike for a replay of the
first. `created` counts seconds, so two tasks that send the same `POST` at once would sign alike; the later one is dated
a moment ahead, well within the window every server leaves for clocks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import sha256

from ..http import Request
from ..httpsig.replay import is_state_changing

__all__ = ["CreatedTimes"]

_MAX_REMEMBERED = 1000
#: How far ahead a request is dated at most, in seconds; whoever sends more than one a second must wait.
_MAX_AHEAD_S = 20


class CreatedTimes:
    """What `created` identical requests were given, most recently asked last. Safe to share between threads."""

    def __init__(self) -> None:
        self._last: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many requests are remembered."""
        return len(self._last)

    def next(self, request: Request, credential: str, now: float) -> int:
        """The `created` for `request`, to be signed with `credential`; `now` is Unix seconds by the server's clock."""
        created = int(now)
        if not is_state_changing(request.method):
            return created
        identity = sha256("\n".join((request.method, request.url, credential)).encode("utf-8", "surrogateescape"))
        identity.update(request.body)
        name = identity.digest()
        with self._lock:
            last = self._last.pop(name, None)
            if last is not None and created <= last < created + _MAX_AHEAD_S:
                created = last + 1
            self._last[name] = created
            while len(self._last) > _MAX_REMEMBERED:
                self._last.popitem(last=False)
        return created
