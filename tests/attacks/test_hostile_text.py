"""Stored and reflected script: hostile text in every field that somebody else fills in and a person's page shows.

Names, descriptions and Markdown of agents, providers, resources, access servers, other people and the person's own.
Each piece is marked, so that a page that did not show it at all is found out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aauthlib.access import AskQuestion, NeedApproval, NeedInteraction
from aauthlib.base64url import b64url_encode
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.http import Response, json_response

from .engines import Databases
from .house import HOUSE, OFFICE, House, exactly, open_house
from .inert import hostile, what_acts
from .realm import AGENT_DWK, EVIL_AP, EVIL_RESOURCE, PS, RESOURCE_DWK, VAULT, Agent, PersonToken, Realm
from .world import PASSWORD, page_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.spec("#untrusted-input", "#consent-presentation")]

#: Where a page may load a logo from, or link to, since it shows whose that is.
KNOWN = frozenset({"evil-resource.example", "evil-agents.example", "evil-person.example"})


def seen(mark: str) -> str:
    """Hostile text of characters that can be seen: what a person agrees to has no others."""
    return "".join(character for character in hostile(mark) if character.isprintable())


def name(mark: str) -> str:
    """Hostile text that can be a name."""
    return seen(mark)[:120].strip()


@dataclass
class Reader:
    """A person who looks at pages, all of which must be inert, and knows what was on them."""

    browser: ScriptedPerson
    seen: str = ""
    pages: list[str] = field(default_factory=list)

    async def look(self, url: str) -> None:
        await self.browser.visit(url)
        self.check()

    def check(self) -> None:
        assert what_acts(self.browser.text, elsewhere=KNOWN) == [], self.browser.url
        self.seen += self.browser.text
        self.pages.append(self.browser.url)

    async def decide(self, decision: str = "approve", **fields: str) -> None:
        await self.browser.submit(self.browser.form_with("decision"), fields, button=("decision", decision))
        self.check()

    def missing(self, *marks: str) -> list[str]:
        return [mark for mark in marks if mark not in self.seen]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evil(realm: Realm) -> Agent:
    """An agent of a provider that calls itself something, which calls a resource that does, too."""
    for issuer, dwk, mark in ((EVIL_AP, AGENT_DWK, "provider"), (EVIL_RESOURCE, RESOURCE_DWK, "resource")):
        document = {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks.json",
            "name": hostile(f"{mark}-name"),
            "description": hostile(f"{mark}-description"),
            "logo_uri": f"{issuer}/logo.png",
            "tos_uri": f"{issuer}/tos",
            "policy_uri": "javascript:alert(1)",
            "documentation_uri": f'{issuer}/"onmouseover=alert(1)//',
            "scope_descriptions": {"calendar.read": hostile("scope-description")},
        }
        realm.city.network.documents[f"{issuer}/.well-known/{dwk}"] = json_response(200, document)
    return realm.agent(EVIL_AP, "aauth:evil@evil-agents.example", ps=PS)


async def ask(agent: Agent, path: str, **body: Any) -> Response:
    return await agent.call("POST", PS + path, {"capabilities": ["interaction", "clarification"], **body})


async def test_what_agents_providers_and_resources_say_stays_text(realm: Realm, evil: Agent) -> None:
    ada = Reader(realm.city.ada)
    pending = await ask(
        evil,
        "/person-token",
        resource=EVIL_RESOURCE,
        justification=hostile("justification"),
        platform="cli",
        device=name("device")[:64],
        login_hint=name("login-hint")[:100],
    )
    await ada.look(page_of(pending))
    # A question of the person's own, and the agent's answer to it.
    form = ada.browser.form_with("question")
    await ada.browser.submit(form, {"question": hostile("question"), "options": name("option")})
    ada.check()
    location = pending.headers.get("location") or ""
    await evil.call("GET", location)
    answer = {"action": "clarification_response", "clarification_response": hostile("answer")}
    assert (await evil.call("POST", location, answer)).status in (200, 202)
    await ada.look(ada.pages[0] if "/requests/" in ada.pages[0] else ada.browser.url)
    await ada.decide()
    token = (await evil.poll(pending)).json()["person_token"]
    asked = realm.city.resource_token(
        realm.city.read(token, PersonToken), issuer=EVIL_RESOURCE, key=realm.city.evil, account=name("account")
    )
    pending = await ask(evil, "/auth-token", resource_token=asked, presented_token=token)
    await ada.look(page_of(pending))
    await ada.decide()
    for path in ("/", "/data", "/missions", "/security"):
        await ada.look(PS + path)
    assert (
        ada.missing(
            "justification", "provider-name", "resource-name", "scope-description", "question", "answer", "account"
        )
        == []
    )


async def test_what_stands_in_a_mission_stays_text(realm: Realm, evil: Agent) -> None:
    ada = Reader(realm.city.ada)
    tools = [{"name": name("tool-name"), "description": seen("tool-text")[:300]}]
    pending = await ask(evil, "/mission", description=seen("proposal"), tools=tools, resources=[EVIL_RESOURCE])
    await ada.look(page_of(pending))
    await ada.decide()
    approved = (await evil.poll(pending)).json()
    s256 = approved["s256"]
    body: dict[str, Any] = {"mission_s256": s256}
    pending = await ask(
        evil,
        "/permission",
        action=name("action"),
        description=seen("permission"),
        parameters={name("parameter"): [hostile("value"), {"<script>": 1}]},
        **body,
    )
    await ada.look(page_of(pending))
    await ada.decide("deny", reason=seen("no-because")[:300])
    await evil.poll(pending)
    result = {name("result"): hostile("outcome")}
    record = {"action": name("audited"), "description": seen("audit"), "result": result}
    assert (await ask(evil, "/audit", parameters={"x": hostile("given")}, **record, **body)).status == 201
    question = {"type": "question", "question": seen("ask"), "description": seen("why")}
    pending = await ask(evil, "/interaction", **question, **body)
    await ada.look(page_of(pending))
    await ada.decide("approve", answer=seen("reply"))
    await evil.poll(pending)
    for action, member in (("update", "description"), ("completion", "summary")):
        pending = await ask(evil, f"/mission/{s256}", action=action, **{member: seen(f"{action}-text")})
        await ada.look(page_of(pending))
        await ada.decide("approve" if action == "update" else "deny")
        await evil.poll(pending)
    for path in ("/missions", f"/missions/{s256}", "/", "/data"):
        await ada.look(PS + path)
    marks = ("proposal", "tool-name", "tool-text", "action", "permission", "parameter", "value", "no-because")
    later = ("audited", "audit", "result", "outcome", "ask", "why", "reply", "update-text", "completion-text")
    assert ada.missing(*marks, *later) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil-resource.example/pay",
        "https://evil-resource.example/a'b;url=https:evil",
        "https://evil-resource.example/%22%3E%3Cscript%3E",
    ],
)
async def test_where_an_agent_wants_its_person_to_go_stays_an_address(realm: Realm, evil: Agent, url: str) -> None:
    ada = Reader(realm.city.ada)
    await _subscribe(realm)
    pending = await ask(evil, "/interaction", type="interaction", url=url, code="AAAA-BBBB", description=seen("go"))
    if pending.status == 400:
        return  # No interaction URL at all, which is as good.
    inbox = await realm.city.person_app.server.pending_for(await _ada(realm))
    await ada.look(f"{PS}/requests/{inbox[-1].digest}")
    assert ada.missing("go") == []
    await ada.decide()
    await ada.look(ada.browser.url)
    await ada.look(f"{PS}/notifications")
    assert ada.missing("phone") == []
    await evil.call("DELETE", pending.headers.get("location") or "")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "http://evil.example/",
        "https://evil.example/?a=b",
        "https://evil.example/#x",
        "https://evil.example:443x/",
        "https://person.example@evil.example/",
        "//evil.example/",
        "https://evil.example/\r\nLocation: x",
        "https://evil.example/\u202egro.elpmaxe",
    ],
    ids=lambda url: url.encode("unicode_escape").decode()[:40],
)
@pytest.mark.spec("#interaction-request")
async def test_an_address_that_is_none_is_not_shown_to_anybody(realm: Realm, evil: Agent, url: str) -> None:
    answer = await ask(evil, "/interaction", type="interaction", url=url, code="AAAA-BBBB")
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.spec("#interaction-request")
@pytest.mark.parametrize("own", ["/sign-out", "/security", "/interaction/nothing", "/agents/disconnect"])
async def test_no_agent_leads_its_person_to_a_page_of_their_own_server_that_is_not_about_it(
    realm: Realm, evil: Agent, own: str
) -> None:
    answer = await ask(evil, "/interaction", type="interaction", url=PS + own, code="AAAA-BBBB")
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


async def _ada(realm: Realm) -> str:
    return (await realm.city.person_app.accounts.verify_password("ada", PASSWORD)).person_id


async def _subscribe(realm: Realm) -> None:
    """Ada can be told, by a browser whose name she chose."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    await realm.city.person_app.notifier.subscribe_browser(
        await _ada(realm),
        endpoint="https://push.example/send/abc",
        p256dh=b64url_encode(point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
        auth=b64url_encode(bytes(16)),
        name=name("phone")[:60],
    )


