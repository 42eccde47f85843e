"""Promise 2: a stolen token is worthless. Each token, stolen in each way it can leak, buys nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from aauthlib.effects import Direct
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import HWK, JKTJWT, JWT, sign
from aauthlib.keys import SigningKey
from aauthlib.resource import MemoryResourceStore, Policy, Resource, Route, pseudonym
from aauthlib.tokens import issue_jkt_jwt
from aauthlib.web.resource import AAuthMiddleware

from .world import (
    AP,
    CALENDAR,
    MAIL,
    PS,
    Agent,
    AgentToken,
    AuthToken,
    City,
    PersonToken,
    error_code,
    page_of,
    requirement,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")

#: Where each token opens a door.
DOORS = {AgentToken: "/agent", PersonToken: "/me", AuthToken: "/events"}
KINDS = pytest.mark.parametrize("kind", list(DOORS), ids=lambda kind: kind.typ)


@dataclass
class Loot:
    """What leaked: the owner's tokens. The owner's key did not."""

    owner: Agent
    tokens: dict[Any, str]

    def request(self, kind: Any, method: str = "GET", path: str | None = None, **options: Any) -> Request:
        """A captured request of the owner, genuine and fresh."""
        url = CALENDAR + (path or DOORS[kind])
        return self.owner.city.signed(method, url, self.owner.key, self.tokens[kind], **options)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loot(city: City) -> Loot:
    owner = await city.newcomer()
    person = await owner.person_token()
    auth = await owner.auth_token(person, "calendar.read", "calendar.write")
    return Loot(owner, {AgentToken: owner.token, PersonToken: person, AuthToken: auth})


# ------------------------------------------------------------------------- token and captured request


@KINDS
async def test_the_owner_is_served(city: City, loot: Loot, kind: Any) -> None:
    assert (await city.send(loot.request(kind))).status == 200


@KINDS
@pytest.mark.spec("#verification", "#proof-of-possession")
async def test_a_stolen_token_signed_by_another_key_is_refused(city: City, loot: Loot, kind: Any) -> None:
    answer = await city.send(city.signed("GET", CALENDAR + DOORS[kind], city.thief, loot.tokens[kind]))
    assert (answer.status, error_code(answer)) == (401, "invalid_signature")


@KINDS
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP", "AAuth", "GNAP", "aauth-token", "Basic"])
@pytest.mark.spec("#verification")
async def test_no_token_is_taken_as_a_bearer_credential(city: City, loot: Loot, kind: Any, scheme: str) -> None:
    request = Request("GET", CALENDAR + DOORS[kind], Fields({"authorization": f"{scheme} {loot.tokens[kind]}"}))
    assert (await city.send(request)).status in (400, 401)


@KINDS
@pytest.mark.parametrize("where", ["query", "cookie", "header", "form"])
async def test_no_token_is_taken_from_another_place(city: City, loot: Loot, kind: Any, where: str) -> None:
    text, url = loot.tokens[kind], CALENDAR + DOORS[kind]
    request = {
        "query": Request("GET", f"{url}?access_token={text}&token={text}"),
        "cookie": Request("GET", url, Fields({"cookie": f"access_token={text}; token={text}"})),
        "header": Request("GET", url, Fields({"signature-key": f'sig=jwt;jwt="{text}"'})),
        "form": Request(
            "GET",
            url,
            Fields({"content-type": "application/x-www-form-urlencoded"}),
            f"access_token={text}".encode(),
        ),
    }[where]
    assert (await city.send(request)).status == 401


@KINDS
@pytest.mark.spec("#covered-components")
async def test_a_captured_request_is_refused_by_another_host(city: City, loot: Loot, kind: Any) -> None:
    answer = await city.send(loot.request(kind), at=MAIL)
    assert answer.status == 401
    assert error_code(answer) in ("invalid_signature", "invalid_jwt")


@pytest.mark.spec("#covered-components")
async def test_an_agent_token_captured_at_one_host_is_refused_at_another_for_its_signature(
    city: City, loot: Loot
) -> None:
    # An agent token names no audience: only `@authority` ties the captured request to its host.
    answer = await city.send(loot.request(AgentToken), at=MAIL)
    assert (answer.status, error_code(answer)) == (401, "invalid_signature")


@pytest.mark.parametrize("kind", [PersonToken, AuthToken])
@pytest.mark.spec("#person-token-verification", "#request-context-binding")
async def test_a_token_for_another_resource_is_refused_even_from_its_owner(city: City, loot: Loot, kind: Any) -> None:
    answer = await loot.owner.call("GET", MAIL + DOORS[kind], shown=loot.tokens[kind])
    assert (answer.status, error_code(answer)) == (401, "invalid_jwt")


@KINDS
@pytest.mark.parametrize("method", ["POST", "DELETE", "HEAD", "PUT"])
@pytest.mark.spec("#covered-components")
async def test_a_captured_request_is_refused_with_another_method(
    city: City, loot: Loot, kind: Any, method: str
) -> None:
    captured = loot.request(kind, path="/events/1" if method == "DELETE" else "/events")
    answer = await city.send(Request(method, captured.url, captured.headers))
    assert answer.status == 401 if method != "PUT" else answer.status == 405


@KINDS
@pytest.mark.spec("#covered-components")
async def test_a_captured_request_is_refused_at_another_path(city: City, loot: Loot, kind: Any) -> None:
    captured = loot.request(kind)
    for path in {*DOORS.values(), "/events/", "/agent/"} - {DOORS[kind]}:
        answer = await city.send(Request("GET", CALENDAR + path, captured.headers))
        assert (answer.status, error_code(answer)) == (401, "invalid_signature")


@KINDS
@pytest.mark.spec("#covered-components")
async def test_a_captured_request_that_covers_its_query_is_refused_with_another(
    city: City, loot: Loot, kind: Any
) -> None:
    captured = loot.request(kind, path=f"{DOORS[kind]}?from=2026", components=["@query"])
    assert (await city.send(captured)).status == 200
    for target in (f"{DOORS[kind]}?from=1999", DOORS[kind], f"{DOORS[kind]}?from=2026&all=1"):
        answer = await city.send(Request("GET", CALENDAR + target, captured.headers))
        assert (answer.status, error_code(answer)) == (401, "invalid_signature")


@pytest.mark.spec("#covered-components")
async def test_a_resource_can_require_that_the_query_is_covered(city: City) -> None:
    resource = Resource(
        issuer="https://strict.example",
        wire=city.wire(),
        store=MemoryResourceStore(city.clock),
        clock=city.clock,
        additional_signature_components=["@query"],
    )

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    city.network.apps["https://strict.example"] = AAuthMiddleware(
        served, resource, Policy([Route("GET", "/", pseudonym())])
    )
    url = "https://strict.example/?page=1"
    answer = await city.send(city.signed("GET", url, city.thief))
    assert (answer.status, error_code(answer)) == (401, "invalid_input")
    assert '"@query"' in (answer.headers.get("signature-error") or "")
    covered = city.signed("GET", url, city.thief, components=["@query"])
    assert (await city.send(covered)).status == 200
    assert (await city.send(Request("GET", url + "2", covered.headers))).status == 401


@pytest.mark.spec("#covered-components")
async def test_a_captured_request_is_refused_with_another_body(city: City, loot: Loot) -> None:
    captured = loot.request(AuthToken, "POST", "/events", body={"date": "2026-12-01", "title": "Tea"})
    other = b'{"date":"2026-12-01","title":"Ransom"}'
    changed = Request("POST", captured.url, captured.headers, other)
    answer = await city.send(changed)
    assert (answer.status, error_code(answer)) == (401, "invalid_signature")
    # Nor does it help to hide that the body was covered.
    stripped = Request("POST", captured.url, captured.headers.with_(content_digest=None), other)
    assert (await city.send(stripped)).status == 401
    inputs = (captured.headers.get("signature-input") or "").replace(' "content-digest" "content-type"', "")
    uncovered = Request("POST", captured.url, captured.headers.with_(signature_input=inputs), other)
    assert (await city.send(uncovered)).status == 401
    assert (await city.send(captured)).status == 201


@KINDS
@pytest.mark.spec("#freshness-and-replay")
async def test_a_captured_request_is_refused_a_minute_later(city: City, loot: Loot, kind: Any) -> None:
    answer = await city.send(loot.request(kind, created=city.clock() - 61))
    assert (answer.status, error_code(answer)) == (401, "invalid_signature")
    renewed = loot.request(kind, created=city.clock() - 61)
    inputs = re.sub(r"created=\d+", f"created={int(city.clock())}", renewed.headers.get("signature-input") or "")
    answer = await city.send(Request("GET", renewed.url, renewed.headers.with_(signature_input=inputs)))
    assert (answer.status, error_code(answer)) == (401, "invalid_signature")


@pytest.mark.spec("#freshness-and-replay")
async def test_a_captured_request_to_a_person_server_is_refused_when_it_comes_again(city: City, loot: Loot) -> None:
    owner = loot.owner
    captured = city.signed(
        "POST", f"{PS}/person-token", owner.key, owner.token, body={"resource": CALENDAR, "x": "once"}
    )
    answers = [await city.send(captured) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 401, 401]
    assert b"person_token" not in answers[1].body


@KINDS
@pytest.mark.parametrize("order", [("mine", "stolen"), ("stolen", "mine")], ids=["mine-first", "stolen-first"])
@pytest.mark.spec("#verification")
async def test_a_stolen_token_beside_a_signature_of_ones_own_is_not_presented(
    city: City, loot: Loot, kind: Any, order: tuple[str, str]
) -> None:
    """Two labels: the thief's own valid signature, and the stolen token under a label that signs nothing."""
    url = CALENDAR + DOORS[kind]
    keys = {
        "mine": HWK.of(city.thief.public),
        "stolen": JWT(loot.tokens[kind]),
    }
    mine = sign(Request("GET", url), city.thief, keys["mine"], created=int(city.clock()), label="mine")
    stolen = sign(Request("GET", url), city.thief, keys["stolen"], created=int(city.clock()), label="stolen")
    parts = {"mine": mine, "stolen": stolen}
    for names in (order, order[:1]):
        combined = Request(
            "GET",
            url,
            Fields(
                {
                    "signature-key": ", ".join(parts[name].headers.get("signature-key") or "" for name in order),
                    "signature-input": ", ".join(parts[name].headers.get("signature-input") or "" for name in names),
                    "signature": ", ".join(parts[name].headers.get("signature") or "" for name in names),
                }
            ),
        )
        assert (await city.send(combined)).status == 401


