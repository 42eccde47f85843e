"""A decision that came when the tokens of its request had expired: it stands, and is applied once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from aauthlib import errors
from aauthlib.http import Response
from aauthlib.jws import parse
from aauthlib.keys import SigningKey
from aauthlib.tokens import AuthToken, PersonToken

from .access_server import ScriptedAccessServer
from .missions import approved, propose
from .parties import ALICE, AS, BOB, CALENDAR, MAIL, PS, Agent, World, resource_token, server_signed
from .test_federation import ask
from .test_missions import refusal
from .test_relaying import reachable

LATE_S = 3_700  # later than any token of the request lives


@pytest_asyncio.fixture
async def agent(world: World) -> Agent:
    """An agent alone, whose person knows it and can be told."""
    agent = world.agent()
    await agent.person_token()
    await reachable(world)
    return agent


async def ask_alone(agent: Agent, scope: str = "calendar.read", **token: Any) -> Response:
    """A request for an auth token with fresh tokens, by an agent that can send nobody anywhere."""
    agent.renew()
    presented = await agent.person_token(mission_s256=token.pop("mission_s256", None))
    said = {"justification": token.pop("justification")} if "justification" in token else {}
    text = resource_token(agent.world, presented, scope=scope, **token)
    return await agent.ask_auth_token(text, presented, capabilities=[], **said)


async def decide(world: World, *, person: str = ALICE, **choices: Any) -> None:
    (view,) = await world.server.pending_for(person)
    await world.server.approve(view.digest, person_id=person, **choices)


async def scope_of(world: World, response: Response) -> tuple[str, ...] | None:
    token: AuthToken = await world.verified(response.json()["auth_token"], AuthToken)
    return token.scope


@pytest.mark.spec("#approval-pending", "#resource-token-structure", "#deferred-responses")
async def test_a_person_who_was_told_may_take_a_day(world: World, agent: Agent) -> None:
    response = await ask_alone(agent)
    world.clock.now += 86_399
    agent.renew()
    assert (await agent.poll(response)).status == 202
    world.clock.now += 1
    assert isinstance(await refusal(agent.poll(response)), errors.Expired)


@pytest.mark.spec("#resource-token-structure", "#polling-error-codes", "#re-authorization")
async def test_a_late_yes_that_is_not_remembered_is_applied_to_the_next_request_and_to_no_other(
    world: World, agent: Agent
) -> None:
    response = await ask_alone(agent)
    world.clock.now += LATE_S
    await decide(world, remember=False)
    agent.renew()
    for _ in range(2):  # asking twice takes nothing away
        assert isinstance(await refusal(agent.poll(response)), errors.Expired)
    again = await ask_alone(agent)
    assert again.status == 200
    assert await scope_of(world, again) == ("calendar.read",)
    assert isinstance(await refusal(agent.poll(response)), errors.Gone)
    assert (await ask_alone(agent)).status == 202


@pytest.mark.spec("#resource-token-structure")
async def test_a_late_yes_that_is_remembered_answers_the_next_request_by_itself(world: World, agent: Agent) -> None:
    response = await ask_alone(agent)
    world.clock.now += LATE_S
    await decide(world)
    agent.renew()
    assert isinstance(await refusal(agent.poll(response)), errors.Expired)
    assert isinstance(await refusal(agent.poll(response)), errors.Gone)
    assert [(await ask_alone(agent)).status for _ in range(2)] == [200, 200]


@pytest.mark.spec("#resource-token-structure")
async def test_what_the_person_left_out_is_not_in_it(world: World, agent: Agent) -> None:
    await ask_alone(agent, "calendar.read calendar.write")
    world.clock.now += LATE_S
    await decide(world, scope=["calendar.read"], remember=False)
    assert await scope_of(world, await ask_alone(agent, "calendar.read calendar.write")) == ("calendar.read",)


@pytest.mark.spec("#resource-token-structure", "#agent-person-binding")
@pytest.mark.parametrize(
    "other",
    [
        {"scope": "calendar.read calendar.write"},
        {"scope": "calendar.write"},
        {"account": "work"},
    ],
)
async def test_another_question_is_asked(world: World, agent: Agent, other: dict[str, Any]) -> None:
    await ask_alone(agent)
    world.clock.now += LATE_S
    await decide(world, remember=False)
    assert (await ask_alone(agent, **other)).status == 202


@pytest.mark.spec("#missions")
async def test_a_yes_outside_of_a_mission_says_nothing_inside_of_one(world: World, agent: Agent) -> None:
    await ask_alone(agent)
    world.clock.now += LATE_S
    await decide(world, remember=False)
    agent.renew()
    mission = await approved(agent)
    assert (await ask_alone(agent, mission_s256=mission.s256)).status == 202


@pytest.mark.spec("#resource-token-structure")
async def test_a_yes_whose_answer_can_be_fetched_is_nobody_elses(world: World, agent: Agent) -> None:
    first = await ask_alone(agent)
    await decide(world, remember=False)
    assert (await ask_alone(agent)).status == 202
    assert (await agent.poll(first)).status == 200


@pytest.mark.spec("#re-authorization", "#polling-error-codes")
async def test_an_agent_with_a_new_key_asks_anew_and_gets_what_was_decided(world: World, agent: Agent) -> None:
    response = await ask_alone(agent)
    agent.key = SigningKey.generate()
    agent.renew()
    assert (await agent.poll(response)).status == 202
    await decide(world, remember=False)
    for _ in range(2):
        assert isinstance(await refusal(agent.poll(response)), errors.Expired)
    again = await ask_alone(agent)
    token: AuthToken = await world.verified(again.json()["auth_token"], AuthToken)
    assert token.cnf.thumbprint == agent.key.public.thumbprint
    assert (await ask_alone(agent)).status == 202


@pytest.mark.spec("#ps-token-endpoint", "#re-authorization")
async def test_another_process_of_the_agent_takes_nothing_that_can_still_be_fetched(world: World, agent: Agent) -> None:
    response = await ask_alone(agent)
    await decide(world, remember=False)
    first, agent.key = agent.key, SigningKey.generate()
    assert (await ask_alone(agent)).status == 202
    agent.key = first
    agent.renew()
    assert (await agent.poll(response)).status == 200


@pytest.mark.spec("#resource-token-structure", "#deferred-responses")
async def test_a_yes_in_the_last_minute_is_held_for_an_hour(world: World, agent: Agent) -> None:
    response = await ask_alone(agent)
    world.clock.now += 86_399
    await decide(world, remember=False)
    world.clock.now += 3_599
    agent.renew()
    assert isinstance(await refusal(agent.poll(response)), errors.Expired)
    assert (await ask_alone(agent)).status == 200


@pytest.mark.spec("#resource-token-structure", "#deferred-responses")
async def test_a_yes_that_nobody_fetches_is_over_after_an_hour(world: World, agent: Agent) -> None:
    await ask_alone(agent)
    world.clock.now += 86_399
    await decide(world, remember=False)
    world.clock.now += 3_600
    assert (await ask_alone(agent)).status == 202


@pytest.mark.spec("#resource-token-structure")
async def test_what_the_person_left_out_is_not_asked_again_at_once(world: World, agent: Agent) -> None:
    response = await ask_alone(agent, "calendar.read calendar.write")
    world.clock.now += LATE_S
    await decide(world, scope=["calendar.read"])
    agent.renew()
    assert isinstance(await refusal(agent.poll(response)), errors.Expired)
    assert await scope_of(world, await ask_alone(agent, "calendar.read calendar.write")) == ("calendar.read",)


@pytest.mark.spec("#resource-token-structure", "#consent-presentation")
async def test_a_yes_to_one_reason_is_no_yes_to_another(world: World, agent: Agent) -> None:
    await ask_alone(agent)
    world.clock.now += LATE_S
    await decide(world, remember=False)
    assert (await ask_alone(agent, justification="Something else.")).status == 202


@pytest.mark.spec("#agent-person-binding")
async def test_a_yes_to_one_agent_is_no_yes_to_another(world: World, agent: Agent) -> None:
    await ask_alone(agent)
    world.clock.now += LATE_S
    await decide(world, remember=False)
    other = world.agent("other")
    await other.person_token()
    assert (await ask_alone(other)).status == 202


@pytest.mark.spec("#ps-token-endpoint", "#resource-token-structure")
@pytest.mark.parametrize("access_server", [False, True], ids=["decides itself", "access server"])
async def test_of_two_requests_at_once_one_has_it(world: World, agent: Agent, access_server: bool) -> None:
    if access_server:
        ScriptedAccessServer(world)
    await ask_alone(agent, access_server=AS if access_server else None)
    world.clock.now += LATE_S
    await decide(world, remember=False)
    agent.renew()
    presented = await agent.person_token()
    texts = [resource_token(world, presented, access_server=AS if access_server else None) for _ in range(2)]
    answers = await asyncio.gather(*(agent.ask_auth_token(text, presented, capabilities=[]) for text in texts))
    assert sorted(answer.status for answer in answers) == [200, 202]


@pytest.mark.spec("#token-revocation", "#resource-token-structure")
async def test_a_yes_to_what_the_resource_withdrew_is_over(world: World, agent: Agent) -> None:
    agent.renew()
    presented = await agent.person_token()
    text = resource_token(world, presented)
    response = await agent.ask_auth_token(text, presented, capabilities=[])
    await decide(world, remember=False)
    body = {"jti": parse(text).payload["jti"], "exp": int(world.clock()) + 300}
    await world.server.revoke(server_signed(world, CALENDAR, "aauth-resource.json", PS + "/revoke", body))
    assert isinstance(await refusal(agent.poll(response)), errors.Revoked)
    assert (await ask_alone(agent)).status == 202


@pytest.mark.spec("#revocation-cascade", "#agent-person-binding")
async def test_nothing_is_left_of_a_yes_once_the_agent_was_disconnected(world: World, agent: Agent) -> None:
    response = await ask_alone(agent)
    world.clock.now += LATE_S
    await decide(world, remember=False)
    await world.server.disconnect(ALICE, agent.identity)
    agent.renew()
    assert isinstance(await refusal(agent.poll(response)), errors.Revoked)
    await agent.person_token(person=BOB)
    await world.server.store.unsubscribe("phone")  # type: ignore[attr-defined]
    await reachable(world, BOB)
    assert (await ask_alone(agent)).status == 202


@pytest.mark.spec("#agent-person-binding")
async def test_a_permission_that_was_taken_back_is_not_handed_out_from_before(world: World, agent: Agent) -> None:
    response = await ask_alone(agent)
    await decide(world)
    (grant,) = [each for each in await world.server.grants(ALICE) if each.scope == "calendar.read"]
    await world.server.forget(ALICE, grant)
    assert isinstance(await refusal(agent.poll(response)), errors.Revoked)
    assert (await ask_alone(agent)).status == 202


@pytest.mark.spec("#person-token-endpoint", "#re-authorization")
async def test_a_late_yes_to_acting_for_somebody_is_applied_too(world: World, agent: Agent) -> None:
    response = await agent.ask_person_token(MAIL, capabilities=[])
    world.clock.now += LATE_S
    await decide(world, remember=False)
    agent.renew()
    assert isinstance(await refusal(agent.poll(response)), errors.Expired)
    again = await agent.ask_person_token(MAIL, capabilities=[])
    token: PersonToken = await world.verified(again.json()["person_token"], PersonToken)
    assert token.aud == MAIL
    assert (await agent.ask_person_token(MAIL, capabilities=[])).status == 202


@pytest.mark.spec("#ps-as-federation", "#resource-token-structure")
async def test_with_an_access_server_a_late_yes_is_applied_to_a_fresh_resource_token(
    world: World, agent: Agent
) -> None:
    server = ScriptedAccessServer(world)
    response = await ask(world, agent, await agent.person_token(), capabilities=[])
    world.clock.now += 301
    await decide(world, remember=False)
    assert isinstance(await refusal(agent.poll(response)), errors.Expired)
    assert server.received == []
    again = await ask(world, agent, await agent.person_token(), capabilities=[])
    assert (again.status, "auth_token" in again.json()) == (200, True)
    assert isinstance(await refusal(agent.poll(response)), errors.Gone)
    assert (await ask(world, agent, await agent.person_token(), capabilities=[])).status == 202


@pytest.mark.spec("#mission-approval", "#deferred-responses")
async def test_a_mission_approved_late_comes_without_the_tokens_that_cannot_be_had(world: World, agent: Agent) -> None:
    response = await propose(agent, capabilities=[])
    world.clock.now += LATE_S
    (view,) = await world.server.pending_for(ALICE)
    await world.server.approve_mission(view.digest, person_id=ALICE)
    agent.renew()
    answer = await agent.poll(response)
    assert answer.status == 200 and "person_tokens" not in answer.json()
    token = await agent.person_token(CALENDAR, mission_s256=answer.json()["s256"])
    assert token.mission_s256 == answer.json()["s256"]
