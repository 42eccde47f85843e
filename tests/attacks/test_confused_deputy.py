"""Promise 3: nobody is tricked into authorising something else. What is signed says by whom, for whom and for what."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from aauthlib.errors import AAuthError
from aauthlib.http import Request
from aauthlib.httpsig import JWKSURI
from aauthlib.keys import SigningKey
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import ACCESS_DWK, PERSON_DWK, issue_auth_token, issue_person_token

from .world import (
    AP,
    CALENDAR,
    EVIL_AP,
    EVIL_PS,
    EVIL_RESOURCE,
    GONE,
    MAIL,
    PS,
    Agent,
    AgentToken,
    AuthToken,
    City,
    PersonToken,
    error_code,
    page_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")


@dataclass
class Deputy:
    """An agent of Ada's with a person token at either resource."""

    agent: Agent
    calendar: str
    mail: str

    @property
    def at_calendar(self) -> PersonToken:
        token: PersonToken = self.agent.city.read(self.calendar, PersonToken)
        return token


async def _deputy(city: City) -> Deputy:
    agent = await city.newcomer()
    return Deputy(agent, await agent.person_token(CALENDAR), await agent.person_token(MAIL))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deputy(city: City) -> Deputy:
    return await _deputy(city)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(city: City) -> Deputy:
    return await _deputy(city)


# ------------------------------------------------------------------------- resource tokens, swapped


async def test_the_honest_pair_is_accepted(city: City, deputy: Deputy) -> None:
    answer = await deputy.agent.ask_auth_token(city.resource_token(deputy.at_calendar), deputy.calendar)
    assert answer.status == 202


@pytest.mark.spec("#resource-token-verification")
async def test_a_resource_token_is_not_redeemed_by_another_agent(city: City, deputy: Deputy, other: Deputy) -> None:
    token = city.resource_token(deputy.at_calendar)
    for presented in (other.calendar, deputy.calendar):
        answer = await other.agent.ask_auth_token(token, presented)
        assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")


@pytest.mark.spec("#resource-token-verification")
async def test_a_presented_token_for_another_resource_is_refused(city: City, deputy: Deputy) -> None:
    answer = await deputy.agent.ask_auth_token(city.resource_token(deputy.at_calendar), deputy.mail)
    assert (answer.status, error_code(answer)) == (400, "invalid_presented_token")
    at_mail = city.read(deputy.mail, PersonToken)
    answer = await deputy.agent.ask_auth_token(city.resource_token(at_mail, issuer=MAIL), deputy.calendar)
    assert (answer.status, error_code(answer)) == (400, "invalid_presented_token")


