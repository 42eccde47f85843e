"""Who is still to be told of a revocation, in a database (#revocation-cascade).

A notice is written in the transaction that revokes and goes when its recipient knows, so that neither a restart nor a
recipient that is down loses it. It ends with the token: nobody honours that any longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, Column, Float, Integer, String, Table, Text, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.revoking import Notice, Revoked
from .database import schema
from .rows import key_of

__all__ = ["claim_notices", "count_notices", "note", "notice_key", "settle_notices", "untold_table"]

_AT_ONCE = 500
#: Whoever revoked is telling just now; after this the notice is for everybody to take up.
_GRACE_S = 60.0
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 600.0


def untold_table(name: str) -> Table:
    """The table `name` for one role's notices."""
    return Table(
        name,
        schema,
        Column("key", String(128), primary_key=True),
        Column("jti", String(128), nullable=False, index=True),
        Column("recipient", Text, nullable=False),
        Column("to_access_server", Boolean, nullable=False),
        Column("exp", Float, nullable=False, index=True),
        Column("tries", Integer, nullable=False),
        Column("due_at", Float, nullable=False, index=True),
    )


def notice_key(notice: Notice) -> str:
    """How a notice is found: by the token, or by the token and the access server it was presented to."""
    return key_of(notice.jti, notice.recipient) if notice.to_access_server else notice.jti


async def note(connection: AsyncConnection, table: Table, query: Any, *, now: float) -> None:
    """Write a notice for each row of `query`, which selects key, jti, recipient, to_access_server and exp."""
    found = query.subquery()
    rows = select(
        found.c.key,
        found.c.jti,
        found.c.recipient,
        found.c.to_access_server,
        found.c.exp,
        bindparam("tries", 0, type_=Integer),
        bindparam("due_at", now + _GRACE_S, type_=Float),
    ).where(found.c.exp > now)
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    names = ["key", "jti", "recipient", "to_access_server", "exp", "tries", "due_at"]
    await connection.execute(dialect.insert(table).from_select(names, rows).on_conflict_do_nothing())


async def claim_notices(
    connection: AsyncConnection, table: Table, *, now: float, until: float, limit: int
) -> list[Notice]:
    """The notices that are due, left alone by everybody else before `until`."""
    query = (
        select(table)
        .where(table.c.due_at <= now, table.c.exp > now)
        .order_by(table.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await connection.execute(query)).all()
    for start in range(0, len(rows), _AT_ONCE):
        keys = [row.key for row in rows[start : start + _AT_ONCE]]
        await connection.execute(update(table).where(table.c.key.in_(keys)).values(due_at=until))
    return [
        Notice(
            jti=row.jti, exp=row.exp, recipient=row.recipient, to_access_server=row.to_access_server, tries=row.tries
        )
        for row in rows
    ]


async def settle_notices(
    connection: AsyncConnection, table: Table, outcomes: Sequence[tuple[Notice, Revoked]], *, now: float
) -> None:
    """Drop the notices that came to an end, and put the others off, each time for longer."""
    settled = [notice_key(notice) for notice, result in outcomes if result.settled]
    for start in range(0, len(settled), _AT_ONCE):
        await connection.execute(delete(table).where(table.c.key.in_(settled[start : start + _AT_ONCE])))
    again = [
        {
            "its_key": notice_key(notice),
            "its_tries": notice.tries + 1,
            "its_due_at": now + min(_FIRST_PAUSE_S * 2.0 ** min(notice.tries, 20), _LONGEST_PAUSE_S),
        }
        for notice, result in outcomes
        if not result.settled
    ]
    if again:
        statement = update(table).where(table.c.key == bindparam("its_key"))
        await connection.execute(statement.values(tries=bindparam("its_tries"), due_at=bindparam("its_due_at")), again)


async def count_notices(connection: AsyncConnection, table: Table, *, now: float) -> int:
    """How many are still to be told."""
    return await connection.scalar(select(func.count()).select_from(table).where(table.c.exp > now)) or 0
