"""The interaction endpoint at the person server: others' pages, its own, questions (#interaction-endpoint)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from aauthlib import errors
from aauthlib.deferred.machine import State
from aauthlib.http import Response
from aauthlib.person.mission_views import MissionRequestView
from aauthlib.store.notification_records import WEB_PUSH, Subscription

from .missions import UNKNOWN, answered, approved, call, log_of
from .parties import ALICE, BOB, PS, Agent, World, arrive, invitation, requirement_of
from .test_missions import refusal

BOOKING = "https://booking.example/confirm"
RELAY: dict[str, Any] = {
    "type": "interaction",
    "description": "The booking service needs you to **confirm**.",
    "url": BOOKING,
    "code": "X7K2-M9P4",
}
QUESTION: dict[str, Any] = {"type": "question", "question": "The refundable one?", "capabilities": ["interaction"]}


@pytest_asyncio.fixture
async def agent(world: World) -> Agent:
    """An agent that Alice knows."""
    agent = world.agent()
    await agent.person_token()
    return agent


async def reachable(world: World, person: str = ALICE) -> None:
    """Alice can be told."""
    target = {"endpoint": "https://push.example/x", "p256dh": "k", "auth": "a"}
    place = Subscription(
        id="phone", person_id=person, channel=WEB_PUSH, target=target, name="A phone", created_at=0.0, confirmed=True
    )
    await world.server.store.subscribe(place)  # type: ignore[attr-defined]


async def reach(agent: Agent, **changes: Any) -> Response:
    body = {name: value for name, value in {**RELAY, **changes}.items() if value is not None}
    return await call(agent, "/interaction", body)


async def waiting(world: World, person: str = ALICE) -> MissionRequestView:
    """The one thing that waits for a person."""
    (view,) = await world.server.pending_for(person)
    assert isinstance(view, MissionRequestView)
    return view


# ---- a page that somebody else hosts


@pytest.mark.spec("#interaction-endpoint", "#ps-metadata")
async def test_the_endpoint_is_in_the_metadata(world: World) -> None:
    assert world.server.metadata().interaction_endpoint == PS + "/interaction"


@pytest.mark.spec("#interaction-relay", "#interaction-response-poll-authority", "#deferred-responses")
@pytest.mark.parametrize("kind", ["interaction", "payment"])
async def test_a_relay_says_that_the_person_looks_and_ends_when_they_went_there(
    world: World, agent: Agent, kind: str
) -> None:
    await reachable(world)
    response = await reach(agent, type=kind)
    assert (response.status, response.json()) == (202, {"status": "pending"})
    assert requirement_of(response).value == "approval"
    view = await waiting(world)
    assert (view.kind, view.url) == (kind, BOOKING + "?code=X7K2-M9P4")
    assert view.context == "The booking service needs you to **confirm**."
    await world.server.see_relay(view.digest, person_id=ALICE)
    assert (await agent.poll(response)).json() == {"status": "interacting"}
    await world.server.answer_request(view.digest, person_id=ALICE, yes=True)
    ended = await agent.poll(response)
    assert (ended.status, ended.json()) == (200, {"engaged": True})
    assert isinstance(await refusal(agent.poll(response)), errors.Gone)


@pytest.mark.spec("#interaction-response-poll-authority", "#polling-error-codes")
async def test_a_person_who_does_not_want_to_go_ends_the_relay(world: World, agent: Agent) -> None:
    await reachable(world)
    response = await reach(agent)
    await world.server.deny((await waiting(world)).digest, person_id=ALICE)
    assert isinstance(await refusal(agent.poll(response)), errors.Denied)


@pytest.mark.spec("#interaction-request", "#interaction-response-poll-authority")
async def test_a_relay_is_given_up_when_the_agents_window_is_over(world: World, agent: Agent) -> None:
    await reachable(world)
    response = await reach(agent, max_wait=30)
    world.clock.now += 29
    assert (await agent.poll(response)).status == 202
    world.clock.now += 1
    assert isinstance(await refusal(agent.poll(response)), errors.Expired)
    assert await world.server.pending_for(ALICE) == []


@pytest.mark.spec("#interaction-request")
async def test_without_a_window_a_relay_waits_as_long_as_any_request(world: World, agent: Agent) -> None:
    await reachable(world)
    response = await reach(agent)
    world.clock.now += world.server.lifetime_s - 1
    assert (await agent.poll(response)).status == 202


@pytest.mark.spec("#interaction-endpoint-errors", "#interaction-relay")
@pytest.mark.parametrize("capabilities", [None, ["interaction"]])
async def test_without_a_way_to_tell_the_person_the_agent_is_to_send_them_itself(
    world: World, agent: Agent, capabilities: list[str] | None
) -> None:
    error = await refusal(reach(agent, capabilities=capabilities))
    assert isinstance(error, errors.InteractionUnavailable)
    assert (error.code, error.status) == ("interaction_unavailable", 424)


@pytest.mark.spec("#interaction-endpoint-errors")
async def test_of_an_agent_nobody_knows_the_person_is_not_known_either(world: World) -> None:
    await reachable(world)
    assert isinstance(await refusal(reach(world.agent())), errors.InteractionUnavailable)


@pytest.mark.spec("#interaction-response-poll-authority", "#token-endpoint-error-codes")
@pytest.mark.parametrize("kind", ["interaction", "question"])
async def test_where_nobody_can_reach_the_person_that_is_the_end(world: World, agent: Agent, kind: str) -> None:
    body = RELAY if kind == "interaction" else QUESTION
    error = await refusal(call(agent, "/interaction", {**body, "capabilities": ["clarification"]}))
    assert isinstance(error, errors.UserUnreachable)
    assert (error.code, error.status) == ("user_unreachable", 403)


@pytest.mark.spec("#interaction-request", "#mission-status-errors")
@pytest.mark.parametrize(
    "changes",
    [
        {"type": "completion"},
        {"type": None},
        {"url": None},
        {"code": None},
        {"url": "http://booking.example/confirm"},
        {"url": BOOKING + "?session=1"},
        {"url": "javascript:alert(1)"},
        {"code": "X7K2&next=https://evil.example"},
        {"max_wait": 0},
        {"max_wait": 10**9},
        {"description": " "},
        {"mission_s256": "short"},
        {"type": "question", "question": None},
        {"type": "question", "question": "x" * 5_000},
    ],
)
async def test_a_request_that_cannot_be_carried_out_is_refused(
    world: World, agent: Agent, changes: dict[str, Any]
) -> None:
    await reachable(world)
    assert isinstance(await refusal(reach(agent, **changes)), errors.InvalidRequest)
    assert await world.server.pending_for(ALICE) == []


@pytest.mark.spec("#interaction-endpoint", "#resource-initiated-interaction")
async def test_nobody_is_relayed_to_a_page_that_egress_admission_refuses(world: World, agent: Agent) -> None:
    await reachable(world)
    world.network.refused.add(BOOKING)
    assert isinstance(await refusal(reach(agent)), errors.InvalidRequest)


@pytest.mark.spec("#interaction-endpoint")
async def test_nobody_else_sees_where_a_person_is_asked_to_go(world: World, agent: Agent) -> None:
    await reachable(world)
    await reach(agent)
    digest = (await waiting(world)).digest
    for act in (
        world.server.see_relay(digest, person_id=BOB),
        world.server.answer_request(digest, person_id=BOB, yes=True),
        world.server.consent(digest, person_id=BOB),
    ):
        assert isinstance(await refusal(act), errors.NotFound)


# ---- a page of this server's own


@pytest.mark.spec("#interaction-response-poll-authority")
async def test_for_a_page_of_its_own_the_relay_ends_with_what_the_page_is_about(world: World, agent: Agent) -> None:
    await reachable(world)
    original = await agent.ask_person_token("https://mail.example")
    handle, code = invitation(original)
    relay = await reach(agent, url=f"{PS}/interaction/{handle}", code=code)
    assert relay.status == 202
    (view,) = await world.server.pending_for(ALICE)  # once: the relay is no second thing to decide
    assert (await agent.poll(relay)).json() == {"status": "pending"}
    digest = await arrive(world, original)
    assert digest == view.digest
    assert (await agent.poll(relay)).json() == {"status": "interacting"}
    polling = asyncio.create_task(agent.poll(relay, prefer="wait=30"))
    await asyncio.sleep(0)
    await world.server.approve(digest, person_id=ALICE)
    ended = await asyncio.wait_for(polling, 10)
    assert (ended.status, ended.json()) == (200, {"engaged": True})
    # What was decided is told where it was asked.
    assert "person_token" in (await agent.poll(original)).json()


@pytest.mark.spec("#interaction-response-poll-authority")
async def test_a_relay_to_its_own_page_has_no_decision_of_its_own(world: World, agent: Agent) -> None:
    await reachable(world)
    original = await agent.ask_person_token("https://mail.example")
    handle, code = invitation(original)
    relay = await reach(agent, url=f"{PS}/interaction/{handle}", code=code)
    digest = (await world.server.store.get_interaction(handle)).digest  # type: ignore[union-attr]
    relayed = next(
        each
        for each in await world.server.store.requests_for(ALICE, now=world.clock())
        if each.pending.digest != digest
    )
    view = await world.server.consent(relayed.pending.digest, person_id=ALICE)
    assert isinstance(view, MissionRequestView) and view.hosted == digest
    answer = world.server.answer_request(relayed.pending.digest, person_id=ALICE, yes=True)
    assert isinstance(await refusal(answer), errors.NotFound)
    await world.server.deny(digest, person_id=ALICE)
    assert (await agent.poll(relay)).status == 200
    assert isinstance(await refusal(agent.poll(original)), errors.Denied)


@pytest.mark.spec("#interaction-endpoint", "#interaction-code-format")
async def test_an_agent_relays_no_page_of_this_server_that_is_not_its_own(world: World, agent: Agent) -> None:
    await reachable(world)
    foreign = await world.agent("other").ask_person_token()
    handle, code = invitation(foreign)
    own = await agent.ask_person_token("https://mail.example")
    mine, my_code = invitation(own)
    for url, typed in (
        (f"{PS}/interaction/{handle}", code),
        (f"{PS}/interaction/{mine}", "AAAA-AAAA"),
        (f"{PS}/interaction/unknown", my_code),
        (f"{PS}/sign-in", my_code),
        (f"{PS}/interaction/{mine}", "none"),
    ):
        assert isinstance(await refusal(reach(agent, url=url, code=typed)), errors.InvalidRequest), url


# ---- questions


@pytest.mark.spec("#interaction-response-poll-authority")
async def test_a_question_is_delivered_and_its_answer_returned(world: World, agent: Agent) -> None:
    await reachable(world)
    response = await call(agent, "/interaction", {**QUESTION, "description": "Two fares."})
    assert (response.status, requirement_of(response).value) == (202, "approval")
    view = await waiting(world)
    assert (view.description, view.context) == ("The refundable one?", "Two fares.")
    await world.server.answer_request(
        view.digest, person_id=ALICE, yes=True, answer="Yes, go ahead with the refundable option."
    )
    answer = await agent.poll(response)
    assert (answer.status, answer.json()) == (200, {"answer": "Yes, go ahead with the refundable option."})


@pytest.mark.spec("#interaction-response-poll-authority", "#interaction-required")
async def test_a_person_who_cannot_be_told_is_sent_by_the_agent_to_answer(world: World, agent: Agent) -> None:
    response = await call(agent, "/interaction", QUESTION)
    assert requirement_of(response).value == "interaction"
    assert (await answered(agent, response, answer="Yes.")).json() == {"answer": "Yes."}


@pytest.mark.spec("#interaction-response-poll-authority")
@pytest.mark.parametrize("answer", [None, "  ", "x" * 5_000])
async def test_an_answer_that_is_none_is_not_sent(world: World, agent: Agent, answer: str | None) -> None:
    response = await call(agent, "/interaction", QUESTION)
    digest = await arrive(world, response)
    error = await refusal(world.server.answer_request(digest, person_id=ALICE, yes=True, answer=answer))
    assert isinstance(error, errors.InvalidRequest)
    assert (await agent.poll(response)).status == 202


@pytest.mark.spec("#polling-error-codes")
async def test_a_question_that_is_not_answered_is_denied(world: World, agent: Agent) -> None:
    response = await call(agent, "/interaction", QUESTION)
    await world.server.deny(await arrive(world, response), person_id=ALICE)
    assert isinstance(await refusal(agent.poll(response)), errors.Denied)


# ---- in a mission


@pytest.mark.spec("#interaction-response-poll-authority", "#mission-log")
async def test_a_mission_records_what_was_asked_and_what_came_of_it(world: World, agent: Agent) -> None:
    mission = await approved(agent)
    assert isinstance(await refusal(reach(agent, mission_s256=mission.s256)), errors.InteractionUnavailable)
    await reachable(world)
    await reach(agent, mission_s256=mission.s256)
    await world.server.answer_request((await waiting(world)).digest, person_id=ALICE, yes=True)
    question = await call(agent, "/interaction", {**QUESTION, "mission_s256": mission.s256})
    await world.server.answer_request((await waiting(world)).digest, person_id=ALICE, yes=True, answer="Yes.")
    assert (await agent.poll(question)).status == 200
    page = await world.server.mission_page(mission.s256, person_id=ALICE)
    told = [(entry.kind, dict(entry.content)) for entry in page.log[-5:]]
    assert told == [
        ("request", {"asks": "interaction", "url": BOOKING, "result": "unavailable"}),
        ("request", {"asks": "interaction", "url": BOOKING, "justification": RELAY["description"]}),
        ("decision", {"asked": "interaction", "result": "granted"}),
        ("request", {"asks": "question", "text": "The refundable one?"}),
        ("decision", {"asked": "question", "result": "granted", "answer": "Yes."}),
    ]


@pytest.mark.spec("#mission-status-errors")
async def test_in_a_mission_that_is_over_nobody_is_reached(world: World, agent: Agent) -> None:
    await reachable(world)
    mission = await approved(agent)
    open_one = await reach(agent, mission_s256=mission.s256)
    await world.server.end_mission(mission.s256, person_id=ALICE)
    assert isinstance(await refusal(reach(agent, mission_s256=mission.s256)), errors.MissionTerminated)
    assert isinstance(await refusal(reach(agent, mission_s256=UNKNOWN)), errors.MissionNotFound)
    assert isinstance(await refusal(agent.poll(open_one)), errors.MissionTerminated)
    assert ("request", "agent") in await log_of(world, mission.s256)


@pytest.mark.spec("#interaction-endpoint")
async def test_only_the_agent_that_asked_hears_what_came_of_it(world: World, agent: Agent) -> None:
    await reachable(world)
    response = await reach(agent)
    assert isinstance(await refusal(world.agent("other").poll(response)), errors.NotFound)
    assert (await world.server.store.get_pending((await waiting(world)).digest)).state is State.PENDING  # type: ignore[union-attr]
