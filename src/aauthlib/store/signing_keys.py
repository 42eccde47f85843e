"""A server's signing keys in a database: `keyring.KeyStore` on SQLAlchemy Core (#jwks-discovery).

Each role has a table of its own, so that one database can hold several roles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Float, String, Table, Text, delete, func, insert, select, text

from .database import Database, from_json, schema, to_json
from .keyring import StoredKey
from .sealed import BY_ROW

__all__ = ["SQLKeys", "signing_key_table"]


def signing_key_table(name: str) -> Table:
    """The table `name` for one role's signing keys."""
    return Table(
        name,
        schema,
        Column("kid", String(128), primary_key=True),
        Column("jwk", Text, nullable=False, info={BY_ROW: "kid"}),
        Column("created_at", Float, nullable=False),
        # Written by versions in which a new key signed at once.
        Column("retired_at", Float),
        Column("use_from", Float),
    )


class SQLKeys:
    """The signing keys in one table."""

    def __init__(self, database: Database, table: Table, *, published_at: str = "created_at") -> None:
        self._database, self._table = database, table
        self._published_at = table.c[published_at]
        self._use_from = func.coalesce(table.c.use_from, self._published_at)
        self._in_order = (self._published_at, self._use_from, table.c.kid)

    async def keys(self) -> Sequence[StoredKey]:
        """See `KeyStore.keys`."""
        columns = self._table.c
        query = select(columns.kid, columns.jwk, self._published_at, self._use_from).order_by(*self._in_order)
        async with self._database.reading() as connection:
            rows = await connection.execute(query)
            return [
                StoredKey(jwk=from_json(self._opened(jwk, kid)), published_at=at, use_from=use_from)
                for kid, jwk, at, use_from in rows
            ]

    def _opened(self, jwk: str, kid: str) -> str:
        return self._database.sealer.open(jwk, self._table.name, "jwk", kid)

    async def add_key(self, key: StoredKey, *, only_if_latest: str | None) -> bool:
        """See `KeyStore.add_key`."""
        newest = select(self._table.c.kid).order_by(*(column.desc() for column in self._in_order)).limit(1)
        async with self._database.transaction() as connection:
            if not self._database.is_sqlite:
                # A row cannot be locked for two processes that both make the first one.
                await connection.execute(text(f"LOCK TABLE {self._table.name} IN SHARE ROW EXCLUSIVE MODE"))
            if await connection.scalar(newest) != only_if_latest:
                return False
            values: dict[str, Any] = {
                "kid": key.kid,
                "jwk": self._database.sealer.seal(to_json(key.jwk), self._table.name, "jwk", key.kid),
                self._published_at.name: key.published_at,
                "use_from": key.use_from,
            }
            if "follows" in self._table.c:
                values["follows"] = only_if_latest or ""
            await connection.execute(insert(self._table).values(**values))
        return True

    async def drop_keys(self, kids: Sequence[str]) -> None:
        """See `KeyStore.drop_keys`."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(self._table).where(self._table.c.kid.in_(kids)))