# ------------------------------------------------------------------------- what access servers and their people say


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(realm: Realm, databases: Databases) -> AsyncIterator[House]:
    yield await open_house(realm, databases)


async def test_what_an_access_server_asks_stays_text(realm: Realm) -> None:
    ada, agent = Reader(realm.city.ada), await realm.city.newcomer()
    presented = await agent.person_token(VAULT)
    asks = AskQuestion(hostile("as-question"), options=(name("as-option"), "no"))
    with realm.deciding(lambda facts: asks):
        token = realm.vault_resource_token(presented)
        body = {"resource_token": token, "presented_token": presented, "capabilities": ["interaction"]}
        pending = await agent.call("POST", f"{PS}/auth-token", body)
        await ada.look(page_of(pending))
        await ada.decide()
        await ada.look(ada.browser.url)
    assert ada.missing("as-question", "as-option") == []
    await agent.call("DELETE", pending.headers.get("location") or "")


async def test_what_is_said_at_an_access_server_stays_text(realm: Realm, house: House) -> None:
    note, group = hostile("note"), name("group")[:60].replace(",", "")
    url = await house.invite_to_office("approver", (group,), note)
    bo = Reader(await house.join(url, "bo", display_name=name("display-name")[:60]))
    await house.invite_to_office("person", (), note)
    ann = Reader(await house.signed_in(OFFICE, "ann"))
    await ann.look(f"{OFFICE}/people")
    assert ann.missing("note", "group", "display-name") == []
    agent = await realm.city.newcomer()
    presented = await agent.person_token(VAULT)
    house.decision = NeedApproval(by=group)
    token = realm.vault_resource_token(presented, access_server=OFFICE, account=name("office-account"))
    body = {"presented_token": presented, "agent_token": agent.token, "resource_token": token}
    waiting = await realm.send(realm.as_server(PS, "aauth-person.json", "POST", f"{OFFICE}/auth-token", body))
    assert waiting.status == 202
    await bo.look(f"{OFFICE}/")
    [view] = [each for each in await house.office.server.approvals() if each.by == group]
    await bo.look(f"{OFFICE}/approvals/{view.id}")
    await bo.decide("refuse", reason=hostile("refusal")[:300])
    await ann.look(f"{OFFICE}/")
    assert bo.missing("group", "office-account") == []
    assert ann.missing("refusal") == []
    house.decision = NeedInteraction()
    token = realm.vault_resource_token(presented, access_server=OFFICE)
    body |= {"resource_token": token}
    waiting = await realm.send(realm.as_server(PS, "aauth-person.json", "POST", f"{OFFICE}/auth-token", body))
    await ann.look(page_of(waiting))
    await ann.decide("decline")


