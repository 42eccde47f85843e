"""Databases to test stores on: a SQLite file, and PostgreSQL where the machine has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aauthlib.store.database import Database, schema


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database in a SQLite file."""
    database = await Database.open(f"sqlite:///{tmp_path / 'store.db'}")
    yield database
    await database.close()


@pytest.fixture
async def postgresql(needs_postgres: str) -> AsyncIterator[Database]:
    """An empty PostgreSQL database."""
    database = await Database.open(needs_postgres)
    async with database.transaction() as connection:
        for table in reversed(schema.sorted_tables):
            await connection.execute(table.delete())
    yield database
    await database.close()
