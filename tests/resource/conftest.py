"""A world with each of the two stores, where what is kept matters; in memory elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aauthlib.store.database import Database
from aauthlib.store.resource import SQLResourceStore
from tests.resource.world import Clock, World


@pytest.fixture
def world() -> World:
    return World()


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose resource keeps what it keeps in memory, and in SQLite."""
    clock = Clock()
    if request.param == "memory":
        yield World(clock=clock)
        return
    database = await Database.open(f"sqlite:///{tmp_path}/resource.db")
    yield World(clock=clock, store=SQLResourceStore(database, clock))
    await database.close()