@KINDS
async def test_the_signature_of_a_captured_request_does_not_carry_another_token(
    city: City, loot: Loot, kind: Any
) -> None:
    """`signature-key` is covered: swapping the token under the owner's signature breaks it."""
    captured = loot.request(kind)
    for other, text in loot.tokens.items():
        if other is not kind:
            swapped = captured.with_headers(signature_key=f'sig=jwt;jwt="{text}"')
            assert (await city.send(swapped)).status == 401


# ------------------------------------------------------------------------- at the person server


@pytest.mark.spec("#person-token-endpoint", "#ps-token-endpoint")
async def test_a_stolen_agent_token_buys_no_token_at_the_person_server(city: City, loot: Loot) -> None:
    for path, body in (
        ("/person-token", {"resource": CALENDAR}),
        ("/auth-token", {"resource_token": "x", "presented_token": loot.tokens[PersonToken]}),
    ):
        answer = await city.send(city.signed("POST", PS + path, city.thief, loot.tokens[AgentToken], body=body))
        assert (answer.status, error_code(answer)) == (401, "invalid_signature")


@pytest.mark.parametrize("kind", [PersonToken, AuthToken])
@pytest.mark.spec("#person-token-endpoint")
async def test_only_an_agent_token_is_taken_at_the_person_server(city: City, loot: Loot, kind: Any) -> None:
    answer = await loot.owner.call("POST", f"{PS}/person-token", {"resource": MAIL}, shown=loot.tokens[kind])
    assert (answer.status, error_code(answer)) == (401, "invalid_jwt")


