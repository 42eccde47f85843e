"""`@hellocoop/mockin` where it is more than the person server of three parties: with a resource that our access server
guards, for sub-agents and missions, and at its permission, audit and interaction endpoints.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aauthlib import jws
from aauthlib.access import Allow, AskClaims, Decision, Facts, NeedApproval
from aauthlib.agent import AsyncAgent, AsyncMission, GrantPreferences
from aauthlib.errors import InvalidRequest, InvalidResourceToken
from aauthlib.http import Response
from aauthlib.messages.requirement import Requirement
from tests.interop.mockin_peer import PERSON_TOKENS, earlier_claim, federated, mockin, told
from tests.interop.world import AGENT, AP, AS, PS, RS, World, exchanges, open_world

__all__ = ["earlier_claim"]

pytestmark = pytest.mark.interop

TOKENS = f"{AS}/auth-token"


@pytest.fixture
async def world(needs_node: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened, mockin(needs_node, opened):
        yield opened


# ------------------------------------------------------------------ four parties


@pytest.mark.spec("#ps-as-federation", "#resource-token-verification")
async def test_mockin_calls_no_access_server(world: World, earlier_claim: None) -> None:
    """Should this fail, the peer federates: test it as introspection-aauth is tested and say so in docs/interop.md."""
    await world.serve_access_server(lambda facts: Allow())
    await world.serve_resource(access_server=AS)
    with pytest.raises(InvalidResourceToken, match="aud mismatch"):
        await world.agent().get(f"{RS}/data")


async def challenged(world: World, agent: AsyncAgent) -> dict[str, Any]:
    """What mockin would present to our access server: the members of a token request."""
    presented = (await agent.person_token(RS)).raw
    challenge = await world.signed(agent, "GET", f"{RS}/data", token=presented)
    requirement = Requirement.parse(challenge.headers.get("aauth-requirement") or "")
    return {
        "resource_token": requirement.resource_token,
        "agent_token": (await agent.agent_token()).raw,
        "presented_token": presented,
    }


async def used(world: World, agent: AsyncAgent, granted: Response) -> Response:
    """What our resource answers to the auth token that was granted."""
    assert granted.status == 200, granted.body
    return await world.signed(agent, "GET", f"{RS}/data", token=granted.json()["auth_token"])


@pytest.mark.spec("#ps-to-as-token-request", "#as-token-endpoint", "#keying-material")
async def test_our_access_server_takes_the_tokens_and_the_signature_of_mockin(world: World) -> None:
    seen: list[Facts] = []

    def allow(facts: Facts) -> Decision:
        seen.append(facts)
        return Allow()

    await world.serve_access_server(allow)
    await world.serve_resource(access_server=AS)
    agent = world.agent()
    granted = await federated(world, "POST", TOKENS, await challenged(world, agent))
    response = await used(world, agent, granted)
    assert (response.status, response.json()["scope"]) == (200, ["data.read"])
    claims = jws.parse(granted.json()["auth_token"]).payload
    assert (claims["iss"], claims["ps"]) == (AS, PS)
    assert [(facts.person_server, facts.provider, facts.agent) for facts in seen] == [(PS, AP, AGENT)]


@pytest.mark.spec("#as-response", "#requirement-claims", "#approval-pending")
async def test_our_access_server_asks_mockin_for_claims_and_then_an_owner_for_approval(world: World) -> None:
    seen: list[Facts] = []

    def decide(facts: Facts) -> Decision:
        seen.append(facts)
        if not facts.claims:
            return AskClaims(("email",))
        return Allow() if facts.approved_by else NeedApproval("the owner")

    app = await world.serve_access_server(decide)
    await world.serve_resource(access_server=AS)
    agent = world.agent()
    asked = await federated(world, "POST", TOKENS, await challenged(world, agent))
    assert (asked.status, asked.json()["required_claims"]) == (202, ["email"])
    location = asked.headers.get("location") or ""
    waiting = await federated(world, "POST", location, {"email": "dana@ps.example"})
    assert (waiting.status, waiting.headers.get("aauth-requirement")) == (202, "requirement=approval")
    (approval,) = await app.server.approvals()
    await app.server.decide_approval(approval.id, by="the owner", approved=True)
    response = await used(world, agent, await federated(world, "GET", location))
    assert response.status == 200
    assert (seen[-1].claims, seen[-1].approved_by) == ({"email": "dana@ps.example"}, "the owner")


# ------------------------------------------------------------------ sub-agents and missions


@pytest.mark.spec("#sub-agents", "#ps-token-endpoint", "#person-token-endpoint")
async def test_mockin_issues_the_tokens_of_a_sub_agent_to_its_parent(world: World, earlier_claim: None) -> None:
    await world.serve_resource()
    child = world.agent().spawn("search1")
    response = await child.get(f"{RS}/data")
    assert response.status_code == 200, response.text
    (issued,) = (exchange for exchange in exchanges(child) if exchange.request.url == PERSON_TOKENS)
    token = jws.parse(issued.response.json()["person_token"]).payload
    assert token["cnf"]["jwk"]["x"] != world.agent_key.public.to_jwk()["x"], "it is bound to the sub-agent's key"


def in_mission(agent: AsyncAgent) -> AsyncMission:
    """A mission that some person server approved; mockin keeps none."""
    blob = {"agent": AGENT, "approved_at": "2026-11-26T08:00:00Z", "description": "Read the **data**."}
    return agent.missions.resume(msgspec.json.encode(blob))


@pytest.mark.spec("#mission-identifier", "#person-token-structure", "#resource-token-structure")
async def test_mockin_and_our_resource_carry_the_mission_through_every_token(world: World, earlier_claim: None) -> None:
    await world.serve_resource()
    mission = in_mission(world.agent())
    response = await mission.get(f"{RS}/data")
    assert response.status_code == 200, response.text
    tokens = [
        jws.parse(exchange.response.json()[name]).payload
        for exchange in exchanges(mission)
        for name in ("person_token", "auth_token")
        if f'"{name}":'.encode() in exchange.response.body
    ]
    assert [token["mission_s256"] for token in tokens] == [mission.s256, mission.s256]


@pytest.mark.spec("#person-token-endpoint", "#person-token-structure")
async def test_mockin_issues_a_person_token_for_the_tenant_our_agent_names(world: World) -> None:
    agent = world.agent(preferences=GrantPreferences(tenant="acme"))
    assert (await agent.person_token(RS)).tenant == "acme"


# ------------------------------------------------------------------ its further endpoints


@pytest.mark.spec("#permission-endpoint", "#permission-response")
async def test_mockin_permits_or_denies_an_action_of_our_agent(world: World) -> None:
    agent = world.agent()
    assert await agent.permission("SendEmail", description="The weekly *report*.")
    await told(world, permission="denied", permission_reason="Not today.")
    denied = await agent.permission("SendEmail")
    assert (denied.granted, denied.reason) == (False, "Not today.")


@pytest.mark.spec("#interaction-endpoint", "#interaction-response-poll-authority")
async def test_mockin_puts_a_question_to_the_person_and_takes_them_to_a_page(world: World) -> None:
    agent = world.agent()
    assert await agent.ask("Which **region**?") == "Mock answer: yes, proceed."
    await agent.relay(f"{RS}/interaction/abc", "A1B2-C3D4")


@pytest.mark.spec("#audit-endpoint", "#audit-request")
async def test_mockin_takes_no_report_that_names_its_mission_as_the_final_text_does(world: World) -> None:
    """Should this fail, the peer was corrected: say so in docs/interop.md."""
    report = await in_mission(world.agent()).audit("SendEmail", result={"sent": 1})
    with pytest.raises(InvalidRequest, match="missing mission"):
        await report
