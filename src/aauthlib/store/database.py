"""One database handle for all stores: SQLAlchemy Core on SQLite (default) or PostgreSQL.

Every public method of a store is one `transaction`. On SQLite a transaction begins IMMEDIATE, so that a decision is
read and written under one lock; on PostgreSQL rows are locked with `FOR UPDATE` where a state is advanced. What only
looks is a `reading` and takes no lock. Whoever waits for a change is told with the commit (`note_change`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import MetaData, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from .listening import CHANNEL, PostgreSQLListener
from .sealed import use_sealer
from .sealing import Sealer
from .sqlite import sqlite_creator
from .upgrading import SchemaState, upgrade_schema
from .waiters import Waiters

__all__ = ["Database", "from_json", "note_change", "schema", "to_json"]

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
_CHANGES = "aauthlib_changes"
_READING = "aauthlib_reading"
_NOTIFY = text("SELECT pg_notify(:channel, news) FROM unnest(CAST(:news AS text[])) AS news")


class Database:
    """An open database. Make one with `Database.open`, close it with `close`."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer | None = None) -> None:
        self.engine = engine
        self.sealer = sealer if sealer is not None else Sealer.from_environment()
        """What private keys and personal data are encrypted with, if there is a key."""
        use_sealer(engine, self.sealer)
        self._reading = engine.execution_options(**{_READING: True})
        self.waiters = Waiters(None if self.is_sqlite else PostgreSQLListener(engine))
        """Who waits in this process for something in this database to change."""
        # An in-memory SQLite database has one connection, so its transactions take turns.
        shared = engine.dialect.name == "sqlite" and engine.url.database in (None, "", ":memory:")
        self._turn: AbstractAsyncContextManager[None] = anyio.Lock() if shared else nullcontext()

    @classmethod
    async def open(cls, url: str, *, sealer: Sealer | None = None) -> Database:
        """Open `url`, with the tables made or brought to this version's schema (`store.upgrading`).

        `sqlite:///path/to/file.db`, `sqlite://` (in memory) or `postgresql://user@host/name`; the asynchronous driver
        is filled in. The SQLite file is created with mode 0600. `sealer` encrypts private keys and personal data, by
        default with the keys in `AAUTHLIB_ENCRYPTION_KEY`. Raises `ConfigurationError` when the database is newer than
        this version, or the variable holds something else than keys.
        """
        database = cls.connect(url, sealer=sealer)
        try:
            await database.upgrade()
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    def connect(cls, url: str, *, sealer: Sealer | None = None) -> Database:
        """A handle of `url` as `open` takes it, with the tables left as they are."""
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            parsed = parsed.set(drivername="sqlite+aiosqlite")
            if parsed.database and parsed.database != ":memory:":
                _create_file(Path(parsed.database))
            engine = create_async_engine(parsed, async_creator=sqlite_creator(parsed), hide_parameters=True)
            _configure_sqlite(engine)
        else:
            engine = create_async_engine(
                parsed.set(drivername="postgresql+asyncpg"), pool_pre_ping=True, hide_parameters=True
            )
        return cls(engine, sealer)

    async def upgrade(self) -> SchemaState:
        """Bring the tables to this version's schema. Returns where they stood before. Raises `ConfigurationError`."""
        if not self.is_sqlite:
            return await upgrade_schema(self)
        await self._first_connection()
        # A table is changed by making it anew, which must not delete what refers to the old one.
        url = self.engine.url
        creator = sqlite_creator(url)
        migrating = create_async_engine(url, async_creator=creator, hide_parameters=True, poolclass=NullPool)
        _configure_sqlite(migrating, foreign_keys=False)
        return await upgrade_schema(self, migrating=migrating)

    async def _first_connection(self) -> None:
        """Connect. A new file is put into WAL mode, which does not wait for another process that does the same."""
        deadline = anyio.current_time() + _BUSY_TIMEOUT_MS / 1000
        while True:
            try:
                async with self.engine.connect():
                    return
            except OperationalError as error:
                if "locked" not in str(error.orig) or anyio.current_time() > deadline:
                    raise
            await anyio.sleep(0.02)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end, rolled back when anything is raised or cancelled.

        Who waits for what was changed in it (`note_change`) is woken when it is committed, in every process.
        """
        async with self._turn, self.engine.begin() as connection:
            changes: dict[str, str] = {}
            connection.info[_CHANGES] = changes
            yield connection
            if changes and not self.is_sqlite:
                news = [f"{key} {stamp}" for key, stamp in changes.items()]
                await connection.execute(_NOTIFY, {"channel": CHANNEL, "news": news})
        for key, stamp in changes.items():
            self.waiters.wake(key, stamp)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes nothing, and on SQLite waits for nobody who does."""
        async with self._turn, self._reading.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.waiters.close()
        await self.engine.dispose()


def note_change(connection: AsyncConnection, key: str, stamp: str) -> None:
    """Have whoever waits for `key`, in any process, woken when the transaction of `connection` is committed.

    `stamp` is what the key then has: see `Waiters`.
    """
    connection.info.setdefault(_CHANGES, {})[key] = stamp


def _create_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)


def _configure_sqlite(engine: AsyncEngine, *, foreign_keys: bool = True) -> None:
    """WAL, foreign keys, a busy timeout, and transactions that begin IMMEDIATE (the driver's own begin is lazy)."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}",
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}",
        ):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.connection.driver_connection.begin(reading=connection.get_execution_options().get(_READING, False))


def to_json(value: object) -> str:
    """The stored form of a JSON value."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def from_json(text: str | None) -> Any:
    """A JSON value as stored; an empty object for nothing."""
    return json.loads(text) if text else {}
