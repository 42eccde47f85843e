"""What an agent said it can do when its mission was approved holds for what it asks in it (#auth-token-request)."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from aauthlib import errors
from aauthlib.http import Response

from .missions import PROPOSAL, approved, call, propose
from .parties import ALICE, CALENDAR, MAIL, Agent, World, requirement_of, resource_token
from .test_missions import refusal
from .test_relaying import reachable

ASKS = ("person token", "auth token", "permission", "update", "question")


@pytest_asyncio.fixture
async def agent(world: World) -> Agent:
    """An agent whose person knows it and can be told."""
    agent = world.agent()
    await agent.person_token()
    await reachable(world)
    return agent


async def mission_of(agent: Agent, **said: Any) -> str:
    """A mission of an agent that said this of itself when it proposed."""
    if "interaction" in said.get("capabilities", ("interaction",)):
        return (await approved(agent, **said)).s256
    response = await propose(agent, **said)
    (view,) = await agent.world.server.pending_for(ALICE)
    await agent.world.server.approve_mission(view.digest, person_id=ALICE)
    s256: str = (await agent.poll(response)).json()["s256"]
    return s256


async def ask(agent: Agent, what: str, s256: str | None, **said: Any) -> Response:
    """Ask something in a mission; what is said of the agent's capabilities is in `said` and nowhere else."""
    named = {"mission_s256": s256} if s256 is not None else {}
    match what:
        case "person token":
            request = agent.signed("POST", "https://ps.example/person-token", {"resource": MAIL, **named, **said})
            return await agent.world.server.person_token(request)
        case "auth token":
            presented = await agent.person_token(CALENDAR, **named)
            tokens = {"resource_token": resource_token(agent.world, presented), "presented_token": presented.raw}
            return await agent.world.server.auth_token(
                agent.signed("POST", "https://ps.example/auth-token", {**tokens, **said})
            )
        case "permission":
            return await call(agent, "/permission", {"action": "SendEmail", **named, **said})
        case "update":
            return await call(agent, f"/mission/{s256}", {"action": "update", "description": "June.", **said})
        case _:
            return await call(agent, "/interaction", {"type": "question", "question": "When?", **named, **said})


@pytest.mark.spec("#auth-token-request", "#mission-approval", "#aauth-capabilities")
@pytest.mark.parametrize("what", [each for each in ASKS if each != "question"])
async def test_an_agent_that_could_send_its_person_somewhere_at_approval_still_can(
    world: World, agent: Agent, what: str
) -> None:
    s256 = await mission_of(agent, capabilities=["interaction"])
    assert requirement_of(await ask(agent, what, s256)).value == "interaction"


@pytest.mark.spec("#auth-token-request", "#mission-approval", "#approval-pending")
@pytest.mark.parametrize("what", ASKS)
async def test_an_agent_that_was_alone_at_approval_still_is(world: World, agent: Agent, what: str) -> None:
    s256 = await mission_of(agent, capabilities=[])
    assert requirement_of(await ask(agent, what, s256)).value == "approval"


@pytest.mark.spec("#auth-token-request", "#mission-approval")
@pytest.mark.parametrize("what", [each for each in ASKS if each != "question"])
async def test_what_a_request_says_holds_for_that_request_and_no_other(world: World, agent: Agent, what: str) -> None:
    s256 = await mission_of(agent, capabilities=["interaction"])
    assert requirement_of(await ask(agent, what, s256, capabilities=[])).value == "approval"
    assert requirement_of(await ask(agent, what, s256)).value == "interaction"


@pytest.mark.spec("#auth-token-request", "#clarification-chat")
@pytest.mark.parametrize("said", [["interaction"], ["interaction", "clarification"]], ids=["no questions", "questions"])
async def test_whether_it_takes_questions_is_known_from_the_approval(
    world: World, agent: Agent, said: list[str]
) -> None:
    s256 = await mission_of(agent, capabilities=said)
    await ask(agent, "person token", s256)
    (view,) = await world.server.pending_for(ALICE)
    consent = await world.server.consent(view.digest, person_id=ALICE)
    assert consent.takes_questions is ("clarification" in said)


@pytest.mark.spec("#auth-token-request", "#aauth-capabilities")
async def test_where_nothing_was_said_at_approval_nothing_is_assumed(world: World, agent: Agent) -> None:
    s256 = await mission_of(agent)
    assert requirement_of(await ask(agent, "person token", s256)).value == "approval"


@pytest.mark.spec("#auth-token-request", "#token-endpoint-error-codes")
async def test_outside_of_a_mission_silence_means_nothing(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    await approved(agent, capabilities=["interaction"])
    assert isinstance(await refusal(ask(agent, "person token", None)), errors.UserUnreachable)


@pytest.mark.spec("#mission-approval")
async def test_what_another_mission_said_does_not_matter(world: World, agent: Agent) -> None:
    await mission_of(agent, capabilities=["interaction"])
    alone = await mission_of(agent, capabilities=[], description=PROPOSAL["description"] + "\n\nAlone.")
    assert requirement_of(await ask(agent, "permission", alone)).value == "approval"
