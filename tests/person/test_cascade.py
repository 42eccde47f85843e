"""Telling resources (#revocation-cascade): bounded in time, each outcome its own."""

from __future__ import annotations

import asyncio

import pytest

from aauthlib.discovery import TransportError
from aauthlib.effects import Send
from aauthlib.http import Response
from aauthlib.person import cascade
from aauthlib.person.cascade import RECORDED, UNAVAILABLE, tell_resources

from .parties import ALICE, CALENDAR, World


@pytest.mark.spec("#revocation-response")
async def test_a_resource_that_never_answers_counts_as_unavailable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = world.agent()
    await agent.person_token()
    await agent.person_token()
    send, calls = world.network.send, 0

    async def first_hangs(effect: Send) -> Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()
        return await send(effect)

    monkeypatch.setattr(world.network, "send", first_hangs)
    monkeypatch.setattr(cascade, "_CASCADE_S", 0.2)
    outcomes = await asyncio.wait_for(world.server.disconnect(ALICE, agent.identity), 5)
    assert sorted(outcome.outcome for outcome in outcomes) == [RECORDED, UNAVAILABLE]
    for outcome in outcomes:
        record = await world.server.store.issued(outcome.jti)
        assert record is not None
        assert record.revocation == outcome.outcome


@pytest.mark.spec("#revocation-response")
@pytest.mark.parametrize("status", [202, 204, 302, 401, 404, 500, 503])
async def test_any_answer_but_200_is_no_record(world: World, status: int) -> None:
    agent = world.agent()
    await agent.person_token()
    world.network.answers = [Response(status)]
    (outcome,) = await world.server.disconnect(ALICE, agent.identity)
    assert outcome.outcome == UNAVAILABLE


async def test_nothing_to_tell_tells_nobody(world: World) -> None:
    assert await tell_resources(world.server, []) == []
    assert world.network.sent == []


@pytest.mark.spec("#revocation-response")
async def test_a_resource_that_could_not_be_told_is_told_when_it_is_back(world: World) -> None:
    agent = world.agent()
    token = await agent.person_token()
    world.network.answers = [TransportError("no route"), Response(503)]
    (outcome,) = await world.server.disconnect(ALICE, agent.identity)
    assert outcome.outcome == UNAVAILABLE
    (untold,) = await world.server.untold(ALICE)
    assert (untold.recipient, untold.agent, untold.ends_at) == (CALENDAR, agent.identity, token.exp)
    assert await world.server.tell_again() == 0, "not before a pause"
    assert len(world.network.sent) == 1
    world.clock.now += 60
    assert await world.server.tell_again() == 0
    assert len(await world.server.untold(ALICE)) == 1
    world.clock.now += 120
    assert await world.server.tell_again() == 1
    assert await world.server.untold(ALICE) == []
    assert [request.url for request in world.network.sent] == [CALENDAR + "/revoke"] * 3
    world.clock.now += 600
    assert await world.server.tell_again() == 0
    assert len(world.network.sent) == 3


async def test_a_recipient_that_keeps_failing_is_left_alone_for_this_time(world: World) -> None:
    agent = world.agent()
    for _ in range(30):
        await agent.person_token()
    world.network.answers = [TransportError("no route")] * 30
    outcomes = await world.server.disconnect(ALICE, agent.identity)
    assert [outcome.outcome for outcome in outcomes] == [UNAVAILABLE] * 30
    assert len(world.network.sent) < 10
    (untold,) = await world.server.untold(ALICE)
    assert untold.tokens == 30
    world.network.answers.clear()
    world.clock.now += 60
    assert await world.server.tell_again() == 30
