"""#mission-endpoint-errors: how long a refusal takes says nothing of whether a mission exists.

Measured where an observer would measure, without the network that would help to hide a difference. Two refusals stand
next to each other in time, in random order; how often the one about a real mission of another agent takes longer is
what is judged. That needs no bound in seconds, and a busy machine slows both.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from aauthlib.errors import MissionNotFound
from aauthlib.store.database import Database, schema
from aauthlib.store.person_mission_log import mission_key, mission_of
from aauthlib.store.person_mission_tables import missions

from .missions import UNKNOWN, approved, call
from .parties import Agent, World, open_world

pytestmark = pytest.mark.spec("#mission-endpoint-errors")

#: By chance alone, equal distributions are this many standard deviations apart less than once in a million runs.
CHANCE = 5.0
#: The largest number of pairs of one measurement.
PAIRS = 600


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """The person server on each database."""
    if request.param == "sqlite":
        async with open_world(tmp_path) as opened:
            yield opened
        return
    database = await Database.open(request.getfixturevalue("needs_postgres"))
    try:
        async with database.transaction() as connection:
            for table in reversed(schema.sorted_tables):
                await connection.execute(table.delete())
        async with open_world(tmp_path, database=database) as opened:
            yield opened
    finally:
        await database.close()


async def _refused_s(spy: Agent, path: str, body: dict[str, Any], s256: str) -> float:
    """How long the person server takes to refuse, in seconds."""
    server = spy.world.server
    server.mission_misses.clear(f"{spy.iss} {spy.sub}")
    if path == "/mission":
        path = f"/mission/{s256}"
    else:
        body = {**body, "mission_s256": s256}
    started = perf_counter()
    try:
        await call(spy, path, body)
    except MissionNotFound:
        return perf_counter() - started
    raise AssertionError("it was not refused")


async def _deviations(spy: Agent, path: str, body: dict[str, Any], s256: str, *, until: float | None = None) -> float:
    """By how many standard deviations the refusals about `s256` are the slower ones of their pairs (a sign test).

    Stops when that is more than `until`.
    """
    chance = random.Random(1748)
    slower = 0
    deviations = 0.0
    for pair in range(1, PAIRS + 1):
        took = {}
        for named in chance.sample((s256, UNKNOWN), 2):
            took[named] = await _refused_s(spy, path, body, named)
        slower += took[s256] > took[UNKNOWN]
        deviations = (2 * slower - pair) / pair**0.5
        if until is not None and pair >= 50 and deviations > until:
            break
    return deviations


@pytest.mark.parametrize(
    ("path", "body"),
    [("/mission", {"action": "update", "description": "x"}), ("/permission", {"action": "x"})],
    ids=["mission", "permission"],
)
async def test_a_foreign_mission_is_refused_as_fast_as_none(world: World, path: str, body: dict[str, Any]) -> None:
    mission = await approved(world.agent())
    assert abs(await _deviations(world.agent("spy"), path, body, mission.s256)) < CHANCE


async def test_the_natural_arrangement_would_be_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the mission first and asking whose it is afterwards: what the section warns of is measured here."""
    mission = await approved(world.agent())
    store = world.server.store

    async def looked_up_first(agent: Any, s256: str) -> Any:
        async with store.database.reading() as connection:
            row = (await connection.execute(select(missions).where(missions.c.s256 == s256))).one_or_none()
            if row is None:
                return None
            own = select(missions).where(missions.c.key == mission_key(agent, s256))
            found = (await connection.execute(own)).one_or_none()
        return mission_of(found) if found is not None else None

    monkeypatch.setattr(store, "mission", looked_up_first)
    body = {"action": "update", "description": "x"}
    assert await _deviations(world.agent("spy"), "/mission", body, mission.s256, until=CHANCE) > CHANCE
