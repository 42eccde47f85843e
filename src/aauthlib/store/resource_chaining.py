"""Invocations of an intermediary in a database: what its caller and the person need of them, in any process
(#interaction-chaining).

Each belongs to a pending request and goes with it. What changes so that a poll must see it counts the request's
version, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, String, Table, Text, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import WAITING, Event, IllegalTransition
from ..deferred.pending import Pending
from .database import schema
from .pending import SQLPendingStore, insert_pending, load, pending_table, touch
from .resource_records import InvocationRecord

__all__ = ["CHAINED", "SQLInvocations", "forget_results"]

#: The kind of a pending request that is a chained invocation.
CHAINED = "chained"

_invocations = Table(
    "resource_invocations",
    schema,
    Column("digest", String(64), ForeignKey(pending_table.c.digest, ondelete="CASCADE"), primary_key=True),
    Column("iss", Text, nullable=False),
    Column("jti", Text, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("alive_until", Float, nullable=False),
    Column("step", Integer, nullable=False),
    Column("url", Text),
    Column("code", String(64)),
    Column("coded", Integer, nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("visited", Integer, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("callback", Text),
)
_FIELDS = tuple(InvocationRecord.__dataclass_fields__)


class SQLInvocations(SQLPendingStore):
    """The part of `ChainStore` that a `ResourceStore` has not."""

    async def _forget_expired(self, connection: AsyncConnection) -> None:
        """Make room, in a transaction that adds something."""

    async def open_invocation(self, pending: Pending, record: InvocationRecord, *, most: int, now: float) -> bool:
        alive = (
            select(func.count())
            .select_from(pending_table.join(_invocations))
            .where(
                pending_table.c.owner == pending.owner,
                pending_table.c.state.in_([str(state) for state in WAITING]),
                pending_table.c.expires_at > now,
                _invocations.c.alive_until > now,
            )
        )
        async with self.database.transaction() as connection:
            await self._forget_expired(connection)
            if (await connection.execute(alive)).scalar_one() >= most:
                return False
            await insert_pending(connection, pending)
            values = {name: getattr(record, name) for name in _FIELDS}
            await connection.execute(insert(_invocations).values(**values))
            return True

    async def get_invocation(self, digest: str) -> InvocationRecord | None:
        query = select(_invocations).where(_invocations.c.digest == digest)
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return InvocationRecord(**row) if row is not None else None

    async def direct_invocation(self, digest: str, url: str, code: str, *, now: float) -> None:
        async with self.database.transaction() as connection:
            pending = await load(connection, digest, lock=True)
            if not pending.waiting:
                raise IllegalTransition(pending.state, Event.ARRIVE)
            values: dict[str, Any] = {"url": url, "code": code, "seen_at": now, "step": _invocations.c.step + 1}
            await connection.execute(update(_invocations).where(_invocations.c.digest == digest).values(**values))
            await touch(connection, pending)

    async def recode_invocation(self, digest: str, coded: int, code_digest: str) -> bool:
        where = (_invocations.c.digest == digest, _invocations.c.coded == coded)
        async with self.database.transaction() as connection:
            # The request's row first, as everywhere.
            await load(connection, digest, lock=True)
            result = await connection.execute(update(_invocations).where(*where).values(coded=coded + 1, shown=True))
            if result.rowcount == 0:
                return False
            values = {"code_digest": code_digest, "code_consumed": False}
            await connection.execute(update(pending_table).where(pending_table.c.digest == digest).values(**values))
            return True

    async def update_invocation(self, digest: str, **changes: Any) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(update(_invocations).where(_invocations.c.digest == digest).values(**changes))

    async def beat_invocations(self, digests: Collection[str], until: float) -> None:
        async with self.database.transaction() as connection:
            where = _invocations.c.digest.in_(list(digests))
            await connection.execute(update(_invocations).where(where).values(alive_until=until))


async def forget_results(connection: AsyncConnection, since: float, now: float) -> None:
    """What an application answered is not kept beyond the time of its invocation; how that ended is, for a while.

    Of those whose time ended after `since`: the database cannot say which are empty already, being encrypted.
    """
    over = (pending_table.c.expires_at > since, pending_table.c.expires_at <= now, pending_table.c.kind == CHAINED)
    await connection.execute(update(pending_table).where(*over).values(decision="{}"))
