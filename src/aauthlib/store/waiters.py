"""Waking those who wait for a pending request to change (#polling-with-get).

Who waits says what it has seen, as a stamp. It is woken by whoever writes another one in this process, by another
process through a `Listener`, and by a lookout that reads the stamps of all who wait: of newcomers at once, since
something may have changed before they were registered, and of everybody every `look_every_s`. While the listener
listens that is needed only for what nobody told, and is done every `look_anyway_s`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol, TypeAlias

__all__ = ["Listener", "Look", "Waiters"]

_log = logging.getLogger("aauthlib.store")

#: Keys read by one look.
_AT_ONCE = 500

#: Reads the present stamps; one that is missing has changed, too.
Look: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]


class Listener(Protocol):
    """Hears what other processes change."""

    listening: bool

    async def run(self, told: Callable[[str, str], None], turned: Callable[[], None]) -> None:
        """Until cancelled, call `told` with key and stamp of each change, and `turned` when `listening` changed."""


@dataclass(slots=True, eq=False)
class _Waiting:
    key: str
    seen: str
    look: Look
    woken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def compare(self, stamp: str | None) -> None:
        if stamp != self.seen and not self.woken.done():
            self.woken.set_result(None)


class Waiters:
    """Who waits, by key. At most `most` at a time; one more is held for a moment only."""

    def __init__(
        self,
        listener: Listener | None = None,
        *,
        look_every_s: float = 1.0,
        look_anyway_s: float = 20.0,
        most: int = 50_000,
    ) -> None:
        self._listener, self._look_every_s, self._look_anyway_s, self._most = (
            listener,
            look_every_s,
            look_anyway_s,
            most,
        )
        self._by_key: dict[str, list[_Waiting]] = {}
        self._count = 0
        self._new: list[_Waiting] = []
        self._look_at_all = False
        self._called = asyncio.Event()
        self._lookout: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return self._count

    def wake(self, key: str, stamp: str) -> None:
        """Wake who waits for `key` and has not seen `stamp`."""
        for waiting in self._by_key.get(key, ()):
            waiting.compare(stamp)

    async def wait(self, key: str, seen: str, timeout_s: float, look: Look) -> None:
        """Return when the stamp of `key` is not `seen`, or after `timeout_s` seconds."""
        if self._count >= self._most:
            await asyncio.sleep(min(timeout_s, self._look_every_s))
            return
        waiting = _Waiting(key, seen, look)
        self._by_key.setdefault(key, []).append(waiting)
        self._count += 1
        self._new.append(waiting)
        self._start()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await waiting.woken
        finally:
            self._count -= 1
            others = self._by_key[key]
            others.remove(waiting)
            if not others:
                del self._by_key[key]

    async def close(self) -> None:
        """End what runs beside those who wait."""
        tasks = [task for task in (self._lookout, self._listening) if task is not None]
        self._lookout = self._listening = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---------------------------------------------------------------- the lookout

    def _start(self) -> None:
        """Both tasks begin with who waits first, and in no context of theirs."""
        self._called.set()
        loop = asyncio.get_running_loop()
        if self._listener is not None and self._listening is None:
            self._listening = loop.create_task(self._listener.run(self.wake, self._turned), context=Context())
        if self._lookout is None or self._lookout.done():
            self._lookout = loop.create_task(self._look_out(), context=Context())

    def _turned(self) -> None:
        """What was told while nobody listened is seen by a look; so is what will be told to nobody from now on."""
        self._look_at_all = True
        self._called.set()

    async def _look_out(self) -> None:
        """Look until nobody waits any more."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while self._by_key:
            everybody = self._look_at_all or loop.time() >= last + self._pause_s()
            new, self._new, self._look_at_all = self._new, [], False
            self._called.clear()
            if everybody:
                last = loop.time()
                new = list(chain.from_iterable(self._by_key.values()))
            if not await self._look_at(new):
                self._look_at_all = True
                await asyncio.sleep(self._look_every_s)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout_at(last + self._pause_s()):
                    await self._called.wait()

    def _pause_s(self) -> float:
        listening = self._listener is not None and self._listener.listening
        return self._look_anyway_s if listening else self._look_every_s

    async def _look_at(self, all_of_them: Sequence[_Waiting]) -> bool:
        """Wake those who have not seen the present stamp. Returns whether it could be looked."""
        by_look: dict[Look, dict[str, list[_Waiting]]] = {}
        for waiting in all_of_them:
            if not waiting.woken.done():
                by_look.setdefault(waiting.look, {}).setdefault(waiting.key, []).append(waiting)
        for look, by_key in by_look.items():
            keys = list(by_key)
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                try:
                    stamps = await look(some)
                except Exception as error:
                    # Who polls would only fail now; its own look at the end of its wait says what is wrong.
                    _log.warning("Pending requests cannot be looked at: %s", type(error).__name__)
                    return False
                for key in some:
                    for waiting in by_key[key]:
                        waiting.compare(stamps.get(key))
        return True
