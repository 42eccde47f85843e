"""The city, opened once for each module of attacks, and for each engine that the module names in `ENGINES`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio

from .engines import Databases, drop_template
from .realm import Realm, open_realm
from .world import City, open_city


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module whose attacks touch state says `ENGINES = BOTH_ENGINES` and runs on both; any other on SQLite alone."""
    engines = getattr(metafunc.module, "ENGINES", None)
    if engines is not None and "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", engines, indirect=True, scope="module")


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgresql`."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="session")
def postgres_server(needs_postgres: str) -> Iterator[str]:
    yield needs_postgres
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, drop_template(needs_postgres)).result()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def databases(
    request: pytest.FixtureRequest, engine: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Databases]:
    server = request.getfixturevalue("postgres_server") if engine == "postgresql" else None
    opened = Databases(tmp_path_factory.mktemp("city"), server)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def city(databases: Databases) -> AsyncIterator[City]:
    opened = await open_city(databases)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def realm(city: City, databases: Databases) -> Realm:
    """The city with four parties and a service that calls on."""
    return await open_realm(city, databases)
