"""A resource serves a state-changing request once if it is set up to (#freshness-and-replay)."""

from __future__ import annotations

import pytest

from aauthlib.httpsig import MemoryReplayCache
from tests.resource.world import World


@pytest.mark.spec("#freshness-and-replay")
async def test_a_captured_request_is_served_once_where_the_resource_remembers() -> None:
    world = World(replay=MemoryReplayCache())
    captured = world.signed("POST", "/events", world.auth_token("calendar.write"), body=b"{}")
    assert (await world.call(captured)).status == 200
    replayed = await world.call(captured)
    assert replayed.status == 401
    assert replayed.headers.get("signature-error") == "error=invalid_signature"
    assert "received before" in replayed.json()["detail"]
    assert len(world.app.calls) == 1


@pytest.mark.spec("#freshness-and-replay")
async def test_reads_are_served_again_and_a_resource_remembers_nothing_by_itself() -> None:
    world = World(replay=MemoryReplayCache())
    read = world.signed("GET", "/me", world.person_token())
    assert [(await world.call(read)).status for _ in range(2)] == [200, 200]

    forgetful = World()
    captured = forgetful.signed("POST", "/events", forgetful.auth_token("calendar.write"), body=b"{}")
    assert [(await forgetful.call(captured)).status for _ in range(2)] == [200, 200]


@pytest.mark.spec("#freshness-and-replay")
async def test_it_is_remembered_for_the_resources_own_window() -> None:
    world = World(replay=MemoryReplayCache(), signature_window_s=300)
    captured = world.signed("POST", "/events", world.auth_token("calendar.write"), body=b"{}")
    assert (await world.call(captured)).status == 200
    world.clock.now += 299
    replayed = await world.call(captured)
    assert replayed.status == 401
    assert "received before" in replayed.json()["detail"]