@pytest.mark.spec("#covered-components")
async def test_a_captured_request_to_the_person_server_is_refused_for_another_resource(city: City, loot: Loot) -> None:
    captured = city.signed("POST", f"{PS}/person-token", loot.owner.key, loot.owner.token, body={"resource": CALENDAR})
    assert (await city.send(captured)).status == 200
    changed = Request("POST", captured.url, captured.headers, b'{"resource":"https://mail.example"}')
    assert (await city.send(changed)).status == 401
    moved = Request("POST", f"{PS}/auth-token", captured.headers, captured.body)
    assert (await city.send(moved)).status == 401


@pytest.mark.spec("#covered-components")
async def test_the_person_server_takes_no_body_that_is_not_covered(city: City, loot: Loot) -> None:
    request = city.signed(
        "POST",
        f"{PS}/person-token",
        loot.owner.key,
        loot.owner.token,
        body={"resource": CALENDAR},
        cover_body=False,
    )
    answer = await city.send(request)
    assert (answer.status, error_code(answer)) == (401, "invalid_input")


async def test_a_resource_token_and_a_presented_token_from_a_log_buy_nothing_for_another_agent(
    city: City, loot: Loot
) -> None:
    thief = await city.newcomer()
    person = loot.tokens[PersonToken]
    token = city.resource_token(city.read(person, PersonToken))
    answer = await thief.ask_auth_token(token, person)
    assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")


