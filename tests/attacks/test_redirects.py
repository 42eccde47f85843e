"""Promise 4: where the browser goes after a decision or a sign-in, and where nobody can send it."""

from __future__ import annotations

import re
import secrets
from urllib.parse import quote

import pytest

from .consent import GOOD, csrf_of, raw
from .world import (
    AP,
    CALENDAR,
    EVIL_AP,
    MAIL,
    PASSWORD,
    PS,
    City,
    page_of,
    requirement,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


ELSEWHERE = [
    "https://evil.example/",
    "https://evil.example/callback",
    f"{AP}.evil.example/callback",
    f"{AP}@evil.example/callback",
    f"{AP}:8443/callback",
    f"{AP}/callbackevil",
    f"{AP}/callback/../evil",
    f"{AP}/callback/..%2fevil",
    f"{AP}/callback/%2e%2e/evil",
    f"{AP}/callback/.%2E/evil",
    f"{AP}/callback/..",
    f"{AP}/callback#x",
    f"{AP}/callback\r\nset-cookie: a=b",
    f"{AP}\\@evil.example/callback",
    f"{AP}/callback\\..\\evil",
    "//evil.example/callback",
    "/\\evil.example",
    "http://localhost:1/",
    "http://127.0.0.1/",
    "javascript:alert(1)",
    "data:text/html,x",
    "HTTPS://agents.example/callback",
    "https://agents.example",
    "aauth://callback",
    "x" * 4000,
]


@pytest.mark.parametrize("callback", ELSEWHERE, ids=lambda value: value[:44].encode("unicode_escape").decode())
@pytest.mark.parametrize("decision", ["approve", "deny"])
@pytest.mark.spec("#user-interaction")
async def test_the_consent_page_redirects_nobody_elsewhere(city: City, callback: str, decision: str) -> None:
    agent = await city.newcomer()
    pending = await agent.ask_person_token(MAIL)
    await city.ada.visit(f"{page_of(pending)}&callback={quote(callback, safe='')}")
    form = city.ada.form_with("decision")
    policy = (await raw(city.ada, "GET", city.ada.url)).headers["content-security-policy"]
    assert "evil" not in policy
    answer = await raw(city.ada, "POST", PS + form.action, dict(form.fields) | {"decision": decision}, **GOOD)
    assert answer.status_code == 303
    assert re.fullmatch(r"/requests/[0-9a-f]{64}", answer.headers["location"])


@pytest.mark.parametrize("callback", ELSEWHERE, ids=lambda value: value[:44].encode("unicode_escape").decode())
@pytest.mark.spec("#user-interaction", "#resource-managed-auth")
async def test_the_resources_page_redirects_nobody_elsewhere(city: City, callback: str) -> None:
    agent = await city.newcomer()
    pending = await agent.call("GET", f"{CALENDAR}/managed")
    asked = requirement(pending)
    url = asked.url or ""
    ada = city.browser()
    first = await raw(ada, "GET", f"{url}?code={asked.code}&callback={quote(callback, safe='')}")
    assert "evil" not in first.headers["content-security-policy"]
    name = secrets.token_hex(4)
    form = {"csrf": csrf_of(first.text), "code": asked.code or "", "username": name, "password": PASSWORD}
    signed_in = await raw(ada, "POST", url, form | {"action": "sign-in", "callback": callback})
    assert signed_in.status_code == 303
    assert signed_in.headers["location"].startswith("/aauth/interaction/")
    page = await raw(ada, "GET", url)
    answer = await raw(ada, "POST", url, {"csrf": csrf_of(page.text), "action": "deny"})
    assert (answer.status_code, answer.headers.get("location")) == (200, None)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/%0d%0aset-cookie:a=b",
        "/security\r\nset-cookie: a=b",
        "/requests/../../evil",
        "/sign-out",
        "javascript:alert(1)",
        "/interaction-callback/x?error=a%0d%0ab",
        "/security?next=//evil.example",
    ],
)
async def test_the_sign_in_leads_only_to_pages_of_this_server(city: City, target: str) -> None:
    browser = city.browser()
    await browser.visit(f"{PS}/sign-in?next={quote(target, safe='')}")
    form = browser.form_with("username", "password")
    fields = dict(form.fields) | {"username": "bob", "password": PASSWORD}
    assert fields["next"] == "/"
    answer = await raw(browser, "POST", f"{PS}/sign-in", fields | {"next": target}, **GOOD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "a" not in {cookie.name for cookie in browser._client.cookies.jar}


@pytest.mark.spec("#user-interaction")
async def test_a_callback_of_another_agents_provider_is_not_taken(city: City) -> None:
    agent = city.evil_agent()
    pending = await agent.ask_person_token(MAIL)
    await city.ada.visit(f"{page_of(pending)}&callback={quote(f'{AP}/callback', safe='')}")
    form = city.ada.form_with("decision")
    answer = await raw(city.ada, "POST", PS + form.action, dict(form.fields) | {"decision": "deny"}, **GOOD)
    assert answer.headers["location"].startswith("/requests/")
    pending = await agent.ask_person_token(MAIL)
    await city.ada.visit(f"{page_of(pending)}&callback={quote(f'{EVIL_AP}/callback', safe='')}")
    form = city.ada.form_with("decision")
    answer = await raw(city.ada, "POST", PS + form.action, dict(form.fields) | {"decision": "deny"}, **GOOD)
    assert answer.headers["location"] == f"{EVIL_AP}/callback?error=access_denied"
