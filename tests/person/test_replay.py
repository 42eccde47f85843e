"""The person server serves a state-changing request once (#freshness-and-replay)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aauthlib.errors import InvalidSignature
from aauthlib.person.server import PersonServer
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.replay import SQLReplayCache
from aauthlib.tokens import AGENT_DWK

from .parties import AP, CALENDAR, PS, World, server_signed

BODY = {"resource": CALENDAR, "capabilities": ["interaction"]}


@pytest.mark.spec("#freshness-and-replay")
async def test_a_captured_request_for_a_person_token_opens_no_second_request(world: World) -> None:
    agent = world.agent()
    captured = agent.signed("POST", f"{PS}/person-token", BODY)
    assert (await world.server.person_token(captured)).status == 202
    for _ in range(2):
        with pytest.raises(InvalidSignature, match="received before"):
            await world.server.person_token(captured)
    assert (await world.server.person_token(agent.signed("POST", f"{PS}/person-token", BODY))).status == 202


@pytest.mark.spec("#freshness-and-replay")
async def test_polls_may_be_repeated_and_a_withdrawal_may_not(world: World) -> None:
    agent = world.agent()
    opened = await agent.ask_person_token()
    location = opened.headers.get("location") or ""
    pending_id = location.rpartition("/")[2]
    poll = agent.signed("GET", location)
    for _ in range(2):
        assert (await world.server.poll(poll, pending_id)).status == 202
    cancel = agent.signed("DELETE", location)
    assert (await world.server.cancel(cancel, pending_id)).status == 204
    with pytest.raises(InvalidSignature, match="received before"):
        await world.server.cancel(cancel, pending_id)


@pytest.mark.spec("#freshness-and-replay", "#revocation-request")
async def test_a_captured_revocation_is_refused(world: World) -> None:
    body = {"jti": "t1", "exp": int(world.clock()) + 60}
    captured = server_signed(world, AP, AGENT_DWK, f"{PS}/revocation", body)
    assert (await world.server.revoke(captured)).status == 200
    with pytest.raises(InvalidSignature, match="received before"):
        await world.server.revoke(captured)


@pytest.mark.spec("#freshness-and-replay")
async def test_a_request_that_does_not_verify_uses_nothing_up(world: World) -> None:
    agent, thief = world.agent(), world.agent("thief")
    honest = agent.signed("POST", f"{PS}/person-token", BODY)
    forged = honest.with_headers(signature=thief.signed("POST", f"{PS}/person-token", BODY).headers.get("signature"))
    with pytest.raises(InvalidSignature, match="does not verify"):
        await world.server.person_token(forged)
    assert (await world.server.person_token(honest)).status == 202


@pytest.mark.spec("#freshness-and-replay")
async def test_two_processes_on_one_database_serve_a_request_once_between_them(world: World) -> None:
    settings: dict[str, Any] = {"issuer": PS, "wire": world.wire, "clock": world.clock}
    processes = [
        await PersonServer.open(store=SQLPersonStore(world.database), replay=SQLReplayCache(world.database), **settings)
        for _ in range(3)
    ]
    captured = world.agent().signed("POST", f"{PS}/person-token", BODY)
    answers = await asyncio.gather(
        *(server.person_token(captured) for server in processes for _ in range(3)), return_exceptions=True
    )
    served = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert [answer.status for answer in served] == [202]
    assert all(isinstance(answer, InvalidSignature) for answer in answers if answer not in served)