# ------------------------------------------------------------------------- session tokens


async def _session(city: City) -> tuple[Agent, str]:
    """An agent with a session at the calendar, and the session token as a proxy saw it."""
    agent = await city.newcomer()
    pending = await agent.call("GET", f"{CALENDAR}/managed")
    asked = requirement(pending)
    assert asked.url is not None
    assert asked.code is not None
    await city.direct(Direct(asked.url, asked.code, CALENDAR))
    answer = await agent.poll(pending)
    token = answer.headers.get("aauth-access")
    assert token is not None
    return agent, token


@pytest.mark.spec("#aauth-access", "#resource-managed-auth")
async def test_a_stolen_session_token_is_refused_from_anybody_but_its_agent(city: City) -> None:
    agent, token = await _session(city)
    carried = [("authorization", f"AAuth {token}")]
    url = f"{CALENDAR}/managed"
    assert (await agent.call("GET", url, headers=carried)).status == 200
    other = await city.newcomer()
    attempts = {
        "another agent": await other.call("GET", url, headers=carried),
        "the agent's token, another key": await city.send(
            city.signed("GET", url, city.thief, agent.token, headers=carried)
        ),
        "a bare key": await city.send(city.signed("GET", url, city.thief, headers=carried)),
        "nobody": await city.send(Request("GET", url, Fields(carried))),
        "bearer": await city.send(Request("GET", url, Fields({"authorization": f"Bearer {token}"}))),
    }
    for name, answer in attempts.items():
        assert answer.status in (202, 401), name
        assert answer.body != b"served", name
        assert "aauth-access" not in answer.headers, name


@pytest.mark.spec("#aauth-access", "#covered-components")
async def test_a_session_token_cannot_be_added_to_a_captured_request(city: City) -> None:
    agent, token = await _session(city)
    captured = city.signed("GET", f"{CALENDAR}/managed", agent.key, agent.token)
    answer = await city.send(captured.with_headers(authorization=f"AAuth {token}"))
    assert (answer.status, error_code(answer)) == (401, "invalid_input")
    for odd in (f"aauth {token}", f"  AAuth   {token}", f"AAuth\t{token}", f"Basic x, AAuth {token}"):
        answer = await city.send(captured.with_headers(authorization=odd))
        assert answer.body != b"served"


