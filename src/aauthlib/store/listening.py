"""PostgreSQL's LISTEN: what other processes changed, told on one connection that does nothing else.

A notification is sent in the transaction of the change (`Database.transaction`), so it arrives if and when that is
committed. The connection is made anew when it breaks; that it works is seen by a notification it sends itself, which
also finds a pooler between that does not pass notifications on. Until then whoever waits looks for itself.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

__all__ = ["APPLICATION_NAME", "CHANNEL", "PostgreSQLListener"]

_log = logging.getLogger("aauthlib.store")

CHANNEL = "aauthlib_changed"
#: How the connection is called in `pg_stat_activity`.
APPLICATION_NAME = "aauthlib listener"
#: In place of a key: what the connection tells itself.
_BEAT = "beat"


class PostgreSQLListener:
    """`waiters.Listener` on the database of `engine`."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        beat_every_s: float = 20.0,
        beat_timeout_s: float = 10.0,
        retry_after_s: tuple[float, float] = (0.5, 30.0),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        # Outside of the pool, which must not run out by it.
        self._engine = create_async_engine(
            engine.url,
            hide_parameters=True,
            poolclass=NullPool,
            connect_args={"server_settings": {"application_name": APPLICATION_NAME}},
        )
        self._beat_every_s, self._beat_timeout_s = beat_every_s, beat_timeout_s
        self._shortest_s, self._longest_s = retry_after_s
        self._sleep = sleep
        self.listening = False

    async def run(self, told: Callable[[str, str], None], turned: Callable[[], None]) -> None:
        """See `Listener.run`."""
        pause_s = self._shortest_s
        while True:
            try:
                await self._listen(told, turned)
            except Exception as error:
                # Whatever it is, it may be over next time; nobody would begin to listen again but this loop.
                heard, self.listening = self.listening, False
                if heard:
                    pause_s = self._shortest_s
                    turned()
                _log.warning("Not listening to PostgreSQL, and trying again: %s", type(error).__name__)
            await self._sleep(pause_s)
            pause_s = min(pause_s * 2, self._longest_s)

    async def _listen(self, told: Callable[[str, str], None], turned: Callable[[], None]) -> None:
        """Listen until the connection breaks, which is raised."""
        async with self._engine.connect() as pooled:
            connection: Any = (await pooled.get_raw_connection()).driver_connection
            news = asyncio.Event()
            beats: set[str] = set()

            def on_notification(*arguments: Any) -> None:
                key, _, stamp = arguments[-1].partition(" ")
                if key != _BEAT:
                    told(key, stamp)
                elif stamp in beats:
                    beats.discard(stamp)
                    news.set()

            async def next_news() -> None:
                await news.wait()
                news.clear()
                if connection.is_closed():
                    raise ConnectionError("The connection to PostgreSQL is gone.")

            connection.add_termination_listener(lambda _: news.set())
            try:
                await connection.add_listener(CHANNEL, on_notification)
                while True:
                    beats.add(beat := secrets.token_hex(8))
                    async with asyncio.timeout(self._beat_timeout_s):
                        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{_BEAT} {beat}")
                        while beats:
                            await next_news()
                    if not self.listening:
                        self.listening = True
                        turned()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._beat_every_s):
                            while True:
                                await next_news()
            except Exception:
                connection.terminate()  # To take leave would wait for an answer.
                raise
