"""The world every test of the person server stands in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .parties import World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A person server on SQLite with an agent provider, agents and resources around it."""
    async with open_world(tmp_path) as opened:
        yield opened
