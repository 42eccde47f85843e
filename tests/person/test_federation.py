"""Asking an access server: what it is sent, each of its answers, and each way its token can be wrong.

#ps-to-as-token-request, #as-response, #auth-token-delivery, #ps-as-federation.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from urllib.parse import unquote

import pytest
from sqlalchemy import select

from aauthlib import errors
from aauthlib.deferred.machine import State
from aauthlib.discovery import TransportError
from aauthlib.effects import Flow, Send
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.keys import SigningKey
from aauthlib.person import federating
from aauthlib.person.cascade import RECORDED, UNAVAILABLE
from aauthlib.person.federation import PaymentRequired
from aauthlib.person.server import PersonServer
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.person_tables import federations, issued_tokens
from aauthlib.tokens import AGENT_DWK, PERSON_DWK, AgentToken, AuthToken, PersonToken, ResourceToken

from .access_server import PENDING, ScriptedAccessServer, interaction, problem, waiting
from .parties import (
    ALICE,
    AS,
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
from .test_upstream import chained, intermediary, upstream_of

AP_CALLBACK = "https://ap.example/callback"
BOTH = ["interaction", "clarification"]


@pytest.fixture
def server(world: World) -> ScriptedAccessServer:
    return ScriptedAccessServer(world)


async def ask(world: World, agent: Agent, presented: Any, scope: str = "calendar.read", **body: Any) -> Response:
    token = body.pop("token", {})
    text = resource_token(world, presented, scope=scope, access_server=AS, **token)
    return await agent.ask_auth_token(text, presented, **body)


async def trusting(world: World, agent: Agent | None = None, scope: str = "calendar.read") -> tuple[Agent, PersonToken]:
    """An agent with a person token, whose person allowed it `scope` at the calendar for good."""
    agent = agent or world.agent()
    presented = await agent.person_token()
    await agent.auth_token(presented, scope)
    return agent, presented


async def later(world: World, agent: Agent, response: Response, **headers: str) -> Response:
    world.clock.now += 10
    return await agent.poll(response, **headers)


async def verified(world: World, response: Response) -> AuthToken:
    assert response.status == 200
    token: AuthToken = await world.verified(response.json()["auth_token"], AuthToken)
    return token


# ---- what the access server is sent


@pytest.mark.spec("#ps-as-federation", "#ps-to-as-token-request", "#auth-token-delivery")
async def test_after_the_person_agreed_the_access_server_decides(world: World, server: ScriptedAccessServer) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    response = await ask(world, agent, presented)
    assert response.status == 202
    assert requirement_of(response).value == "interaction"
    assert server.received == []
    await approve(world, response)
    answer = await agent.poll(response)
    token = await verified(world, answer)
    assert (token.iss, token.dwk, token.ps, token.aud) == (AS, "aauth-access.json", PS, CALENDAR)
    assert token.sub == presented.sub
    assert answer.json()["expires_in"] == 3600
    assert len(server.issued) == 1


@pytest.mark.spec("#ps-to-as-token-request")
async def test_the_token_request_carries_the_tokens_and_nothing_else(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    assert (await ask(world, agent, presented)).status == 200
    (request,) = server.received
    assert (request.method, request.url) == ("POST", AS + "/token")
    assert set(server.asked) == {"resource_token", "agent_token", "presented_token"}
    assert (await server.verified("agent_token", AgentToken)).sub == agent.sub
    assert (await server.verified("presented_token", PersonToken)).jti == presented.jti
    sent: ResourceToken = await server.verified("resource_token", ResourceToken)
    assert (sent.aud, sent.ps, sent.presented_jti) == (AS, PS, presented.jti)
    # The signature was verified by the access server: scheme jwks_uri, body covered, dwk aauth-person.json.
    assert f'dwk="{PERSON_DWK}"' in (request.headers.get("signature-key") or "")
    assert "content-digest" in (request.headers.get("signature-input") or "")


@pytest.mark.spec("#parent-mediated-authorization", "#ps-to-as-token-request")
async def test_for_a_sub_agent_the_parent_is_the_agent_and_the_token_is_the_sub_agents(
    world: World, server: ScriptedAccessServer
) -> None:
    parent, _ = await trusting(world)
    child = parent.sub_agent()
    presented = await parent.person_token(subagent_token=child.token)
    token = await verified(world, await ask(world, parent, presented, subagent_token=child.token))
    assert token.cnf.thumbprint == child.key.thumbprint
    assert (await server.verified("agent_token", AgentToken)).sub == parent.sub
    assert (await server.verified("subagent_token", AgentToken)).sub == child.sub


@pytest.mark.spec("#call-chaining", "#ps-to-as-token-request")
async def test_the_upstream_token_is_passed_on(world: World, server: ScriptedAccessServer) -> None:
    upstream = await upstream_of(world)
    service = intermediary(world)
    presented = await chained(world, upstream, service=service)
    response = await ask(world, service, presented, "mail.send", upstream_token=upstream.raw)
    await approve(world, response)
    token = await verified(world, await service.poll(response))
    assert token.aud == MAIL
    assert server.asked["upstream_token"] == upstream.raw
    assert (await server.verified("agent_token", AgentToken)).iss == CALENDAR


@pytest.mark.spec("#upstream-token-verification")
async def test_an_access_servers_auth_token_serves_as_upstream_token(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    upstream = await verified(world, await ask(world, agent, presented))
    downstream = await chained(world, upstream)
    assert downstream.exp <= upstream.exp
    await world.server.disconnect(ALICE, agent.identity)
    with pytest.raises(errors.RevokedUpstreamToken):
        await intermediary(world).ask_person_token(MAIL, upstream_token=upstream.raw)
    record = await world.server.store.issued(downstream.jti)
    assert record is not None
    assert record.revoked_at is not None


@pytest.mark.spec("#resource-token-verification", "#ps-to-as-token-request")
async def test_a_step_up_presents_the_access_servers_own_token(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world, scope="calendar.read calendar.write")
    first = await verified(world, await ask(world, agent, presented))
    second = await verified(world, await ask(world, agent, first, "calendar.write"))
    assert second.scope == ("calendar.write",)
    assert server.asked["presented_token"] == first.raw


@pytest.mark.spec("#resource-token-verification", "#revocation-cascade")
async def test_a_step_up_from_a_token_that_was_not_got_here_is_refused(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    await ask(world, agent, presented)
    foreign = await verified(world, server.token(jti="not-through-us"))
    with pytest.raises(errors.InvalidPresentedToken, match="not one this server obtained"):
        await ask(world, agent, foreign)


@pytest.mark.spec("#consent-presentation", "#access-server-federation")
async def test_the_page_says_that_an_access_server_decides_after_the_person(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token(), "calendar.read calendar.write")
    view = await world.server.consent(await arrive(world, response), person_id=ALICE)
    assert view.access_server == AS
    # It is asked with the resource token as it is, so a part of it could not be granted.
    with pytest.raises(errors.InvalidRequest, match="all of it"):
        await world.server.approve(view.digest, person_id=ALICE, scope=["calendar.read"])


@pytest.mark.spec("#ps-as-federation")
async def test_a_person_who_declines_is_the_end_and_the_access_server_never_hears_of_it(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    await world.server.deny(await arrive(world, response), person_id=ALICE)
    with pytest.raises(errors.Denied):
        await agent.poll(response)
    assert server.received == []


# ---- the token it delivers


@pytest.mark.spec("#auth-token-delivery", "#token-endpoint-error-codes")
@pytest.mark.parametrize(
    "changes",
    [
        {"signer": SigningKey.generate()},
        {"iss": PS},
        {"dwk": PERSON_DWK, "ps": AS},
        {"aud": MAIL},
        {"key": SigningKey.generate().public},
        {"sub": "somebody-else"},
        {"ps": "https://another-ps.example"},
        {"scope": ["calendar.read", "calendar.write"]},
        {"account": "work"},
        {"not_after": 1_800_000_000.0 + 3601, "now": 1_800_000_000.0 + 1},
        {"mission_s256": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    ],
    ids=["signature", "iss", "dwk", "aud", "cnf", "sub", "ps", "scope", "account", "exp", "mission"],
)
async def test_a_token_that_is_not_what_was_asked_is_never_handed_out(
    world: World, server: ScriptedAccessServer, changes: dict[str, Any]
) -> None:
    agent, presented = await trusting(world)
    server.script = [server.changed(**changes)]
    with pytest.raises(errors.AsUnreachable) as caught:
        await ask(world, agent, presented)
    assert caught.value.status == 502


@pytest.mark.spec("#auth-token-delivery")
async def test_a_genuine_token_of_another_issuer_is_not_the_access_servers(
    world: World, server: ScriptedAccessServer
) -> None:
    """An auth token this server issued for the very same access, and one that the access server signed as a PS."""
    agent, presented = await trusting(world)
    for changes in ({"iss": PS, "dwk": PERSON_DWK, "signer": world.server.keys.signing}, {"iss": MAIL}):
        signer = changes.pop("signer", world.server_keys[MAIL])
        server.script = [server.changed(signer=signer, **changes)]
        with pytest.raises(errors.AsUnreachable, match="another server's token"):
            await ask(world, agent, presented)


@pytest.mark.spec("#auth-token-delivery", "#scopes")
async def test_the_access_server_may_grant_less(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world, scope="calendar.read calendar.write")
    server.script = [server.changed(scope=["calendar.read"])]
    token = await verified(world, await ask(world, agent, presented, "calendar.read calendar.write"))
    assert token.scope == ("calendar.read",)


@pytest.mark.spec("#auth-token-delivery", "#account-binding")
async def test_the_account_is_the_one_that_was_asked_for(world: World, server: ScriptedAccessServer) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    await agent.auth_token(presented, token={"account": "work"})
    token = await verified(world, await ask(world, agent, presented, token={"account": "work"}))
    assert token.account == "work"
    server.script = [server.changed(account=None)]
    with pytest.raises(errors.AsUnreachable):
        await ask(world, agent, presented, token={"account": "work"})


@pytest.mark.spec("#auth-token-delivery", "#as-response")
@pytest.mark.parametrize(
    "answer",
    [
        Response(200),
        Response(200, Fields(), b"{"),
        Response(200, Fields(), b"[]"),
        Response(200, Fields(), b'{"auth_token":7}'),
        Response(200, Fields(), b'{"auth_token":"a.b.c"}'),
        Response(202),
        Response(302, Fields({"location": "https://elsewhere.example/"})),
        Response(401),
        Response(403),
        Response(403, Fields(), b'{"error":7}'),
        Response(403, Fields(), b'{"error":"<script>"}'),
        Response(404),
        Response(500),
        Response(502, Fields(), b'{"error":"as_unreachable"}'),
        waiting(location=None),
        waiting(location="https://elsewhere.example/pending/xyz"),
        waiting(location="http://as.example/pending/xyz"),
        waiting(location="https://as.example.evil.example/pending/xyz"),
        waiting(location="https://["),
        waiting("unheard-of"),
        waiting(headers={"aauth-requirement": "=="}),
        waiting("claims"),
        waiting("claims", required_claims="email"),
        waiting("claims", required_claims=[7]),
        waiting("interaction"),
        waiting('interaction;url="http://as.example/x";code="A"'),
        waiting('interaction;url="https://as.example/x"'),
        waiting("clarification"),
        waiting("clarification", clarification=""),
        TransportError("No connection."),
    ],
)
async def test_an_answer_that_is_none_is_as_unreachable(
    world: World, server: ScriptedAccessServer, answer: Response | TransportError
) -> None:
    agent, presented = await trusting(world)
    server.script = [answer]
    with pytest.raises(errors.AsUnreachable):
        await ask(world, agent, presented, capabilities=BOTH)
    assert len(server.received) == 1


@pytest.mark.spec("#ps-as-federation", "#access-server-metadata")
@pytest.mark.parametrize(
    "document",
    [
        {},
        {"issuer": MAIL},
        {"issuer": AS, "jwks_uri": AS + "/jwks.json"},
        {"issuer": AS, "jwks_uri": AS + "/jwks.json", "auth_token_endpoint": "http://as.example/token"},
    ],
)
async def test_an_access_server_without_usable_metadata_is_as_unreachable(
    world: World, server: ScriptedAccessServer, document: dict[str, str]
) -> None:
    agent, presented = await trusting(world)
    world.directory._metadata[AS] = document
    with pytest.raises(errors.AsUnreachable):
        await ask(world, agent, presented)
    assert server.received == []


@pytest.mark.spec("#auth-token-delivery")
@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "denied"), (403, "insufficient_trust"), (400, "invalid_resource_token"), (408, "expired")],
)
async def test_a_denial_of_the_access_server_is_relayed_as_such(
    world: World, server: ScriptedAccessServer, status: int, code: str
) -> None:
    agent, presented = await trusting(world)
    server.script = [problem(status, code, "Not on a Sunday.\x07")]
    with pytest.raises(errors.ProblemError) as caught:
        await ask(world, agent, presented)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.body()["error"] == code
    assert caught.value.detail == "The access server says: Not on a Sunday. "


@pytest.mark.spec("#auth-token-delivery")
async def test_a_denial_reaches_the_agent_on_its_pending_request(world: World, server: ScriptedAccessServer) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    server.script = [problem(403, "denied", "No.")]
    await approve(world, response)
    with pytest.raises(errors.ProblemError, match="No"):
        await agent.poll(response)
    with pytest.raises(errors.Gone):
        await agent.poll(response)


# ---- its other answers


@pytest.mark.spec("#requirement-claims", "#as-response")
async def test_claims_the_person_released_are_given_and_nothing_else(
    world: World, server: ScriptedAccessServer
) -> None:
    await world.server.set_profile(ALICE, {"name": "Alice", "email": "alice@example.org", "phone_number": "+1 555"})
    agent, presented = await trusting(world, scope="email calendar.read")
    server.script = [waiting("claims", required_claims=["email", "phone_number", "tenant", "sub"])]
    assert (await ask(world, agent, presented, "email calendar.read")).status == 200
    post = server.received[1]
    assert (post.method, post.url) == ("POST", PENDING)
    assert Response(200, Fields(), post.body).json() == {"email": "alice@example.org"}
    assert "content-digest" in (post.headers.get("signature-input") or "")


@pytest.mark.spec("#requirement-claims")
async def test_an_access_server_that_keeps_asking_for_claims_is_given_up(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting("claims", required_claims=["email"]) for _ in range(50)]
    with pytest.raises(errors.AsUnreachable, match="kept asking"):
        await ask(world, agent, presented)
    assert len(server.received) <= 9


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment")
async def test_with_remembered_consent_the_agent_is_given_the_access_servers_page(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [interaction(), interaction()]
    response = await ask(world, agent, presented)
    assert response.status == 202
    requirement = requirement_of(response)
    assert (requirement.value, requirement.url, requirement.code) == (
        "interaction",
        AS + "/authorize/abc",
        "ABCD-1234",
    )
    assert (response.headers.get("location") or "").startswith(PS)
    assert (await later(world, agent, response)).status == 202
    await verified(world, await later(world, agent, response))


@pytest.mark.spec("#as-response", "#token-endpoint-error-codes")
async def test_an_agent_that_cannot_send_the_person_anywhere_is_told_so(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [interaction(), Response(204)]
    with pytest.raises(errors.UserUnreachable):
        await ask(world, agent, presented, capabilities=[])
    assert [request.method for request in server.received] == ["POST", "DELETE"]


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment")
async def test_a_person_who_is_at_this_servers_page_is_sent_on_from_there(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    server.script = [interaction("WXYZ-9876")]
    digest = await arrive(world, response, callback=AP_CALLBACK)
    # Not back to the agent: the page has one more step for the person.
    assert await world.server.approve(digest, person_id=ALICE) is None
    view = await world.server.consent(digest, person_id=ALICE)
    url, _, callback = (view.access_interaction or "").partition("&callback=")
    assert url == AS + "/authorize/abc?code=WXYZ-9876"
    assert unquote(callback) == f"{PS}/requests/{digest}?from=access-server"
    polled = await agent.poll(response)
    assert polled.json()["status"] == "interacting"
    assert "aauth-requirement" not in polled.headers
    await verified(world, await later(world, agent, response))
    assert (await world.server.consent(digest, person_id=ALICE)).access_interaction is None


@pytest.mark.spec("#approval-pending", "#as-response")
async def test_an_approval_that_is_awaited_is_polled_for(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting("approval", retry_after_s=30), waiting("approval", retry_after_s=30)]
    response = await ask(world, agent, presented)
    assert requirement_of(response).value == "approval"
    assert response.headers.get("retry-after") == "30"
    # Before its time the access server is not asked again.
    assert (await agent.poll(response)).status == 202
    assert len(server.received) == 1
    world.clock.now += 30
    assert (await agent.poll(response)).status == 202
    world.clock.now += 30
    await verified(world, await agent.poll(response))
    assert [request.method for request in server.received] == ["POST", "GET", "GET"]


@pytest.mark.spec("#polling-with-get", "#initial-request")
async def test_the_wait_an_agent_asks_for_is_asked_of_the_access_server(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting()]
    response = await ask(world, agent, presented)
    await later(world, agent, response, prefer="wait=45")
    assert server.received[1].headers.get("prefer") == "wait=25"


@pytest.mark.spec("#requirement-clarification", "#agent-response-to-clarification", "#as-response")
async def test_a_question_goes_to_the_agent_and_its_answer_back(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world)
    server.script = [
        waiting("clarification", clarification="Why *now*?", timeout=120, options=["Because", "No reason"]),
        waiting(),
    ]
    response = await ask(world, agent, presented, capabilities=BOTH)
    assert requirement_of(response).value == "clarification"
    assert response.json() == {
        "status": "pending",
        "clarification": "Why *now*?",
        "timeout": 120,
        "options": ["Because", "No reason"],
    }
    # Polling does not make the question go away, nor ask the access server for it again.
    assert requirement_of(await later(world, agent, response)).value == "clarification"
    assert len(server.received) == 1
    answered = await post(world, agent, response, action="clarification_response", clarification_response="Because")
    assert answered.status == 202
    assert Response(200, Fields(), server.received[1].body).json() == {
        "action": "clarification_response",
        "clarification_response": "Because",
    }
    await verified(world, await later(world, agent, response))


async def post(world: World, agent: Agent, response: Response, **body: str) -> Response:
    location = response.headers.get("location") or ""
    return await world.server.answer(agent.signed("POST", location, body), location.rpartition("/")[2])


@pytest.mark.spec("#agent-response-to-clarification")
async def test_an_answer_that_decides_the_request_is_kept_for_the_next_poll(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting("clarification", clarification="Why?")]
    response = await ask(world, agent, presented, capabilities=BOTH)
    await post(world, agent, response, action="clarification_response", clarification_response="Because.")
    await verified(world, await agent.poll(response))
    assert len(server.received) == 2


@pytest.mark.spec("#agent-response-to-clarification")
@pytest.mark.parametrize(
    "body",
    [
        {"action": "clarification_response"},
        {"action": "clarification_response", "clarification_response": "x" * 20_000},
        {"action": "updated_request", "resource_token": "a.b.c"},
        {"action": "something"},
    ],
)
async def test_what_is_no_answer_is_refused_and_the_question_stays(
    world: World, server: ScriptedAccessServer, body: dict[str, str]
) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting("clarification", clarification="Why?")]
    response = await ask(world, agent, presented, capabilities=BOTH)
    with pytest.raises(errors.InvalidRequest):
        await post(world, agent, response, **body)
    assert len(server.received) == 1
    assert requirement_of(await agent.poll(response)).value == "clarification"


@pytest.mark.spec("#aauth-capabilities", "#requirement-clarification", "#token-endpoint-error-codes")
async def test_a_question_that_nobody_can_be_asked_ends_the_request(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting("clarification", clarification="Why?"), Response(204)]
    with pytest.raises(errors.UserUnreachable, match="capabilities: interaction"):
        await ask(world, agent, presented, capabilities=[])
    assert [request.method for request in server.received] == ["POST", "DELETE"]


@pytest.mark.spec("#clarification-limits")
async def test_there_is_an_end_to_questions(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting("clarification", clarification=f"Why {round}?") for round in range(6)] + [Response(204)]
    response = await ask(world, agent, presented, capabilities=BOTH)
    for _ in range(5):
        await post(world, agent, response, action="clarification_response", clarification_response="Because.")
    with pytest.raises(errors.Denied, match="more questions"):
        await agent.poll(response)
    assert server.received[-1].method == "DELETE"


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment")
async def test_a_payment_that_nobody_settles_ends_the_request_and_says_why(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting(status=402, headers={"www-authenticate": 'Payment id="x7Tg2pLq", method="stripe"'})]
    with pytest.raises(errors.Denied, match="payment"):
        await ask(world, agent, presented)


class Purse:
    """Pays what is asked, by a request of its own, or not."""

    def __init__(self, *, pays: bool = True) -> None:
        self.pays = pays
        self.asked: list[PaymentRequired] = []

    def settle(self, required: PaymentRequired) -> Flow[bool]:
        self.asked.append(required)
        yield Send(Request("POST", "https://bank.example/pay"))
        return self.pays


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment")
async def test_payment_interaction_and_claims_come_one_after_the_other(
    world: World, server: ScriptedAccessServer
) -> None:
    purse = Purse()
    world.server.settlement = purse
    agent, presented = await trusting(world)
    server.script = [
        waiting(status=402, headers={"www-authenticate": 'Payment id="x7Tg2pLq", method="stripe"'}),
        interaction(),
        waiting("claims", required_claims=["email"]),
    ]
    response = await ask(world, agent, presented)
    assert requirement_of(response).value == "interaction"
    assert (purse.asked[0].headers.get("www-authenticate") or "").startswith("Payment")
    await verified(world, await later(world, agent, response))
    assert [request.method for request in server.received] == ["POST", "GET", "GET", "POST"]
    assert {request.url for request in server.received[1:]} == {PENDING}


@pytest.mark.spec("#as-response")
async def test_a_payment_that_was_not_made_ends_the_request(world: World, server: ScriptedAccessServer) -> None:
    world.server.settlement = Purse(pays=False)
    agent, presented = await trusting(world)
    server.script = [waiting(status=402)]
    with pytest.raises(errors.Denied, match="not made"):
        await ask(world, agent, presented)


@pytest.mark.spec("#pending-url-security", "#pending-response")
@pytest.mark.parametrize("moved", ["https://as.example/pending/other", "https://elsewhere.example/pending/xyz"])
async def test_a_pending_url_that_moves_is_not_followed(world: World, server: ScriptedAccessServer, moved: str) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting(), waiting(location=moved)]
    response = await ask(world, agent, presented)
    with pytest.raises(errors.AsUnreachable, match="moved"):
        await later(world, agent, response)


@pytest.mark.spec("#deferred-response-state-machine")
async def test_a_poll_that_fails_is_tried_again_and_not_for_ever(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world)
    server.script = [interaction(), TransportError("No."), TransportError("No."), interaction()]
    response = await ask(world, agent, presented)
    for _ in range(3):
        polled = await later(world, agent, response)
        assert requirement_of(polled).value == "interaction"
    server.script = [TransportError("No.") for _ in range(3)]
    for _ in range(2):
        assert (await later(world, agent, response)).status == 202
    with pytest.raises(errors.AsUnreachable, match="stopped answering"):
        await later(world, agent, response)


@pytest.mark.spec("#deferred-response-state-machine", "#polling-with-get")
@pytest.mark.parametrize("status", [429, 503])
async def test_an_access_server_that_asks_for_patience_is_given_it(
    world: World, server: ScriptedAccessServer, status: int
) -> None:
    agent, presented = await trusting(world)
    server.script = [Response(status, Fields({"retry-after": "7"})), waiting(), Response(status)]
    response = await ask(world, agent, presented)
    assert (response.status, response.headers.get("retry-after")) == (202, "7")
    assert (await later(world, agent, response)).status == 202
    polled = await later(world, agent, response)
    assert (polled.status, polled.headers.get("retry-after")) == (202, "5")
    await verified(world, await later(world, agent, response))
    assert [request.method for request in server.received] == ["POST", "POST", "GET", "GET"]


# ---- between two steps


@pytest.mark.spec("#ps-as-federation")
async def test_a_restart_in_the_middle_loses_nothing(world: World, server: ScriptedAccessServer) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    server.script = [waiting("approval"), waiting("approval")]
    await restart(world)
    await approve(world, response)
    assert requirement_of(await agent.poll(response)).value == "approval"
    await restart(world)
    assert requirement_of(await later(world, agent, response)).value == "approval"
    await restart(world)
    await verified(world, await later(world, agent, response))


async def restart(world: World) -> None:
    world.server = await PersonServer.open(
        issuer=PS, store=SQLPersonStore(world.database), wire=world.wire, clock=world.clock
    )


@pytest.mark.spec("#ps-as-federation")
async def test_a_token_that_was_lost_with_the_process_is_asked_for_again(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    await approve(world, response)
    await restart(world)
    token = await verified(world, await agent.poll(response))
    assert server.issued[-1] == token.jti
    assert len(server.issued) == 2


@pytest.mark.spec("#ps-as-federation", "#freshness-and-replay")
async def test_a_request_that_another_process_sent_this_very_second_is_sent_again_in_the_next(
    world: World, server: ScriptedAccessServer
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        world.clock.now += seconds

    world.wire._sleep = sleep
    agent, presented = await trusting(world)
    replayed = Response(401, Fields({"signature-error": "error=invalid_signature"}))
    server.script = [replayed]
    token = await verified(world, await ask(world, agent, presented))
    assert token.jti == server.issued[-1]
    assert waited == [1.0]
    first, second = server.received
    assert first.headers.get("signature-input") != second.headers.get("signature-input")


@pytest.mark.spec("#auth-token-delivery")
async def test_an_access_server_that_refuses_the_signature_is_said_to(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    refused = Response(401, Fields({"signature-error": "error=clock_skew"}))
    server.script = [refused]
    with pytest.raises(errors.AsUnreachable, match="clock_skew"):
        await ask(world, agent, presented)


@pytest.mark.spec("#auth-token-delivery", "#polling-error-codes")
async def test_a_denial_that_another_process_heard_is_still_one(world: World, server: ScriptedAccessServer) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    server.script = [problem(403, "denied", "Not on Sundays.")]
    await approve(world, response)
    await restart(world)
    with pytest.raises(errors.ProblemError, match="Not on Sundays") as caught:
        await agent.poll(response)
    assert (caught.value.code, caught.value.status) == ("denied", 403)
    assert len(server.received) == 1


@pytest.mark.spec("#ps-as-federation")
async def test_the_tokens_are_kept_only_until_the_access_server_has_them(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    assert await kept_tokens(world) == 1
    server.script = [waiting("approval")]
    await approve(world, response)
    assert await kept_tokens(world) == 0
    other = world.agent("other")
    await ask(world, other, await other.person_token())
    assert await kept_tokens(world) == 1
    world.clock.now += 301
    await world.server.store.purge(now=world.clock())
    assert await kept_tokens(world) == 0


async def kept_tokens(world: World) -> int:
    async with world.database.transaction() as connection:
        rows = await connection.execute(federations.select().where(federations.c.tokens.is_not(None)))
        return len(rows.all())


@pytest.mark.spec("#resource-token-structure", "#polling-error-codes")
async def test_a_yes_that_comes_after_the_resource_token_expired_is_too_late(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    world.clock.now += 301
    await approve(world, response)
    with pytest.raises(errors.Expired, match="resource token"):
        await agent.poll(response)
    assert server.received == []


async def test_two_polls_at_once_ask_the_access_server_once(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting(), waiting("approval")]
    response = await ask(world, agent, presented)
    world.clock.now += 10
    first, second = await asyncio.gather(agent.poll(response), agent.poll(response))
    assert {first.status, second.status} == {202}
    assert len(server.received) == 2


async def test_a_process_that_has_not_the_turn_waits_for_the_one_that_has(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting()]
    response = await ask(world, agent, presented)
    world.clock.now += 10
    async with world.database.transaction() as connection:
        await connection.execute(federations.update().values(lease_until=world.clock() + 60))
    assert (await agent.poll(response)).status == 202
    assert len(server.received) == 1
    world.clock.now += 61
    await verified(world, await agent.poll(response))


async def test_a_turn_is_kept_as_long_as_its_step_takes_and_hardly_longer(
    world: World, server: ScriptedAccessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who dies with the turn taken makes nobody wait for long."""

    async def left_s() -> float:
        async with world.database.transaction() as connection:
            return (await connection.scalar(select(federations.c.lease_until))) - world.clock()

    monkeypatch.setattr(federating, "TURN_S", 0.03)
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    digest = await arrive(world, response)
    asked, kept, go_on, serve = asyncio.Event(), asyncio.Event(), asyncio.Event(), server.serve
    store: Any = world.server.store
    keep = store.keep_federation_turn

    async def slowly(request: Request) -> Response:
        asked.set()
        await go_on.wait()
        return await serve(request)

    async def keeping(digest: str, *, until: float) -> None:
        await keep(digest, until=until)
        if until > world.clock():
            kept.set()

    server.serve = slowly  # type: ignore[method-assign]
    monkeypatch.setattr(store, "keep_federation_turn", keeping)
    approving = asyncio.create_task(world.server.approve(digest, person_id=ALICE))
    await asked.wait()
    world.clock.now += 10.0
    async with asyncio.timeout(10):
        await kept.wait()
    assert 0 < await left_s() <= federating.TURN_S
    go_on.set()
    await approving
    assert await left_s() < -100, "given back"
    await verified(world, await agent.poll(response))


