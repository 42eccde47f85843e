"""One world for each module; every test begins a new day in it, with a person and an agent nobody has seen."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .parties import Parties, open_parties


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parties]:
    async with open_parties(tmp_path_factory.mktemp("chain")) as parties:
        yield parties


@pytest_asyncio.fixture(loop_scope="module")
async def parties(opened: Parties) -> Parties:
    await opened.begin()
    return opened
