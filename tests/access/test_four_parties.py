"""The access server between a real person server and a real resource, each with its own checks (#ps-as-federation)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.applications import Starlette

from aauthlib.access import AccessServer, Allow, AskClaims, CallablePolicy, Deny, NeedApproval, NeedInteraction
from aauthlib.effects import Send
from aauthlib.errors import ProblemError, Revoked, RevokedResourceToken
from aauthlib.http import Response
from aauthlib.resource import MemoryResourceStore, Resource
from aauthlib.store.access import SQLAccessStore
from aauthlib.store.access_records import EXCHANGE
from aauthlib.store.database import Database
from aauthlib.store.pending import pending_table
from aauthlib.tokens import AuthToken, PersonToken
from aauthlib.transport import AsyncWire
from aauthlib.web.access import access_routes
from aauthlib.web.person_api import person_routes
from tests.person import parties as person
from tests.resource.world import World as ResourceWorld
from tests.resource.world import call

from .parties import CALENDAR, Deciding, World, no_sleep

AS = person.AS


class Connected:
    """What one party sends reaches the access server; everything else goes where it went before."""

    def __init__(self, otherwise: Any) -> None:
        self.app: Any = None
        self._otherwise = otherwise

    async def send(self, effect: Send) -> Response:
        if effect.request.origin == AS:
            return await call(self.app, effect.request)
        answer: Response = await self._otherwise(effect)
        return answer


@pytest.fixture
async def policy() -> Deciding:
    return Deciding()


@pytest.fixture
async def server(tmp_path: Path, policy: Deciding) -> AsyncIterator[tuple[person.World, AccessServer]]:
    """A person server and an access server that reach each other."""
    async with person.open_world(tmp_path) as world:
        database = await Database.open(f"sqlite:///{tmp_path}/as.db")
        wire = AsyncWire(world.network, world.directory, sleep=no_sleep)
        access = await AccessServer.open(
            issuer=AS,
            store=SQLAccessStore(database),
            wire=wire,
            policy=CallablePolicy(policy),
            clock=world.clock,
            interactive=True,
        )
        connected = Connected(world.network.send)
        connected.app = Starlette(routes=access_routes(access))
        world.network.send = connected.send  # type: ignore[method-assign]
        world.metadata[AS].update(
            {
                "jwks_uri": AS + "/jwks.json",
                "auth_token_endpoint": AS + "/auth-token",
                "revocation_endpoint": AS + "/revocation",
            }
        )
        world.directory._metadata[AS] = dict(world.metadata[AS])
        world.directory.publish(AS, access.jwks())
        world.directory.publish(person.PS, world.server.jwks())
        yield world, access
        await access.aclose()
        await wire.aclose()
        await database.close()


async def asked(world: person.World) -> tuple[person.Agent, PersonToken, Response]:
    """An agent asks for an auth token that the access server decides about, and the person agrees."""
    agent = world.agent()
    presented = await agent.person_token()
    text = person.resource_token(world, presented, access_server=AS)
    response = await agent.ask_auth_token(text, presented)
    if response.status == 202:
        await person.approve(world, response)
    return agent, presented, response


@pytest.mark.spec("#ps-as-federation", "#auth-token-delivery")
async def test_a_person_server_obtains_an_auth_token(server: tuple[person.World, AccessServer]) -> None:
    world, access = server
    agent, presented, response = await asked(world)
    answer = await agent.poll(response) if response.status == 202 else response
    assert answer.status == 200
    token: AuthToken = await world.wire.run(_verify(world, answer.json()["auth_token"]))
    assert (token.iss, token.ps, token.aud, token.sub) == (AS, person.PS, CALENDAR, presented.sub)
    assert token.cnf.thumbprint == agent.key.thumbprint
    (record,) = await access.store.history()
    assert (record.decision, record.ps) == ("allow", person.PS)


def _verify(world: person.World, text: str) -> Any:
    from aauthlib.tokens import VerificationPolicy, verify

    return verify(text, AuthToken, now=world.clock(), policy=VerificationPolicy())


@pytest.mark.spec("#requirement-claims", "#ps-as-federation")
async def test_a_person_server_answers_what_is_asked_of_it(
    server: tuple[person.World, AccessServer], policy: Deciding
) -> None:
    world, _ = server
    policy.decide = lambda facts: Allow() if facts.claims_asked else AskClaims(("email",))
    agent, _, response = await asked(world)
    answer = await agent.poll(response) if response.status == 202 else response
    assert answer.status == 200
    assert policy.seen[-1].claims_asked == ("email",)


@pytest.mark.spec("#auth-token-delivery")
async def test_a_denial_reaches_the_agent_as_it_is(server: tuple[person.World, AccessServer], policy: Deciding) -> None:
    world, _ = server
    policy.decide = lambda facts: Deny("Not on Sundays.")
    agent, _, response = await asked(world)
    with pytest.raises(ProblemError, match="Not on Sundays") as denied:
        await agent.poll(response)
    assert (denied.value.code, denied.value.status) == ("denied", 403)


@pytest.mark.spec("#ps-as-trust-establishment", "#ps-as-federation")
async def test_the_person_is_sent_to_the_access_servers_page(
    server: tuple[person.World, AccessServer], policy: Deciding
) -> None:
    world, access = server
    policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    agent, _, response = await asked(world)
    waiting = await agent.poll(response)
    assert waiting.status == 202
    async with access.store.database.transaction() as connection:  # type: ignore[attr-defined]
        query = select(pending_table.c.handle).where(pending_table.c.kind == EXCHANGE)
        assert await connection.scalar(query) is not None


@pytest.mark.spec("#request-context-binding", "#token-revocation")
async def test_the_resource_takes_its_access_servers_tokens_until_it_revokes_them(world: World) -> None:
    world.metadata[CALENDAR]["revocation_endpoint"] = CALENDAR + "/aauth/revoke"
    world.directory._metadata[CALENDAR] = dict(world.metadata[CALENDAR])
    calendar = ResourceWorld(issuer=CALENDAR, access_server=AS, clock=world.clock)
    calendar.directory.publish(AS, world.server.jwks())
    token = await world.granted(world.bundle(calendar.agent))
    assert (await calendar.get("/private", token.raw)).status == 200

    async def to_resource(effect: Send) -> Response:
        return await calendar.call(effect.request)

    world.network.send = to_resource  # type: ignore[method-assign]
    record = await world.server.store.issued(token.jti)
    assert record is not None
    answer = await world.revoke(record.root.jti)
    assert answer.json() == {"downstream": [{"recipient": CALENDAR}]}
    refused = await calendar.get("/private", token.raw)
    assert refused.status == 401
    assert "revoked_jwt" in (refused.headers.get("signature-error") or "")


@pytest.mark.spec("#who-revokes-what", "#revocation-cascade", "#polling-error-codes")
async def test_a_resource_withdraws_its_resource_token_at_both_servers(
    server: tuple[person.World, AccessServer], policy: Deciding
) -> None:
    world, access = server
    policy.decide = lambda facts: NeedApproval("the boss")
    to_access, api = world.network.send, Starlette(routes=person_routes(world.server))

    async def send(effect: Send) -> Response:
        return await (call(api, effect.request) if effect.request.origin == person.PS else to_access(effect))

    world.network.send = send  # type: ignore[method-assign]
    document = {"issuer": person.PS, "jwks_uri": person.PS + "/jwks.json"}
    world.directory._metadata[person.PS] = document | {
        "auth_token_endpoint": person.PS + "/auth-token",
        "person_token_endpoint": person.PS + "/person-token",
        "revocation_endpoint": person.PS + "/revocation",
    }
    calendar = Resource(
        issuer=CALENDAR,
        wire=world.wire,
        store=MemoryResourceStore(world.clock),
        signing_key=world.server_keys[CALENDAR],
        access_server=AS,
        clock=world.clock,
    )
    agent = world.agent()
    presented = await agent.person_token()
    first, second = (person.resource_token(world, presented, access_server=AS) for _ in range(2))
    waiting = await agent.ask_auth_token(first, presented)
    await person.approve(world, waiting)
    assert (await agent.poll(waiting)).status == 202
    assert len(await access.approvals()) == 1
    for text in (first, second):
        assert await calendar.withdraw(text) == {AS: "recorded", person.PS: "recorded"}
    assert await access.approvals() == []
    with pytest.raises(Revoked, match="resource"):
        await agent.poll(waiting)
    with pytest.raises(RevokedResourceToken):
        await agent.ask_auth_token(second, presented)
