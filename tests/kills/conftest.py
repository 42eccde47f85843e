"""One town for each module and engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from tests.processes.running import Nursery

from .town import AS, PS, Town, open_town


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    opened = Nursery("tests.kills.warm")
    yield opened
    opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def town(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery
) -> AsyncIterator[Town]:
    folder = tmp_path_factory.mktemp("kills")
    if request.param == "sqlite":
        urls = {name: f"sqlite:///{folder / name}.db" for name in (PS, AS)}
    else:
        urls = await _databases(request.getfixturevalue("needs_postgres"))
    async with open_town(folder, nursery, urls) as opened:
        yield opened


async def _databases(url: str) -> dict[str, str]:
    """A new database for each server, beside the one tests may fill."""
    parsed = make_url(url).set(drivername="postgresql")
    administrator = await asyncpg.connect(parsed.render_as_string(hide_password=False))
    urls = {}
    try:
        for name in (PS, AS):
            database = f"{parsed.database}_kills_{name}"
            await administrator.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            await administrator.execute(f"CREATE DATABASE {database}")
            urls[name] = parsed.set(database=database).render_as_string(hide_password=False)
    finally:
        await administrator.close()
    return urls
