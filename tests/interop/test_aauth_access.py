"""The Python package `aauth` among four parties: as agent, as an intermediary in a chain, as agent provider and as
resource, with our person server and our access server.

Each side is given the other's spelling of `Signature` (aauth_parties.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aauth
import pytest
from aauth.revocation import send_revocation

from aauthlib import jws
from aauthlib.access import Allow, AskQuestion, Deny, NeedApproval, NeedInteraction
from aauthlib.person.cascade import RECORDED
from tests.interop.aauth_parties import (
    MID,
    Person,
    TheirAgent,
    our_agent,
    serve_intermediary,
    serve_person_server,
    serve_their_resource,
    their_agent,
)
from tests.interop.deciding import InTurn
from tests.interop.world import AGENT, AP, AS, PS, RS, World, open_world

pytestmark = pytest.mark.interop


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def dana(world: World) -> Person:
    """Our person server, running, and a person in front of it."""
    return await serve_person_server(world)


async def guarded(world: World, policy: InTurn) -> TheirAgent:
    """Our access server and our resource, which it decides for, running, and their agent."""
    await world.serve_access_server(policy)
    await world.serve_resource(access_server=AS)
    return await their_agent(world, AS, capabilities=("interaction", "clarification"))


def issuer(token: str) -> str:
    return str(jws.parse(token).payload["iss"])


@pytest.mark.spec("#ps-as-federation", "#as-token-endpoint", "#auth-token-response-verification")
async def test_their_agent_completes_a_four_party_flow_with_our_servers(world: World, dana: Person) -> None:
    policy = InTurn()
    agent = await guarded(world, policy)
    _, auth_token = await agent.granted("GET", "/data", dana)
    response = await agent.call("GET", "/data", auth_token)
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read"])
    assert issuer(auth_token) == AS
    assert [(facts.person_server, facts.provider) for facts in policy.seen] == [(PS, AP)]


@pytest.mark.spec("#ps-to-as-token-request", "#resource-token-verification")
async def test_their_agent_steps_up_with_what_our_access_server_issued(world: World, dana: Person) -> None:
    policy = InTurn()
    agent = await guarded(world, policy)
    _, read = await agent.granted("GET", "/data", dana)
    challenged = await agent.call("PUT", "/data", read)
    assert challenged.status_code == 401
    write = await agent.auth_token(challenged, read, dana)
    response = await agent.call("PUT", "/data", write)
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read", "data.write"])
    assert [facts.step_up for facts in policy.seen] == [False, True]


@pytest.mark.spec("#auth-token-delivery", "#polling-error-codes")
async def test_a_denial_by_our_access_server_reaches_their_agent_with_its_reason(world: World, dana: Person) -> None:
    agent = await guarded(world, InTurn(Deny("Not on Sundays.")))
    with pytest.raises(aauth.TokenError, match=r"denied: The access server says: Not on Sundays\."):
        await agent.granted("GET", "/data", dana)


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment", "#interaction-required")
async def test_the_person_goes_from_our_page_to_that_of_our_access_server_while_their_agent_polls(
    world: World, dana: Person
) -> None:
    agent = await guarded(world, InTurn(NeedInteraction()))
    _, auth_token = await agent.granted("GET", "/data", dana)
    assert (await agent.call("GET", "/data", auth_token)).status_code == 200
    assert [url.partition("/interaction/")[0] for url in dana.visits] == [PS, PS], "the second visit went on by itself"


@pytest.mark.spec("#as-response", "#interaction-required")
async def test_their_agent_is_given_the_page_of_our_access_server_where_consent_is_remembered(
    world: World, dana: Person
) -> None:
    agent = await guarded(world, InTurn(Allow(), NeedInteraction()))
    person_token, _ = await agent.granted("GET", "/data", dana)
    dana.visits.clear()
    again = await agent.auth_token(await agent.call("GET", "/data", person_token), person_token, dana)
    assert (await agent.call("GET", "/data", again)).status_code == 200
    assert [url.partition("/interaction/")[0] for url in dana.visits] == [AS]


@pytest.mark.spec("#as-response", "#approval-pending")
async def test_their_agent_polls_until_somebody_approves_at_our_access_server(world: World, dana: Person) -> None:
    app = await world.serve_access_server(InTurn(NeedApproval("the owner")))
    await world.serve_resource(access_server=AS)
    agent = await their_agent(world, AS)

    async def owner() -> None:
        while not (waiting := await app.server.approvals()):  # noqa: ASYNC110 - nothing tells an owner in a test
            await asyncio.sleep(0.02)
        await app.server.decide_approval(waiting[0].id, by="the owner", approved=True)

    approving = asyncio.create_task(owner())
    _, auth_token = await agent.granted("GET", "/data", dana)
    await approving
    assert (await agent.call("GET", "/data", auth_token)).status_code == 200


@pytest.mark.spec("#requirement-clarification", "#agent-response-to-clarification", "#as-response")
async def test_their_agent_answers_a_question_of_our_access_server(world: World, dana: Person) -> None:
    policy = InTurn(AskQuestion("Which **region**?"))
    agent = await guarded(world, policy)
    asked: list[str] = []

    async def answer(url: str, question: str) -> str:
        asked.append(question)
        return "The north."

    _, auth_token = await agent.granted("GET", "/data", dana, on_clarification=answer)
    assert (await agent.call("GET", "/data", auth_token)).status_code == 200
    assert len(asked) == 1 and "Which **region**?" in asked[0]
    assert policy.seen[-1].answers == {"Which **region**?": "The north."}


@pytest.mark.spec("#sub-agents", "#ps-to-as-token-request")
async def test_their_agent_speaks_for_its_sub_agent(world: World, dana: Person) -> None:
    policy = InTurn()
    agent = await guarded(world, policy)
    key, public = aauth.generate_ed25519_keypair()
    child = aauth.create_agent_token(
        AP,
        "aauth:Stranger+search1@ap.example",
        aauth.public_key_to_jwk(public),
        agent.provider_key,
        "ap-1",
        exp=int(time.time()) + 3000,
        ps=PS,
        parent_token=agent.token,
        jwks_fetcher=agent.keys,
    )
    person_token = await agent.person_token(dana, subagent_token=child)
    challenged = await agent.call("GET", "/data", person_token, key=key)
    assert challenged.status_code == 401
    auth_token = await agent.auth_token(challenged, person_token, dana, subagent_token=child)
    assert (await agent.call("GET", "/data", auth_token, key=key)).status_code == 200
    assert (await agent.call("GET", "/data", auth_token)).status_code == 401, "it is not bound to the parent's key"
    assert policy.seen[-1].sub_agent == "aauth:Stranger+search1@ap.example"


async def completed(agent: TheirAgent, person_token: str) -> aauth.PollingResult:
    """What comes of an invocation that our resource holds."""
    held = await agent.call("POST", "/data", person_token)
    assert held.status_code == 202
    return await aauth.complete_deferred_resource_request(
        held,
        f"{RS}/data",
        agent.key,
        agent.token,
        presented_token=person_token,
        resource_id=RS,
        person_server=PS,
        jwks_fetcher=agent.keys,
        http_client=agent.client,
    )


@pytest.mark.spec("#deferred-auth-token")
async def test_their_agent_completes_an_invocation_that_our_resource_holds(world: World, dana: Person) -> None:
    agent = await guarded(world, InTurn())
    person_token, _ = await agent.granted("GET", "/data", dana)
    result = await completed(agent, person_token)
    assert (result.success, result.response_body["scope"]) == (True, ["data.read"])


@pytest.mark.spec("#token-endpoint-error-codes", "#deferred-auth-token")
async def test_what_completes_a_held_invocation_for_their_agent_cannot_send_the_person_anywhere(
    world: World, dana: Person
) -> None:
    """Should this fail, the peer declares capabilities there by now: remove the line from docs/interop.md."""
    agent = await guarded(world, InTurn())
    person_token = await agent.person_token(dana)
    with pytest.raises(aauth.TokenError) as refused:
        await completed(agent, person_token)
    assert refused.value.error_code == "user_unreachable"


@pytest.mark.spec("#call-chaining", "#upstream-token-verification", "#intermediary-agent-identity")
async def test_their_intermediary_calls_our_resource_for_our_agent(world: World, dana: Person) -> None:
    policy = InTurn()
    await world.serve_access_server(policy)
    await world.serve_resource(access_server=AS)
    await serve_intermediary(world, dana)
    response = await our_agent(world, dana).get(f"{MID}/report")
    assert response.status_code == 200, response.text
    assert response.json()["below"]["scope"] == ["data.read"]
    (facts,) = policy.seen
    assert (facts.chained, facts.provider, facts.agent) == (True, MID, "aauth:service@mid.example")
    # Each resource knows her by another name.
    assert response.json()["sub"] != response.json()["below"]["sub"] == facts.sub


@pytest.mark.spec("#token-revocation", "#revocation-cascade", "#revocation-response")
async def test_their_agent_provider_ends_the_access_of_its_agent_everywhere(world: World, dana: Person) -> None:
    agent = await guarded(world, InTurn())
    person_token, auth_token = await agent.granted("GET", "/data", dana)
    claims = agent.keys.of_token(agent.token)
    outcome = await send_revocation(
        f"{PS}/revocation",
        claims["jti"],
        claims["exp"],
        agent.provider_key,
        AP,
        "ap-1",
        "aauth-agent.json",
        http_client=agent.client,
    )
    assert outcome == {}, "a person server reports nothing to an agent provider"
    for token in (person_token, auth_token):
        response = await agent.call("GET", "/data", token)
        assert response.status_code == 401
        assert response.headers["signature-error"].startswith("error=revoked_jwt")
    with pytest.raises(aauth.TokenError):
        await agent.person_token(dana)


# ------------------------------------------------------------------ their resource, guarded by our access server


@pytest.mark.spec("#as-token-endpoint", "#resource-token-structure", "#requirement-auth-token")
async def test_our_access_server_decides_for_their_resource(world: World, dana: Person) -> None:
    policy = InTurn()
    await world.serve_access_server(policy)
    await serve_their_resource(world, decides=AS)
    agent = our_agent(world, dana)
    read = await agent.get(f"{RS}/data")
    assert (read.status_code, read.json()["scope"]) == (200, ["data.read"])
    write = await agent.put(f"{RS}/data")
    assert (write.status_code, write.json()["scope"]) == (200, ["data.read", "data.write"])
    assert [(facts.resource, facts.step_up) for facts in policy.seen] == [(RS, False), (RS, True)]


@pytest.mark.spec("#revocation-cascade", "#who-revokes-what", "#revocation-response")
@pytest.mark.parametrize("decides", [PS, AS], ids=["three-party", "four-party"])
async def test_their_resource_is_told_by_our_servers_that_access_has_ended(
    world: World, dana: Person, decides: str
) -> None:
    if decides == AS:
        await world.serve_access_server(InTurn())
    revoked = await serve_their_resource(world, decides=decides)
    agent = our_agent(world, dana)
    assert (await agent.get(f"{RS}/data")).status_code == 200
    account = await dana.app.accounts.verify_password("dana", "ripe plums in autumn")
    outcomes = await dana.app.server.disconnect(account.person_id, (AP, AGENT))
    assert {outcome.outcome for outcome in outcomes} == {RECORDED}
    assert {outcome.resource for outcome in outcomes} == ({RS, AS} if decides == AS else {RS})
    assert {name for name, _ in revoked.revoked} == {PS, decides}
    refused = await agent.get(f"{RS}/data")
    assert refused.status_code == 401
