"""Four parties, of which `introspection-aauth` is the person server or the access server, and we are everybody else.

Where they do less than the text asks for, the test says what follows, and docs/interop.md which sentence decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aauthlib import jws
from aauthlib.access import (
    AskClaims,
    AskQuestion,
    Decision,
    Deny,
    Narrow,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
    TestSettlement,
)
from aauthlib.agent import AsyncAgent
from aauthlib.effects import Direct, Report
from aauthlib.errors import (
    AAuthError,
    AsUnreachable,
    Denied,
    InvalidPresentedToken,
    InvalidRequest,
    InvalidResourceToken,
)
from aauthlib.http import Request
from aauthlib.person.cascade import UNSUPPORTED
from aauthlib.web.access import AccessApp
from aauthlib.web.person import PersonApp, build_person_app
from tests.interop.deciding import InTurn
from tests.interop.introspection_peer import introspection, on_mission
from tests.interop.world import AGENT, AP, AS, PS, RS, World, deliver, exchanges, open_world, signed_lines

pytestmark = pytest.mark.interop


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def auth_token_claims(agent: AsyncAgent) -> dict[str, Any]:
    """The claims of the one auth token the agent was given."""
    (issued,) = (exchange.response for exchange in exchanges(agent) if b'"auth_token":' in exchange.response.body)
    return jws.parse(issued.json()["auth_token"]).payload


# ------------------------------------------------------------------ their person server, our access server


@pytest.mark.spec("#as-token-endpoint", "#ps-to-as-token-request", "#auth-token-response-verification")
async def test_our_access_server_issues_an_auth_token_to_their_person_server(world: World) -> None:
    policy = InTurn()
    async with introspection(world, "person"):
        await world.serve_access_server(policy)
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        response = await agent.get(f"{RS}/data")
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read"]), response.text
    claims = auth_token_claims(agent)
    assert (claims["iss"], claims["dwk"], claims["ps"]) == (AS, "aauth-access.json", PS)
    (facts,) = policy.seen
    assert (facts.person_server, facts.provider, facts.agent, facts.resource) == (PS, AP, AGENT, RS)
    # In their words: our resource and our access server carry on what their person token says.
    assert (facts.sub, facts.tenant, facts.mission_s256) == (claims["sub"], "acme", agent.s256)


@pytest.mark.spec("#auth-token-delivery")
async def test_their_person_server_hands_out_less_than_was_asked_for(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_access_server(InTurn(Narrow(("data.read",))))
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        token = await agent.authorize(RS, "data.read data.write")
    assert token is not None and (token.iss, token.scope) == (AS, ("data.read",))


@pytest.mark.spec("#auth-token-delivery", "#polling-error-codes")
async def test_their_person_server_relays_a_denial_of_our_access_server_with_its_reason(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_access_server(InTurn(Deny("Not on Sundays.")))
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        with pytest.raises(Denied, match=r"Not on Sundays\."):
            await agent.get(f"{RS}/data")
    assert signed_lines(agent)[-1][2] == 403


@pytest.mark.spec("#as-response", "#approval-pending")
@pytest.mark.parametrize("approved", [True, False], ids=["approved", "refused"])
async def test_their_person_server_waits_for_an_approval_at_our_access_server(world: World, approved: bool) -> None:
    async with introspection(world, "person"):
        app = await world.serve_access_server(InTurn(NeedApproval("the owner")))
        await world.serve_resource(access_server=AS)
        waited: list[str] = []

        async def owner(report: Report) -> None:
            for approval in await app.server.approvals():
                waited.append(approval.person_server)
                await app.server.decide_approval(
                    approval.id, by="the owner", approved=approved, reason="Not for this agent."
                )

        agent = await on_mission(world, on_report=owner)
        if approved:
            assert (await agent.get(f"{RS}/data")).status_code == 200
        else:
            with pytest.raises(Denied, match="Not for this agent"):
                await agent.get(f"{RS}/data")
    assert waited == [PS]


def at_our_page(app: AccessApp, decide: Callable[[str, str], Any]) -> Callable[[Direct], Any]:
    """The person, who comes to a page of our access server, signs in and decides there."""

    async def visit(direct: Direct) -> None:
        handle = direct.url.rpartition("/")[2]
        await app.server.arrive(handle, direct.code, "dana")
        await decide(handle, "dana")

    return visit


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment", "#interaction-required")
async def test_their_person_server_passes_on_where_our_access_server_wants_the_person(world: World) -> None:
    directed: list[str] = []
    async with introspection(world, "person"):
        app = await world.serve_access_server(InTurn(NeedInteraction()))
        await world.serve_resource(access_server=AS)
        visit = at_our_page(app, app.server.approve)

        async def confirm(direct: Direct) -> None:
            directed.append(direct.url)
            await visit(direct)

        agent = await on_mission(world, on_interaction=confirm)
        response = await agent.get(f"{RS}/data")
        assert response.status_code == 200, response.text
        bound = await app.server.confirmed_by("dana")
    assert [url.rpartition("/")[0] for url in directed] == [f"{AS}/interaction"]
    assert [(binding.ps, binding.resource) for binding in bound] == [(PS, RS)]


@pytest.mark.spec("#as-response", "#polling-error-codes")
async def test_their_person_server_relays_that_the_person_declined_at_our_page(world: World) -> None:
    async with introspection(world, "person"):
        app = await world.serve_access_server(InTurn(NeedInteraction()))
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world, on_interaction=at_our_page(app, app.server.deny))
        with pytest.raises(Denied, match="declined"):
            await agent.get(f"{RS}/data")


@pytest.mark.spec("#requirement-claims", "#requirement-clarification", "#as-response")
@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (AskClaims(("email",)), "requirement=claims, not served"),
        (AskQuestion("Which region?"), "requirement=clarification, not served"),
        (NeedPayment("100", "EUR"), "asks for payment"),
    ],
    ids=["claims", "clarification", "payment"],
)
async def test_their_person_server_gives_up_where_our_access_server_wants(
    world: World, wanted: Decision, said: str
) -> None:
    """Should this fail for claims or a question, the peer was completed: say so in docs/interop.md."""
    async with introspection(world, "person"):
        await world.serve_access_server(InTurn(wanted), settlement=TestSettlement())
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        with pytest.raises(Denied, match=said):
            await agent.get(f"{RS}/data")


@pytest.mark.spec("#auth-token-delivery", "#token-endpoint-error-codes")
async def test_their_person_server_says_that_our_access_server_cannot_be_reached(world: World) -> None:
    async with introspection(world, "person"):
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        with pytest.raises(AsUnreachable):
            await agent.get(f"{RS}/data")


@pytest.mark.spec("#ps-to-as-token-request", "#resource-token-verification")
async def test_their_person_server_takes_no_step_up_with_what_our_access_server_issued(world: World) -> None:
    """Should this fail, the peer was completed: say so in docs/interop.md."""
    async with introspection(world, "person"):
        await world.serve_access_server(InTurn())
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        await agent.get(f"{RS}/data")
        with pytest.raises(InvalidPresentedToken):
            await agent.put(f"{RS}/data")


# ------------------------------------------------------------------ our person server, their access server


async def our_person_server(world: World, **options: Any) -> tuple[PersonApp, AsyncAgent]:
    """Our person server, running, whose person says yes to everything and goes where she is sent, and her agent."""
    app = await build_person_app(f"sqlite:///{world.directory}/ps.db", PS, wire=world.wire(), setup_code_required=False)
    world.stack.push_async_callback(app.aclose)
    await world.serve(PS, app)
    deciding: set[asyncio.Task[None]] = set()

    async def visited(url: str) -> None:
        page = await deliver(world.wire(), Request("GET", url))
        assert (page.status, page.body) == (200, b'"Confirmed."'), page.body

    async def approve(direct: Direct) -> None:
        if direct.url.startswith(AS):
            return await visited(direct.person_url)
        digest = await app.server.arrive(direct.url.rpartition("/")[2], direct.code, person_id="dana")
        await app.server.approve(digest, person_id="dana")
        onwards = (await app.server.consent(digest, person_id="dana")).access_interaction
        if onwards is not None:
            await visited(onwards)

    def on_interaction(direct: Direct) -> None:
        world.directed.append(direct)
        deciding.add(asyncio.create_task(approve(direct)))

    return app, world.agent(on_interaction=on_interaction, **options)


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
    claims = auth_token_claims(agent)
    assert (claims["iss"], claims["ps"], claims["dwk"]) == (AS, PS, "aauth-access.json")


@pytest.mark.spec("#auth-token-delivery", "#auth-token-structure")
async def test_our_person_server_hands_out_less_than_was_asked_for(world: World) -> None:
    async with introspection(world, "access", decision="narrow"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        token = await agent.authorize(RS, "data.read data.write")
    assert token is not None and (token.iss, token.scope) == (AS, ("data.read",))


@pytest.mark.spec("#auth-token-delivery", "#polling-error-codes")
async def test_our_person_server_relays_a_denial_of_their_access_server(world: World) -> None:
    async with introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        with pytest.raises(Denied, match="access server says: not here"):
            await agent.put(f"{RS}/data")


@pytest.mark.spec("#as-response", "#approval-pending")
async def test_our_person_server_waits_for_an_approval_at_their_access_server(world: World) -> None:
    async with introspection(world, "access", decision="approval"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        response = await agent.get(f"{RS}/data")
    assert response.status_code == 200, response.text


@pytest.mark.spec("#as-response", "#polling-error-codes")
async def test_our_person_server_relays_that_their_access_server_refused_the_approval(world: World) -> None:
    async with introspection(world, "access", decision="refusal"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        with pytest.raises(Denied, match="access server says"):
            await agent.get(f"{RS}/data")


@pytest.mark.spec("#as-response", "#interaction-required", "#ps-as-trust-establishment")
async def test_our_person_server_takes_the_person_on_to_the_page_of_their_access_server(world: World) -> None:
    async with introspection(world, "access", decision="interaction"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        response = await agent.get(f"{RS}/data")
    assert response.status_code == 200, response.text
    assert {direct.url.rpartition("/")[0] for direct in world.directed} == {f"{PS}/interaction"}


@pytest.mark.spec("#as-response", "#interaction-required")
async def test_our_person_server_passes_their_page_on_to_the_agent_where_nobody_is_at_its_own(world: World) -> None:
    async with introspection(world, "access", decision="interaction"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        await agent.get(f"{RS}/data")
        world.directed.clear()
        restarted = world.agent(on_interaction=agent.on_interaction)
        response = await restarted.get(f"{RS}/data")
    assert response.status_code == 200, response.text
    assert [direct.url for direct in world.directed] == [f"{AS}/aauth/interaction"], "her consent is remembered"


@pytest.mark.spec("#revocation-response")
async def test_their_access_server_takes_no_revocations_and_our_person_server_says_so(world: World) -> None:
    async with introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        app, agent = await our_person_server(world)
        await agent.get(f"{RS}/data")
        outcomes = await app.server.disconnect("dana", (AP, AGENT))
    assert {outcome.resource: outcome.outcome for outcome in outcomes}[AS] == UNSUPPORTED


@pytest.mark.spec("#ps-to-as-token-request", "#resource-token-verification")
async def test_their_access_server_takes_no_step_up_with_what_it_issued_itself(world: World) -> None:
    """Should this fail, the peer was completed: say so in docs/interop.md."""
    async with introspection(world, "access", decision="narrow"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        await agent.get(f"{RS}/data")
        with pytest.raises(InvalidPresentedToken, match="access server says"):
            await agent.put(f"{RS}/data")


@pytest.mark.spec("#sub-agents", "#ps-to-as-token-request")
async def test_their_access_server_serves_no_sub_agents(world: World) -> None:
    """Should this fail, the peer was completed: say so in docs/interop.md."""
    async with introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        with pytest.raises(InvalidRequest, match="sub-agents are not served here"):
            await agent.spawn("search1").get(f"{RS}/data")


@pytest.mark.spec("#ps-to-as-token-request", "#token-endpoint-error-codes", "#resource-token-verification")
@pytest.mark.parametrize(
    ("decision", "error", "said"),
    [
        ("elsewhere", InvalidResourceToken, "does not decide for"),
        ("unprovided", InvalidRequest, "agent provider is not trusted"),
        ("stranger", AsUnreachable, "401"),
    ],
)
async def test_what_their_access_server_refuses_reaches_the_agent(
    world: World, decision: str, error: type[AAuthError], said: str
) -> None:
    async with introspection(world, "access", decision=decision):
        await world.serve_resource(access_server=AS)
        _, agent = await our_person_server(world)
        with pytest.raises(error, match=said):
            await agent.get(f"{RS}/data")


# ------------------------------------------------------------------ both theirs


@pytest.mark.spec("#as-token-endpoint", "#auth-token-response-verification")
async def test_our_agent_and_resource_complete_a_four_party_flow_with_their_servers(world: World) -> None:
    async with introspection(world, "person"), introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        response = await agent.get(f"{RS}/data")
        assert response.status_code == 200, response.text
    assert response.json()["scope"] == ["data.read"]
    assert auth_token_claims(agent)["iss"] == AS


@pytest.mark.spec("#polling-error-codes", "#as-token-endpoint")
async def test_a_denial_by_their_access_server_reaches_the_application(world: World) -> None:
    async with introspection(world, "person"), introspection(world, "access"):
        await world.serve_resource(access_server=AS)
        agent = await on_mission(world)
        with pytest.raises(Denied):
            await agent.put(f"{RS}/data")
