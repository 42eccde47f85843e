"""A server's signing keys in a database: made on first start, rotated, kept to be published (#jwks-discovery).

Each role has a table of its own, so that one database can hold several roles.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Column, Float, String, Table, Text, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .database import from_json, schema, to_json
from .key_records import StoredSigningKey

__all__ = ["add_signing_key", "signing_key_table", "signing_keys_of"]


def signing_key_table(name: str) -> Table:
    """The table `name` for one role's signing keys."""
    return Table(
        name,
        schema,
        Column("kid", String(128), primary_key=True),
        Column("jwk", Text, nullable=False),
        Column("created_at", Float, nullable=False),
        Column("retired_at", Float),
    )


async def signing_keys_of(
    connection: AsyncConnection, table: Table, *, first: Mapping[str, str], now: float
) -> list[StoredSigningKey]:
    """The keys in `table`, the one that signs at the front; `first` is kept when there is none that signs."""
    if not await connection.scalar(select(func.count()).where(table.c.retired_at.is_(None))):
        await _insert(connection, table, first, now)
    rows = await connection.execute(
        select(table).order_by(table.c.retired_at.is_(None).desc(), table.c.created_at.desc())
    )
    return [StoredSigningKey(from_json(row.jwk), row.created_at, row.retired_at) for row in rows]


async def add_signing_key(connection: AsyncConnection, table: Table, jwk: Mapping[str, str], *, now: float) -> None:
    """Retire the keys in `table` and add a new one. The old stay, to be published."""
    await connection.execute(update(table).where(table.c.retired_at.is_(None)).values(retired_at=now))
    await _insert(connection, table, jwk, now)


async def _insert(connection: AsyncConnection, table: Table, jwk: Mapping[str, str], now: float) -> None:
    await connection.execute(insert(table).values(kid=jwk["kid"], jwk=to_json(dict(jwk)), created_at=now))
