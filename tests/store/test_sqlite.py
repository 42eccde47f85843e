"""The connections to SQLite: how often their thread is visited, and what is left behind when something goes wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from aauthlib.store.database import Database
from aauthlib.store.sqlite import SQLiteConnection


@pytest.fixture
async def database(tmp_path: Path) -> Any:
    opened = Database.connect(f"sqlite:///{tmp_path / 'a.db'}")
    async with opened.transaction() as connection:
        await connection.execute(text("CREATE TABLE things (name TEXT PRIMARY KEY)"))
    yield opened
    await opened.close()


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the threads of connections were asked to do."""
    seen: list[str] = []
    original = SQLiteConnection._execute

    async def counted(self: Any, fn: Any, *args: Any, **options: Any) -> Any:
        seen.append(fn.__name__)
        return await original(self, fn, *args, **options)

    monkeypatch.setattr(SQLiteConnection, "_execute", counted)
    return seen


async def test_a_statement_is_one_visit_and_so_is_the_end(database: Database, visits: list[str]) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO things VALUES ('a')"))
        rows = (await connection.execute(text("SELECT name FROM things"))).all()
    assert rows == [("a",)]
    assert visits == ["visiting", "visiting", "commit"]


async def test_a_transaction_that_asks_nothing_visits_nobody(database: Database, visits: list[str]) -> None:
    async with database.transaction():
        pass
    assert visits == []


async def test_what_a_cursor_knows_is_known_after_its_statement(database: Database) -> None:
    async with database.transaction() as connection:
        inserted = await connection.execute(text("INSERT INTO things VALUES ('a'), ('b')"))
        assert inserted.rowcount == 2
        many = await connection.execute(text("INSERT INTO things VALUES (:name)"), [{"name": "c"}, {"name": "d"}])
        assert many.rowcount == 2
        found = await connection.execute(text("SELECT name AS called FROM things ORDER BY 1"))
        assert list(found.keys()) == ["called"]
        assert [row.called for row in found] == ["a", "b", "c", "d"]


async def test_the_first_statement_takes_the_lock_even_if_it_only_reads(database: Database) -> None:
    path = database.engine.url.database
    assert path is not None
    async with database.transaction() as connection:
        await connection.execute(text("SELECT 1"))
        with (
            closing(sqlite3.connect(path, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")
    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")


async def test_what_is_raised_in_a_transaction_undoes_it(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO things VALUES ('a')"))
            raise ZeroDivisionError
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM things"))).scalar() == 0


async def test_whoever_is_cancelled_while_waiting_for_the_lock_leaves_no_lock_behind(database: Database) -> None:
    path = database.engine.url.database
    assert path is not None

    async def wait_for_the_lock() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO things VALUES ('a')"))

    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(wait_for_the_lock())
        # Its thread stands in `BEGIN IMMEDIATE` now, and goes on to take the lock after whoever asked is gone.
        while database.engine.pool.checkedout() == 0:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        waiting.cancel()
        other.execute("COMMIT")
        await asyncio.gather(waiting, return_exceptions=True)
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM things"))).scalar() == 0
    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")


async def test_a_lock_that_is_not_had_is_told_to_the_first_statement(database: Database) -> None:
    path = database.engine.url.database
    assert path is not None
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        async with database.engine.connect() as connection:
            await connection.execute(text("PRAGMA busy_timeout=0"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            async with database.transaction() as connection:
                await connection.execute(text("SELECT 1"))
    async with database.transaction() as connection:
        await connection.execute(text("SELECT 1"))


async def test_who_only_reads_neither_waits_for_who_writes_nor_sees_it_half_done(database: Database) -> None:
    async with asyncio.timeout(5), database.transaction() as writing:
        await writing.execute(text("INSERT INTO things VALUES ('a')"))
        async with database.reading() as reading:
            assert (await reading.execute(text("SELECT name FROM things"))).all() == []