@pytest.mark.spec("#resource-token-verification")
async def test_another_token_of_the_same_agent_and_resource_is_not_the_one_presented(
    city: City, deputy: Deputy
) -> None:
    second = await deputy.agent.person_token(CALENDAR)
    answer = await deputy.agent.ask_auth_token(city.resource_token(deputy.at_calendar), second)
    assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": EVIL_PS, "ps": EVIL_PS}, "invalid_resource_token"),
        ({"ps": EVIL_PS}, "invalid_resource_token"),
        ({"sub": "somebody-else"}, "invalid_resource_token"),
        ({"presented_jti": "another"}, "invalid_resource_token"),
        ({"agent_jkt": "another"}, "invalid_resource_token"),
        ({"tenant": "another"}, "invalid_resource_token"),
        ({"mission_s256": "another"}, "invalid_resource_token"),
        ({"iss": MAIL}, "invalid_resource_token"),
        ({"iss": EVIL_RESOURCE}, "invalid_resource_token"),
        ({"iss": PS}, "invalid_resource_token"),
        ({"dwk": "aauth-person.json"}, "invalid_resource_token"),
        ({"dwk": "aauth-agent.json"}, "invalid_resource_token"),
        ({"scope": GONE}, "invalid_resource_token"),
        ({"scope": ""}, "invalid_resource_token"),
        ({"scope": "calendar.read\ncalendar.write"}, "invalid_resource_token"),
        ({"scope": ["calendar.read"]}, "invalid_resource_token"),
        ({"exp": 1_800_000_000}, "expired_resource_token"),
        ({"exp": "soon"}, "invalid_resource_token"),
        ({"iat": 1_800_000_600}, "clock_skew"),
        ({"jti": GONE}, "invalid_resource_token"),
        ({"interaction": {"url": "javascript:alert(1)", "code": "x"}}, "invalid_resource_token"),
        ({"interaction": {"url": "http://plain.example/", "code": "x"}}, "invalid_resource_token"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.spec("#resource-token-verification", "#resource-token-structure")
async def test_a_resource_token_that_says_something_else_is_refused(
    city: City, deputy: Deputy, claims: dict[str, Any], code: str
) -> None:
    token = city.forged(city.resource_token(deputy.at_calendar), city.resource_keys[CALENDAR], **claims)
    answer = await deputy.agent.ask_auth_token(token, deputy.calendar)
    assert (answer.status, error_code(answer)) == (400, code)


@pytest.mark.spec("#resource-token-verification")
async def test_only_the_resource_itself_signs_what_is_asked(city: City, deputy: Deputy) -> None:
    genuine = city.resource_token(deputy.at_calendar)
    for key in (city.resource_keys[MAIL], city.evil, deputy.agent.key):
        token = city.forged(genuine, key, scope="calendar.delete")
        answer = await deputy.agent.ask_auth_token(token, deputy.calendar)
        assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")
    header, _, signature = genuine.split(".")
    widened = city.forged(genuine, city.evil, scope="calendar.delete").split(".")[1]
    answer = await deputy.agent.ask_auth_token(f"{header}.{widened}.{signature}", deputy.calendar)
    assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")


@pytest.mark.spec("#resource-token-verification", "#person-token-not-authorization")
async def test_no_other_token_passes_for_a_resource_token_or_a_presented_one(city: City, deputy: Deputy) -> None:
    genuine = city.resource_token(deputy.at_calendar)
    for token in (deputy.calendar, deputy.agent.token):
        answer = await deputy.agent.ask_auth_token(token, deputy.calendar)
        assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")
    for token in (genuine, deputy.agent.token, "", "a.b.c"):
        answer = await deputy.agent.ask_auth_token(genuine, token)
        assert (answer.status, error_code(answer)) == (400, "invalid_presented_token")


@pytest.mark.spec("#resource-token-verification", "#jwt-trust-verification")
async def test_a_presented_token_that_the_attacker_issued_is_refused(city: City, deputy: Deputy) -> None:
    """The attacker's person server vouches for Ada's pairwise name, bound to the agent's own key."""
    for issuer, key in ((PS, city.evil), (EVIL_PS, city.evil)):
        presented = issue_person_token(
            key,
            iss=issuer,
            aud=CALENDAR,
            sub=deputy.at_calendar.sub,
            cnf=deputy.agent.key.public,
            jti=secrets.token_hex(8),
            now=city.clock(),
            not_after=city.clock() + 600,
        )
        honest = city.resource_token(city.read(presented, PersonToken))
        for claims in ({"aud": PS, "ps": PS}, {"aud": PS}, {}):
            # With and without the help of the resource, which names the attacker's server as it should.
            token = city.forged(honest, city.resource_keys[CALENDAR], **claims)
            answer = await deputy.agent.ask_auth_token(token, presented)
            assert answer.status == 400
            assert error_code(answer) in ("invalid_presented_token", "invalid_resource_token")


# ------------------------------------------------------------------------- one resource uses another's


@pytest.mark.parametrize(
    "kind", ["resource token", "own token for another's name", "another person server", "two resources together"]
)
@pytest.mark.spec("#resource-challenge-verification")
async def test_an_agent_does_not_redeem_what_one_resource_passes_on_of_another(
    city: City, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evil resource challenges with a resource token of the calendar: the agent must not take it to the person."""
    agent = await city.whole_agent()
    assert (await agent.get(f"{CALENDAR}/me")).status_code == 200
    credentials = city.captured(PersonToken, origin=CALENDAR)
    held = (credentials.headers.get("signature-key") or "").partition('jwt="')[2].rstrip('"')
    at_calendar = city.read(held, PersonToken)
    steps: list[str] = []

    async def evil(scope: Any, receive: Any, send: Any) -> None:
        header = dict(scope["headers"]).get(b"signature-key", b"").decode()
        text = header.partition('jwt="')[2].rstrip('"')
        typ = "aa-person" if city.tokens_type(text) == PersonToken.typ else "other"
        steps.append(typ)
        if typ == "other":
            asked = Requirement("person-token")
        else:
            presented = city.read(text, PersonToken)
            token = {
                # The calendar's own, which the attacker got by calling the calendar.
                "resource token": city.resource_token(at_calendar),
                "own token for another's name": city.forged(
                    city.resource_token(presented, issuer=EVIL_RESOURCE, key=city.evil), city.evil, iss=CALENDAR
                ),
                # The calendar signs what the evil resource wants: for this agent, key and presented token.
                "two resources together": city.resource_token(presented, issuer=CALENDAR),
                "another person server": city.forged(
                    city.resource_token(presented, issuer=EVIL_RESOURCE, key=city.evil),
                    city.evil,
                    aud=EVIL_PS,
                    ps=EVIL_PS,
                ),
            }[kind]
            asked = Requirement("auth-token", resource_token=token)
        headers = [(b"aauth-requirement", asked.serialize().encode())]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    documents = dict(city.network.documents)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        known = documents.get(EVIL_RESOURCE + scope["path"])
        if known is None:
            await evil(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": known.body})

    monkeypatch.setitem(city.network.apps, EVIL_RESOURCE, app)
    before = len(city.network.carried)
    with pytest.raises(AAuthError):
        await agent.get(f"{EVIL_RESOURCE}/anything")
    assert "aa-person" in steps
    asked = [request.url for request, _ in city.network.carried[before:]]
    assert f"{PS}/auth-token" not in asked
    assert not [url for url in asked if url.startswith(EVIL_PS)]


@pytest.mark.spec("#resource-token-verification", "#consent-presentation")
async def test_a_resource_cannot_dress_up_as_another_on_the_consent_page(city: City) -> None:
    city.network.publish(
        EVIL_RESOURCE,
        "aauth-resource.json",
        city.evil,
        name="Calendar\u202e at https://calendar.example",
        description="# Calendar\n<script>alert(1)</script>\n[x](javascript:alert(2))\n\n<img src=x onerror=alert(3)>",
        logo_uri="https://evil-resource.example/logo.png",
        tos_uri="https://evil-resource.example/tos",
        scope_descriptions={"calendar.delete": "Only *reads*. </label><form action=//x><b onclick=alert(4)>"},
    )
    agent = await city.newcomer()
    person = await agent.person_token(EVIL_RESOURCE)
    token = city.resource_token(
        city.read(person, PersonToken), issuer=EVIL_RESOURCE, key=city.evil, scope=["calendar.delete"]
    )
    pending = await agent.ask_auth_token(
        token, person, justification="</blockquote><script>alert(5)</script> I am [your bank](javascript:alert(6))"
    )
    await city.ada.visit(page_of(pending))
    page = city.ada.text
    assert "evil-resource.example" in page.partition("<h1>")[2].partition("</h1>")[0]
    assert "calendar.delete" in page
    digest = city.ada.url.rpartition("/")[2]
    ours = [f"/requests/{digest}", f"/requests/{digest}/ask", "/sign-out"]
    assert sorted(re.findall(r'<form[^>]* action="([^"]*)"', page)) == ours
    assert page.count("<form") == len(ours)
    for forbidden in ("<script>alert", "\u202e", "<img src=x", "<b "):
        assert forbidden not in page
    attributes = re.findall(r"""<[^<>]*?\s(href|src|action|formaction|on[a-z]+|style)\s*=\s*["']?([^"'\s>]*)""", page)
    assert {name for name, _ in attributes} <= {"href", "src", "action"}
    assert {value for _, value in attributes if value[:1] not in "/#"} <= {
        "https://evil-resource.example/logo.png",
        "https://evil-resource.example/tos",
    }
    await city.ada.submit(city.ada.form_with("decision"), {}, button=("decision", "deny"))
    # Nothing of it is a grant at the calendar.
    assert error_code(await agent.poll(pending)) == "denied"


@pytest.mark.spec("#request-context-binding", "#directed-identifiers")
async def test_two_resources_cannot_tell_that_it_is_the_same_person(city: City, deputy: Deputy) -> None:
    assert city.read(deputy.calendar, PersonToken).sub != city.read(deputy.mail, PersonToken).sub


# ------------------------------------------------------------------------- scopes


@pytest.mark.spec("#scopes", "#consent-presentation")
async def test_a_form_that_adds_a_scope_grants_no_more_than_was_asked(city: City, deputy: Deputy) -> None:
    token = city.resource_token(deputy.at_calendar, scope=["calendar.read", "calendar.invite"])
    pending = await deputy.agent.ask_auth_token(token, deputy.calendar)
    await city.ada.visit(page_of(pending))
    form = city.ada.form_with("decision")
    form.fields = [field for field in form.fields if field[0] != "scope"]
    form.fields += [("scope", "calendar.read"), ("scope", "calendar.delete"), ("scope", "openid")]
    await city.ada.submit(form, {}, button=("decision", "approve"))
    answer = await deputy.agent.poll(pending)
    assert answer.status == 200
    granted = city.read(answer.json()["auth_token"], AuthToken)
    assert granted.scope == ("calendar.read",)
    # And that is all it opens.
    body = {"date": "2026-12-01", "title": "Tea"}
    answer = await deputy.agent.call("POST", f"{CALENDAR}/events", body, shown=granted.raw)
    assert answer.status == 401


@pytest.mark.spec("#scopes")
async def test_remembered_consent_for_one_scope_resource_or_agent_is_none_for_another(
    city: City, deputy: Deputy, other: Deputy
) -> None:
    await deputy.agent.auth_token(deputy.calendar, "calendar.read")
    again = city.resource_token(deputy.at_calendar, scope=["calendar.read"])
    assert (await deputy.agent.ask_auth_token(again, deputy.calendar)).status == 200
    wider = city.resource_token(deputy.at_calendar, scope=["calendar.read", "calendar.delete"])
    assert (await deputy.agent.ask_auth_token(wider, deputy.calendar)).status == 202
    for changes in ({"scope": ["Calendar.read"]}, {"scope": ["calendar.read"], "account": "work"}):
        token = city.resource_token(deputy.at_calendar, **changes)
        assert (await deputy.agent.ask_auth_token(token, deputy.calendar)).status == 202
    at_mail = city.resource_token(city.read(deputy.mail, PersonToken), issuer=MAIL, scope=["calendar.read"])
    assert (await deputy.agent.ask_auth_token(at_mail, deputy.mail)).status == 202
    others = city.resource_token(other.at_calendar, scope=["calendar.read"])
    assert (await other.agent.ask_auth_token(others, other.calendar)).status == 202


@pytest.mark.spec("#auth-token-verification")
async def test_an_auth_token_for_another_scope_does_not_open_the_door(city: City, deputy: Deputy) -> None:
    auth = await deputy.agent.auth_token(deputy.calendar, "calendar.read")
    assert (await deputy.agent.call("GET", f"{CALENDAR}/events", shown=auth)).status == 200
    body = {"date": "2026-12-01", "title": "Tea"}
    assert (await deputy.agent.call("POST", f"{CALENDAR}/events", body, shown=auth)).status == 401
    assert (await deputy.agent.call("DELETE", f"{CALENDAR}/events/1", shown=auth)).status == 401
    assert (await deputy.agent.call("POST", f"{CALENDAR}/invitations", body, shown=auth)).status == 202


# ------------------------------------------------------------------------- persons


@pytest.mark.spec("#agent-person-binding")
async def test_nobody_but_the_agents_person_decides_for_it(city: City, deputy: Deputy) -> None:
    bob = await city.signed_in("bob")
    token = city.resource_token(deputy.at_calendar, scope=["calendar.write"])
    pending = await deputy.agent.ask_auth_token(token, deputy.calendar)
    await bob.visit(page_of(pending))
    assert bob.status == 403
    # Ada arrives; Bob knows the address of her page, and posts to it with a form of his own.
    await city.ada.visit(page_of(pending))
    assert "/requests/" in city.ada.url
    await bob.visit(city.ada.url)
    assert bob.status == 404
    await bob.visit(f"{PS}/security")
    csrf = dict(bob.form_with("csrf").fields)["csrf"]
    form = city.ada.form_with("decision")
    form.fields = [(name, csrf if name == "csrf" else value) for name, value in form.fields]
    bob.url = city.ada.url
    await bob.submit(form, {}, button=("decision", "approve"))
    assert bob.status == 404
    assert (await deputy.agent.poll(pending)).status == 202


@pytest.mark.spec("#request-context-binding", "#directed-identifiers")
async def test_the_same_name_at_another_person_server_is_another_person(city: City, deputy: Deputy) -> None:
    auth = await deputy.agent.auth_token(deputy.calendar, "calendar.read", "calendar.write")
    title = f"Secret {secrets.token_hex(4)}"
    body = {"date": "2026-12-01", "title": title}
    assert (await deputy.agent.call("POST", f"{CALENDAR}/events", body, shown=auth)).status == 201
    mallory = SigningKey.generate()
    values: dict[str, Any] = {
        "aud": CALENDAR,
        "sub": deputy.at_calendar.sub,
        "cnf": mallory.public,
        "now": city.clock(),
        "not_after": city.clock() + 600,
        "scope": ["calendar.read"],
        "dwk": PERSON_DWK,
    }
    own = issue_auth_token(city.evil, iss=EVIL_PS, ps=EVIL_PS, jti=secrets.token_hex(8), **values)
    answer = await city.send(city.signed("GET", f"{CALENDAR}/events", mallory, own))
    assert answer.status == 200
    assert title.encode() not in answer.body
    for dwk, ps in ((PERSON_DWK, PS), (ACCESS_DWK, PS), (ACCESS_DWK, EVIL_PS)):
        changed = {**values, "dwk": dwk}
        token = issue_auth_token(city.evil, iss=EVIL_PS, ps=ps, jti=secrets.token_hex(8), **changed)
        answer = await city.send(city.signed("GET", f"{CALENDAR}/events", mallory, token))
        assert (answer.status, error_code(answer)) == (401, "invalid_jwt" if dwk == PERSON_DWK else error_code(answer))


# ------------------------------------------------------------------------- sub-agents


async def _sub_agent(city: City, parent: Agent, name: str = "search") -> Agent:
    key = SigningKey.generate()
    body = {"discriminator": name, "jwk": key.public.to_jwk()}
    answer = await parent.call("POST", f"{AP}/subagent", body)
    assert answer.status == 200, answer.body
    return Agent(city, key, answer.json()["agent_token"])


@pytest.mark.spec("#parent-mediated-authorization")
async def test_a_sub_agent_does_not_ask_for_itself(city: City, deputy: Deputy) -> None:
    child = await _sub_agent(city, deputy.agent)
    answer = await child.ask_person_token(CALENDAR)
    assert (answer.status, error_code(answer)) == (400, "invalid_request")
    answer = await child.ask_auth_token(city.resource_token(deputy.at_calendar), deputy.calendar)
    assert (answer.status, error_code(answer)) == (400, "invalid_request")
    answer = await child.call("POST", f"{AP}/subagent", {"discriminator": "x", "jwk": city.thief.public.to_jwk()})
    assert (answer.status, error_code(answer)) == (400, "invalid_request")


@pytest.mark.spec("#sub-agents", "#single-level-depth")
async def test_nobody_asks_for_the_sub_agent_of_another(city: City, deputy: Deputy, other: Deputy) -> None:
    child = await _sub_agent(city, deputy.agent)
    evil = city.evil_agent(
        sub=f"{deputy.agent.city.read(deputy.agent.token, AgentToken).sub.partition('@')[0]}@evil-agents.example"
    )
    cases = {
        "another parent": (other.agent, child.token),
        "no sub-agent at all": (deputy.agent, other.agent.token),
        "itself": (deputy.agent, deputy.agent.token),
        "a parent of another provider": (evil, child.token),
        "a forged one": (
            deputy.agent,
            city.forged(child.token, city.evil, cnf={"jwk": city.thief.public.to_jwk()}),
        ),
    }
    for name, (agent, token) in cases.items():
        answer = await agent.ask_person_token(CALENDAR, subagent_token=token)
        assert (answer.status, error_code(answer)) == (400, "invalid_subagent_token"), name
    assert (await deputy.agent.ask_person_token(CALENDAR, subagent_token=child.token)).status == 200


@pytest.mark.spec("#sub-agents", "#agent-token-structure")
async def test_a_provider_cannot_claim_anothers_agent_as_parent(city: City, deputy: Deputy) -> None:
    parent = city.read(deputy.agent.token, AgentToken).sub
    token = city.forged(
        city.evil_agent().token,
        city.evil,
        sub="aauth:evil+x@evil-agents.example",
        parent_agent=parent,
        cnf={"jwk": city.thief.public.to_jwk()},
    )
    answer = await deputy.agent.ask_person_token(CALENDAR, subagent_token=token)
    assert (answer.status, error_code(answer)) == (400, "invalid_subagent_token")
    answer = await Agent(city, city.thief, token).call("GET", f"{CALENDAR}/agent")
    assert answer.status == 401


@pytest.mark.spec("#parent-mediated-authorization")
async def test_a_token_for_a_sub_agent_is_bound_to_its_key_alone(city: City, deputy: Deputy) -> None:
    child = await _sub_agent(city, deputy.agent)
    answer = await deputy.agent.ask_person_token(CALENDAR, subagent_token=child.token)
    token = answer.json()["person_token"]
    assert (await child.call("GET", f"{CALENDAR}/me", shown=token)).status == 200
    assert (await deputy.agent.call("GET", f"{CALENDAR}/me", shown=token)).status == 401


@pytest.mark.spec("#agent-tokens")
async def test_a_provider_serves_only_its_own_agents(city: City) -> None:
    evil = city.evil_agent()
    before = len(city.network.asked)
    body = {"discriminator": "x", "jwk": city.thief.public.to_jwk()}
    answer = await evil.call("POST", f"{AP}/subagent", body)
    assert answer.status == 401
    assert city.network.asked[before:] == []


# ------------------------------------------------------------------------- revocation


def _revocation(city: City, url: str, issuer: str, dwk: str, key: SigningKey, jti: str) -> Request:
    body = {"jti": jti, "exp": int(city.clock()) + 600}
    return city.signed("POST", url, key, JWKSURI(issuer, dwk, key.kid), body=body)


@pytest.mark.spec("#who-revokes-what", "#revocation-request")
async def test_nobody_revokes_what_another_issued(city: City, deputy: Deputy) -> None:
    agent_jti = city.read(deputy.agent.token, AgentToken).jti
    person_jti = deputy.at_calendar.jti
    # In its own name the attacker may say what it likes: it is about tokens of its own.
    for url, dwk, issuer, jti in (
        (f"{PS}/revocation", "aauth-agent.json", EVIL_AP, agent_jti),
        (f"{PS}/revocation", "aauth-resource.json", EVIL_RESOURCE, person_jti),
        (f"{CALENDAR}/aauth/revoke", PERSON_DWK, EVIL_PS, person_jti),
    ):
        assert (await city.send(_revocation(city, url, issuer, dwk, city.evil, jti))).status == 200
    # In anothers' name it cannot.
    for url, dwk, issuer, key, status in (
        (f"{PS}/revocation", "aauth-agent.json", AP, city.evil, 401),
        (f"{CALENDAR}/aauth/revoke", PERSON_DWK, PS, city.evil, 401),
        (f"{PS}/revocation", "aauth-agent.json", CALENDAR, city.resource_keys[CALENDAR], 401),
        (f"{CALENDAR}/aauth/revoke", "aauth-resource.json", CALENDAR, city.resource_keys[CALENDAR], 403),
        (f"{CALENDAR}/aauth/revoke", "aauth-agent.json", EVIL_AP, city.evil, 403),
        (f"{PS}/revocation", PERSON_DWK, EVIL_PS, city.evil, 403),
    ):
        answer = await city.send(_revocation(city, url, issuer, dwk, key, person_jti))
        assert answer.status == status, (url, issuer)
    for url in (f"{PS}/revocation", f"{CALENDAR}/aauth/revoke"):
        body = {"jti": person_jti, "exp": int(city.clock()) + 600}
        for shown in (deputy.agent.token, deputy.calendar, None):
            assert (await deputy.agent.call("POST", url, body, shown=shown)).status == 401
    assert (await deputy.agent.call("GET", f"{CALENDAR}/me", shown=deputy.calendar)).status == 200
    assert (await deputy.agent.ask_person_token(CALENDAR)).status == 200


@pytest.mark.spec("#revocation-cascade", "#presenting-a-revoked-token")
async def test_what_hangs_on_a_revoked_agent_token_is_dead_everywhere(city: City) -> None:
    victim = await _deputy(city)
    auth = await victim.agent.auth_token(victim.calendar, "calendar.read")
    sub = city.read(victim.agent.token, AgentToken).sub
    await city.provider.revoke(sub)
    assert (await victim.agent.call("GET", f"{CALENDAR}/events", shown=auth)).status == 401
    assert (await victim.agent.call("GET", f"{CALENDAR}/me", shown=victim.calendar)).status == 401
    assert (await victim.agent.ask_person_token(CALENDAR)).status == 401
    token = city.resource_token(victim.at_calendar)
    assert (await victim.agent.ask_auth_token(token, victim.calendar)).status == 401


async def test_the_issuers_keys_are_no_keys_of_requests(city: City) -> None:
    """A document of one role is none of another: the provider's key makes no person token, the calendar's no agent."""
    mallory = city.thief
    agent = await city.newcomer()
    person = await agent.person_token()
    for text, door, issuer, dwk in (
        (agent.token, "/agent", EVIL_RESOURCE, "aauth-resource.json"),
        (person, "/me", EVIL_AP, "aauth-agent.json"),
        (person, "/me", EVIL_RESOURCE, "aauth-resource.json"),
    ):
        token = city.forged(
            text,
            city.evil,
            header={"kid": city.evil.kid},
            iss=issuer,
            dwk=dwk,
            cnf={"jwk": mallory.public.to_jwk()},
            sub="aauth:x@" + issuer.partition("://")[2] if door == "/agent" else "x",
        )
        answer = await Agent(city, mallory, token).call("GET", CALENDAR + door)
        assert (answer.status, error_code(answer)) == (401, "invalid_jwt")


async def test_a_refused_pair_leaves_nothing_behind_to_decide(city: City, deputy: Deputy, other: Deputy) -> None:
    person_id = (await city.person_app.accounts.verify_password("ada", "correct horse battery")).person_id
    before = {view.digest for view in await city.person_app.server.pending_for(person_id)}
    await other.agent.ask_auth_token(city.resource_token(deputy.at_calendar), other.calendar)
    after = {view.digest for view in await city.person_app.server.pending_for(person_id)}
    assert after <= before
