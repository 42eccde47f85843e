"""An access server needs a person whose agent can send them nowhere, and who had agreed before (#as-response).

The consent is remembered, so nobody is on a page; this server tells them itself, where it can.
"""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib import errors
from aauthlib.http import Response
from aauthlib.notifying import Notifier
from aauthlib.person.notifications import notifier_of
from aauthlib.tokens import AuthToken

from .access_server import ScriptedAccessServer, interaction, waiting
from .parties import ALICE, AS, CALENDAR, World, requirement_of
from .test_federation import ask, later, trusting
from .test_notifications import Phone, digest_in

pytestmark = pytest.mark.spec("#as-response", "#approval-pending", "#aauth-capabilities")

QUESTION = "Which project is this for?"


@pytest.fixture
def server(world: World) -> ScriptedAccessServer:
    return ScriptedAccessServer(world)


@pytest.fixture
def notifier(world: World) -> Notifier:
    return notifier_of(world.server, world.server.store, clock=world.clock)


@pytest.fixture
async def phone(notifier: Notifier) -> Phone:
    phone = Phone()
    await phone.subscribe(notifier)
    return phone


def question() -> Response:
    return waiting("clarification", clarification=QUESTION)


async def told(world: World, notifier: Notifier, phone: Phone) -> dict[str, str]:
    """The one message that was sent."""
    assert await notifier.send_due()
    (request,) = [sent for sent in world.network.sent if sent.url == phone.endpoint]
    return phone.read(request)


async def test_a_question_reaches_the_person_by_this_servers_own_channel_and_they_answer(
    world: World, server: ScriptedAccessServer, notifier: Notifier, phone: Phone
) -> None:
    agent, presented = await trusting(world)
    server.script = [question()]
    response = await ask(world, agent, presented, capabilities=[])
    assert (response.status, requirement_of(response).value) == (202, "approval")
    said = await told(world, notifier, phone)
    assert said["body"] == "as.example needs you before ap.example may use calendar.example."
    digest = digest_in(said["url"])
    view: Any = await world.server.consent(digest, person_id=ALICE)
    assert view.access_question is not None
    assert view.access_question.text == QUESTION
    await world.server.answer_access_server(digest, "Apollo", person_id=ALICE)
    assert (await later(world, agent, response)).status == 200
    assert (await world.verified((server.token()).json()["auth_token"], AuthToken)).aud == CALENDAR


async def test_the_access_servers_page_is_reached_from_the_page_that_the_message_leads_to(
    world: World, server: ScriptedAccessServer, notifier: Notifier, phone: Phone
) -> None:
    agent, presented = await trusting(world)
    server.script = [interaction(), interaction()]
    response = await ask(world, agent, presented, capabilities=[])
    assert requirement_of(response).value == "approval"
    digest = digest_in((await told(world, notifier, phone))["url"])
    view: Any = await world.server.consent(digest, person_id=ALICE)
    assert (view.access_interaction or "").startswith(AS + "/authorize/abc?code=ABCD-1234&callback=")
    await later(world, agent, response)
    assert not await notifier.send_due(), "they are told once"


async def test_what_was_answered_meanwhile_is_not_said(
    world: World, server: ScriptedAccessServer, notifier: Notifier, phone: Phone
) -> None:
    agent, presented = await trusting(world)
    server.script = [interaction(), waiting()]
    response = await ask(world, agent, presented, capabilities=[])
    await later(world, agent, response)
    await notifier.send_due()
    assert [sent for sent in world.network.sent if sent.url == phone.endpoint] == []


@pytest.mark.spec("#token-endpoint-error-codes")
async def test_a_person_whom_nobody_can_reach_is_unreachable_and_did_not_say_no(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [question(), Response(204)]
    with pytest.raises(errors.UserUnreachable):
        await ask(world, agent, presented, capabilities=[])
    assert server.received[-1].method == "DELETE", "the access server waits for nobody"


async def test_an_agent_that_can_send_the_person_does_so_and_nobody_is_told(
    world: World, server: ScriptedAccessServer, notifier: Notifier, phone: Phone
) -> None:
    agent, presented = await trusting(world)
    server.script = [interaction()]
    response = await ask(world, agent, presented, capabilities=["interaction"])
    assert requirement_of(response).value == "interaction"
    assert not await notifier.send_due()
