"""The world every test of the access server stands in, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aauthlib.store.database import Database, schema

from .parties import World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """An access server on SQLite with person servers, an agent provider and resources around it."""
    async with open_world(f"sqlite:///{tmp_path}/as.db") as opened:
        yield opened


@pytest.fixture
async def postgres_world(needs_postgres: str) -> AsyncIterator[World]:
    """The same on an empty PostgreSQL database."""
    database = await Database.open(needs_postgres)
    async with database.transaction() as connection:
        for table in reversed(schema.sorted_tables):
            await connection.execute(table.delete())
    await database.close()
    async with open_world(needs_postgres) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def any_world(request: pytest.FixtureRequest) -> World:
    """On each engine."""
    name = "world" if request.param == "sqlite" else "postgres_world"
    found: World = request.getfixturevalue(name)
    return found
