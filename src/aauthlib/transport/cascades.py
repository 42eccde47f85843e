"""Revocation cascades under way in this process (#revocation-response, Deferred completion).

A cascade goes on when its caller stops waiting, and is joined by whoever asks about the same token again. It is lost
with the process; what it was to do is in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Cascades"]


class Cascades:
    """Cascades under way in this process, by what was revoked."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def run(self, key: tuple[str, str], start: Callable[[], Coroutine[Any, Any, None]], *, hold_s: float) -> bool:
        """Join the cascade of `key`, or `start` one. Returns whether it ended within `hold_s` seconds."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(start(), name="revocation cascade")
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._tasks.pop(key, None))
        done, _ = await asyncio.wait({task}, timeout=hold_s)
        if done:
            task.result()
        return bool(done)

    async def aclose(self) -> None:
        """Stop what is under way; what has no outcome yet is tried again when it is asked for."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
