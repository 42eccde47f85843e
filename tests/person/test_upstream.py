"""#upstream-token-verification at a person server: who a resource that calls on is acting for, and how that ends."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib import errors
from aauthlib.http import Response
from aauthlib.keys import SigningKey
from aauthlib.person.consent import AgentOfAnotherPerson
from aauthlib.tokens import ACCESS_DWK, AGENT_DWK, AuthToken, PersonToken, issue_auth_token, issue_person_token

from .parties import (
    ALICE,
    AP,
    AS,
    BOB,
    CALENDAR,
    MAIL,
    PS,
    Agent,
    World,
    approve,
    arrive,
    requirement_of,
    resource_token,
    server_signed,
)

DOWNSTREAM = MAIL


def intermediary(world: World, *, resource: str = CALENDAR, **changes: Any) -> Agent:
    """The calendar, which is its own agent provider, as the agent that calls on."""
    host = resource.removeprefix("https://")
    return Agent(world, f"aauth:service@{host}", iss=resource, ps=changes.pop("ps", None), **changes)


async def upstream_of(world: World, agent: Agent | None = None, **changes: Any) -> PersonToken:
    """The person token an agent presented to the calendar."""
    return await (agent or world.agent()).person_token(CALENDAR, **changes)


async def chained(
    world: World, upstream: PersonToken | AuthToken, *, service: Agent | None = None, person: str = ALICE
) -> PersonToken:
    """A person token for the mail service, issued to the calendar for its caller, the person saying yes."""
    service = service or intermediary(world)
    response = await service.ask_person_token(DOWNSTREAM, upstream_token=upstream.raw)
    if response.status == 202:
        await approve(world, response, person)
        response = await service.poll(response)
    token: PersonToken = await world.verified(response.json()["person_token"], PersonToken)
    return token


async def ask(world: World, upstream: str | PersonToken | AuthToken, service: Agent | None = None) -> Response:
    text = upstream if isinstance(upstream, str) else upstream.raw
    return await (service or intermediary(world)).ask_person_token(DOWNSTREAM, upstream_token=text)


# ---- what is issued


@pytest.mark.spec("#call-chaining", "#person-token-endpoint", "#directed-sub-chaining")
async def test_the_person_of_the_upstream_token_is_named_by_another_identifier_downstream(world: World) -> None:
    upstream = await upstream_of(world)
    service = intermediary(world)
    token = await chained(world, upstream, service=service)
    assert token.aud == DOWNSTREAM
    assert token.cnf.thumbprint == service.key.thumbprint
    assert token.sub != upstream.sub
    assert await world.server.store.person_of(resource=DOWNSTREAM, sub=token.sub) == ALICE
    direct = await world.agent("another").person_token(DOWNSTREAM)
    assert token.sub == direct.sub


@pytest.mark.spec("#call-chaining", "#auth-token-structure", "#directed-sub-chaining")
async def test_an_auth_token_is_issued_down_the_chain(world: World) -> None:
    upstream = await upstream_of(world)
    service = intermediary(world)
    presented = await chained(world, upstream, service=service)
    token = await service.auth_token(presented, "mail.send", upstream_token=upstream.raw)
    assert (token.aud, token.sub, token.scope) == (DOWNSTREAM, presented.sub, ("mail.send",))
    assert token.cnf.thumbprint == service.key.thumbprint


@pytest.mark.spec("#upstream-token-verification")
async def test_an_upstream_auth_token_of_this_server_is_taken_too(world: World) -> None:
    agent = world.agent()
    upstream = await agent.auth_token(await agent.person_token())
    assert (await chained(world, upstream)).aud == DOWNSTREAM


@pytest.mark.spec("#call-chaining")
async def test_downstream_scope_need_not_be_a_subset_of_upstream_scope(world: World) -> None:
    agent = world.agent()
    upstream = await agent.auth_token(await agent.person_token(), "calendar.read")
    service = intermediary(world)
    presented = await chained(world, upstream, service=service)
    token = await service.auth_token(presented, "payments.charge", upstream_token=upstream.raw)
    assert token.scope == ("payments.charge",)


@pytest.mark.spec("#call-chaining", "#person-token-structure", "#auth-token-structure")
async def test_nothing_downstream_outlives_the_upstream_token(world: World) -> None:
    upstream = await upstream_of(world, world.agent(lifetime_s=600))
    service = intermediary(world)
    presented = await chained(world, upstream, service=service)
    assert presented.exp == upstream.exp
    later = await upstream_of(world, world.agent("later", lifetime_s=300))
    token = await service.auth_token(presented, "mail.send", upstream_token=later.raw)
    assert token.exp == later.exp


@pytest.mark.spec("#call-chaining")
async def test_the_upstream_token_serves_any_number_of_downstream_requests(world: World) -> None:
    upstream = await upstream_of(world)
    first, second = await chained(world, upstream), await chained(world, upstream)
    assert first.jti != second.jti


@pytest.mark.spec("#call-chaining")
async def test_the_intermediarys_own_person_server_does_not_matter(world: World) -> None:
    service = intermediary(world, ps="https://another-ps.example")
    upstream = await upstream_of(world)
    assert (await chained(world, upstream, service=service)).aud == DOWNSTREAM
    with pytest.raises(errors.InvalidRequest, match="another person server"):
        await service.ask_person_token(DOWNSTREAM)


@pytest.mark.spec("#multi-hop", "#upstream-token-verification")
async def test_a_chain_may_have_another_hop(world: World) -> None:
    upstream = await upstream_of(world)
    first = await chained(world, upstream)
    second = intermediary(world, resource=MAIL)
    response = await second.ask_person_token(AS, upstream_token=first.raw)
    view = await world.server.consent(await arrive(world, response), person_id=ALICE)
    assert view.on_behalf_of == "aauth:service@calendar.example"
    await world.server.approve(view.digest, person_id=ALICE)
    token: PersonToken = await world.verified((await second.poll(response)).json()["person_token"], PersonToken)
    assert token.exp <= first.exp <= upstream.exp
    assert len({token.sub, first.sub, upstream.sub}) == 3


# ---- consent


@pytest.mark.spec("#call-chaining", "#consent-presentation")
async def test_the_person_is_asked_once_for_an_intermediary_and_not_for_its_next_agent_identifier(world: World) -> None:
    upstream = await upstream_of(world)
    await chained(world, upstream)
    other_name = Agent(world, "aauth:worker2@calendar.example", iss=CALENDAR, ps=None)
    assert (await ask(world, upstream, other_name)).status == 200
    other_caller = await upstream_of(world, world.agent("second"))
    assert (await ask(world, other_caller)).status == 200


@pytest.mark.spec("#call-chaining", "#consent-presentation")
async def test_the_page_says_for_which_agent_the_service_asks(world: World) -> None:
    upstream = await upstream_of(world)
    view = await world.server.consent(await arrive(world, await ask(world, upstream)), person_id=ALICE)
    assert view.on_behalf_of == "aauth:helper@ap.example"
    assert view.agent.iss == CALENDAR
    assert view.agent.is_new is False


@pytest.mark.spec("#intermediary-agent-identity", "#agent-person-binding")
async def test_a_chain_neither_uses_nor_makes_a_binding_of_the_intermediary(world: World) -> None:
    service = intermediary(world)
    await service.person_token(DOWNSTREAM, person=BOB)
    upstream = await upstream_of(world)
    token = await chained(world, upstream, service=service)
    assert await world.server.store.person_of(resource=DOWNSTREAM, sub=token.sub) == ALICE
    fresh = intermediary(world, resource=MAIL)
    mail_upstream = await world.agent().person_token(MAIL)
    response = await fresh.ask_person_token(CALENDAR, upstream_token=mail_upstream.raw)
    await approve(world, response)
    assert (await world.server.store.standing(fresh.identity, resource=CALENDAR)).binding is None
    assert fresh.identity not in [(agent.iss, agent.sub) for agent in await world.server.agents(ALICE)]


@pytest.mark.spec("#call-chaining")
async def test_what_was_allowed_down_the_chain_is_not_allowed_to_the_intermediary_itself(world: World) -> None:
    upstream = await upstream_of(world)
    service = intermediary(world)
    await chained(world, upstream, service=service)
    assert (await service.ask_person_token(DOWNSTREAM)).status == 202


@pytest.mark.spec("#ps-approval-endpoint-auth", "#call-chaining")
async def test_only_the_person_of_the_upstream_token_decides(world: World) -> None:
    upstream = await upstream_of(world)
    response = await ask(world, upstream)
    with pytest.raises(AgentOfAnotherPerson):
        await arrive(world, response, BOB)
    (waiting,) = await world.server.pending_for(ALICE)
    assert await world.server.pending_for(BOB) == []
    with pytest.raises(errors.NotFound):
        await world.server.consent(waiting.digest, person_id=BOB)
    await approve(world, response, ALICE)


@pytest.mark.spec("#call-chaining")
async def test_the_person_may_take_back_what_a_service_may_do(world: World) -> None:
    upstream = await upstream_of(world)
    await chained(world, upstream)
    (grant,) = [grant for grant in await world.server.grants(ALICE) if grant.agent_iss == CALENDAR]
    await world.server.forget(ALICE, grant)
    assert (await ask(world, upstream)).status == 202


@pytest.mark.spec("#interaction-chaining", "#call-chaining")
async def test_the_person_is_needed_by_an_interaction_as_ever(world: World) -> None:
    response = await ask(world, await upstream_of(world))
    assert requirement_of(response).value == "interaction"
    with pytest.raises(errors.UserUnreachable):
        await intermediary(world).ask_person_token(
            DOWNSTREAM, upstream_token=(await upstream_of(world)).raw, capabilities=[]
        )


# ---- what is refused


@pytest.mark.spec("#upstream-token-verification", "#token-endpoint-error-codes")
@pytest.mark.parametrize("text", ["nonsense", "a.b.c", ""])
async def test_an_upstream_token_that_is_none_is_invalid(world: World, text: str) -> None:
    with pytest.raises(errors.InvalidUpstreamToken):
        await ask(world, text)


@pytest.mark.spec("#upstream-token-verification")
async def test_another_type_of_token_is_no_upstream_token(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    for text in (agent.token, resource_token(world, presented)):
        with pytest.raises(errors.InvalidUpstreamToken, match="type"):
            await ask(world, text)


@pytest.mark.spec("#upstream-token-verification")
async def test_a_forged_upstream_token_is_refused(world: World) -> None:
    upstream = await upstream_of(world)
    forged = issue_person_token(
        SigningKey.generate(),
        iss=PS,
        aud=CALENDAR,
        sub=upstream.sub,
        cnf=SigningKey.generate().public,
        jti=upstream.jti,
        now=world.clock(),
        not_after=upstream.exp,
    )
    with pytest.raises(errors.InvalidUpstreamToken):
        await ask(world, forged)


@pytest.mark.spec("#upstream-token-verification", "#token-endpoint-error-codes")
async def test_an_expired_upstream_token_is_called_expired(world: World) -> None:
    upstream = await upstream_of(world, world.agent(lifetime_s=300))
    world.clock.now += 300
    with pytest.raises(errors.ExpiredUpstreamToken):
        await ask(world, upstream)


@pytest.mark.spec("#upstream-token-verification", "#intermediary-agent-identity")
async def test_a_token_presented_to_another_party_is_refused(world: World) -> None:
    """A resource that got hold of a token presented elsewhere, and an agent with its own token."""
    upstream = await upstream_of(world)
    with pytest.raises(errors.InvalidUpstreamToken, match="another party"):
        await ask(world, upstream, intermediary(world, resource=MAIL))
    with pytest.raises(errors.InvalidUpstreamToken, match="another party"):
        await ask(world, upstream, world.agent("helper"))


@pytest.mark.spec("#upstream-token-verification")
async def test_a_person_token_of_another_person_server_is_refused_and_its_keys_are_not_asked_for(world: World) -> None:
    foreign = issue_person_token(
        world.server_keys[AS],
        iss=AS,
        aud=CALENDAR,
        sub="somebody",
        cnf=SigningKey.generate().public,
        jti="foreign",
        now=world.clock(),
        not_after=world.clock() + 600,
    )
    with pytest.raises(errors.InvalidUpstreamToken, match="another person server"):
        await ask(world, foreign)


@pytest.mark.spec("#upstream-token-verification")
async def test_an_auth_token_of_a_server_that_was_never_asked_is_refused(world: World) -> None:
    """Any server can write a genuine token that names this person server and somebody's identifier."""
    upstream = await upstream_of(world)
    foreign = issue_auth_token(
        world.server_keys[AS],
        iss=AS,
        dwk=ACCESS_DWK,
        ps=PS,
        aud=CALENDAR,
        sub=upstream.sub,
        cnf=SigningKey.generate().public,
        jti="never-asked",
        now=world.clock(),
        not_after=upstream.exp,
        scope=["calendar.read"],
    )
    with pytest.raises(errors.InvalidUpstreamToken, match="never asked"):
        await ask(world, foreign)


