"""Received requests in a database: one answer for all processes that share it, within bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select

from aauthlib.errors import TemporarilyUnavailable
from aauthlib.store.database import Database, schema
from aauthlib.store.replay import SQLReplayCache
from tests.valkey_server import free_port

NOW = 1_800_000_000.0
ENGINES = pytest.mark.parametrize("engine", ["sqlite", "postgresql"])


@pytest.fixture
def database(request: pytest.FixtureRequest, engine: str) -> Database:
    opened: Database = request.getfixturevalue(engine)
    return opened


async def rows(database: Database) -> int:
    async with database.transaction() as connection:
        table = schema.tables["received_requests"]
        count: int = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
        return count


@ENGINES
@pytest.mark.spec("#freshness-and-replay")
async def test_a_request_is_new_once_for_all_who_share_the_database(database: Database) -> None:
    one, other = SQLReplayCache(database), SQLReplayCache(database)
    assert await one.first_time("a" * 64, until=NOW + 60, now=NOW)
    assert not await one.first_time("a" * 64, until=NOW + 60, now=NOW)
    assert not await other.first_time("a" * 64, until=NOW + 60, now=NOW)
    assert await other.first_time("b" * 64, until=NOW + 60, now=NOW)


@ENGINES
@pytest.mark.spec("#freshness-and-replay")
async def test_of_many_at_the_same_moment_exactly_one_is_the_first(database: Database) -> None:
    caches = [SQLReplayCache(database) for _ in range(4)]
    for digest in ("a", "b", "c"):
        answers = await asyncio.gather(
            *(cache.first_time(digest, until=NOW + 60, now=NOW) for cache in caches for _ in range(5))
        )
        assert answers.count(True) == 1


@ENGINES
@pytest.mark.spec("#freshness-and-replay")
async def test_what_is_over_is_dropped_and_what_is_not_stays(database: Database) -> None:
    cache = SQLReplayCache(database)
    assert await cache.first_time("old", until=NOW + 10, now=NOW)
    assert await cache.first_time("new", until=NOW + 100, now=NOW)
    assert await cache.first_time("newer", until=NOW + 100, now=NOW + 31)
    assert await rows(database) == 2
    assert not await cache.first_time("new", until=NOW + 100, now=NOW + 100)


@ENGINES
@pytest.mark.spec("#freshness-and-replay")
async def test_the_table_is_bounded_and_the_soonest_over_goes_first(database: Database) -> None:
    cache = SQLReplayCache(database, max_entries=10)
    for number in range(25):
        assert await cache.first_time(f"{number:02}", until=NOW + 1000 + number, now=NOW)
    assert await cache.first_time("last", until=NOW + 2000, now=NOW + 40)
    assert await rows(database) == 10
    assert not await cache.first_time("24", until=NOW + 1024, now=NOW + 40)
    assert await cache.first_time("00", until=NOW + 1000, now=NOW + 40)


async def test_what_was_received_survives_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    for new in (True, False):
        database = await Database.open(url)
        assert await SQLReplayCache(database).first_time("a", until=NOW + 60, now=NOW) is new
        await database.close()


@pytest.mark.spec("#freshness-and-replay")
async def test_while_the_database_is_away_nothing_is_new(caplog: pytest.LogCaptureFixture) -> None:
    database = Database.connect(f"postgresql://u:hunter2@127.0.0.1:{free_port()}/name")
    with pytest.raises(TemporarilyUnavailable, match="Sign it anew"):
        await SQLReplayCache(database).first_time("a", until=NOW + 60, now=NOW)
    assert "503" in caplog.text
    assert "hunter2" not in caplog.text
    await database.close()
