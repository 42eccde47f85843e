"""One database handle for all stores: SQLAlchemy Core on SQLite (default) or PostgreSQL.

Every public method of a store is one `transaction`. On SQLite a transaction begins IMMEDIATE, so that a decision is
read and written under one lock; on PostgreSQL rows are locked with `FOR UPDATE` where a state is advanced.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import MetaData, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

__all__ = ["Database", "from_json", "schema", "to_json"]

#: Every table of every store, so that one database can hold all roles of a process.
schema = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

_BUSY_TIMEOUT_MS = 10_000


class Database:
    """An open database. Make one with `Database.open`, close it with `close`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        # An in-memory SQLite database has one connection, so its transactions take turns.
        shared = engine.dialect.name == "sqlite" and engine.url.database in (None, "", ":memory:")
        self._turn: AbstractAsyncContextManager[None] = anyio.Lock() if shared else nullcontext()

    @classmethod
    async def open(cls, url: str) -> Database:
        """Open `url` and create the tables that are missing.

        `sqlite:///path/to/file.db`, `sqlite://` (in memory) or `postgresql://user@host/name`; the asynchronous driver
        is filled in. The SQLite file is created with mode 0600.
        """
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            parsed = parsed.set(drivername="sqlite+aiosqlite")
            if parsed.database and parsed.database != ":memory:":
                _create_file(Path(parsed.database))
            engine = create_async_engine(parsed, hide_parameters=True)
            _configure_sqlite(engine)
        else:
            engine = create_async_engine(
                parsed.set(drivername="postgresql+asyncpg"), pool_pre_ping=True, hide_parameters=True
            )
        database = cls(engine)
        async with database.transaction() as connection:
            await connection.run_sync(schema.create_all)
        return database

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end, rolled back when anything is raised or cancelled."""
        async with self._turn, self.engine.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def _create_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)


def _configure_sqlite(engine: AsyncEngine) -> None:
    """WAL, foreign keys, a busy timeout, and transactions that begin IMMEDIATE (the driver's own begin is lazy)."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            "PRAGMA foreign_keys=ON",
            f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}",
        ):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def to_json(value: object) -> str:
    """The stored form of a JSON value."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def from_json(text: str | None) -> Any:
    """A JSON value as stored; an empty object for nothing."""
    return json.loads(text) if text else {}