@pytest.mark.spec("#aauth-access")
async def test_a_session_token_is_worth_nothing_at_another_resource(city: City) -> None:
    agent, token = await _session(city)
    answer = await agent.call("GET", f"{MAIL}/managed", headers=[("authorization", f"AAuth {token}")])
    assert answer.status == 202


# ------------------------------------------------------------------------- pending URLs


@pytest.mark.spec("#pending-url-security", "#polling-error-codes")
async def test_a_leaked_pending_url_is_useless_to_everybody_else(city: City) -> None:
    owner, other = await city.newcomer(), await city.newcomer()
    pending = await owner.ask_person_token(MAIL)
    url = pending.headers.get("location") or ""
    for method in ("GET", "POST", "DELETE"):
        body = {"action": "clarification_response"} if method == "POST" else None
        strangers = {
            "another agent": await other.call(method, url, body),
            "the owner's token, another key": await city.send(
                city.signed(method, url, city.thief, owner.token, body=body)
            ),
            "a bare key": await city.send(city.signed(method, url, city.thief, body=body)),
            "nobody": await city.send(Request(method, url)),
            "an agent of the same name elsewhere": await city.evil_agent().call(method, url, body),
        }
        for name, answer in strangers.items():
            assert answer.status in (401, 404), (method, name)
    await city.ada.visit(page_of(pending))
    await city.ada.submit(city.ada.form_with("decision"), {}, button=("decision", "approve"))
    # Decided now, and still only its owner's; nobody used up the answer.
    assert (await other.call("GET", url)).status == 404
    assert (await owner.poll(pending)).status == 200


@pytest.mark.spec("#deferred-auth-token", "#pending-url-security")
async def test_a_held_invocation_is_only_for_the_key_that_made_it(city: City, loot: Loot) -> None:
    body = {"date": "2026-12-01", "title": "Tea"}
    held = await loot.owner.call("POST", f"{CALENDAR}/invitations", body, shown=loot.tokens[PersonToken])
    assert held.status == 202
    url = held.headers.get("location") or ""
    other = await city.newcomer()
    person = await other.person_token()
    auth = await other.auth_token(person, "calendar.invite")
    for method in ("GET", "DELETE"):
        for shown in (auth, person, other.token, None):
            answer = await city.send(city.signed(method, url, other.key, shown))
            assert (answer.status, error_code(answer)) == (404, "not_found")
        for text in loot.tokens.values():
            assert (await city.send(city.signed(method, url, city.thief, text))).status == 401
    assert (await city.send(Request("GET", url))).status == 401


# ------------------------------------------------------------------------- delegations


async def _enrolled(city: City) -> SigningKey:
    durable = SigningKey.generate()
    answer = await city.send(city.signed("POST", f"{AP}/enroll", durable, body={"ps": PS}))
    assert answer.status == 201
    return durable


@pytest.mark.spec("#two-key-refresh", "#durable-key-compromise")
async def test_a_captured_refresh_buys_nothing_again(city: City) -> None:
    durable, ephemeral = await _enrolled(city), SigningKey.generate()
    delegation = JKTJWT(issue_jkt_jwt(durable, ephemeral.public, jti="once", now=city.clock()))
    captured = city.signed("POST", f"{AP}/refresh", ephemeral, delegation, body={})
    assert (await city.send(captured)).status == 200
    answer = await city.send(captured)
    assert (answer.status, error_code(answer)) == (401, "invalid_signature")
    # Nor does the delegation serve a second time, were the ephemeral key stolen with it.
    again = city.signed("POST", f"{AP}/refresh", ephemeral, delegation, body={}, created=city.clock() - 5)
    answer = await city.send(again)
    assert (answer.status, error_code(answer)) == (401, "invalid_jwt")
    # Nor a fresh signature of the thief under the leaked delegation, nor the thief's own delegation of that key.
    leaked = JKTJWT(issue_jkt_jwt(durable, ephemeral.public, jti="twice", now=city.clock()))
    assert error_code(await city.send(city.signed("POST", f"{AP}/refresh", city.thief, leaked, body={}))) == (
        "invalid_signature"
    )
    own = JKTJWT(issue_jkt_jwt(city.thief, ephemeral.public, jti="own", now=city.clock()))
    assert (await city.send(city.signed("POST", f"{AP}/refresh", ephemeral, own, body={}))).status in (401, 403, 404)
    hwk = HWK.of(durable.public)
    assert (await city.send(city.signed("POST", f"{AP}/refresh", city.thief, hwk, body={}))).status == 401


