"""Databases to test stores on: a SQLite file, and PostgreSQL where the machine has one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

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


@asynccontextmanager
async def new_postgresql(server: str) -> AsyncIterator[str]:
    """The URL of a database of its own on the PostgreSQL `server`, dropped at the end."""
    url = make_url(server)
    name = f"aauthlib_test_{secrets.token_hex(6)}"
    administrator = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        await administrator.execute(f"CREATE DATABASE {name}")
        yield url.set(database=name).render_as_string(hide_password=False)
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()
