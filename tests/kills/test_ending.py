"""The person server is killed at every step of what ends: revoked tokens, disconnected agents, keys that rotate."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import update

from aauthlib.http import Fields, Request
from aauthlib.person.core import JWKS_PATH
from aauthlib.store.person_tables import signing_keys
from aauthlib.tokens import PersonToken

from .matrix import survives
from .scene import Scene
from .test_tokens import trusted
from .town import PS, Town

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]
_DAY_S = 86_400.0


async def told(scene: Scene, jti: str) -> None:
    """Wait until the resource knows that a token is revoked."""
    for _ in range(50):
        if await asyncio.to_thread(scene.town.others.await_arrival, "/revocation", jti, 0.2):
            return
        scene.revive()
    raise AssertionError("the resource honours a token that is revoked")


@pytest.mark.spec("#revocation-request", "#revocation-cascade")
async def test_a_revoked_agent_token_is_revoked_for_good(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        document = {"jti": scene.agent.token_jti, "exp": int(time.time()) + 3600}
        url = town.issuer(PS) + "/revocation"
        answer = await scene.server_call(scene.provider, "aauth-agent.json", url, document)
        assert answer.status == 200, answer.body
        await told(scene, scene.kept["read"].jti)
        answer = await scene.ask_person_token()
        assert (answer.status, "revoked" in (answer.headers.get("signature-error") or "")) == (401, True)

    await survives(town, flow, prepare=trusted)


@pytest.mark.spec("#agent-person-binding", "#revocation-cascade")
async def test_a_disconnected_agent_stays_disconnected(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        iss, sub = scene.agent.identity
        values = {"iss": iss, "sub": sub}
        home = town.issuer(PS) + "/"
        await scene.fill_in(home, "sub", values, None, done=lambda page: sub not in page, action="/agents/disconnect")
        await told(scene, scene.kept["read"].jti)
        answer = await scene.ask_person_token()
        assert scene.asks_ada(answer)

    await survives(town, flow, prepare=trusted)


async def age(town: Town, seconds: float) -> None:
    """Every signing key is that much older."""
    columns = signing_keys.c
    older = {"created_at": columns.created_at - seconds, "use_from": columns.use_from - seconds}
    async with town.databases[PS].transaction() as connection:
        await connection.execute(update(signing_keys).values(**older))


@pytest.mark.spec("#jwks-discovery")
async def test_keys_rotate_once_and_every_token_verifies(town: Town) -> None:
    async def published(scene: Scene) -> set[str]:
        answer = await scene.send(lambda: Request("GET", town.issuer(PS) + JWKS_PATH, Fields([]), b""))
        return {key["kid"] for key in answer.json()["keys"]}

    async def one_key(scene: Scene) -> None:
        await age(town, 2 * _DAY_S)
        await published(scene)

    async def flow(scene: Scene) -> None:
        (old,) = await published(scene)
        await age(town, 31 * _DAY_S)
        both = await published(scene)
        assert len(both) == 2 and old in both, "one new key"
        await age(town, _DAY_S)
        assert await published(scene) == both - {old}
        newcomer = town.reader()
        try:
            granted = await scene.obtain(scene.ask_person_token)
            await scene.verified(granted["person_token"], PersonToken, by=newcomer)
        finally:
            await newcomer.aclose()

    await survives(town, flow, prepare=one_key)
