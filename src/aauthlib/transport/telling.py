"""Telling many recipients that tokens are revoked (#revocation-cascade): bounded, and one that is down holds up nobody.

A recipient that fails a few times in a row is left alone for this time; what it was not told is told later. The loop
that tells later runs beside the server, in every process of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from traceback import format_tb

from ..deferred.revoking import UNAVAILABLE, Notice, Revoked
from ..errors import AAuthError

__all__ = ["Outcomes", "keep_telling", "tell_all", "telling"]

_log = logging.getLogger("aauthlib.transport")

_AT_ONCE = 16
_AT_ONE_RECIPIENT = 4
_GIVE_UP_AFTER = 3
#: Outcomes written down together.
_BATCH = 200

Outcomes = Sequence[tuple[Notice, Revoked]]


class _Round:
    """One pass over notices."""

    def __init__(
        self,
        notices: Sequence[Notice],
        tell: Callable[[Notice], Awaitable[Revoked]],
        keep: Callable[[Outcomes], Awaitable[None]],
    ) -> None:
        self._tell, self._keep = tell, keep
        self.waiting: dict[str, deque[Notice]] = {}
        for notice in notices:
            self.waiting.setdefault(notice.recipient, deque()).append(notice)
        self._failures = dict.fromkeys(self.waiting, 0)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._unkept: list[tuple[Notice, Revoked]] = []
        self.told: dict[Notice, Revoked] = {}

    async def serve(self, recipient: str) -> None:
        queue = self.waiting[recipient]
        while queue and self._failures[recipient] < _GIVE_UP_AFTER:
            notice = queue.popleft()
            async with self._slots:
                try:
                    result = await self._tell(notice)
                except AAuthError:
                    result = Revoked(UNAVAILABLE)
            self._failures[recipient] = self._failures[recipient] + 1 if result.outcome == UNAVAILABLE else 0
            self.told[notice] = result
            self._unkept.append((notice, result))
            if len(self._unkept) >= _BATCH:
                await self.flush()

    async def flush(self) -> None:
        batch, self._unkept = self._unkept, []
        if batch:
            await self._keep(batch)


async def tell_all(
    notices: Sequence[Notice],
    tell: Callable[[Notice], Awaitable[Revoked]],
    keep: Callable[[Outcomes], Awaitable[None]],
    *,
    within_s: float | None = None,
) -> list[Revoked]:
    """Tell each notice's recipient, and `keep` what came of it, many at a time. Returns the outcomes in order.

    After `within_s` seconds, or where a recipient kept failing, what is left is `revocation_unavailable`.
    """
    turn = _Round(notices, tell, keep)
    tasks = [
        asyncio.create_task(turn.serve(recipient))
        for recipient, queue in turn.waiting.items()
        for _ in range(min(len(queue), _AT_ONE_RECIPIENT))
    ]
    try:
        if tasks:
            done, _ = await asyncio.wait(tasks, timeout=within_s)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await turn.flush()
    left = [(notice, Revoked(UNAVAILABLE)) for notice in notices if notice not in turn.told]
    if left:
        await keep(left)
    return [turn.told.get(notice, Revoked(UNAVAILABLE)) for notice in notices]


async def keep_telling(
    tell_again: Callable[[], Awaitable[object]],
    *,
    every_s: float = 15.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Call `tell_again` at once and then every `every_s` seconds, for ever; what fails is logged and repeated."""
    while True:
        try:
            await tell_again()
        except Exception as error:
            # The last resort of a loop that must not end. The message could quote data; the kind and the place cannot.
            where = "".join(format_tb(error.__traceback__))
            _log.error("telling failed: %s\n%s", type(error).__name__, where)
        await sleep(every_s)


@asynccontextmanager
async def telling(tell_again: Callable[[], Awaitable[object]], *, every_s: float = 15.0) -> AsyncIterator[None]:
    """While this is open, `tell_again` is called every `every_s` seconds."""
    task = asyncio.create_task(keep_telling(tell_again, every_s=every_s), name="telling")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
