from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .parties import Parties, open_parties


@pytest.fixture
async def parties(tmp_path: Path) -> AsyncIterator[Parties]:
    async with open_parties(tmp_path) as opened:
        yield opened
