"""Single flight: of lookups with one key, one runs and the others wait for what it leaves behind (#jwks-discovery).

Two forms, for threads and for an event loop. Both hold state only for keys that somebody is waiting for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from ..discovery import TransportError

__all__ = ["AsyncFlights", "ThreadFlights"]

_T = TypeVar("_T")


class ThreadFlights:
    """One lock for each key in use."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextmanager
    def turn(self, key: Hashable) -> Iterator[None]:
        """Wait for the turn of this thread at `key`."""
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[key]
                if users == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = (lock, users - 1)

    def __len__(self) -> int:
        return len(self._locks)


class AsyncFlights(Generic[_T]):
    """One task for each key in use.

    A flight is a task of its own, so that cancelling the caller that started it neither loses the fetch for the others
    nor lets the next one fetch again within the once-a-minute floor.
    """

    def __init__(self) -> None:
        self._tasks: dict[Hashable, tuple[Hashable, asyncio.Task[_T]]] = {}

    async def fly(
        self,
        key: Hashable,
        question: Hashable,
        at_hand: Callable[[], _T | None],
        find: Callable[[], Coroutine[Any, Any, _T]],
    ) -> _T:
        """Answer `question`: from `at_hand`, by joining the flight that asks the same, or by a flight of `find`.

        A flight at `key` with another question is waited for first.
        """
        while True:
            answer = at_hand()
            if answer is not None:
                return answer
            flying = self._tasks.get(key)
            if flying is None:
                return await self._shielded(self._start(key, question, find))
            asked, task = flying
            if asked == question:
                return await self._shielded(task)
            await asyncio.wait((task,))

    def _start(
        self, key: Hashable, question: Hashable, find: Callable[[], Coroutine[Any, Any, _T]]
    ) -> asyncio.Task[_T]:
        task = asyncio.get_running_loop().create_task(find(), name="aauthlib-discovery")
        self._tasks[key] = (question, task)
        task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def _landed(self, key: Hashable, task: asyncio.Task[_T]) -> None:
        if self._tasks.get(key, (None, None))[1] is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # Seen, so that asyncio does not report a failure whose caller was cancelled.

    async def _shielded(self, task: asyncio.Task[_T]) -> _T:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise TransportError("The lookup was stopped because its client was closed.") from None
            raise

    async def aclose(self) -> None:
        """Cancel what is under way and wait until it is over."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def __len__(self) -> int:
        return len(self._tasks)
