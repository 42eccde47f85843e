"""Waking those who wait for a pending request to change.

Within a process an `asyncio.Event` per pending request wakes its pollers at once. A change made by another process is
noticed by looking again every `poll_interval_s`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["Waiters"]


class Waiters:
    """Pollers by key. Bounded by the number of requests being held."""

    def __init__(self, *, poll_interval_s: float = 1.0) -> None:
        self._events: dict[str, tuple[asyncio.Event, int]] = {}
        self._poll_interval_s = poll_interval_s

    def __len__(self) -> int:
        return len(self._events)

    def wake(self, key: str) -> None:
        """Wake everybody waiting for `key`."""
        entry = self._events.get(key)
        if entry is not None:
            entry[0].set()

    async def wait(self, key: str, timeout_s: float, changed: Callable[[], Awaitable[bool]]) -> None:
        """Return when `changed()` says so, after a `wake(key)`, or after `timeout_s` seconds."""
        event, count = self._events.get(key, (asyncio.Event(), 0))
        self._events[key] = (event, count + 1)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            while (remaining := deadline - loop.time()) > 0 and not event.is_set() and not await changed():
                try:
                    await asyncio.wait_for(event.wait(), min(remaining, self._poll_interval_s))
                except TimeoutError:
                    continue
        finally:
            _, count = self._events[key]
            if count <= 1:
                del self._events[key]
            else:
                self._events[key] = (event, count - 1)
