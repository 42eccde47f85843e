"""Requests that were received, in a database: `httpsig.ReplayCache` for several processes (#freshness-and-replay).

Whether a request is new is decided by the primary key of one insert, so by the database. Rows are of no use to whoever
reads them: a digest and a time.
"""

from __future__ import annotations

import logging

from sqlalchemy import Column, Float, String, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import TemporarilyUnavailable
from ..httpsig.replay import CANNOT_TELL
from .database import Database, schema

__all__ = ["SQLReplayCache"]

_FORGET_EVERY_S = 30.0

_log = logging.getLogger("aauthlib.store")

_requests = Table(
    "received_requests",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("until", Float, nullable=False, index=True),
)


class SQLReplayCache:
    """For every process that shares the database.

    What is over is dropped now and then, and so is what exceeds `max_entries`, the soonest over first.
    """

    def __init__(self, database: Database, *, max_entries: int = 1_000_000) -> None:
        self._database = database
        self._max_entries = max_entries
        self._forgot_at = 0.0

    async def first_time(self, digest: str, *, until: float, now: float) -> bool:
        """See `httpsig.ReplayCache`. Raises `TemporarilyUnavailable` when the database cannot be used."""
        try:
            return await self._insert(digest, until, now)
        except (OSError, SQLAlchemyError) as error:
            _log.error("received requests cannot be written down (%s): answered with 503", type(error).__name__)
            raise TemporarilyUnavailable(CANNOT_TELL) from error

    async def _insert(self, digest: str, until: float, now: float) -> bool:
        dialect = sqlite if self._database.is_sqlite else postgresql
        async with self._database.transaction() as connection:
            inserted = await connection.execute(
                dialect.insert(_requests).values(digest=digest, until=until).on_conflict_do_nothing()
            )
            if now - self._forgot_at >= _FORGET_EVERY_S:
                self._forgot_at = now
                await self._forget(connection, now)
            return inserted.rowcount == 1

    async def _forget(self, connection: AsyncConnection, now: float) -> None:
        await connection.execute(delete(_requests).where(_requests.c.until < now))
        held = (await connection.execute(select(func.count()).select_from(_requests))).scalar_one()
        if held > self._max_entries:
            soonest = (
                select(_requests.c.digest)
                .order_by(_requests.c.until, _requests.c.digest)
                .limit(held - self._max_entries)
            )
            await connection.execute(delete(_requests).where(_requests.c.digest.in_(soonest)))