@pytest.mark.spec("#two-key-refresh")
async def test_a_delegation_does_not_enrol_and_does_not_make_sub_agents(city: City) -> None:
    durable, ephemeral = await _enrolled(city), SigningKey.generate()
    delegation = JKTJWT(issue_jkt_jwt(durable, ephemeral.public, jti="d", now=city.clock()))
    for path in ("/enroll", "/subagent"):
        answer = await city.send(city.signed("POST", AP + path, ephemeral, delegation, body={}))
        assert (answer.status, error_code(answer)) == (401, "unsupported_scheme")


@pytest.mark.spec("#keying-material")
async def test_a_leaked_delegation_is_no_pseudonym_for_another_key(city: City) -> None:
    durable, ephemeral = SigningKey.generate(), SigningKey.generate()
    delegation = JKTJWT(issue_jkt_jwt(durable, ephemeral.public, jti="p", now=city.clock()))
    assert (await city.send(city.signed("GET", f"{CALENDAR}/hello", ephemeral, delegation))).status == 200
    assert (await city.send(city.signed("GET", f"{CALENDAR}/hello", city.thief, delegation))).status == 401
    assert (await city.send(city.signed("GET", f"{CALENDAR}/hello", durable, delegation))).status == 401


# ------------------------------------------------------------------------- interaction codes


@pytest.mark.spec("#interaction-code-format", "#ps-approval-endpoint-auth")
async def test_a_leaked_code_shows_nothing_to_somebody_who_is_not_signed_in(city: City) -> None:
    agent = await city.newcomer()
    pending = await agent.ask_person_token(MAIL, justification="The secret plan of Ada")
    thief = city.browser()
    await thief.visit(page_of(pending))
    assert thief.form_with("username", "password")
    assert "secret plan" not in thief.text
    assert "newcomer" not in thief.text
    # It was not used up either.
    assert (await agent.approved(pending)).status == 200


@pytest.mark.spec("#interaction-code-format", "#agent-person-binding")
async def test_a_leaked_code_of_a_bound_agent_is_useless_to_another_person(city: City, loot: Loot) -> None:
    token = city.resource_token(city.read(loot.tokens[PersonToken], PersonToken), scope=["calendar.delete"])
    pending = await loot.owner.ask_auth_token(token, loot.tokens[PersonToken])
    bob = await city.signed_in("bob")
    await bob.visit(page_of(pending))
    assert bob.status == 403
    assert "calendar.delete" not in bob.text
    assert (await loot.owner.approved(pending)).status == 200


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_from_the_browsers_history_is_used_up(city: City) -> None:
    agent = await city.newcomer()
    pending = await agent.ask_person_token(MAIL)
    assert (await agent.approved(pending)).status == 200
    for browser in (city.ada, await city.signed_in("bob"), city.browser()):
        await browser.visit(page_of(pending))
        assert browser.status in (400, 410)
        assert "decision" not in browser.text


async def test_the_repr_of_what_is_passed_around_shows_no_secret(city: City, loot: Loot) -> None:
    token = city.read(loot.tokens[AuthToken], AuthToken)
    request = loot.request(AuthToken)
    for value in (token, request, request.headers, loot.owner.key, JWT(token.raw), Response(200, body=b"a token")):
        shown = repr(value) + str(value)
        assert token.raw not in shown
        assert token.raw.rpartition(".")[2] not in shown
        assert loot.owner.key.to_private_jwk()["d"] not in shown
    assert "a token" not in repr(Response(200, body=b"a token"))
