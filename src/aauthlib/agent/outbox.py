"""Reports that nobody waits for (#audit-response): sent in the background, one after another, in their order.

Bounded: whoever reports faster than the server takes it waits. One form for threads, one for an event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["AsyncOutbox", "Outbox"]

_MOST_WAITING = 100


class Outbox:
    """One thread, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._room = threading.Semaphore(_MOST_WAITING)
        self._thread: ThreadPoolExecutor | None = None

    def post(self, send: Callable[[], None]) -> Future[None]:
        """Have `send` called after everything that was posted before. The future tells how it ended."""
        self._room.acquire()
        with self._lock:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aauthlib-audit")
            future = self._thread.submit(send)
        future.add_done_callback(lambda done: self._room.release())
        return future

    def close(self) -> None:
        """Wait until everything was sent. More can be posted afterwards."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True)


class AsyncOutbox:
    """Tasks of one event loop, one at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._room = asyncio.Semaphore(_MOST_WAITING)
        self._tasks: set[asyncio.Task[None]] = set()

    async def post(self, send: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """As `Outbox.post`; the task tells how it ended."""
        await self._room.acquire()
        task = asyncio.get_running_loop().create_task(self._send(send), name="aauthlib-audit")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def _send(self, send: Callable[[], Awaitable[None]]) -> None:
        async with self._turn:
            await send()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if not task.cancelled():
            task.exception()  # Seen: whoever wants to know has the task.

    async def aclose(self) -> None:
        """As `Outbox.close`."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
