"""Flows against `introspection-aauth`: its person server and its access server, each a real process, with our agent,
our agent provider and our resource.

It follows the final -11 and issues auth tokens only within a mission. Missions are no part of this library yet, so the
test proposes one by itself; our agent then works in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aauthlib import jws
from aauthlib.agent import AsyncAgent, GrantPreferences
from aauthlib.deferred.polling import PollPolicy, follow
from aauthlib.effects import Direct
from aauthlib.errors import AAuthError, Denied, InvalidPresentedToken, InvalidRequest
from aauthlib.http import Request, Response
from aauthlib.httpsig import JWT, sign
from aauthlib.person.cascade import UNSUPPORTED
from aauthlib.web.person import PersonApp, build_person_app
from tests.interop.world import AGENT, AP, PS, RS, World, exchanges, open_world, process, signed_lines

pytestmark = pytest.mark.interop

AS = "https://as.example"
SERVE = Path(__file__).with_name("introspection_serve.py")
PERSON_TOKENS, AUTH_TOKENS, MISSIONS = f"{PS}/aauth/person-token", f"{PS}/aauth/token", f"{PS}/aauth/mission"
DANA = "dana@acme.example"


@asynccontextmanager
async def introspection(world: World, role: str, *, decision: str = "approve") -> AsyncIterator[None]:
    """Their server of that role; its person answers every question with `decision`."""
    port = world.names.port(PS if role == "person" else AS)
    names = json.dumps(world.names.by_host())
    command = (sys.executable, str(SERVE), role, str(port), names, decision)
    async with process(*command, ready="Uvicorn running", env=dict(os.environ)):
        yield


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        opened.names.port(AS)
        yield opened


async def our_person_server(world: World) -> tuple[PersonApp, AsyncAgent]:
    """Our person server, running, whose person says yes to everything, and an agent of hers."""
    app = await build_person_app(f"sqlite:///{world.directory}/ps.db", PS, wire=world.wire(), setup_code_required=False)
    world.stack.push_async_callback(app.aclose)
    await world.serve(PS, app)
    deciding: set[asyncio.Task[None]] = set()

    async def approve(direct: Direct) -> None:
        digest = await app.server.arrive(direct.url.rpartition("/")[2], direct.code, person_id="dana")
        await app.server.approve(digest, person_id="dana")

    def on_interaction(direct: Direct) -> None:
        world.directed.append(direct)
        deciding.add(asyncio.create_task(approve(direct)))

    return app, world.agent(on_interaction=on_interaction)


@pytest.mark.spec("#ps-as-federation", "#ps-to-as-token-request", "#auth-token-delivery")
async def test_our_person_server_obtains_an_auth_token_from_their_access_server(world: World) -> None:
    async with introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        response = await agent.get(f"{RS}/data")
        assert response.status_code == 200, response.text
        again = await agent.get(f"{RS}/data")
        assert again.status_code == 200
    assert response.json()["scope"] == ["data.read"]
    (issued,) = (exchange.response for exchange in exchanges(agent) if b'"auth_token":' in exchange.response.body)
    payload = jws.parse(issued.json()["auth_token"]).payload
    assert (payload["iss"], payload["ps"], payload["dwk"]) == (AS, PS, "aauth-access.json")


@pytest.mark.spec("#auth-token-delivery", "#polling-error-codes")
async def test_our_person_server_relays_a_denial_of_their_access_server(world: World) -> None:
    async with introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        with pytest.raises(Denied, match="access server says"):
            await agent.put(f"{RS}/data")


@pytest.mark.spec("#revocation-response")
async def test_their_access_server_takes_no_revocations_and_our_person_server_says_so(world: World) -> None:
    async with introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        app, agent = await our_person_server(world)
        await agent.get(f"{RS}/data")
        outcomes = await app.server.disconnect("dana", (AP, AGENT))
    assert {outcome.resource: outcome.outcome for outcome in outcomes}[AS] == UNSUPPORTED


async def proposed(world: World, agent: AsyncAgent) -> Response:
    """The answer to a mission that the agent proposes."""
    document = json.dumps({"description": "Read and change the **data**.", "resources": [RS]}).encode()
    first = await world.signed(agent, "POST", MISSIONS, document)
    token = await agent.agent_token()

    def signed(request: Request) -> Request:
        return sign(request, world.agent_key, JWT(token.raw), created=int(time.time()))

    policy = PollPolicy(deadline_s=20)
    return await agent.wire.run(follow(first, url=MISSIONS, sign=signed, clock=time.time, policy=policy))


async def on_mission(world: World) -> AsyncAgent:
    """Our agent, known to the person, within a mission the person approved."""
    stranger = world.agent(preferences=GrantPreferences(login_hint=DANA))
    await stranger.person_token(RS)
    approved = await proposed(world, stranger)
    assert approved.status == 200, approved.body
    return world.agent(preferences=GrantPreferences(mission_s256=approved.json()["s256"]))


@pytest.mark.spec("#person-token-endpoint", "#person-token-verification")
async def test_our_agent_is_a_person_at_our_resource_by_their_person_token(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_resource()
        agent = world.agent(preferences=GrantPreferences(login_hint=DANA))
        response = await agent.get(f"{RS}/me")
    assert response.status_code == 200
    assert response.json()["iss"] == PS


@pytest.mark.spec("#ps-token-endpoint", "#resource-token-verification", "#requirement-auth-token")
async def test_our_agent_completes_a_three_party_flow_with_their_person_server(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_resource()
        agent = await on_mission(world)
        response = await agent.get(f"{RS}/data")
    assert response.status_code == 200, response.text
    assert response.json()["scope"] == ["data.read"]
    assert signed_lines(agent) == [
        ("GET", f"{RS}/data", 401),
        ("POST", PERSON_TOKENS, 200),
        ("GET", f"{RS}/data", 401),
        ("POST", AUTH_TOKENS, 200),
        ("GET", f"{RS}/data", 200),
    ]


@pytest.mark.spec("#ps-token-endpoint", "#resource-token-verification")
async def test_our_agent_steps_up_with_the_auth_token_they_issued(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_resource()
        agent = await on_mission(world)
        await agent.get(f"{RS}/data")
        response = await agent.put(f"{RS}/data")
    assert response.status_code == 200, response.text
    assert response.json()["scope"] == ["data.read", "data.write"]
    assert signed_lines(agent)[-3:] == [
        ("PUT", f"{RS}/data", 401),
        ("POST", AUTH_TOKENS, 200),
        ("PUT", f"{RS}/data", 200),
    ]


@pytest.mark.spec("#as-token-endpoint", "#auth-token-response-verification")
async def test_our_agent_and_resource_complete_a_four_party_flow_with_their_servers(world: World) -> None:
    async with introspection(world, "person"), introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        response = await agent.get(f"{RS}/data")
        assert response.status_code == 200, response.text
    assert response.json()["scope"] == ["data.read"]
    (issued,) = (exchange.response for exchange in exchanges(agent) if b'"auth_token":' in exchange.response.body)
    assert jws.parse(issued.json()["auth_token"]).payload["iss"] == AS


@pytest.mark.spec("#polling-error-codes", "#as-token-endpoint")
async def test_a_denial_by_their_access_server_reaches_the_application(world: World) -> None:
    async with introspection(world, "person"), introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        with pytest.raises(Denied):
            await agent.put(f"{RS}/data")


@pytest.mark.spec("#polling-error-codes")
async def test_their_person_declines_a_mission(world: World) -> None:
    async with introspection(world, "person", decision="deny"):
        agent = world.agent(preferences=GrantPreferences(login_hint=DANA))
        await agent.person_token(RS)
        answer = await proposed(world, agent)
    assert (answer.status, answer.json()["error"]) == (403, "denied")


@pytest.mark.spec("#resource-token-verification")
async def test_they_insist_on_the_presented_token_as_we_do(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_resource()
        agent = await on_mission(world)
        await agent.get(f"{RS}/data")
        (redeemed,) = (exchange for exchange in exchanges(agent) if exchange.request.url == AUTH_TOKENS)
        body = json.loads(redeemed.request.body)
        codes = []
        for presented in ({}, {"presented_token": "a.b.c"}):
            document = json.dumps({"resource_token": body["resource_token"], **presented}).encode()
            response = await world.signed(agent, "POST", AUTH_TOKENS, document)
            codes.append((response.status, response.json()["error"]))
    assert codes == [(400, "invalid_request"), (400, "invalid_presented_token")]


# ------------------------------------------------------------------ where they ask for more than the text


@pytest.mark.spec("#person-token-endpoint")
async def test_they_do_not_meet_an_agent_that_does_not_name_its_person(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_resource()
        with pytest.raises(InvalidRequest, match="login_hint"):
            await world.agent().get(f"{RS}/me")


@pytest.mark.spec("#ps-token-endpoint")
async def test_they_grant_nothing_outside_of_a_mission(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_resource()
        agent = world.agent(preferences=GrantPreferences(login_hint=DANA))
        with pytest.raises(AAuthError) as refused:
            await agent.get(f"{RS}/data")
    assert refused.value.code == "access_denied"


@pytest.mark.spec("#ps-token-endpoint", "#resource-token-verification")
async def test_they_take_no_step_up_where_an_access_server_issued_the_auth_token(world: World) -> None:
    async with introspection(world, "person"), introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        await agent.get(f"{RS}/data")
        with pytest.raises(InvalidPresentedToken):
            await agent.put(f"{RS}/data")
