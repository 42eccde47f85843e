"""The person token endpoint (#person-token-endpoint)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from aauthlib import errors
from aauthlib.http import Request
from aauthlib.httpsig import HWK, JWT, sign
from aauthlib.keys import SigningKey
from aauthlib.tokens import PersonToken

from .parties import (
    ALICE,
    CALENDAR,
    MAIL,
    OTHER_AP,
    PS,
    Agent,
    World,
    approve,
    arrive,
    invitation,
    requirement_of,
)


@pytest.mark.spec("#person-token-endpoint", "#interaction-required", "#pending-response")
async def test_a_new_agent_is_answered_with_where_to_send_the_person(world: World) -> None:
    response = await world.agent().ask_person_token()
    assert response.status == 202
    assert response.json() == {"status": "pending"}
    assert response.headers.get("cache-control") == "no-store"
    assert response.headers.get("retry-after") == "0"
    assert (response.headers.get("location") or "").startswith(PS + "/pending/")
    requirement = requirement_of(response)
    assert requirement.value == "interaction"
    assert requirement.url is not None
    assert requirement.url.startswith(PS + "/interaction/")
    assert "?" not in requirement.url


@pytest.mark.spec("#person-token-endpoint", "#person-token-structure", "#directed-identifiers")
async def test_after_approval_the_poll_brings_a_person_token(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    await approve(world, response)
    answer = await agent.poll(response)
    assert answer.status == 200
    assert answer.headers.get("cache-control") == "no-store"
    assert answer.json()["expires_in"] == 3600
    token: PersonToken = await world.verified(answer.json()["person_token"], PersonToken)
    assert (token.iss, token.aud, token.dwk) == (PS, CALENDAR, "aauth-person.json")
    assert token.cnf.thumbprint == agent.key.thumbprint
    assert token.exp - token.iat == 3600
    assert "scope" not in token.claims
    assert "account" not in token.claims
    assert ALICE not in token.sub


@pytest.mark.spec("#person-token-endpoint", "#agent-person-binding")
async def test_a_remembered_consent_needs_no_person(world: World) -> None:
    agent = world.agent()
    first = await agent.person_token()
    agent.renew()
    response = await agent.ask_person_token(capabilities=[])
    assert response.status == 200
    second: PersonToken = await world.verified(response.json()["person_token"], PersonToken)
    assert second.sub == first.sub
    assert second.jti != first.jti


@pytest.mark.spec("#person-token-endpoint")
async def test_consent_that_is_not_to_be_remembered_is_asked_for_again(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    await approve(world, response, remember=False)
    assert (await agent.poll(response)).status == 200
    assert (await agent.ask_person_token()).status == 202


@pytest.mark.spec("#person-token-endpoint", "#person-token-exposure")
async def test_another_resource_is_asked_about_anew(world: World) -> None:
    agent = world.agent()
    await agent.person_token(CALENDAR)
    assert (await agent.ask_person_token(MAIL)).status == 202


@pytest.mark.spec("#directed-identifiers")
async def test_two_resources_see_two_identifiers_and_two_agents_see_one(world: World) -> None:
    agent, other = world.agent(), world.agent("other")
    calendar, mail = await agent.person_token(CALENDAR), await agent.person_token(MAIL)
    assert calendar.sub != mail.sub
    assert (await other.person_token(CALENDAR)).sub == calendar.sub


@pytest.mark.spec("#directed-identifiers")
async def test_two_people_have_two_identifiers_at_one_resource(world: World) -> None:
    mine = await world.agent().person_token(CALENDAR)
    yours = await world.agent("other").person_token(CALENDAR, person="bob-id")
    assert mine.sub != yours.sub


@pytest.mark.spec("#person-token-structure")
async def test_a_person_token_does_not_outlive_the_agent_token(world: World) -> None:
    agent = world.agent(lifetime_s=600)
    token = await agent.person_token()
    assert token.exp == world.clock() + 600


@pytest.mark.spec("#person-token-structure", "#polling-error-codes")
async def test_a_decision_made_too_late_for_the_agent_token_is_expired(world: World) -> None:
    agent = world.agent(lifetime_s=600)
    response = await agent.ask_person_token()
    await approve(world, response)
    world.clock.now += 600
    agent.renew()
    with pytest.raises(errors.Expired):
        await agent.poll(response)


@pytest.mark.spec("#person-token-endpoint", "#token-endpoint-error-codes")
async def test_without_the_interaction_capability_the_person_cannot_be_reached(world: World) -> None:
    with pytest.raises(errors.UserUnreachable):
        await world.agent().ask_person_token(capabilities=["clarification"])
    with pytest.raises(errors.UserUnreachable):
        await world.agent().ask_person_token(capabilities=None)


@pytest.mark.spec("#auth-token-request", "#person-token-endpoint")
async def test_prompt_none_never_asks_and_prompt_consent_always_does(world: World) -> None:
    agent = world.agent()
    with pytest.raises(errors.UserUnreachable):
        await agent.ask_person_token(prompt="none")
    await agent.person_token()
    assert (await agent.ask_person_token(prompt="none")).status == 200
    assert (await agent.ask_person_token(prompt="consent")).status == 202


@pytest.mark.spec("#auth-token-request")
@pytest.mark.parametrize("prompt", ["sometimes", "none consent", "NONE"])
async def test_a_prompt_that_means_nothing_is_refused(world: World, prompt: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        await world.agent().ask_person_token(prompt=prompt)


@pytest.mark.spec("#person-token-endpoint", "#server-identifiers")
@pytest.mark.parametrize(
    "resource",
    [
        "http://calendar.example",
        "https://calendar.example/",
        "https://calendar.example:8443",
        "https://Calendar.example",
        "https://127.0.0.1",
        "https://calendar.example/v1",
        "http://calendar.localhost:8000",
        "calendar.example",
        "",
    ],
)
async def test_a_resource_that_is_no_server_identifier_is_refused(world: World, resource: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        await world.agent().ask_person_token(resource)


@pytest.mark.spec("#person-token-endpoint")
async def test_a_mission_that_is_not_known_is_refused(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    with pytest.raises(errors.InvalidRequest, match="mission"):
        await agent.ask_person_token(mission_s256="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")


@pytest.mark.spec("#person-token-endpoint")
@pytest.mark.parametrize("body", [{}, {"resource": 1}, [], "x", {"resource": CALENDAR, "capabilities": "interaction"}])
async def test_a_malformed_body_is_refused(world: World, body: Any) -> None:
    request = world.agent().signed("POST", PS + "/person-token", body)
    with pytest.raises(errors.InvalidRequest):
        await world.server.person_token(request)


@pytest.mark.spec("#auth-token-request")
@pytest.mark.parametrize("device", ["x" * 65, "bell\u0007", "two\nlines"])
async def test_a_device_that_cannot_be_shown_is_refused(world: World, device: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="device"):
        await world.agent().ask_person_token(device=device)


# ---- who may call


@pytest.mark.spec("#verification", "#person-server")
async def test_an_unsigned_request_is_refused_with_a_signature_error(world: World) -> None:
    request = world.agent().signed("POST", PS + "/person-token", {"resource": CALENDAR})
    bare = request.with_headers(signature=None, signature_input=None, signature_key=None)
    with pytest.raises(errors.InvalidSignature):
        await world.server.person_token(bare)


@pytest.mark.spec("#keying-material", "#scheme-rejection")
async def test_a_bare_key_is_not_enough_at_a_person_server(world: World) -> None:
    key = SigningKey.generate()
    request = world.agent().signed("POST", PS + "/person-token", {"resource": CALENDAR})
    with pytest.raises(errors.UnsupportedScheme) as caught:
        await world.server.person_token(sign(request, key, HWK.of(key.public), created=int(world.clock())))
    assert caught.value.accepted == ("jwt",)


@pytest.mark.spec("#agent-token-verification")
async def test_a_stolen_agent_token_signed_by_another_key_is_refused(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    request = agent.signed("POST", PS + "/person-token", {"resource": CALENDAR})
    with pytest.raises(errors.InvalidSignature):
        await world.server.person_token(
            sign(request, SigningKey.generate(), JWT(agent.token), created=int(world.clock()))
        )


@pytest.mark.spec("#covered-components")
async def test_a_body_changed_on_the_way_is_refused(world: World) -> None:
    request = world.agent().signed("POST", PS + "/person-token", {"resource": CALENDAR})
    with pytest.raises(errors.InvalidSignature):
        await world.server.person_token(replace(request, body=request.body.replace(b"calendar", b"criminal")))


@pytest.mark.spec("#covered-components")
async def test_a_body_that_is_not_covered_is_refused(world: World) -> None:
    agent = world.agent()
    request = agent.signed("POST", PS + "/person-token", {"resource": CALENDAR})
    uncovered = sign(request, agent.key, JWT(agent.token), created=int(world.clock()), cover_body=False)
    with pytest.raises(errors.InvalidInput) as caught:
        await world.server.person_token(uncovered)
    assert {"content-digest", "content-type"} <= set(caught.value.required_input)


@pytest.mark.spec("#covered-components")
@pytest.mark.parametrize(
    "moved",
    [
        lambda request: replace(request, url="https://other.example/person-token"),
        lambda request: replace(request, url=PS + "/auth-token"),
        lambda request: replace(request, method="PUT"),
    ],
    ids=["host", "path", "method"],
)
async def test_a_request_replayed_elsewhere_is_refused(world: World, moved: Callable[[Request], Request]) -> None:
    request = world.agent().signed("POST", PS + "/person-token", {"resource": CALENDAR})
    with pytest.raises(errors.InvalidSignature):
        await world.server.person_token(moved(request))


@pytest.mark.spec("#freshness-and-replay")
async def test_a_request_kept_for_later_is_refused(world: World) -> None:
    request = world.agent().signed("POST", PS + "/person-token", {"resource": CALENDAR})
    world.clock.now += 61
    with pytest.raises(errors.InvalidSignature):
        await world.server.person_token(request)


@pytest.mark.spec("#verification")
async def test_an_expired_agent_token_is_a_signature_error(world: World) -> None:
    agent = world.agent(lifetime_s=600)
    world.clock.now += 600
    with pytest.raises(errors.ExpiredJWT):
        await agent.ask_person_token()


@pytest.mark.spec("#person-token-not-authorization", "#keying-material")
async def test_a_person_token_does_not_sign_at_a_person_server(world: World) -> None:
    agent = world.agent()
    token = await agent.person_token()
    agent.token = token.raw
    with pytest.raises(errors.InvalidJWT):
        await agent.ask_person_token()


@pytest.mark.spec("#agent-tokens")
async def test_an_agent_of_another_person_server_is_refused(world: World) -> None:
    with pytest.raises(errors.InvalidRequest, match="another person server"):
        await world.agent(ps="https://another-ps.example").ask_person_token()


@pytest.mark.spec("#agent-tokens")
async def test_an_agent_that_names_no_person_server_is_served(world: World) -> None:
    assert (await world.agent(ps=None).ask_person_token()).status == 202


# ---- sub-agents


@pytest.mark.spec("#sub-agents", "#single-level-depth")
async def test_a_sub_agent_may_not_call_for_itself(world: World) -> None:
    with pytest.raises(errors.InvalidRequest, match="parent"):
        await world.agent().sub_agent().ask_person_token()


@pytest.mark.spec("#sub-agents", "#parent-mediated-authorization")
async def test_a_parent_obtains_a_person_token_bound_to_its_sub_agent(world: World) -> None:
    parent = world.agent()
    child = parent.sub_agent()
    token = await parent.person_token(subagent_token=child.token)
    assert token.cnf.thumbprint == child.key.thumbprint
    again = await parent.ask_person_token(subagent_token=parent.sub_agent("write").token)
    assert again.status == 200, "the person's consent to the parent covers every sub-agent"


@pytest.mark.spec("#sub-agents")
async def test_the_sub_agent_token_bounds_the_person_token(world: World) -> None:
    parent = world.agent()
    token = await parent.person_token(subagent_token=parent.sub_agent(lifetime_s=120).token)
    assert token.exp == world.clock() + 120


@pytest.mark.spec("#sub-agents", "#token-endpoint-error-codes")
@pytest.mark.parametrize(
    "stranger",
    [
        lambda world, parent: world.agent("stranger").sub_agent(),
        lambda world, parent: world.agent("plain"),
        lambda world, parent: Agent(
            world, "aauth:helper+search@other-ap.example", iss=OTHER_AP, parent_agent=parent.sub
        ),
    ],
    ids=["another parent", "no sub-agent", "another provider"],
)
async def test_a_sub_agent_of_somebody_else_is_refused(world: World, stranger: Callable[[World, Agent], Agent]) -> None:
    parent = world.agent()
    await parent.person_token()
    with pytest.raises(errors.InvalidSubagentToken):
        await parent.ask_person_token(subagent_token=stranger(world, parent).token)


@pytest.mark.spec("#token-endpoint-error-codes")
async def test_a_sub_agent_token_that_fails_says_how(world: World) -> None:
    parent = world.agent()
    child = parent.sub_agent(lifetime_s=60)
    world.clock.now += 60
    with pytest.raises(errors.ExpiredSubagentToken):
        await parent.ask_person_token(subagent_token=child.token)
    with pytest.raises(errors.InvalidSubagentToken):
        await parent.ask_person_token(subagent_token="nonsense")
    forged = parent.sub_agent()
    with pytest.raises(errors.InvalidSubagentToken):
        await parent.ask_person_token(subagent_token=forged.token[:-8] + "AAAAAAAA")


# ---- bounds


@pytest.mark.spec("#person-token-endpoint")
async def test_an_agent_that_names_ever_more_resources_is_slowed_down(world: World) -> None:
    agent = world.agent()
    for number in range(60):
        with pytest.raises(errors.UserUnreachable):
            await agent.ask_person_token(f"https://r{number}.example", capabilities=[])
    with pytest.raises(errors.RateLimited) as caught:
        await agent.ask_person_token("https://r60.example", capabilities=[])
    assert caught.value.retry_after_s > 0
    with pytest.raises(errors.UserUnreachable):
        await agent.ask_person_token("https://r1.example", capabilities=[])


async def test_requests_waiting_for_a_person_are_bounded(world: World) -> None:
    agent = world.agent()
    for _ in range(20):
        assert (await agent.ask_person_token()).status == 202
    with pytest.raises(errors.RateLimited):
        await agent.ask_person_token()
    assert (await world.agent("other").ask_person_token()).status == 202
    world.clock.now += 901
    agent.renew()
    assert (await agent.ask_person_token()).status == 202, "those that timed out do not count"


@pytest.mark.spec("#person-token-endpoint")
async def test_each_person_token_is_recorded_until_it_expires(world: World) -> None:
    agent = world.agent()
    token = await agent.person_token()
    record = await world.server.store.issued(token.jti)
    assert record is not None
    assert (record.aud, record.exp, record.agent, record.sub) == (CALENDAR, token.exp, agent.identity, token.sub)
    assert await world.server.store.person_of(resource=CALENDAR, sub=token.sub) == ALICE


async def test_no_token_lies_in_the_database_while_a_decision_waits(world: World, tmp_path: Any) -> None:
    agent = world.agent()
    response = await agent.ask_person_token(justification="to find a free hour")
    await arrive(world, response)
    handle, code = invitation(response)
    await world.database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("ps.db*"))
    assert b"free hour" in stored, "the file read is the one written"
    for secret in (agent.token, code, (response.headers.get("location") or "").rpartition("/")[2]):
        assert secret.encode() not in stored
    assert handle.encode() in stored
