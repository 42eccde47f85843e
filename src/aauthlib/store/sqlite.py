"""How SQLite is spoken to: one visit to the connection's thread for a statement, its rows and its end.

A connection of `aiosqlite` is a thread, and SQLAlchemy goes there four times for one `SELECT` (cursor, execute, fetch,
close) and once more after each transaction to roll back what has just been committed. A visit costs more than most
statements do. Nothing else is changed: SQLAlchemy's dialect stays what talks to these connections.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import aiosqlite
from sqlalchemy.engine import URL

__all__ = ["SQLiteConnection", "sqlite_creator"]

_Row = tuple[Any, ...]


class _Done:
    """What is left of a statement that was carried out: its rows, and what a cursor knows about them."""

    __slots__ = ("description", "lastrowid", "rowcount", "rows")

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self.rows: list[_Row] = cursor.fetchall() if cursor.description else []
        self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
        cursor.close()


class _Cursor:
    """As much of a cursor as SQLAlchemy's adapter asks for; the real one has been closed when a statement returns."""

    def __init__(self, connection: SQLiteConnection) -> None:
        self._connection = connection
        self._done: _Done | None = None
        self.arraysize = 1

    async def __aenter__(self) -> _Cursor:
        return self

    @property
    def description(self) -> Any:
        return None if self._done is None else self._done.description

    @property
    def rowcount(self) -> int:
        return -1 if self._done is None else self._done.rowcount

    @property
    def lastrowid(self) -> int | None:
        return None if self._done is None else self._done.lastrowid

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> _Cursor:
        self._done = await self._connection.visit(lambda sqlite: _Done(sqlite.execute(sql, parameters)))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> _Cursor:
        self._done = await self._connection.visit(lambda sqlite: _Done(sqlite.executemany(sql, parameters)))
        return self

    async def fetchall(self) -> list[_Row]:
        return [] if self._done is None else self._done.rows

    async def close(self) -> None:
        """Nothing is open."""


class SQLiteConnection(aiosqlite.Connection):
    """A connection that begins with the first statement, and knows when nothing is left to roll back."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        # A process that ends does not wait for a connection that was left open.
        self._thread.daemon = True
        self._begins: str | None = None
        self._settled = True

    def cursor(self) -> Any:
        return _Cursor(self)

    def begin(self, *, reading: bool = False) -> None:
        """From the next statement on there is a transaction, with the lock for writing unless it only reads."""
        self._begins = "BEGIN" if reading else "BEGIN IMMEDIATE"

    async def visit(self, act: Callable[[sqlite3.Connection], _Done]) -> _Done:
        """Let `act` run where the connection lives."""
        # Both before the thread gets it: who is cancelled while it waits does not know how far the thread went.
        begins, self._begins, self._settled = self._begins, None, False

        def visiting() -> _Done:
            if begins is not None:
                self._conn.execute(begins)
            return act(self._conn)

        done: _Done = await self._execute(visiting)  # type: ignore[no-untyped-call]
        return done

    async def commit(self) -> None:
        self._begins = None
        if not self._settled:
            await super().commit()
            self._settled = True

    async def rollback(self) -> None:
        self._begins = None
        if not self._settled:
            await super().rollback()
            self._settled = True


def sqlite_creator(url: URL) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """What `create_async_engine(url, async_creator=...)` opens its connections with."""
    arguments, options = url.get_dialect()().create_connect_args(url)

    async def create() -> aiosqlite.Connection:
        return await SQLiteConnection(partial(sqlite3.connect, *arguments, **options))

    return create
