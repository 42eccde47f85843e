"""The person's side: what is shown, deciding, and what is remembered (#consent-presentation, #user-interaction)."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from aauthlib import errors
from aauthlib.deferred.machine import State
from aauthlib.person.consent import AgentOfAnotherPerson, NotWaiting, ResourceInteractionFirst
from aauthlib.tokens.resource import Interaction

from .parties import (
    ALICE,
    AP,
    BOB,
    CALENDAR,
    MAIL,
    OTHER_AP,
    PS,
    Agent,
    World,
    approve,
    arrive,
    resource_token,
)

INTERACTION = Interaction(CALENDAR + "/connect", "A1B2-C3D4")


# ---- what is shown


@pytest.mark.spec("#consent-presentation", "#agent-person-binding", "#person-token-endpoint")
async def test_first_contact_shows_who_asks_and_where_each_from_its_own_source(world: World) -> None:
    response = await world.agent().ask_person_token(
        justification="To find a **free** hour", platform="desktop", device="Alice's laptop"
    )
    view = await world.server.consent(await arrive(world, response), person_id=ALICE)
    assert view.kind == "person_token"
    assert (view.agent.iss, view.agent.sub, view.agent.is_new) == (AP, "aauth:helper@ap.example", True)
    assert view.agent.provider_name == "Helpful Agents"
    assert view.agent.provider_logo == AP + "/logo.png"
    assert view.agent.platform_label == "Desktop application"
    assert view.agent.device == "Alice's laptop"
    assert view.justification_markdown == "To find a **free** hour"
    assert (view.resource.issuer, view.resource.name, view.resource.is_new) == (CALENDAR, "The Calendar", True)
    assert view.resource.description_markdown == "Keeps your *events*."
    assert view.resource.access_mode == "auth-token"
    assert view.scopes == ()
    assert view.waiting
    assert view.state is State.INTERACTING


@pytest.mark.spec("#consent-presentation", "#scopes")
async def test_scopes_are_described_by_the_resource_and_identity_scopes_by_this_server(world: World) -> None:
    await world.server.set_profile(ALICE, {"email": "alice@example.org", "name": "Alice"})
    agent = world.agent()
    presented = await agent.person_token()
    await agent.auth_token(presented, "calendar.read")
    text = resource_token(world, presented, scope="calendar.read calendar.write email", account="work")
    view = await world.server.consent(await arrive(world, await agent.ask_auth_token(text, presented)), person_id=ALICE)
    read, write, email = view.scopes
    assert (read.description_markdown, read.already_granted, read.identity) == ("Read your events", False, False)
    assert write.description_markdown is None
    assert email.identity
    assert email.description_markdown != "Everything about you"
    assert view.identity_claims == ("email", "email_verified")
    assert view.account == "work"
    assert not view.agent.is_new
    assert not view.resource.is_new


@pytest.mark.spec("#consent-presentation")
async def test_what_was_granted_before_is_shown_as_granted(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    await agent.auth_token(presented, "calendar.read")
    text = resource_token(world, presented, scope="calendar.read calendar.write")
    view = await world.server.consent(await arrive(world, await agent.ask_auth_token(text, presented)), person_id=ALICE)
    assert [(line.value, line.already_granted) for line in view.scopes] == [
        ("calendar.read", True),
        ("calendar.write", False),
    ]


async def test_a_resource_that_cannot_be_reached_is_shown_by_its_name_and_can_be_decided_on(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token("https://nowhere.example")
    digest = await arrive(world, response)
    view = await world.server.consent(digest, person_id=ALICE)
    assert (view.resource.issuer, view.resource.reachable, view.resource.name) == (
        "https://nowhere.example",
        False,
        None,
    )
    await world.server.approve(digest, person_id=ALICE)
    assert (await agent.poll(response)).status == 200


@pytest.mark.spec("#sub-agents")
async def test_a_sub_agent_is_shown_beside_its_parent(world: World) -> None:
    parent = world.agent()
    child = parent.sub_agent()
    view = await world.server.consent(
        await arrive(world, await parent.ask_person_token(subagent_token=child.token)), person_id=ALICE
    )
    assert (view.agent.sub, view.agent.sub_agent) == (parent.sub, child.sub)


@pytest.mark.spec("#auth-token-request")
async def test_prompt_login_asks_the_person_to_sign_in_anew(world: World) -> None:
    response = await world.agent().ask_person_token(prompt="login consent")
    assert (await world.server.consent(await arrive(world, response), person_id=ALICE)).reauthenticate


@pytest.mark.spec("#auth-token-request")
async def test_a_platform_outside_the_registry_is_not_shown(world: World) -> None:
    response = await world.agent().ask_person_token(platform="trusted by your bank")
    view = await world.server.consent(await arrive(world, response), person_id=ALICE)
    assert view.agent.platform_label is None


@pytest.mark.spec("#user-interaction")
async def test_the_inbox_has_requests_of_the_persons_own_agents_only(world: World) -> None:
    mine, yours, nobodys = world.agent("mine"), world.agent("yours"), world.agent("nobodys")
    await mine.person_token(person=ALICE)
    await yours.person_token(person=BOB)
    for agent in (mine, yours, nobodys):
        await agent.ask_person_token(MAIL)
    assert [view.agent.sub for view in await world.server.pending_for(ALICE)] == [mine.sub]
    assert [view.agent.sub for view in await world.server.pending_for(BOB)] == [yours.sub]
    world.clock.now += 900
    assert await world.server.pending_for(ALICE) == []


# ---- deciding


@pytest.mark.spec("#agent-person-binding")
async def test_the_first_approval_connects_the_agent(world: World) -> None:
    agent = world.agent()
    await agent.person_token(platform="mobile", device="Pixel")
    (connected,) = await world.server.agents(ALICE)
    assert (connected.iss, connected.sub) == agent.identity
    assert (connected.platform, connected.device) == ("Mobile application", "Pixel")
    assert connected.resources == (CALENDAR,)
    assert await world.server.agents(BOB) == []


@pytest.mark.spec("#agent-person-binding")
async def test_two_people_who_arrived_for_one_new_agent_cannot_both_have_it(world: World) -> None:
    agent = world.agent()
    first, second = await agent.ask_person_token(), await agent.ask_person_token(MAIL)
    alices, bobs = await arrive(world, first, ALICE), await arrive(world, second, BOB)
    results = await asyncio.gather(
        world.server.approve(alices, person_id=ALICE),
        world.server.approve(bobs, person_id=BOB),
        return_exceptions=True,
    )
    assert sorted(type(result) for result in results if result is not None) == [AgentOfAnotherPerson]
    winner = ALICE if results[0] is None else BOB
    loser = BOB if winner == ALICE else ALICE
    assert len(await world.server.agents(winner)) == 1
    assert await world.server.agents(loser) == []
    assert await world.server.grants(loser) == []
    record = next(r for r in await world.server.history(winner) if r.action == "connect agent")
    assert record.agent == agent.identity


@pytest.mark.spec("#agent-person-binding")
async def test_an_approval_sent_twice_at_once_counts_once(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    digest = await arrive(world, response)
    results = await asyncio.gather(*(world.server.approve(digest, person_id=ALICE) for _ in range(4)))
    assert results == [None] * 4
    assert [r.action for r in await world.server.history(ALICE)].count("approve person_token") == 1
    assert (await agent.poll(response)).status == 200
    assert await world.server.approve(digest, person_id=ALICE) is None, "even after it was fetched"
    with pytest.raises(errors.Gone):
        await agent.poll(response)


@pytest.mark.spec("#deferred-response-state-machine")
async def test_a_yes_and_a_no_at_once_have_one_winner(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    digest = await arrive(world, response)
    results = await asyncio.gather(
        world.server.approve(digest, person_id=ALICE),
        world.server.deny(digest, person_id=ALICE),
        return_exceptions=True,
    )
    assert [type(result) for result in results if result is not None] == [NotWaiting]
    connected = await world.server.agents(ALICE)
    if results[0] is None:
        assert (await agent.poll(response)).status == 200
        assert len(connected) == 1
    else:
        with pytest.raises(errors.Denied):
            await agent.poll(response)
        assert connected == []


@pytest.mark.spec("#polling-error-codes")
async def test_a_denial_sent_twice_changes_nothing_and_cannot_become_a_yes(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    digest = await arrive(world, response)
    await world.server.deny(digest, person_id=ALICE)
    assert await world.server.deny(digest, person_id=ALICE) is None
    with pytest.raises(NotWaiting):
        await world.server.approve(digest, person_id=ALICE)
    with pytest.raises(errors.Denied):
        await agent.poll(response)
    assert await world.server.agents(ALICE) == []
    assert [r.action for r in await world.server.history(ALICE)] == ["deny person_token"]


async def test_every_decision_is_in_the_history_of_the_person_and_of_nobody_else(world: World) -> None:
    agent = world.agent()
    await agent.auth_token(await agent.person_token(), "calendar.read")
    records = await world.server.history(ALICE)
    assert [record.action for record in records] == [
        "issue auth_token",
        "approve auth_token",
        "issue person_token",
        "approve person_token",
        "connect agent",
    ]
    assert records[1].details == {"scopes": ["calendar.read"], "account": None, "remember": True}
    assert all(record.agent == agent.identity and record.at == world.clock() for record in records)
    assert await world.server.history(BOB) == []


# ---- callbacks


@pytest.mark.spec("#user-interaction")
@pytest.mark.parametrize("callback", [AP + "/callback", AP + "/callback?state=1", AP + "/callback/there"])
async def test_after_the_decision_the_browser_goes_to_the_providers_callback(world: World, callback: str) -> None:
    response = await world.agent().ask_person_token()
    digest = await arrive(world, response, callback=callback)
    assert await world.server.approve(digest, person_id=ALICE) == callback
    assert (await world.server.consent(digest, person_id=ALICE)).callback == callback


@pytest.mark.spec("#user-interaction", "#endpoint-and-other-urls")
@pytest.mark.parametrize(
    "callback",
    [
        "https://evil.example/callback",
        AP + ".evil.example/callback",
        AP + "/callbacks",
        AP + "/callback/../elsewhere",
        AP + "/callback/%2E%2e/elsewhere",
        "http://ap.example/callback",
        "http://localhost:4000/callback",
        "javascript:alert(1)",
        AP + "/callback#fragment",
        "",
    ],
)
async def test_a_callback_the_provider_does_not_vouch_for_is_dropped(world: World, callback: str) -> None:
    response = await world.agent().ask_person_token()
    digest = await arrive(world, response, callback=callback)
    assert await world.server.approve(digest, person_id=ALICE) is None


@pytest.mark.spec("#endpoint-and-other-urls")
@pytest.mark.parametrize("callback", ["http://localhost:4000/done", "http://127.0.0.1:4000/done"])
async def test_loopback_is_a_callback_where_the_provider_allows_it(world: World, callback: str) -> None:
    agent = Agent(world, "aauth:tool@other-ap.example", iss=OTHER_AP)
    digest = await arrive(world, await agent.ask_person_token(), callback=callback)
    assert await world.server.approve(digest, person_id=ALICE) == callback


@pytest.mark.spec("#interaction-callback-errors")
async def test_a_callback_says_how_it_ended(world: World) -> None:
    callback = AP + "/callback?state=1"
    agent = world.agent()
    denied = await arrive(world, await agent.ask_person_token(), callback=callback)
    assert await world.server.deny(denied, person_id=ALICE) == callback + "&error=access_denied"
    left = await arrive(world, await agent.ask_person_token(), callback=AP + "/callback")
    assert await world.server.abandon(left, person_id=ALICE) == AP + "/callback?error=user_abandoned"
    late = await arrive(world, await agent.ask_person_token(), callback=callback)
    world.clock.now += 900
    view = await world.server.consent(late, person_id=ALICE)
    assert view.state is State.EXPIRED
    assert view.callback == callback + "&error=interaction_expired"


@pytest.mark.spec("#resource-initiated-interaction")
async def test_nobody_is_sent_to_a_page_that_egress_admission_refuses(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    world.network.refused.add(INTERACTION.url)
    with pytest.raises(errors.InvalidResourceToken, match="interaction URL"):
        await agent.ask_auth_token(resource_token(world, presented, interaction=INTERACTION), presented)
    assert await world.server.pending_for(ALICE) == []


@pytest.mark.spec("#interaction-callback-errors")
async def test_a_callback_still_says_denied_after_the_agent_fetched_it(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    digest = await arrive(world, response, callback=AP + "/callback")
    await world.server.deny(digest, person_id=ALICE)
    with pytest.raises(errors.Denied):
        await agent.poll(response)
    assert await world.server.deny(digest, person_id=ALICE) == AP + "/callback?error=access_denied"


# ---- the resource's own interaction


async def _with_interaction(world: World, agent: Agent) -> tuple[object, str]:
    presented = await agent.person_token()
    text = resource_token(world, presented, interaction=INTERACTION)
    response = await agent.ask_auth_token(text, presented)
    return response, await arrive(world, response)


def _flow(url: str) -> str:
    callback = parse_qs(urlsplit(url).query)["callback"][0]
    assert callback.startswith(PS + "/interaction-callback/")
    return callback.rpartition("/")[2]


@pytest.mark.spec("#resource-initiated-interaction")
async def test_the_resources_own_page_comes_before_the_decision(world: World) -> None:
    agent = world.agent()
    response, digest = await _with_interaction(world, agent)
    view = await world.server.consent(digest, person_id=ALICE)
    assert view.resource_interaction is not None
    assert not view.resource_interaction.completed
    assert view.resource_interaction.url.startswith(INTERACTION.url + "?code=A1B2-C3D4&callback=https%3A%2F%2Fps.")
    with pytest.raises(ResourceInteractionFirst):
        await world.server.approve(digest, person_id=ALICE)
    flow = _flow(view.resource_interaction.url)
    assert await world.server.resource_interaction_ended(flow, person_id=ALICE, error=None) == digest
    after = await world.server.consent(digest, person_id=ALICE)
    assert after.resource_interaction is not None
    assert after.resource_interaction.completed
    await world.server.approve(digest, person_id=ALICE)
    assert (await agent.poll(response)).status == 200  # type: ignore[arg-type]


@pytest.mark.spec("#resource-initiated-interaction", "#interaction-callback-errors")
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("access_denied", errors.Denied),
        ("user_abandoned", errors.Abandoned),
        ("interaction_expired", errors.Expired),
        ("server_error", errors.ServerError),
        ("temporarily_unavailable", errors.ServerError),
        ("something new", errors.ServerError),
    ],
)
async def test_a_failure_at_the_resource_reaches_the_agent(
    world: World, error: str, outcome: type[errors.ProblemError]
) -> None:
    agent = world.agent()
    response, digest = await _with_interaction(world, agent)
    view = await world.server.consent(digest, person_id=ALICE)
    assert view.resource_interaction is not None
    await world.server.resource_interaction_ended(_flow(view.resource_interaction.url), person_id=ALICE, error=error)
    with pytest.raises((NotWaiting, errors.Expired)):
        await world.server.approve(digest, person_id=ALICE)
    with pytest.raises(outcome):
        await agent.poll(response)  # type: ignore[arg-type]


@pytest.mark.spec("#resource-initiated-interaction")
async def test_only_the_person_who_arrived_can_come_back_from_the_resource(world: World) -> None:
    _, digest = await _with_interaction(world, world.agent())
    view = await world.server.consent(digest, person_id=ALICE)
    assert view.resource_interaction is not None
    flow = _flow(view.resource_interaction.url)
    for person, value in ((BOB, flow), (ALICE, "made-up")):
        with pytest.raises(errors.NotFound):
            await world.server.resource_interaction_ended(value, person_id=person, error=None)
    again = await world.server.consent(digest, person_id=ALICE)
    assert again.resource_interaction is not None
    assert not again.resource_interaction.completed


@pytest.mark.spec("#resource-initiated-interaction")
async def test_remembered_consent_does_not_skip_the_resources_own_page(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    await agent.auth_token(presented, "calendar.read")
    text = resource_token(world, presented, interaction=INTERACTION)
    assert (await agent.ask_auth_token(text, presented)).status == 202


# ---- what is remembered


async def test_a_forgotten_consent_is_asked_for_again(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    await agent.auth_token(presented, "calendar.read calendar.write")
    grants = await world.server.grants(ALICE)
    assert {(grant.resource, grant.scope) for grant in grants} == {
        (CALENDAR, None),
        (CALENDAR, "calendar.read"),
        (CALENDAR, "calendar.write"),
    }
    write = next(grant for grant in grants if grant.scope == "calendar.write")
    await world.server.forget(BOB, write)
    assert len(await world.server.grants(ALICE)) == 3, "another person's forgetting is none of Alice's"
    await world.server.forget(ALICE, write)
    for scope, status in (("calendar.read", 200), ("calendar.write", 202)):
        text = resource_token(world, presented, scope=scope)
        assert (await agent.ask_auth_token(text, presented)).status == status


@pytest.mark.spec("#agent-person-binding")
async def test_a_disconnected_agent_gets_nothing_and_may_be_connected_by_another_person(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    waiting = await agent.ask_person_token(MAIL)
    granted = await agent.ask_person_token("https://third.example")
    await approve(world, granted)
    await world.server.disconnect(ALICE, agent.identity)
    for response in (waiting, granted):
        with pytest.raises(errors.Revoked):
            await agent.poll(response)
    assert await world.server.agents(ALICE) == await world.server.grants(ALICE) == []
    assert (await agent.ask_person_token()).status == 202
    token = await agent.person_token(person=BOB)
    assert token.sub == world.server.keys.directed.sub(BOB, CALENDAR)


@pytest.mark.spec("#agent-person-binding")
async def test_nobody_disconnects_another_persons_agent(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    with pytest.raises(errors.NotFound):
        await world.server.disconnect(BOB, agent.identity)
    assert len(await world.server.agents(ALICE)) == 1


@pytest.mark.spec("#scopes")
@pytest.mark.parametrize(
    "claims", [{"sub": "x"}, {"email_verified": True}, {"name": 1}, {"name": "x" * 501}, {"": "x"}]
)
async def test_a_profile_holds_known_claims_and_none_that_claim_to_be_verified(
    world: World, claims: dict[str, object]
) -> None:
    with pytest.raises(errors.InvalidRequest):
        await world.server.set_profile(ALICE, claims)
    assert await world.server.profile(ALICE) == {}


async def test_a_profile_is_replaced_as_a_whole(world: World) -> None:
    await world.server.set_profile(ALICE, {"name": " Alice ", "email": "a@example.org", "address": "Main St 1"})
    assert await world.server.profile(ALICE) == {
        "name": "Alice",
        "email": "a@example.org",
        "email_verified": False,
        "address": {"formatted": "Main St 1"},
    }
    await world.server.set_profile(ALICE, {"name": "Alice", "email": ""})
    assert await world.server.profile(ALICE) == {"name": "Alice"}
    assert await world.server.profile(BOB) == {}
