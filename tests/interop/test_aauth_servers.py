"""What the Python package `aauth` has for person servers and access servers, around which a thin server is built
(aauth_servers.py), against our access server, our person server, our agent and our resource.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aauth.http.deferred import generate_interaction_code

from aauthlib import jws
from aauthlib.access import AskQuestion, Deny, NeedApproval
from aauthlib.errors import Denied
from aauthlib.person.cascade import RECORDED
from tests.interop.aauth_parties import Person, our_agent, serve_person_server
from tests.interop.aauth_servers import serve_their_access_server, serve_their_person_server
from tests.interop.deciding import InTurn
from tests.interop.world import AGENT, AP, AS, PS, RS, World, exchanges, open_world

pytestmark = pytest.mark.interop


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


# ------------------------------------------------------------------ their person server


@pytest.mark.spec("#person-token-endpoint", "#ps-token-endpoint", "#auth-token-response-verification")
async def test_our_agent_and_resource_complete_a_three_party_flow_with_their_person_server(world: World) -> None:
    await world.serve_resource()
    server = await serve_their_person_server(world)
    await server.keys.learn(AP, RS)
    agent = world.agent()
    read = await agent.get(f"{RS}/data")
    assert (read.status_code, read.json()["scope"]) == (200, ["data.read"]), read.text
    write = await agent.put(f"{RS}/data")
    assert (write.status_code, write.json()["scope"]) == (200, ["data.read", "data.write"])


@pytest.mark.spec("#ps-to-as-token-request", "#as-token-endpoint", "#auth-token-delivery")
async def test_our_access_server_issues_to_their_person_server_and_takes_the_step_up(world: World) -> None:
    policy = InTurn()
    await world.serve_access_server(policy)
    await world.serve_resource(access_server=AS)
    server = await serve_their_person_server(world)
    await server.keys.learn(AP, RS, AS)
    agent = world.agent()
    read = await agent.get(f"{RS}/data")
    assert (read.status_code, read.json()["scope"]) == (200, ["data.read"]), read.text
    write = await agent.put(f"{RS}/data")
    assert (write.status_code, write.json()["scope"]) == (200, ["data.read", "data.write"])
    assert [(facts.person_server, facts.step_up) for facts in policy.seen] == [(PS, False), (PS, True)]


@pytest.mark.spec("#as-response", "#token-endpoint-error-codes")
async def test_their_person_server_hears_why_our_access_server_says_no(world: World) -> None:
    await world.serve_access_server(InTurn(Deny("Not on Sundays.")))
    await world.serve_resource(access_server=AS)
    server = await serve_their_person_server(world)
    await server.keys.learn(AP, RS, AS)
    with pytest.raises(Denied, match=r"Not on Sundays\."):
        await world.agent().get(f"{RS}/data")


@pytest.mark.spec("#as-response", "#requirement-clarification", "#approval-pending")
async def test_their_poller_answers_a_question_of_our_access_server_and_waits_for_an_approval(world: World) -> None:
    policy = InTurn(AskQuestion("Which region?"), NeedApproval("the owner"))
    app = await world.serve_access_server(policy)
    await world.serve_resource(access_server=AS)
    server = await serve_their_person_server(world)
    await server.keys.learn(AP, RS, AS)

    async def owner() -> None:
        while not (waiting := await app.server.approvals()):  # noqa: ASYNC110 - nothing tells an owner in a test
            await asyncio.sleep(0.02)
        await app.server.decide_approval(waiting[0].id, by="the owner", approved=True)

    approving = asyncio.create_task(owner())
    response = await world.agent().get(f"{RS}/data")
    await approving
    assert response.status_code == 200, response.text
    assert (policy.seen[-1].answers, policy.seen[-1].approved_by) == ({"Which region?": "The north."}, "the owner")


@pytest.mark.spec("#revocation-cascade", "#revocation-response", "#who-revokes-what")
async def test_their_person_server_ends_what_our_access_server_issued_and_is_told_where(world: World) -> None:
    await world.serve_access_server(InTurn())
    await world.serve_resource(access_server=AS)
    server = await serve_their_person_server(world)
    await server.keys.learn(AP, RS, AS)
    agent = world.agent()
    await agent.get(f"{RS}/data")
    (issued,) = (exchange.response for exchange in exchanges(agent) if b'"person_token":' in exchange.response.body)
    person_token = jws.parse(issued.json()["person_token"]).payload
    outcome = await server.revoke_at(AS, person_token["jti"], person_token["exp"])
    assert outcome == {"downstream": [{"recipient": RS}]}
    assert await server.revoke_at(RS, person_token["jti"], person_token["exp"]) == {}
    (granted,) = (exchange.response for exchange in exchanges(agent) if b'"auth_token":' in exchange.response.body)
    for token in (issued.json()["person_token"], granted.json()["auth_token"]):
        refused = await world.signed(agent, "GET", f"{RS}/data", token=token)
        assert (refused.headers.get("signature-error") or "").startswith("error=revoked_jwt")


# ------------------------------------------------------------------ their access server


@pytest.fixture
async def dana(world: World) -> Person:
    """Our person server, running, and a person in front of it."""
    return await serve_person_server(world)


@pytest.mark.spec("#ps-to-as-token-request", "#auth-token-delivery", "#auth-token-response-verification")
async def test_our_person_server_obtains_auth_tokens_from_their_access_server(world: World, dana: Person) -> None:
    server = await serve_their_access_server(world)
    await world.serve_resource(access_server=AS)
    await server.keys.learn(AP, PS, RS)
    agent = our_agent(world, dana)
    read = await agent.get(f"{RS}/data")
    assert (read.status_code, read.json()["scope"]) == (200, ["data.read"]), read.text
    write = await agent.put(f"{RS}/data")
    assert (write.status_code, write.json()["scope"]) == (200, ["data.read", "data.write"])


@pytest.mark.spec("#auth-token-delivery")
async def test_our_person_server_hands_out_less_than_was_asked_of_their_access_server(
    world: World, dana: Person
) -> None:
    server = await serve_their_access_server(world, scope="data.read")
    await world.serve_resource(access_server=AS)
    await server.keys.learn(AP, PS, RS)
    token = await our_agent(world, dana).authorize(RS, "data.read data.write")
    assert token is not None and (token.iss, token.scope) == (AS, ("data.read",))


@pytest.mark.spec("#as-response", "#requirement-claims", "#requirement-clarification", "#interaction-required")
@pytest.mark.parametrize("wants", ["approval", "interaction", "clarification", "claims"])
async def test_our_person_server_meets_what_their_access_server_requires(
    world: World, dana: Person, wants: str
) -> None:
    server = await serve_their_access_server(world, wants=wants)
    await world.serve_resource(access_server=AS)
    await server.keys.learn(AP, PS, RS)
    agent = our_agent(world, dana, on_clarification=lambda question: "The north.")
    response = await agent.get(f"{RS}/data")
    assert response.status_code == 200, response.text
    answers = {
        "clarification": [{"action": "clarification_response", "clarification_response": "The north."}],
        "claims": [{}],  # Nothing was asked for that the person could have released.
    }
    assert server.answered == answers.get(wants, [])


@pytest.mark.spec("#revocation-cascade", "#revocation-response")
async def test_their_access_server_ends_what_it_issued_when_the_person_disconnects_the_agent(
    world: World, dana: Person
) -> None:
    server = await serve_their_access_server(world)
    await world.serve_resource(access_server=AS)
    await server.keys.learn(AP, PS, RS)
    agent = our_agent(world, dana)
    await agent.get(f"{RS}/data")
    (granted,) = (exchange.response for exchange in exchanges(agent) if b'"auth_token":' in exchange.response.body)
    account = await dana.app.accounts.verify_password("dana", "ripe plums in autumn")
    outcomes = await dana.app.server.disconnect(account.person_id, (AP, AGENT))
    assert {(outcome.resource, outcome.outcome) for outcome in outcomes} == {(RS, RECORDED), (AS, RECORDED)}
    refused = await world.signed(agent, "GET", f"{RS}/data", token=granted.json()["auth_token"])
    assert (refused.headers.get("signature-error") or "").startswith("error=revoked_jwt")


@pytest.mark.spec("#interaction-code-format")
def test_their_interaction_codes_have_letters_that_are_not_crockfords() -> None:
    """Should this fail, the peer was corrected: remove the line from docs/interop.md."""
    seen = set("".join(generate_interaction_code() for _ in range(200)))
    assert seen & set("ILOU")
