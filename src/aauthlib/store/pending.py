"""Pending requests in a database: `deferred.pending.PendingStore` on SQLAlchemy Core.

`advance` is the one place where a pending request's state changes; role stores call it inside their own transactions,
so that a decision and what it causes are written together.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, Column, Float, Integer, String, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import Event, State, transition
from ..deferred.pending import Pending, stamp_of
from ..errors import InvalidCode, NotFound
from .database import Database, from_json, note_change, schema, to_json
from .sealed import Sealed

__all__ = [
    "KEPT_AFTER_END_S",
    "SQLPendingStore",
    "advance",
    "expired",
    "insert_pending",
    "load",
    "pending_table",
    "take_code",
    "touch",
]

#: How long a pending request is kept after its end, in seconds.
KEPT_AFTER_END_S = 3600.0

pending_table = Table(
    "pending",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("state", String(32), nullable=False, index=True),
    Column("requirement", String(32)),
    Column("handle", String(32), unique=True),
    Column("code_digest", String(64)),
    Column("code_attempts", Integer, nullable=False, default=0),
    Column("code_consumed", Boolean, nullable=False, default=False),
    Column("request", Sealed("pending.request"), nullable=False),
    Column("decision", Sealed("pending.decision"), nullable=False),
    Column("detail", Sealed("pending.detail"), nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    # Counts the changes that whoever polls must see.
    Column("version", Integer, nullable=False, default=0, server_default="0"),
)


def _pending(row: Any) -> Pending:
    return Pending(
        digest=row.digest,
        owner=row.owner,
        kind=row.kind,
        state=State(row.state),
        requirement=row.requirement,
        handle=row.handle,
        code_digest=row.code_digest,
        code_attempts=row.code_attempts,
        code_consumed=bool(row.code_consumed),
        request=from_json(row.request),
        decision=from_json(row.decision),
        detail=row.detail,
        created_at=row.created_at,
        expires_at=row.expires_at,
        version=row.version,
    )


async def load(connection: AsyncConnection, digest: str, *, lock: bool = False) -> Pending:
    """The pending request with `digest`, its row locked for the transaction when asked. Raises `NotFound`."""
    query = select(pending_table).where(pending_table.c.digest == digest)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("There is no such pending request.")
    return _pending(row)


async def advance(
    connection: AsyncConnection,
    digest: str,
    event: Event,
    *,
    detail: str = "",
    decision: Mapping[str, Any] | None = None,
) -> Pending:
    """Apply `event` inside the caller's transaction. Raises `NotFound` or `IllegalTransition`."""
    pending = await load(connection, digest, lock=True)
    values: dict[str, Any] = {"state": str(transition(pending.state, event))}
    if detail:
        values["detail"] = detail
    if decision is not None:
        values["decision"] = to_json(dict(decision))
    return await touch(connection, pending, **values)


async def touch(connection: AsyncConnection, before: Pending, **values: Any) -> Pending:
    """Change columns of a pending request whose row is locked, so that whoever polls it sees that it changed."""
    changed = values | {"version": before.version + 1}
    await connection.execute(update(pending_table).where(pending_table.c.digest == before.digest).values(**changed))
    after = await load(connection, before.digest)
    if before.waiting:
        note_change(connection, after.digest, after.stamp)
    return after


async def insert_pending(connection: AsyncConnection, pending: Pending) -> None:
    """Keep a new pending request, inside the caller's transaction."""
    await connection.execute(
        insert(pending_table).values(
            digest=pending.digest,
            owner=pending.owner,
            kind=pending.kind,
            state=str(pending.state),
            requirement=pending.requirement,
            handle=pending.handle,
            code_digest=pending.code_digest,
            code_attempts=pending.code_attempts,
            code_consumed=pending.code_consumed,
            request=to_json(dict(pending.request)),
            decision=to_json(dict(pending.decision)),
            detail=pending.detail,
            created_at=pending.created_at,
            expires_at=pending.expires_at,
        )
    )