def test_a_turn_that_is_not_given_back_is_over_within_seconds() -> None:
    assert federating.TURN_S <= 15


@pytest.mark.spec("#ps-as-federation", "#polling-with-get")
async def test_an_agent_that_polls_while_the_access_server_is_asked_gets_the_answer(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    digest = await arrive(world, response)
    asked, go_on, serve = asyncio.Event(), asyncio.Event(), server.serve

    async def slowly(request: Request) -> Response:
        asked.set()
        await go_on.wait()
        return await serve(request)

    server.serve = slowly  # type: ignore[method-assign]
    approving = asyncio.create_task(world.server.approve(digest, person_id=ALICE))
    await asked.wait()
    polling = asyncio.create_task(agent.poll(response))
    # Enough turns of the loop for the poll to come as far as it can; it must be waiting then.
    done, _ = await asyncio.wait([polling], timeout=0.3)
    assert not done
    go_on.set()
    await verified(world, await polling)
    await approving
    assert len(server.issued) == 1


@pytest.mark.spec("#cancel-request")
async def test_a_request_that_is_withdrawn_is_withdrawn_at_the_access_server(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    server.script = [waiting(), Response(204)]
    response = await ask(world, agent, presented)
    assert (await agent.cancel(response)).status == 204
    assert (server.received[-1].method, server.received[-1].url) == ("DELETE", PENDING)
    with pytest.raises(errors.Gone):
        await agent.poll(response)


# ---- revocation


@pytest.mark.spec("#revocation-cascade", "#who-revokes-what")
async def test_disconnecting_revokes_the_person_token_at_the_access_server(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    await ask(world, agent, presented)
    downstream = {"downstream": [{"recipient": CALENDAR, "error": UNAVAILABLE}, {"recipient": MAIL}]}
    server.revocation = json_response(200, downstream)
    outcomes = await world.server.disconnect(ALICE, agent.identity)
    assert server.revoked == [{"jti": presented.jti, "exp": int(presented.exp)}]
    (at_server,) = [outcome for outcome in outcomes if outcome.resource == AS]
    assert at_server.outcome == RECORDED
    assert at_server.downstream == ((CALENDAR, UNAVAILABLE), (MAIL, None))
    assert at_server.complete is False
    # The auth token is the access server's to revoke: no resource is told of it by this server.
    told = {outcome.jti for outcome in outcomes}
    assert not told.intersection(server.issued)


@pytest.mark.spec("#revocation-response")
async def test_an_access_server_that_was_not_told_is_told_by_the_next_revocation(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    await ask(world, agent, presented)
    server.revocation = Response(500)
    body = {"jti": agent.token_jti, "exp": int(world.clock()) + 3600}

    def revocation() -> Request:
        return server_signed(world, agent.iss, AGENT_DWK, PS + "/revocation", body, nonce=secrets.token_hex(4))

    await world.server.revoke(revocation())
    server.revocation = Response(200)
    answer = await world.server.revoke(revocation())
    assert (answer.status, answer.body) == (200, b"")
    await world.server.revoke(revocation())
    assert [revoked["jti"] for revoked in server.revoked] == [presented.jti, presented.jti]


@pytest.mark.spec("#revocation-response", "#revocation-request")
async def test_an_access_server_that_needs_time_is_polled(world: World, server: ScriptedAccessServer) -> None:
    agent, presented = await trusting(world)
    await ask(world, agent, presented)
    server.revocation = waiting(location=AS + "/revoking/1")
    server.script = [Response(200)]
    outcomes = await world.server.disconnect(ALICE, agent.identity)
    assert [outcome.outcome for outcome in outcomes if outcome.resource == AS] == [RECORDED]
    assert (server.received[-1].method, server.received[-1].url) == ("GET", AS + "/revoking/1")


@pytest.mark.spec("#revocation-cascade")
async def test_a_revoked_token_is_never_presented(world: World, server: ScriptedAccessServer) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    digest = await arrive(world, response)
    original = world.server.store.get_pending

    async def revoked_meanwhile(digest: str) -> Any:
        pending = await original(digest)
        if pending is not None and pending.state is State.GRANTED:
            async with world.database.transaction() as connection:
                await connection.execute(issued_tokens.update().values(revoked_at=world.clock()))
        return pending

    world.server.store.get_pending = revoked_meanwhile  # type: ignore[method-assign]
    await world.server.approve(digest, person_id=ALICE)
    with pytest.raises(errors.Revoked):
        await agent.poll(response)
    assert server.received == []


@pytest.mark.spec("#revocation-cascade", "#presenting-a-revoked-token")
async def test_a_token_that_was_on_its_way_when_the_person_left_is_not_handed_out(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    response = await ask(world, agent, await agent.person_token())
    await approve(world, response)
    assert len(server.issued) == 1
    await world.server.disconnect(ALICE, agent.identity)
    with pytest.raises(errors.Revoked):
        await agent.poll(response)
    assert len(server.revoked) == 1


@pytest.mark.spec("#revocation-cascade")
async def test_a_revocation_between_the_last_look_and_the_answer_keeps_the_token_back(
    world: World, server: ScriptedAccessServer
) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    response = await ask(world, agent, presented)
    await approve(world, response)
    as_it_was = await world.server.store.issued(presented.jti)
    async with world.database.transaction() as connection:
        await connection.execute(issued_tokens.update().values(revoked_at=world.clock()))

    async def looked_before(jti: str) -> Any:
        return as_it_was

    world.server.store.issued = looked_before  # type: ignore[method-assign]
    with pytest.raises(errors.Revoked):
        await agent.poll(response)


@pytest.mark.spec("#revocation-cascade", "#call-chaining")
async def test_a_revocation_walks_a_chain_through_an_access_server(world: World, server: ScriptedAccessServer) -> None:
    agent = world.agent()
    upstream = await upstream_of(world, agent)
    service = intermediary(world)
    presented = await chained(world, upstream, service=service)
    response = await ask(world, service, presented, "mail.send", upstream_token=upstream.raw)
    await approve(world, response)
    middle = await verified(world, await service.poll(response))
    second_service = intermediary(world, resource=MAIL)
    asking = await second_service.ask_person_token(CALENDAR, upstream_token=middle.raw)
    await approve(world, asking)
    answer = await second_service.poll(asking)
    last: PersonToken = await world.verified(answer.json()["person_token"], PersonToken)
    await world.server.disconnect(ALICE, agent.identity)
    through, end = await world.server.store.federated(AS, middle.jti), await world.server.store.issued(last.jti)
    assert through is not None
    assert end is not None
    assert (through.revoked_at, end.revoked_at) == (world.clock(), world.clock())
    # What was presented down the chain is revoked at the access server, too.
    assert [revoked["jti"] for revoked in server.revoked] == [presented.jti]


@pytest.mark.spec("#presenting-a-revoked-token")
async def test_an_access_servers_token_from_before_is_revoked_as_presented_token(
    world: World, server: ScriptedAccessServer
) -> None:
    agent, presented = await trusting(world)
    token = await verified(world, await ask(world, agent, presented))
    await world.server.disconnect(ALICE, agent.identity)
    with pytest.raises(errors.RevokedPresentedToken):
        await ask(world, agent, token)


@pytest.mark.spec("#resource-token-verification")
async def test_an_access_servers_token_of_another_agent_cannot_be_presented(
    world: World, server: ScriptedAccessServer
) -> None:
    key = SigningKey.generate()
    first, presented = await trusting(world, world.agent("first", key=key))
    token = await verified(world, await ask(world, first, presented))
    second, _ = await trusting(world, world.agent("second", key=key))
    with pytest.raises(errors.InvalidPresentedToken, match="another agent"):
        await ask(world, second, token)
