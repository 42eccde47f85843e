"""The city, opened once for each module of attacks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .world import City, open_city


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def city(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    opened = await open_city(tmp_path_factory.mktemp("city"))
    yield opened
    await opened.close()
