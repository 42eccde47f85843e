"""Promise 4, everything at once: whatever is done twice at the same time happens once."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from aauthlib.httpsig import JKTJWT
from aauthlib.keys import SigningKey
from aauthlib.tokens import issue_jkt_jwt

from .consent import GOOD, raw, waiting
from .world import (
    AP,
    CALENDAR,
    MAIL,
    PASSWORD,
    PS,
    AgentToken,
    City,
    PersonToken,
    decide,
    page_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")


@pytest.mark.spec("#polling-with-get")
async def test_of_many_polls_at_once_one_gets_the_token(city: City) -> None:
    agent = await city.newcomer()
    pending = await agent.ask_person_token()
    await decide(city.ada, pending)
    answers = await asyncio.gather(*(agent.poll(pending) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200, *[410] * 7]
    assert sum(b"person_token" in answer.body for answer in answers) == 1


@pytest.mark.spec("#deferred-response-state-machine")
async def test_yes_and_no_at_once_have_one_outcome_that_everybody_sees(city: City) -> None:
    for first, second in (("approve", "deny"), ("deny", "approve")):
        request = await waiting(city)
        forms = [request.form | {"decision": decision} for decision in (first, second, first, second)]
        answers = await asyncio.gather(*(raw(city.ada, "POST", request.url, form, **GOOD) for form in forms))
        assert {answer.status_code for answer in answers} == {303}
        answer = await request.agent.poll(request.pending)
        page = (await raw(city.ada, "GET", request.url)).text
        assert (answer.status == 200) == ("<h1>Allowed</h1>" in page or "Answered" in page or "Allowed" in page)
        binding = [
            connected
            for connected in await city.person_app.server.agents(await _ada(city))
            if connected.sub == city.read(request.agent.token, AgentToken).sub
        ]
        assert bool(binding) == (answer.status == 200)


async def _ada(city: City) -> str:
    return (await city.person_app.accounts.verify_password("ada", PASSWORD)).person_id


@pytest.mark.spec("#interaction-code-format", "#agent-person-binding")
async def test_a_code_used_by_two_people_at_once_is_used_by_one(city: City) -> None:
    bob = await city.signed_in("bob")
    for _ in range(3):
        agent = await city.newcomer()
        pending = await agent.ask_person_token()
        answers = await asyncio.gather(
            *(raw(browser, "GET", page_of(pending)) for browser in (city.ada, bob, city.ada, bob))
        )
        arrived = [answer for answer in answers if answer.status_code == 303]
        assert len(arrived) == 1


@pytest.mark.spec("#agent-person-binding")
async def test_two_people_deciding_for_one_new_agent_at_once_bind_it_to_one(city: City) -> None:
    bob = await city.signed_in("bob")
    agent = await city.newcomer()
    pendings = [await agent.ask_person_token(resource) for resource in (CALENDAR, MAIL)]
    forms = []
    for browser, pending in zip((city.ada, bob), pendings, strict=True):
        await browser.visit(page_of(pending))
        forms.append((browser, browser.url, dict(browser.form_with("decision").fields) | {"decision": "approve"}))
    await asyncio.gather(*(raw(browser, "POST", url, form, **GOOD) for browser, url, form in forms))
    answers = [await agent.poll(pending) for pending in pendings]
    assert [answer.status for answer in answers].count(200) == 1


@pytest.mark.spec("#deferred-auth-token")
async def test_an_invocation_presented_many_times_at_once_is_executed_once(city: City) -> None:
    agent = await city.newcomer()
    person = await agent.person_token()
    title = f"Party {secrets.token_hex(4)}"
    held = await agent.call("POST", f"{CALENDAR}/invitations", {"date": "2026-12-01", "title": title}, shown=person)
    assert held.status == 202
    auth = await agent.auth_token(person, "calendar.invite", "calendar.read")
    other = await agent.auth_token(person, "calendar.invite", "calendar.read")
    answers = await asyncio.gather(*(agent.poll(held, shown=token) for token in (auth, other, auth, auth, other, auth)))
    assert {answer.status for answer in answers} <= {201, 410}
    assert 201 in {answer.status for answer in answers}
    events = await agent.call("GET", f"{CALENDAR}/events", shown=auth)
    assert sum(event["title"] == title for event in events.json()) == 1


@pytest.mark.spec("#two-key-refresh")
async def test_a_delegation_used_many_times_at_once_is_used_once(city: City) -> None:
    durable, ephemeral = SigningKey.generate(), SigningKey.generate()
    assert (await city.send(city.signed("POST", f"{AP}/enroll", durable, body={}))).status == 201
    delegation = JKTJWT(issue_jkt_jwt(durable, ephemeral.public, jti="race", now=city.clock()))
    # Each signed on its own, so that it is the delegation and not the request that is used again.
    requests = [
        city.signed("POST", f"{AP}/refresh", ephemeral, delegation, body={}, created=city.clock() - age)
        for age in range(6)
    ]
    answers = await asyncio.gather(*(city.send(request) for request in requests))
    assert sorted(answer.status for answer in answers) == [200, *[401] * 5]


@pytest.mark.spec("#cancel-request", "#deferred-response-state-machine")
async def test_withdrawing_and_allowing_at_once_have_one_outcome(city: City) -> None:
    for _ in range(3):
        request = await waiting(city)
        location = request.pending.headers.get("location") or ""
        await asyncio.gather(
            request.agent.call("DELETE", location),
            raw(city.ada, "POST", request.url, request.form, **GOOD),
            request.agent.call("DELETE", location),
        )
        answer = await request.agent.poll(request.pending)
        # Withdrawn after the yes is withdrawn too; what cannot be is a token after a withdrawal that succeeded.
        assert answer.status == 410


@pytest.mark.spec("#revocation-cascade")
async def test_an_agent_disconnected_while_it_polls_gets_nothing_it_could_use(city: City) -> None:
    request = await waiting(city)
    await raw(city.ada, "POST", request.url, request.form, **GOOD)
    person_id = await _ada(city)
    agent = city.read(request.agent.token, AgentToken)
    answer, _ = await asyncio.gather(
        request.agent.poll(request.pending), city.person_app.server.disconnect(person_id, agent.identity)
    )
    if answer.status == 200:
        token = answer.json()["person_token"]
        assert (await request.agent.call("GET", f"{MAIL}/me", shown=token)).status == 401
        assert isinstance(city.read(token, PersonToken), PersonToken)
    assert (await request.agent.ask_person_token(MAIL)).status == 202


async def test_an_enrolment_made_many_times_at_once_is_one_agent(city: City) -> None:
    durable = SigningKey.generate()
    answers = await asyncio.gather(
        *(city.send(city.signed("POST", f"{AP}/enroll", durable, body={"ps": PS})) for _ in range(6))
    )
    assert sorted(answer.status for answer in answers) == [*[200] * 5, 201]
    assert len({answer.json()["agent"] for answer in answers}) == 1
