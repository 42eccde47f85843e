"""Flows against the person server of `introspection-aauth`, a real process, with our agent, our agent provider and our
resource. It follows the final -11 and issues auth tokens only within a mission. Access servers of either side are in
test_introspection_access.py.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aauthlib.agent import GrantPreferences
from aauthlib.errors import AAuthError, Denied, InvalidRequest, MissionTerminated
from aauthlib.http import Request
from aauthlib.messages.missions import s256_of
from tests.interop.introspection_peer import AUTH_TOKENS, DANA, MISSIONS, PERSON_TOKENS, introspection, on_mission
from tests.interop.world import PS, RS, World, deliver, exchanges, open_world, signed_lines

pytestmark = pytest.mark.interop


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


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
    # The answer to the mission brought the person token for the resource.
    assert signed_lines(agent)[-3:] == [
        ("GET", f"{RS}/data", 401),
        ("POST", AUTH_TOKENS, 200),
        ("GET", f"{RS}/data", 200),
    ]
    assert PERSON_TOKENS not in [url for _, url, _ in signed_lines(agent)[1:]]


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


@pytest.mark.spec("#mission-creation", "#mission-approval", "#mission-identifier")
async def test_their_person_approves_a_mission_that_our_agent_proposes(world: World) -> None:
    async with introspection(world, "person"):
        mission = await on_mission(world)
    assert mission.terms.description == "Read and change the **data**."
    assert (list(mission.terms.approved_resources), mission.changed) == ([RS], frozenset())
    assert ("POST", MISSIONS, 202) in signed_lines(mission)


@pytest.mark.spec("#mission-update")
async def test_they_take_an_update_of_a_mission_at_once(world: World) -> None:
    async with introspection(world, "person"):
        mission = await on_mission(world)
        update = await mission.update("Also *move* the data.")
    assert signed_lines(mission)[-1] == ("POST", f"{MISSIONS}/{mission.s256}", 200)
    assert update.s256 == s256_of(b"Also *move* the data.")


@pytest.mark.spec("#mission-completion", "#mission-status-errors")
async def test_their_person_accepts_that_a_mission_is_complete(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_resource()
        mission = await on_mission(world)
        await mission.complete("The data is **read**.")
        with pytest.raises(MissionTerminated):
            await world.agent(preferences=GrantPreferences(mission_s256=mission.s256)).get(f"{RS}/data")


@pytest.mark.spec("#polling-error-codes")
async def test_their_person_declines_a_mission(world: World) -> None:
    async with introspection(world, "person", decision="deny"):
        with pytest.raises(Denied):
            await on_mission(world)


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


@pytest.mark.spec("#verification", "#error-response-format")
async def test_they_refuse_a_signature_without_saying_so_in_a_header(world: World) -> None:
    """Should this fail, the peer was corrected: remove the line from docs/interop.md."""
    async with introspection(world, "person"):
        response = await deliver(world.wire(), Request("GET", f"{PS}/aauth/pending/acme/none"))
    assert (response.status, response.json()["error"]) == (401, "unsupported_scheme")
    assert "signature-error" not in response.headers