@pytest.mark.spec("#upstream-token-verification")
async def test_a_token_that_is_not_on_record_is_refused(world: World) -> None:
    upstream = await upstream_of(world)
    unrecorded = issue_person_token(
        world.server.keys.signing,
        iss=PS,
        aud=CALENDAR,
        sub=upstream.sub,
        cnf=upstream.cnf,
        jti="unrecorded",
        now=world.clock(),
        not_after=upstream.exp,
    )
    with pytest.raises(errors.InvalidUpstreamToken, match="no record"):
        await ask(world, unrecorded)


@pytest.mark.spec("#upstream-token-verification", "#person-token-endpoint")
async def test_an_identifier_this_server_never_minted_is_refused(world: World) -> None:
    upstream = await upstream_of(world)
    invented = issue_person_token(
        world.server.keys.signing,
        iss=PS,
        aud=CALENDAR,
        sub="invented",
        cnf=upstream.cnf,
        jti=upstream.jti,
        now=world.clock(),
        not_after=upstream.exp,
    )
    with pytest.raises(errors.InvalidUpstreamToken, match="no record"):
        await ask(world, invented)


@pytest.mark.spec("#upstream-token-verification")
async def test_a_mission_this_server_does_not_know_is_refused(world: World) -> None:
    upstream = await upstream_of(world)
    of_mission = issue_person_token(
        world.server.keys.signing,
        iss=PS,
        aud=CALENDAR,
        sub=upstream.sub,
        cnf=upstream.cnf,
        jti=upstream.jti,
        now=world.clock(),
        not_after=upstream.exp,
        mission_s256="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    )
    with pytest.raises(errors.InvalidUpstreamToken, match="mission"):
        await ask(world, of_mission)


@pytest.mark.spec("#upstream-token-verification", "#agent-person-binding")
async def test_an_upstream_token_is_revoked_with_the_binding_of_its_agent(world: World) -> None:
    agent = world.agent()
    upstream = await upstream_of(world, agent)
    await world.server.disconnect(ALICE, agent.identity)
    with pytest.raises(errors.RevokedUpstreamToken):
        await ask(world, upstream)


@pytest.mark.spec("#upstream-token-verification", "#revocation-cascade")
async def test_an_upstream_token_is_revoked_with_the_agent_token_of_its_agent(world: World) -> None:
    agent = world.agent()
    upstream = await upstream_of(world, agent)
    await revoke_agent_token(world, agent)
    with pytest.raises(errors.RevokedUpstreamToken):
        await ask(world, upstream)


async def revoke_agent_token(world: World, agent: Agent) -> None:
    body = {"jti": agent.token_jti, "exp": int(world.clock()) + 3600}
    answer = await world.server.revoke(server_signed(world, agent.iss, AGENT_DWK, PS + "/revocation", body))
    assert answer.status == 200


@pytest.mark.spec("#ps-token-endpoint", "#call-chaining")
async def test_a_token_from_down_the_chain_is_not_presented_without_the_chain(world: World) -> None:
    upstream = await upstream_of(world)
    service = intermediary(world)
    presented = await chained(world, upstream, service=service)
    with pytest.raises(errors.InvalidPresentedToken, match="upstream_token"):
        await service.ask_auth_token(resource_token(world, presented), presented)


@pytest.mark.spec("#ps-token-endpoint", "#call-chaining")
async def test_the_presented_token_and_the_upstream_token_name_one_person(world: World) -> None:
    service = intermediary(world)
    presented = await chained(world, await upstream_of(world), service=service)
    bobs = await upstream_of(world, world.agent("bobs"), person=BOB)
    with pytest.raises(errors.InvalidPresentedToken, match="another person"):
        await service.ask_auth_token(resource_token(world, presented), presented, upstream_token=bobs.raw)


@pytest.mark.spec("#directed-sub-chaining")
async def test_a_resource_token_with_the_upstream_identifier_is_refused(world: World) -> None:
    """The caller's own token for the calendar, taken for one that names the person at the mail service."""
    upstream = await upstream_of(world)
    service = intermediary(world)
    await chained(world, upstream, service=service)
    text = resource_token(world, upstream, issuer=MAIL)
    with pytest.raises((errors.InvalidPresentedToken, errors.InvalidResourceToken)):
        await service.ask_auth_token(text, upstream, upstream_token=upstream.raw)


# ---- how it ends


@pytest.mark.spec("#call-chaining", "#polling-error-codes")
async def test_a_waiting_request_expires_with_its_upstream_token(world: World) -> None:
    upstream = await upstream_of(world, world.agent(lifetime_s=120))
    service = intermediary(world)
    response = await ask(world, upstream, service)
    world.clock.now = upstream.exp
    with pytest.raises(errors.Expired):
        await service.poll(response)


@pytest.mark.spec("#presenting-a-revoked-token", "#polling-error-codes")
@pytest.mark.parametrize("how", ["disconnect", "agent token"])
async def test_a_waiting_request_ends_revoked_with_its_upstream_token(world: World, how: str) -> None:
    agent = world.agent()
    upstream = await upstream_of(world, agent)
    service = intermediary(world)
    response = await ask(world, upstream, service)
    if how == "disconnect":
        await world.server.disconnect(ALICE, agent.identity)
    else:
        await revoke_agent_token(world, agent)
    with pytest.raises(errors.Revoked, match="upstream token"):
        await service.poll(response)


@pytest.mark.spec("#revocation-cascade")
async def test_a_revocation_walks_the_whole_chain(world: World) -> None:
    agent = world.agent()
    upstream = await upstream_of(world, agent)
    service = intermediary(world)
    first = await chained(world, upstream, service=service)
    authorised = await service.auth_token(first, "mail.send", upstream_token=upstream.raw)
    second_service = intermediary(world, resource=MAIL)
    response = await second_service.ask_person_token(AS, upstream_token=authorised.raw)
    await approve(world, response)
    second: PersonToken = await world.verified(
        (await second_service.poll(response)).json()["person_token"], PersonToken
    )
    outcomes = await world.server.disconnect(ALICE, agent.identity)
    assert {outcome.jti for outcome in outcomes} == {upstream.jti, first.jti, authorised.jti, second.jti}
    for token in (upstream, first, authorised, second):
        record = await world.server.store.issued(token.jti)
        assert record is not None
        assert record.revoked_at == world.clock()


@pytest.mark.spec("#revocation-cascade")
async def test_a_revocation_of_the_intermediarys_agent_token_leaves_its_caller_alone(world: World) -> None:
    upstream = await upstream_of(world)
    service = intermediary(world)
    token = await chained(world, upstream, service=service)
    await revoke_agent_token(world, service)
    down, up = await world.server.store.issued(token.jti), await world.server.store.issued(upstream.jti)
    assert down is not None
    assert up is not None
    assert down.revoked_at is not None
    assert up.revoked_at is None


@pytest.mark.spec("#revocation-cascade")
async def test_a_request_granted_and_not_fetched_is_revoked_with_the_chain(world: World) -> None:
    agent = world.agent()
    upstream = await upstream_of(world, agent)
    service = intermediary(world)
    response = await ask(world, upstream, service)
    await approve(world, response)
    await world.server.disconnect(ALICE, agent.identity)
    with pytest.raises(errors.Revoked):
        await service.poll(response)


@pytest.mark.spec("#pending-url-security")
async def test_the_callers_agent_cannot_poll_the_intermediarys_request(world: World) -> None:
    agent = world.agent()
    response = await ask(world, await upstream_of(world, agent))
    with pytest.raises(errors.NotFound):
        await agent.poll(response)
    assert agent.iss == AP
