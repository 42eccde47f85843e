"""The Python package `aauth` as agent and as resource, three parties, with our person server and our agent or resource.

Each side is given the other's spelling of `Signature` (aauth_parties.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aauth
import pytest
from aauth.missions import mission_request, parse_mission_approval

from aauthlib.errors import Denied
from tests.interop.aauth_parties import Person, our_agent, serve_person_server, serve_their_resource, their_agent
from tests.interop.world import PS, RS, World, exchanges, open_world

pytestmark = pytest.mark.interop


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def dana(world: World) -> Person:
    """Our person server, running, and a person in front of it."""
    return await serve_person_server(world)


@pytest.mark.spec(
    "#person-token-endpoint", "#ps-token-endpoint", "#requirement-person-token", "#requirement-auth-token"
)
async def test_their_agent_completes_a_three_party_flow_with_our_servers(world: World, dana: Person) -> None:
    await world.serve_resource()
    agent = await their_agent(world)
    first = await agent.call("GET", "/data")
    assert (first.status_code, first.headers["aauth-requirement"]) == (401, "requirement=person-token")
    person_token = await agent.person_token(dana)
    assert (await agent.call("GET", "/me", person_token)).json()["iss"] == PS
    challenged = await agent.call("GET", "/data", person_token)
    assert challenged.status_code == 401
    auth_token = await agent.auth_token(challenged, person_token, dana)
    response = await agent.call("GET", "/data", auth_token)
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read"])
    assert len(dana.visits) == 2, "once to be named, once to grant"


@pytest.mark.spec("#ps-token-endpoint", "#resource-token-verification")
async def test_their_agent_steps_up_at_our_servers(world: World, dana: Person) -> None:
    await world.serve_resource()
    agent = await their_agent(world)
    person_token = await agent.person_token(dana)
    read = await agent.auth_token(await agent.call("GET", "/data", person_token), person_token, dana)
    challenged = await agent.call("PUT", "/data", read)
    assert challenged.status_code == 401
    write = await agent.auth_token(challenged, read, dana)
    response = await agent.call("PUT", "/data", write)
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read", "data.write"])


@pytest.mark.spec("#polling-error-codes")
async def test_a_denial_by_our_person_server_reaches_their_agent(world: World, dana: Person) -> None:
    await world.serve_resource()
    agent = await their_agent(world)
    dana.decision = "deny"
    with pytest.raises(aauth.TokenError, match="denied"):
        await agent.person_token(dana)


@pytest.mark.spec("#http-message-signatures-profile")
async def test_we_refuse_a_signature_that_their_agent_did_not_write_in_base64(world: World, dana: Person) -> None:
    await world.serve_resource()
    sent: list[str] = []

    def as_they_write_it(value: str) -> str:
        sent.append(value)
        return value

    # One signature in fifteen has neither of the characters in which the two alphabets differ.
    while not sent or not set("-_") & set(sent[-1]):
        agent = await their_agent(world, spelling=as_they_write_it)
        response = await agent.call("GET", "/me")
    assert response.status_code == 401
    assert response.headers["signature-error"].startswith("error=invalid_signature")


# ------------------------------------------------------------------ their resource


@pytest.mark.spec("#requirement-person-token", "#requirement-auth-token", "#resource-challenge-verification")
async def test_our_agent_completes_a_three_party_flow_with_their_resource(world: World, dana: Person) -> None:
    await serve_their_resource(world)
    agent = our_agent(world, dana)
    response = await agent.get(f"{RS}/data")
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read"])
    assert [exchange.response.status for exchange in exchanges(agent) if exchange.request.url == f"{RS}/data"] == [
        401,
        401,
        200,
    ]


@pytest.mark.spec("#requirement-auth-token", "#ps-token-endpoint")
async def test_our_agent_steps_up_at_their_resource(world: World, dana: Person) -> None:
    await serve_their_resource(world)
    agent = our_agent(world, dana)
    await agent.get(f"{RS}/data")
    response = await agent.put(f"{RS}/data")
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read", "data.write"])


@pytest.mark.spec("#polling-error-codes")
async def test_the_person_denies_what_their_resource_asks_for(world: World, dana: Person) -> None:
    await serve_their_resource(world)
    agent = our_agent(world, dana)
    await agent.person_token(RS)
    dana.decision = "deny"
    with pytest.raises(Denied):
        await agent.get(f"{RS}/data")


@pytest.mark.spec("#http-message-signatures-profile")
async def test_their_resource_reads_no_base64_in_our_signature(world: World, dana: Person) -> None:
    await serve_their_resource(world, spelling=str)
    response = await our_agent(world, dana).get(f"{RS}/data")
    assert response.status_code == 401
    assert "Invalid Signature format" in response.json()["detail"]


# ------------------------------------------------------------------ missions


@pytest.mark.spec("#mission-creation", "#mission-approval", "#mission-identifier", "#mission-update")
async def test_their_agent_has_a_mission_approved_and_updated_by_our_person_server(world: World, dana: Person) -> None:
    await world.serve_resource()
    agent = await their_agent(world)
    answer = await agent.post(
        f"{PS}/mission",
        {"description": "Read the **data**.", "resources": [RS], "capabilities": ["interaction"]},
        dana,
    )
    mission = parse_mission_approval(answer)
    assert mission["mission"]["description"] == "Read the **data**."
    # The answer brings the person token for the resource, which names the mission.
    person_token = mission["person_tokens"][RS]
    assert agent.keys.of_token(person_token)["mission_s256"] == mission["mission_s256"]
    auth_token = await agent.auth_token(await agent.call("GET", "/data", person_token), person_token, dana)
    assert (await agent.call("GET", "/data", auth_token)).status_code == 200
    url, body = mission_request(f"{PS}/mission", mission["mission_s256"], "update", description="And *move* it.")
    assert (await agent.post(url, body, dana))["s256"]


@pytest.mark.spec("#mission-completion", "#mission-status-errors")
async def test_our_person_server_ends_the_mission_that_their_agent_completed(world: World, dana: Person) -> None:
    await world.serve_resource()
    agent = await their_agent(world)
    answer = await agent.post(f"{PS}/mission", {"description": "Read it.", "capabilities": ["interaction"]}, dana)
    mission = parse_mission_approval(answer)
    url, body = mission_request(f"{PS}/mission", mission["mission_s256"], "completion", summary="It is **read**.")
    await agent.post(url, body, dana)
    with pytest.raises(aauth.TokenError) as refused:
        await agent.person_token(dana, mission_s256=mission["mission_s256"])
    assert refused.value.error_code == "mission_terminated"
