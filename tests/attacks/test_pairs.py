"""Promise 3, pair by pair: what one party may do by what it holds, no other can be made to do for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio

from . import deputies_agents, deputies_resources, deputies_servers  # noqa: F401 - they fill the table
from .deputies import TABLE, Attempt, Scene, document, missing_pairs, set_the_scene, verdict
from .realm import Realm

ENGINES = ("sqlite", "postgresql")
DOCUMENT = Path(__file__).parents[2] / "docs" / "attacks.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(realm: Realm) -> Scene:
    return await set_the_scene(realm)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name, marks=pytest.mark.spec(*row.sections)) for row in TABLE]
)
async def test_nobody_is_the_deputy_of_another(scene: Scene, row: Attempt) -> None:
    assert await verdict(scene, row) == row.refused


def test_every_ordered_pair_of_parties_is_tried() -> None:
    assert missing_pairs(TABLE) == []


def test_the_document_has_every_row() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(TABLE), "write it anew: make docs"