@pytest.mark.parametrize("site", [HOUSE, OFFICE])
async def test_what_is_typed_into_a_form_comes_back_as_text(house: House, site: str) -> None:
    ann, stranger = await house.signed_in(site, "ann"), house.browser()
    await ann.visit(f"{site}/security")
    await stranger.visit(f"{site}/sign-in")
    for browser in (ann, stranger):
        csrf = dict(browser.form_with("csrf").fields)["csrf"]
        for path in house.pages(site):
            names = ("username", "display_name", "email", "next", "code", "callback", "handle", "note", "approves")
            more = ("role", "reason", "question", "answer", "name", "person", "decision", "new", "current", "address")
            fields = {each: seen(each) for each in (*names, *more)} | {"csrf": csrf}
            for method, sent in (("POST", fields), ("GET", None)):
                target = urljoin(site, path) + (
                    "" if sent else f"?saved={hostile('q')}&error=<script>&next={hostile('q')}"
                )
                answer = await exactly(browser, method, target, sent, origin=site)
                if answer.headers.get("content-type", "").startswith("text/html"):
                    assert what_acts(answer.text, elsewhere=KNOWN) == [], (method, path)
                location = answer.headers.get("location", "/")
                assert location.startswith("/"), (method, path)
                assert not location.startswith("//"), (method, path)
            if path.endswith(("/sign-out", "/data/delete")):
                ann = browser = await house.signed_in(site, "ann") if browser is ann else browser
                await browser.visit(f"{site}/sign-in")
                csrf = dict(browser.form_with("csrf").fields)["csrf"] if "csrf" in browser.text else csrf
