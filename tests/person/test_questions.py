"""Who answers an access server's question: the mission, the operator, the agent, the person (#as-response)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aauthlib import errors
from aauthlib.access import AccessServer, AskQuestion
from aauthlib.deferred.pending import id_digest
from aauthlib.http import Response
from aauthlib.messages.bodies import ClarificationAnswer
from aauthlib.person.asked import Asked
from aauthlib.person.questions import AskedByServer
from aauthlib.store.person_records import AgentOfAnotherPerson
from aauthlib.tokens import AgentToken, AuthToken, PersonToken

from . import test_federation_whole
from .access_server import ScriptedAccessServer, waiting
from .missions import Approved, approved
from .parties import ALICE, AS, BOB, PS, Agent, World, approve, arrive, invitation, requirement_of, resource_token
from .test_federation import BOTH, ask, later, post, trusting
from .test_federation_whole import Demands

pytestmark = pytest.mark.spec("#as-response", "#requirement-clarification")

PROJECT = "Which **project** is this for?"
WHY = "Why now?"

demands, access = test_federation_whole.demands, test_federation_whole.access


async def answer(world: World, agent: Agent, response: Response, text: str = "Apollo") -> Response:
    return await post(world, agent, response, action="clarification_response", clarification_response=text)


async def at_page(world: World, **body: Any) -> tuple[Agent, Response, str]:
    """A person who has just agreed, on the page, where an access server asks something."""
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token(), "calendar.read calendar.write", **body)
    return agent, response, await approve(world, response)


async def turns(world: World, digest: str) -> list[tuple[str, str]]:
    return [(turn.kind, turn.text) for turn in await world.server.store.conversation(digest)]


def digest_of(response: Response) -> str:
    return id_digest((response.headers.get("location") or "").rpartition("/")[2])


async def granted(world: World, agent: Agent, response: Response) -> AuthToken:
    polled = await later(world, agent, response)
    assert polled.status == 200, polled.body
    token: AuthToken = await world.verified(polled.json()["auth_token"], AuthToken)
    return token


# ---------------------------------------------------------------------- the agent


async def test_an_agent_that_takes_questions_answers_and_the_page_keeps_what_was_said(
    world: World, access: AccessServer, demands: Demands
) -> None:
    demands.decisions = [AskQuestion(PROJECT)]
    agent, response, digest = await at_page(world, capabilities=BOTH)
    assert requirement_of(await agent.poll(response)).value == "clarification"
    await answer(world, agent, response)
    await granted(world, agent, response)
    assert demands.facts[-1].answers == {PROJECT: "Apollo"}
    assert await turns(world, digest) == [("server_question", PROJECT), ("answer", "Apollo")]
    actions = [record.action for record in await world.server.history(ALICE)]
    assert {"access server asks", "agent answers"} <= set(actions)


@pytest.mark.spec("#agent-response-to-clarification")
async def test_an_answer_that_is_none_of_the_options_is_refused_here(
    world: World, access: AccessServer, demands: Demands
) -> None:
    demands.decisions = [AskQuestion(PROJECT, ("Apollo", "Gemini"))]
    agent, response, digest = await at_page(world, capabilities=BOTH)
    with pytest.raises(errors.InvalidRequest, match="options"):
        await answer(world, agent, response, "Mercury")
    with pytest.raises(errors.InvalidRequest, match="options"):
        await world.server.answer_access_server(digest, "Mercury", person_id=ALICE)
    assert len(demands.facts) == 1
    await answer(world, agent, response, "Gemini")
    await granted(world, agent, response)


@pytest.mark.spec("#agent-response-to-clarification")
async def test_a_question_whose_time_is_over_is_asked_after_and_not_answered(world: World) -> None:
    server = ScriptedAccessServer(world)
    agent, presented = await trusting(world)
    server.script = [waiting("clarification", clarification=WHY, timeout=60), waiting()]
    response = await ask(world, agent, presented, capabilities=BOTH)
    world.clock.now += 20
    assert (await agent.poll(response)).json()["timeout"] == 40
    assert len(server.received) == 1
    world.clock.now += 40
    polled = await agent.poll(response)
    assert "aauth-requirement" not in polled.headers
    assert [request.method for request in server.received] == ["POST", "GET"]


# ---------------------------------------------------------------------- the person


async def test_the_person_answers_for_an_agent_that_takes_no_questions(
    world: World, access: AccessServer, demands: Demands
) -> None:
    demands.decisions = [AskQuestion(PROJECT, ("Apollo", "Gemini"))]
    agent, response, digest = await at_page(world)
    view: Any = await world.server.consent(digest, person_id=ALICE)
    assert (view.access_question.text, view.access_question.options) == (PROJECT, ("Apollo", "Gemini"))
    assert not view.access_question.agent_too
    assert (await agent.poll(response)).json()["status"] == "interacting"
    with pytest.raises(errors.InvalidRequest):
        await answer(world, agent, response)
    await world.server.answer_access_server(digest, "Gemini", person_id=ALICE)
    await granted(world, agent, response)
    assert demands.facts[-1].answers == {PROJECT: "Gemini"}
    assert await turns(world, digest) == [("server_question", PROJECT), ("person_answer", "Gemini")]


async def test_who_answers_first_answers(world: World, access: AccessServer, demands: Demands) -> None:
    demands.decisions = [AskQuestion(PROJECT)]
    agent, response, digest = await at_page(world, capabilities=BOTH)
    view: Any = await world.server.consent(digest, person_id=ALICE)
    assert view.access_question.agent_too
    await world.server.answer_access_server(digest, "Gemini", person_id=ALICE)
    with pytest.raises(errors.InvalidRequest):
        await answer(world, agent, response)
    with pytest.raises(errors.Gone):
        await world.server.answer_access_server(digest, "Apollo", person_id=ALICE)
    await granted(world, agent, response)
    assert demands.facts[-1].answers == {PROJECT: "Gemini"}


async def test_a_person_can_be_given_time_before_the_agent_is_asked(
    world: World, access: AccessServer, demands: Demands
) -> None:
    world.server.person_first_s = 60
    demands.decisions = [AskQuestion(PROJECT)]
    agent, response, _ = await at_page(world, capabilities=BOTH)
    assert (await agent.poll(response)).json()["status"] == "interacting"
    world.clock.now += 60
    assert requirement_of(await agent.poll(response)).value == "clarification"


async def test_a_question_is_answered_by_the_person_who_said_yes_and_by_nobody_else(
    world: World, access: AccessServer, demands: Demands
) -> None:
    demands.decisions = [AskQuestion(PROJECT)]
    agent, response, digest = await at_page(world)
    with pytest.raises(errors.NotFound):
        await world.server.answer_access_server(digest, "Apollo", person_id=BOB)
    assert [each.digest for each in await world.server.pending_for(ALICE)] == [digest]
    assert await world.server.pending_for(BOB) == []
    assert (await agent.poll(response)).json()["status"] == "interacting"


@pytest.mark.spec("#user-interaction", "#interaction-code-format")
async def test_a_person_who_is_elsewhere_is_sent_to_the_question(
    world: World, access: AccessServer, demands: Demands
) -> None:
    agent, presented = await trusting(world)
    demands.decisions = [AskQuestion(PROJECT)]
    response = await ask(world, agent, presented)
    requirement = requirement_of(response)
    assert (requirement.value, (requirement.url or "").startswith(PS)) == ("interaction", True)
    again = requirement_of(await agent.poll(response))
    assert (again.url, again.code) == (requirement.url, requirement.code), "a lost answer loses no code"
    handle, code = invitation(response)
    with pytest.raises(errors.InvalidCode):
        await world.server.arrive(handle, "AAAA-AAAA", person_id=ALICE)
    with pytest.raises(AgentOfAnotherPerson):
        await world.server.arrive(handle, code, person_id=BOB)
    await world.server.check_code(handle, code)
    digest = await world.server.arrive(handle, code, person_id=ALICE)
    with pytest.raises(errors.InvalidCode):
        await world.server.arrive(handle, code, person_id=ALICE)
    await world.server.answer_access_server(digest, "Apollo", person_id=ALICE)
    await granted(world, agent, response)


@pytest.mark.spec("#interaction-code-format")
async def test_the_code_of_a_question_is_not_guessed(world: World, access: AccessServer, demands: Demands) -> None:
    agent, presented = await trusting(world)
    demands.decisions = [AskQuestion(PROJECT)]
    handle, code = invitation(await ask(world, agent, presented))
    for _ in range(5):
        with pytest.raises(errors.InvalidCode):
            await world.server.check_code(handle, "AAAA-AAAA")
    with pytest.raises(errors.InvalidCode):
        await world.server.arrive(handle, code, person_id=ALICE)


# ---------------------------------------------------------------------- the mission and the operator


async def in_mission(mission: Approved, **body: Any) -> Response:
    """An auth token request in the mission, which its person allows."""
    agent, world = mission.agent, mission.agent.world
    presented: PersonToken = await agent.person_token(mission_s256=mission.s256)
    text = resource_token(world, presented, access_server=AS)
    response = await agent.ask_auth_token(text, presented, **body)
    if response.status == 202 and requirement_of(response).value == "interaction":
        await approve(world, response)
    return response


@pytest.mark.spec("#mission-log", "#mission-management")
async def test_what_was_answered_in_a_mission_is_answered_again_until_it_ends(
    world: World, access: AccessServer, demands: Demands
) -> None:
    mission, other = await approved(world.agent()), await approved(world.agent())
    demands.decisions = [AskQuestion(PROJECT)]
    response = await in_mission(mission)
    await world.server.answer_access_server(digest_of(response), "Apollo", person_id=ALICE, remember=True)
    await granted(world, mission.agent, response)

    demands.decisions = [AskQuestion(PROJECT)]
    again = await in_mission(mission)
    assert again.status == 200, "nobody is asked"
    assert demands.facts[-1].answers == {PROJECT: "Apollo"}
    log = (await world.server.mission_page(mission.s256, person_id=ALICE)).log
    assert ("mission_answer", "server") in {(entry.kind, entry.actor) for entry in log}

    for decisions, where in (([AskQuestion(WHY)], mission), ([AskQuestion(PROJECT)], other)):
        demands.decisions = list(decisions)
        asked = await in_mission(where)
        view: Any = await world.server.consent(digest_of(asked), person_id=ALICE)
        assert view.access_question is not None, "another question, and another mission, are"
        await where.agent.cancel(asked)

    await world.server.end_mission(mission.s256, person_id=ALICE)
    key = (AS, "https://calendar.example", PROJECT)
    assert await world.server.store.mission_answer(mission.s256, key) is None


async def test_an_operator_answers_from_the_mission_before_anybody_is_asked(
    world: World, access: AccessServer, demands: Demands
) -> None:
    asked: list[AskedByServer] = []

    async def answering(question: AskedByServer) -> str | None:
        asked.append(question)
        return "Apollo" if question.question == PROJECT else None

    world.server.answering = answering
    mission = await approved(world.agent())
    demands.decisions = [AskQuestion(PROJECT), AskQuestion(WHY)]
    response = await in_mission(mission, capabilities=BOTH)
    assert asked[0].mission is not None
    assert "Plan a trip" in asked[0].mission.description
    assert (asked[0].access_server, asked[0].scope) == (AS, ("calendar.read",))
    polled = await mission.agent.poll(response)
    assert polled.json()["clarification"] == WHY
    assert demands.facts[-1].answers == {PROJECT: "Apollo"}


async def test_an_operators_answer_that_cannot_be_sent_is_none(
    world: World, access: AccessServer, demands: Demands
) -> None:
    async def answering(question: AskedByServer) -> str | None:
        return "Mercury"

    world.server.answering = answering
    demands.decisions = [AskQuestion(PROJECT, ("Apollo", "Gemini"))]
    agent, response, _ = await at_page(world, capabilities=BOTH)
    assert requirement_of(await agent.poll(response)).value == "clarification"


# ---------------------------------------------------------------------- an updated request


async def update(world: World, agent: Agent, response: Response, scope: str, **token: Any) -> Response:
    presented = await agent.person_token()
    text = resource_token(world, presented, scope=scope, access_server=token.pop("access_server", AS), **token)
    body = {"resource_token": text, "presented_token": presented.raw, "justification": "Reading is enough."}
    return await post(world, agent, response, action="updated_request", **body)


@pytest.mark.spec("#updated-request", "#agent-response-to-clarification")
async def test_an_agent_answers_an_access_server_by_asking_for_less(
    world: World, access: AccessServer, demands: Demands
) -> None:
    demands.decisions = [AskQuestion(WHY)]
    agent, response, digest = await at_page(world, capabilities=BOTH)
    assert (await update(world, agent, response, "calendar.read")).status == 202
    token = await granted(world, agent, response)
    assert token.scope == ("calendar.read",)
    assert demands.facts[-1].scope == ("calendar.read",)
    assert await turns(world, digest) == [("server_question", WHY), ("update", "Reading is enough.")]
    (turn,) = [turn for turn in await world.server.store.conversation(digest) if turn.kind == "update"]
    assert turn.removed == ("calendar.write",)


@pytest.mark.spec("#updated-request")
async def test_an_update_asks_for_no_more_than_the_person_allowed(
    world: World, access: AccessServer, demands: Demands
) -> None:
    demands.decisions = [AskQuestion(WHY)]
    agent, response, _ = await at_page(world, capabilities=BOTH)
    for scope, token in (("calendar.read calendar.admin", {}), ("calendar.read", {"account": "another"})):
        with pytest.raises(errors.InvalidRequest, match="allowed less"):
            await update(world, agent, response, scope, **token)
    with pytest.raises(errors.InvalidResourceToken, match="another aud"):
        await update(world, agent, response, "calendar.read", access_server=PS)
    assert len(demands.facts) == 1
    assert requirement_of(await agent.poll(response)).value == "clarification"


@pytest.mark.spec("#revocation-cascade", "#updated-request")
async def test_what_the_update_presents_is_recorded_as_presented(
    world: World, access: AccessServer, demands: Demands
) -> None:
    demands.decisions = [AskQuestion(WHY)]
    agent, response, _ = await at_page(world, capabilities=BOTH)
    await update(world, agent, response, "calendar.read")
    token = await granted(world, agent, response)
    await world.server.disconnect(ALICE, agent.identity)
    record = await access.store.issued(token.jti)
    assert record is not None
    assert record.revoked_at is not None


# ---------------------------------------------------------------------- a process that ends in the middle


async def answer_kept(world: World) -> tuple[ScriptedAccessServer, Agent, Response]:
    """An answer was kept, and its process did not live to send it."""
    server = ScriptedAccessServer(world)
    agent, presented = await trusting(world)
    server.script = [waiting("clarification", clarification=WHY)]
    response = await ask(world, agent, presented, capabilities=BOTH)
    pending = await world.server.store.get_pending(digest_of(response))
    assert pending is not None
    body = ClarificationAnswer(action="clarification_response", clarification_response="Because.")
    token: AgentToken = await world.verified(agent.token, AgentToken)
    await world.server.agent_answers(pending, Asked.of(pending.request), body, token)
    return server, agent, response


async def test_an_answer_that_was_kept_is_sent_by_whoever_comes_next(world: World) -> None:
    server, agent, response = await answer_kept(world)
    await granted(world, agent, response)
    assert [request.method for request in server.received] == ["POST", "POST"]
    sent = msgspec.json.decode(server.received[-1].body)
    assert sent == {"action": "clarification_response", "clarification_response": "Because."}


@pytest.mark.parametrize("taken", [True, False])
async def test_an_answer_that_may_have_been_sent_is_sent_again_only_if_it_is_still_asked(
    world: World, taken: bool
) -> None:
    server, agent, response = await answer_kept(world)
    now = world.clock()
    assert await world.server.store.claim_federation(digest_of(response), now=now, until=now + 180, sending=True)
    world.clock.now += 200
    server.script = [server.token] if taken else [waiting("clarification", clarification=WHY)]
    assert (await agent.poll(response)).status == 200
    methods = [request.method for request in server.received]
    assert methods == (["POST", "GET"] if taken else ["POST", "GET", "POST"])


async def test_a_person_whom_an_access_server_asks_is_not_sent_back_to_the_agent(
    world: World, access: AccessServer, demands: Demands
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    digest = await arrive(world, response)
    demands.decisions = [AskQuestion(PROJECT)]
    assert await world.server.approve(digest, person_id=ALICE) is None, "the page asks, and does not send them away"