async def take_code(
    connection: AsyncConnection, handle: str, digest: str, *, max_attempts: int, consume: bool = True
) -> tuple[Pending | None, InvalidCode | None]:
    """Compare a typed code inside the caller's transaction, which must be committed whatever the result.

    Returns the interaction, if there is one, and the failure, if the code is not right. A failed attempt is counted; a
    right code is consumed (`ARRIVE`) unless `consume` is false.
    """
    query = select(pending_table).where(pending_table.c.handle == handle).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None, InvalidCode("The code is not recognised.")
    pending = _pending(row)
    where = pending_table.c.digest == pending.digest
    if not pending.waiting or pending.code_consumed or pending.code_attempts >= max_attempts:
        return pending, InvalidCode("The code was used already, or is no longer valid.")
    if hmac.compare_digest(pending.code_digest or "", digest):
        if consume:
            await connection.execute(update(pending_table).where(where).values(code_consumed=True))
            pending = await advance(connection, pending.digest, Event.ARRIVE)
        return pending, None
    attempts = pending.code_attempts + 1
    await connection.execute(update(pending_table).where(where).values(code_attempts=attempts))
    if attempts >= max_attempts:
        pending = await advance(
            connection, pending.digest, Event.REJECT_CODE, detail="Too many wrong codes were tried."
        )
    return pending, InvalidCode("The code is not recognised.")


async def expired(connection: AsyncConnection, *, before: float, limit: int = 500) -> list[str]:
    """Digests of at most `limit` pending requests whose time ended before `before` (Unix seconds), to be deleted.

    They are kept a while after their end, so that their owners read how they ended rather than nothing.
    """
    query = select(pending_table.c.digest).where(pending_table.c.expires_at < before).limit(limit)
    return [row.digest for row in await connection.execute(query)]


class SQLPendingStore:
    """`PendingStore` on a database. Role stores inherit from it and override `record_delivery`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def record_delivery(self, connection: AsyncConnection, pending: Pending, record: object) -> None:
        """Keep `record` in the transaction that marks `pending` delivered. A store that keeps nothing ignores it."""

    async def create_pending(self, pending: Pending) -> None:
        async with self.database.transaction() as connection:
            await insert_pending(connection, pending)

    async def get_pending(self, digest: str) -> Pending | None:
        async with self.database.reading() as connection:
            row = (
                await connection.execute(select(pending_table).where(pending_table.c.digest == digest))
            ).one_or_none()
        return _pending(row) if row is not None else None

    async def get_interaction(self, handle: str) -> Pending | None:
        async with self.database.reading() as connection:
            row = (
                await connection.execute(select(pending_table).where(pending_table.c.handle == handle))
            ).one_or_none()
        return _pending(row) if row is not None else None

    async def advance_pending(self, digest: str, event: Event, *, detail: str = "", record: object = None) -> Pending:
        async with self.database.transaction() as connection:
            pending = await advance(connection, digest, event, detail=detail)
            if event is Event.DELIVER:
                await self.record_delivery(connection, pending, record)
        return pending

    async def consume_code(self, handle: str, digest: str, *, max_attempts: int) -> Pending:
        """See `PendingStore.consume_code`. A failed attempt is committed before the error is raised."""
        async with self.database.transaction() as connection:
            pending, failure = await take_code(connection, handle, digest, max_attempts=max_attempts)
        if failure is not None or pending is None:
            raise failure or InvalidCode("The code is not recognised.")
        return pending

    async def wait_pending(self, pending: Pending, timeout_s: float) -> None:
        await self.database.waiters.wait(pending.digest, pending.stamp, timeout_s, self.stamps)

    async def stamps(self, digests: Sequence[str]) -> Mapping[str, str]:
        """The stamps of those of these requests that there are."""
        columns = pending_table.c
        query = select(columns.digest, columns.version, columns.state).where(columns.digest.in_(digests))
        async with self.database.reading() as connection:
            rows = await connection.execute(query)
            return {row.digest: stamp_of(row.version, row.state) for row in rows}
