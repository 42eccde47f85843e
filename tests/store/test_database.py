"""The database handle, on every engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select, update

from aauthlib.store.database import Database, from_json, to_json

counter = Table("test_counter", MetaData(), Column("name", String(16), primary_key=True), Column("value", Integer))


class Refusal(Exception):
    """Something went wrong inside a transaction."""


async def value_of(database: Database, name: str) -> int | None:
    async with database.transaction() as connection:
        return await connection.scalar(select(counter.c.value).where(counter.c.name == name))


async def with_counter(database: Database) -> Database:
    """`database` with an empty table to count in, which is not of our schema."""
    async with database.transaction() as connection:
        await connection.run_sync(counter.create, checkfirst=True)
        await connection.execute(counter.delete())
    return database


class Contract:
    """What every engine must do."""

    async def test_what_was_committed_is_there(self, database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(counter).values(name="a", value=1))
        assert await value_of(database, "a") == 1

    async def test_what_was_raised_in_a_transaction_undoes_it(self, database: Database) -> None:
        with pytest.raises(Refusal):
            async with database.transaction() as connection:
                await connection.execute(insert(counter).values(name="a", value=1))
                raise Refusal
        assert await value_of(database, "a") is None

    async def test_a_cancelled_transaction_is_undone(self, database: Database) -> None:
        started, never = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            async with database.transaction() as connection:
                await connection.execute(insert(counter).values(name="a", value=1))
                started.set()
                await never.wait()

        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await value_of(database, "a") is None

    async def test_read_and_write_of_many_at_once_lose_nothing(self, database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(counter).values(name="a", value=0))

        async def increment() -> None:
            async with database.transaction() as connection:
                query = select(counter.c.value).where(counter.c.name == "a").with_for_update()
                current = await connection.scalar(query)
                assert current is not None
                await connection.execute(update(counter).where(counter.c.name == "a").values(value=current + 1))

        await asyncio.gather(*(increment() for _ in range(12)))
        assert await value_of(database, "a") == 12

    async def test_opening_again_keeps_what_is_there(self, database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(counter).values(name="a", value=7))
        again = await Database.open(database.engine.url.render_as_string(hide_password=False))
        try:
            assert await value_of(again, "a") == 7
            async with again.transaction() as connection:
                assert await connection.scalar(select(func.count()).select_from(counter)) == 1
        finally:
            await again.close()


class TestOnSQLite(Contract):
    @pytest.fixture
    async def database(self, sqlite: Database) -> Database:
        return await with_counter(sqlite)

    def test_it_knows_its_engine(self, database: Database) -> None:
        assert database.is_sqlite

    async def test_the_file_is_readable_by_its_owner_only(self, tmp_path: Path) -> None:
        database = await Database.open(f"sqlite:///{tmp_path}/new/folder/store.db")
        await database.close()
        assert (tmp_path / "new" / "folder" / "store.db").stat().st_mode & 0o077 == 0

    async def test_foreign_keys_hold(self, database: Database) -> None:
        async with database.transaction() as connection:
            assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1


class TestOnPostgreSQL(Contract):
    @pytest.fixture
    async def database(self, postgresql: Database) -> Database:
        return await with_counter(postgresql)

    def test_it_knows_its_engine(self, database: Database) -> None:
        assert not database.is_sqlite


def test_json_is_stored_in_one_form_and_nothing_is_an_empty_object() -> None:
    assert to_json({"b": 1, "a": "\u0000é"}) == '{"a":"\\u0000\\u00e9","b":1}'
    assert from_json(to_json({"a": [1, None]})) == {"a": [1, None]}
    assert from_json(None) == {}


async def test_an_error_does_not_show_what_was_stored(tmp_path: Path) -> None:
    database = await with_counter(await Database.open(f"sqlite:///{tmp_path}/store.db"))
    row = {"name": "secret-value", "value": 1}
    with pytest.raises(Exception, match="UNIQUE") as caught:
        async with database.transaction() as connection:
            await connection.execute(insert(counter).values(**row))
            await connection.execute(insert(counter).values(**row))
    await database.close()
    assert "secret-value" not in str(caught.value)
