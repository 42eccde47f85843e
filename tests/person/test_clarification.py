"""Clarification chat: the person asks, the agent answers, updates or withdraws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aauthlib.deferred.machine import State
from aauthlib.errors import Gone, InvalidPresentedToken, InvalidRequest, InvalidResourceToken, NotFound
from aauthlib.http import Response
from aauthlib.person.consent import NotWaiting, RequestChanged, TooManyQuestions
from aauthlib.person.server import PersonServer
from aauthlib.store.database import Database
from aauthlib.store.person import SQLPersonStore
from aauthlib.tokens import AuthToken, PersonToken

from .parties import ALICE, BOB, CALENDAR, MAIL, PS, Agent, World, arrive, requirement_of, resource_token

BOTH = ["interaction", "clarification"]


async def opened(world: World, agent: Agent, scope: str = "calendar.read calendar.write") -> tuple[Response, str, Any]:
    """An auth token request the person looks at: the `202`, its digest, the presented token."""
    presented = await agent.person_token()
    response = await agent.ask_auth_token(
        resource_token(world, presented, scope=scope), presented, capabilities=BOTH, justification="For lunch."
    )
    return response, await arrive(world, response), presented


async def send(agent: Agent, response: Response, **body: Any) -> Response:
    location = response.headers.get("location") or ""
    return await agent.world.server.answer(agent.signed("POST", location, body), location.rpartition("/")[2])


async def say(agent: Agent, response: Response, text: str = "Because.") -> Response:
    return await send(agent, response, action="clarification_response", clarification_response=text)


async def update(agent: Agent, response: Response, presented: PersonToken, **token: Any) -> Response:
    text = resource_token(agent.world, presented, **token)
    return await send(
        agent,
        response,
        action="updated_request",
        resource_token=text,
        presented_token=presented.raw,
        justification="Less.",
    )


@pytest.mark.spec("#requirement-clarification", "#clarification-chat")
async def test_a_question_of_the_persons_reaches_the_agent_by_its_poll(world: World) -> None:
    agent = world.agent()
    response, digest, _ = await opened(world, agent)
    await world.server.ask_agent(digest, "Why **write**?", person_id=ALICE, options=["Lunch", " ", "Lunch", "Other"])
    polled = await agent.poll(response, prefer="wait=40")
    assert polled.status == 202
    assert requirement_of(polled).value == "clarification"
    assert polled.headers.get("location") == response.headers.get("location")
    assert polled.json() == {
        "status": "pending",
        "clarification": "Why **write**?",
        "timeout": 900,
        "options": ["Lunch", "Other"],
    }


@pytest.mark.spec("#clarification-response", "#consent-presentation")
async def test_the_answer_is_shown_and_the_conversation_is_kept_and_logged(world: World) -> None:
    agent = world.agent()
    response, digest, _ = await opened(world, agent)
    await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    answered = await say(agent, response, "I *must*.")
    assert (answered.status, answered.json()["status"]) == (202, "interacting")
    polled = await agent.poll(response)
    assert polled.headers.get("aauth-requirement") is None
    await world.server.approve(digest, person_id=ALICE)
    view = await world.server.consent(digest, person_id=ALICE)
    assert [(turn.kind, turn.text) for turn in view.conversation] == [("question", "Why?"), ("answer", "I *must*.")]
    log = [(entry.action, entry.details.get("text")) for entry in await world.server.history(ALICE)]
    assert ("ask agent", "Why?") in log
    assert ("agent answers", "I *must*.") in log


@pytest.mark.spec("#agent-response-to-clarification")
@pytest.mark.parametrize("body", [{}, {"action": "shrug"}, {"action": "clarification_response"}])
async def test_a_post_without_a_known_action_or_an_answer_is_a_bad_request(world: World, body: dict[str, str]) -> None:
    agent = world.agent()
    response, digest, _ = await opened(world, agent)
    await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    with pytest.raises(InvalidRequest) as caught:
        await send(agent, response, **body)
    assert caught.value.status == 400
    assert (await world.server.consent(digest, person_id=ALICE)).state is State.CLARIFYING


@pytest.mark.spec("#updated-request")
async def test_an_update_replaces_the_request_under_the_same_url(world: World) -> None:
    agent = world.agent()
    response, digest, presented = await opened(world, agent)
    await world.server.ask_agent(digest, "Why write?", person_id=ALICE)
    await update(agent, response, presented, scope="calendar.read")
    view = await world.server.consent(digest, person_id=ALICE)
    assert [line.value for line in view.scopes] == ["calendar.read"]
    assert view.conversation[-1].removed == ("calendar.write",)
    await world.server.approve(digest, person_id=ALICE, version=view.version)
    token = await world.verified((await agent.poll(response)).json()["auth_token"], AuthToken)
    assert token.scope == ("calendar.read",)


@pytest.mark.spec("#updated-request", "#consent-presentation")
async def test_a_decision_on_an_older_page_does_not_allow_what_was_not_on_it(world: World) -> None:
    agent = world.agent()
    response, digest, presented = await opened(world, agent, scope="calendar.read")
    await world.server.ask_agent(digest, "Only reading?", person_id=ALICE)
    old = await world.server.consent(digest, person_id=ALICE)
    await update(agent, response, presented, scope="calendar.read calendar.write")
    with pytest.raises(RequestChanged):
        await world.server.approve(digest, person_id=ALICE, version=old.version)
    view = await world.server.consent(digest, person_id=ALICE)
    assert view.waiting
    assert view.conversation[-1].added == ("calendar.write",)


@pytest.mark.spec("#updated-request", "#resource-token-verification")
async def test_an_update_for_another_resource_or_without_its_pair_is_refused(world: World) -> None:
    agent = world.agent()
    response, digest, presented = await opened(world, agent)
    elsewhere = await agent.person_token(MAIL)
    await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    before = await world.server.consent(digest, person_id=ALICE)
    with pytest.raises(InvalidResourceToken):
        await update(agent, response, elsewhere)
    with pytest.raises(InvalidRequest):
        await send(agent, response, action="updated_request", resource_token=resource_token(world, presented))
    with pytest.raises((InvalidResourceToken, InvalidPresentedToken)):
        await send(
            agent,
            response,
            action="updated_request",
            resource_token=resource_token(world, presented),
            presented_token=elsewhere.raw,
        )
    other = world.agent("other")
    foreign = await other.person_token(CALENDAR)
    with pytest.raises((InvalidResourceToken, InvalidPresentedToken)):
        await update(agent, response, foreign)
    assert (await world.server.consent(digest, person_id=ALICE)).version == before.version


@pytest.mark.spec("#agent-response-to-clarification", "#pending-url-security")
async def test_another_agent_can_neither_read_nor_answer_the_question(world: World) -> None:
    agent, other = world.agent(), world.agent("other")
    response, digest, _ = await opened(world, agent)
    await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    with pytest.raises(NotFound):
        await other.poll(response)
    with pytest.raises(NotFound):
        await say(other, response)
    with pytest.raises(NotFound):
        await world.server.ask_agent(digest, "Why?", person_id=BOB)
    assert len((await world.server.consent(digest, person_id=ALICE)).conversation) == 1


@pytest.mark.spec("#clarification-limits")
async def test_a_sixth_question_is_refused(world: World) -> None:
    agent = world.agent()
    response, digest, _ = await opened(world, agent)
    for number in range(5):
        await world.server.ask_agent(digest, f"Why {number}?", person_id=ALICE)
        await say(agent, response)
    with pytest.raises(TooManyQuestions):
        await world.server.ask_agent(digest, "Why at all?", person_id=ALICE)
    assert (await world.server.consent(digest, person_id=ALICE)).questions_left == 0


@pytest.mark.spec("#clarification-chat")
async def test_a_second_click_asks_once(world: World) -> None:
    agent = world.agent()
    response, digest, _ = await opened(world, agent)
    await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    with pytest.raises(NotWaiting):
        await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    await say(agent, response)
    with pytest.raises(InvalidRequest):
        await say(agent, response, "Twice.")
    assert len((await world.server.consent(digest, person_id=ALICE)).conversation) == 2


@pytest.mark.spec("#agent-response-to-clarification")
async def test_an_answer_after_the_decision_changes_nothing(world: World) -> None:
    agent = world.agent()
    response, digest, presented = await opened(world, agent)
    await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    await world.server.approve(digest, person_id=ALICE, scope=["calendar.read"])
    with pytest.raises(InvalidRequest):
        await update(agent, response, presented, scope="calendar.read calendar.write")
    token = await world.verified((await agent.poll(response)).json()["auth_token"], AuthToken)
    assert token.scope == ("calendar.read",)


@pytest.mark.spec("#cancel-request", "#agent-response-to-clarification")
async def test_an_agent_may_withdraw_instead_and_the_person_is_told(world: World) -> None:
    agent = world.agent()
    response, digest, _ = await opened(world, agent)
    await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    assert (await agent.cancel(response)).status == 204
    assert (await world.server.consent(digest, person_id=ALICE)).state is State.CANCELLED
    with pytest.raises(Gone):
        await agent.poll(response)


@pytest.mark.spec("#aauth-capabilities")
async def test_an_agent_that_did_not_declare_it_is_not_asked(world: World) -> None:
    response = await world.agent().ask_person_token()
    digest = await arrive(world, response)
    with pytest.raises(InvalidRequest):
        await world.server.ask_agent(digest, "Why?", person_id=ALICE)


@pytest.mark.spec("#requirement-clarification")
async def test_the_conversation_outlives_the_process(world: World, tmp_path: Path) -> None:
    agent = world.agent()
    response, digest, _ = await opened(world, agent)
    await world.server.ask_agent(digest, "Why?", person_id=ALICE)
    database = await Database.open(f"sqlite:///{tmp_path}/ps.db")
    world.server = await PersonServer.open(
        issuer=PS, store=SQLPersonStore(database), wire=world.wire, clock=world.clock
    )
    assert requirement_of(await agent.poll(response)).value == "clarification"
    await say(agent, response)
    await world.database.close()
    view = await world.server.consent(digest, person_id=ALICE)
    assert [turn.kind for turn in view.conversation] == ["question", "answer"]
    await database.close()
