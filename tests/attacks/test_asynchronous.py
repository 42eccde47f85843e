"""Promise 4: one asynchronous pattern, in which one person decides once: codes and consent."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio

from aauthlib.demo.browser import ScriptedPerson

from .consent import GOOD, Waiting, csrf_of, raw, waiting
from .world import (
    CALENDAR,
    PASSWORD,
    PS,
    City,
    error_code,
    page_of,
    requirement,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")

CODE = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def wrong_codes() -> Any:
    """Codes of the right form, one after another."""
    return ("".join(symbols) for symbols in itertools.product(CODE, repeat=8))


# ------------------------------------------------------------------------- codes


@pytest.mark.spec("#interaction-code-format")
async def test_a_guessed_code_closes_the_interaction_from_however_many_addresses(city: City) -> None:
    agent = await city.newcomer()
    pending = await agent.ask_person_token()
    url = requirement(pending).url or ""
    guesses = wrong_codes()
    statuses = []
    for number in range(8):
        # A browser, a network and a state of signing in of its own for each guess.
        browser = await city.signed_in("bob") if number % 2 else city.browser()
        transport = httpx2.ASGITransport(app=city.person_app, client=(f"198.51.100.{number}", 1))
        client = httpx2.AsyncClient(transport=transport, cookies=browser._client.cookies)
        answer = await client.get(f"{url}?code={next(guesses)}")
        await client.aclose()
        statuses.append(answer.status_code)
        assert "decision" not in answer.text
    assert set(statuses) <= {400, 410}
    # Five wrong ones, and the right one is no help any more.
    await city.ada.visit(page_of(pending))
    assert city.ada.status in (400, 410)
    assert "decision" not in city.ada.text
    answer = await agent.poll(pending)
    assert (answer.status, error_code(answer)) == (410, "invalid_code")


@pytest.mark.spec("#interaction-code-format")
async def test_guesses_made_at_once_are_counted_one_by_one(city: City) -> None:
    agent = await city.newcomer()
    pending = await agent.ask_person_token()
    asked = requirement(pending)
    assert asked.url is not None
    assert asked.code is not None
    guesses = wrong_codes()
    server = city.person_app.server
    handle = asked.url.rpartition("/")[2]
    crowd = [server.check_code(handle, next(guesses)) for _ in range(40)]
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    with pytest.raises(Exception, match=r"."):
        await server.check_code(handle, asked.code)
    assert error_code(await agent.poll(pending)) == "invalid_code"


@pytest.mark.spec("#interaction-code-format")
async def test_a_made_up_interaction_looks_like_one_with_a_wrong_code(city: City) -> None:
    agent = await city.newcomer()
    url = requirement(await agent.ask_person_token()).url or ""
    browser = city.browser()
    shown = []
    for address in (url, f"{PS}/interaction/{'z' * 8}"):
        answer = await raw(browser, "GET", f"{address}?code=00000000")
        text = re.sub(r'(value|action)="[^"]*"', "", answer.text)
        shown.append((answer.status_code, text))
    assert shown[0] == shown[1]


@pytest.mark.spec("#interaction-code-format", "#resource-managed-auth")
async def test_a_guessed_code_closes_the_resources_own_interaction_too(city: City) -> None:
    agent = await city.newcomer()
    pending = await agent.call("GET", f"{CALENDAR}/managed")
    asked = requirement(pending)
    browser = city.browser()
    await browser.visit(f"{asked.url}")
    guesses = wrong_codes()
    for _ in range(6):
        form = {"csrf": csrf_of(browser.text), "code": next(guesses), "username": "ada", "password": PASSWORD}
        answer = await raw(browser, "POST", asked.url or "", form)
        assert answer.status_code in (403, 410, 429)
        if 'name="csrf"' in answer.text:
            browser.text = answer.text
    browser.url, browser.text = asked.url or "", browser.text
    answer = await raw(
        browser,
        "POST",
        asked.url or "",
        {"csrf": csrf_of(browser.text), "code": asked.code or "", "username": "ada", "password": PASSWORD},
    )
    assert answer.status_code in (403, 410, 429)
    assert error_code(await agent.poll(pending)) == "invalid_code"


@pytest.mark.spec("#ps-approval-endpoint-auth")
async def test_a_password_is_not_guessed_from_many_addresses(city: City) -> None:
    name = f"u{secrets.token_hex(4)}"
    await city.person_app.accounts.create(name, "Victim", password=PASSWORD)
    statuses = []
    for number in range(40):
        transport = httpx2.ASGITransport(app=city.person_app, client=(f"203.0.113.{number}", 1))
        async with httpx2.AsyncClient(transport=transport) as client:
            page = await client.get(f"{PS}/sign-in")
            form = {"csrf": csrf_of(page.text), "username": name, "password": f"guess {number}"}
            statuses.append((await client.post(f"{PS}/sign-in", data=form)).status_code)
    assert 429 in statuses
    assert statuses.count(403) <= 20


# ------------------------------------------------------------------------- consent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(city: City) -> Waiting:
    return await waiting(city)


@pytest.mark.spec("#ps-approval-endpoint-auth")
async def test_consent_without_a_session_changes_nothing(city: City, asked: Waiting) -> None:
    nobody = city.browser()
    answer = await raw(nobody, "POST", asked.url, asked.form, **GOOD)
    assert answer.status_code == 403
    await nobody.visit(f"{PS}/sign-in")
    form = asked.form | {"csrf": csrf_of(nobody.text)}
    answer = await raw(nobody, "POST", asked.url, form, **GOOD)
    assert answer.status_code == 403
    # A session cookie that was made up, emptied, or is another's digest.
    for value in ("", "x" * 43, "0" * 64, csrf_of(nobody.text)):
        nobody._client.cookies.set("__Host-aauth-person", value, domain="person.example")
        answer = await raw(nobody, "POST", asked.url, asked.form, **GOOD)
        assert answer.status_code == 403
    assert await asked.still_waits()


@pytest.mark.spec("#ps-approval-endpoint-auth")
async def test_consent_with_another_persons_session_changes_nothing(city: City, asked: Waiting) -> None:
    bob = await city.signed_in("bob")
    await bob.visit(f"{PS}/security")
    for csrf in (csrf_of(bob.text), asked.form["csrf"]):
        answer = await raw(bob, "POST", asked.url, asked.form | {"csrf": csrf}, **GOOD)
        assert answer.status_code in (403, 404)
    assert await asked.still_waits()


@pytest.mark.spec("#ps-approval-endpoint-auth")
async def test_consent_without_the_sessions_own_csrf_token_changes_nothing(city: City, asked: Waiting) -> None:
    second = await city.signed_in("ada")
    await second.visit(f"{PS}/security")
    stranger = city.browser()
    await stranger.visit(f"{PS}/sign-in")
    without = {name: value for name, value in asked.form.items() if name != "csrf"}
    for form in (
        without,
        without | {"csrf": ""},
        without | {"csrf": "x"},
        without | {"csrf": csrf_of(second.text)},
        without | {"csrf": csrf_of(stranger.text)},
        without | {"csrf": "é\u2028" * 20},
    ):
        answer = await raw(city.ada, "POST", asked.url, form, **GOOD)
        assert answer.status_code == 403
    assert await asked.still_waits()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://person.example.evil.example"},
        {"origin": "https://evil-person.example"},
        {"origin": "http://person.example"},
        {"origin": "https://person.example:8443"},
        {"origin": PS, "sec_fetch_site": "cross-site"},
        {"origin": PS, "sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "none"},
        {"origin": "null", "sec_fetch_site": "cross-site"},
    ],
    ids=str,
)
@pytest.mark.spec("#ps-approval-endpoint-auth")
async def test_consent_from_another_site_changes_nothing(city: City, asked: Waiting, headers: dict[str, str]) -> None:
    """Even with the right token: it could have leaked, and the browser says where the form came from."""
    answer = await raw(city.ada, "POST", asked.url, asked.form, **headers)
    assert answer.status_code == 403
    assert await asked.still_waits()


@pytest.mark.spec("#ps-approval-endpoint-auth")
async def test_consent_is_only_a_posted_form(city: City, asked: Waiting) -> None:
    query = f"{asked.url}?{urlencode(asked.form)}"
    await raw(city.ada, "GET", query, **GOOD)
    await raw(city.ada, "HEAD", query, **GOOD)
    await raw(city.ada, "GET", query, x_http_method_override="POST", **GOOD)
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        assert (await raw(city.ada, method, asked.url, asked.form, **GOOD)).status_code == 405
    for media_type in ("text/plain", "application/json", "multipart/form-data; boundary=x"):
        answer = await raw(city.ada, "POST", asked.url, asked.form, content_type=media_type, **GOOD)
        assert answer.status_code == 415
    # A token in the address is not one in the form.
    answer = await raw(city.ada, "POST", query, {"decision": "approve"}, **GOOD)
    assert answer.status_code == 403
    assert await asked.still_waits()


@pytest.mark.spec("#ps-approval-endpoint-auth")
async def test_a_session_that_ended_decides_nothing(city: City) -> None:
    request = await waiting(city)
    browser = await city.signed_in("ada")
    await browser.visit(request.url)
    form = dict(browser.form_with("decision").fields) | {"decision": "approve"}
    cookies = dict(browser._client.cookies)
    await browser.submit(next_form(browser, "/sign-out"), {})
    browser._client.cookies.clear()
    for name, value in cookies.items():
        browser._client.cookies.set(name, value, domain="person.example")
    assert (await raw(browser, "POST", request.url, form, **GOOD)).status_code == 403
    assert await request.still_waits()


def next_form(browser: ScriptedPerson, action: str) -> Any:
    form = browser.form_with("csrf")
    if form.action == action:
        return form
    form = browser.form_with("csrf")
    form.action, form.fields = action, [(name, value) for name, value in form.fields if name == "csrf"]
    return form


async def test_a_page_cannot_be_framed_cached_or_scripted(city: City, asked: Waiting) -> None:
    for address in (asked.url, f"{PS}/sign-in", f"{PS}/security", f"{PS}/"):
        answer = await raw(city.ada, "GET", address)
        csp = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in csp
        assert "default-src 'none'" in csp
        assert "unsafe" not in csp
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "<script>" not in answer.text


async def test_nobody_can_be_signed_in_by_another_site_or_keep_a_session_from_before(city: City) -> None:
    browser = city.browser()
    await browser.visit(f"{PS}/sign-in")
    before = dict(browser._client.cookies)
    stranger = city.browser()
    await stranger.visit(f"{PS}/sign-in")
    form = {"username": "bob", "password": PASSWORD}
    for csrf in ("", csrf_of(stranger.text)):
        assert (await raw(browser, "POST", f"{PS}/sign-in", form | {"csrf": csrf}, **GOOD)).status_code == 403
    csrf = csrf_of(browser.text)
    assert (
        await raw(browser, "POST", f"{PS}/sign-in", form | {"csrf": csrf}, origin="https://evil.example")
    ).status_code == 403
    # An attacker who planted the cookie before the sign-in has nothing after it.
    assert (await raw(browser, "POST", f"{PS}/sign-in", form | {"csrf": csrf}, **GOOD)).status_code == 303
    after = dict(browser._client.cookies)
    assert not set(before.values()) & set(after.values())
    planted = city.browser()
    for value in before.values():
        for name in ("__Host-aauth-person", "__Host-aauth-form"):
            planted._client.cookies.set(name, value, domain="person.example")
    await planted.visit(f"{PS}/security")
    assert planted.form_with("username", "password")


# ------------------------------------------------------------------------- the resource's own page


@pytest.mark.spec("#resource-managed-auth", "#user-interaction")
async def test_the_resources_page_takes_no_decision_from_anybody_else(city: City) -> None:
    agent = await city.newcomer()
    pending = await agent.call("GET", f"{CALENDAR}/managed")
    asked = requirement(pending)
    url = asked.url or ""
    ada, bob = city.browser(), city.browser()
    await ada.visit(f"{url}?code={asked.code}")
    csrf = csrf_of(ada.text)
    sign_in = {"code": asked.code or "", "username": "ada", "password": PASSWORD, "action": "sign-in"}
    # Not signed in, another site, no cookie, another's token.
    await bob.visit(f"{url}?code={asked.code}")
    for browser, form, headers in (
        (city.browser(), sign_in | {"csrf": csrf}, {}),
        (bob, sign_in | {"csrf": csrf}, {}),
        (ada, sign_in, {}),
        (ada, sign_in | {"csrf": csrf}, {"origin": "https://evil.example"}),
        (ada, sign_in | {"csrf": csrf}, {"sec_fetch_site": "cross-site"}),
        (ada, sign_in | {"csrf": csrf, "password": "wrong"}, {}),
    ):
        assert (await raw(browser, "POST", url, form, **headers)).status_code == 403
    for action in ("approve", "deny"):
        assert (await raw(ada, "POST", url, {"csrf": csrf, "action": action})).status_code == 404
    assert (await agent.poll(pending)).status == 202
    # Ada is in; Bob and whoever holds Ada's token without her cookie are not.
    assert (await raw(ada, "POST", url, sign_in | {"csrf": csrf}, origin=CALENDAR)).status_code == 303
    await ada.visit(url)
    csrf = csrf_of(ada.text)
    for browser in (bob, city.browser()):
        answer = await raw(browser, "POST", url, {"csrf": csrf, "action": "approve"})
        assert answer.status_code == 403
    answer = await raw(bob, "POST", url, sign_in | {"csrf": csrf_of(bob.text), "username": "bob"})
    assert answer.status_code in (403, 410)
    # A cookie of another visit, or one that was tampered with.
    name, value = next((cookie.name, cookie.value or "") for cookie in ada._client.cookies.jar)
    forged = city.browser()
    for tampered in (value[:-2] + "AA", "." + value, value.replace(".", ""), "e30.e30", "." * 3, "x" * 5000):
        forged._client.cookies.clear()
        forged._client.cookies.set(name, tampered, domain="calendar.example")
        answer = await raw(forged, "POST", url, {"csrf": csrf, "action": "approve"})
        assert answer.status_code == 403
    assert (await agent.poll(pending)).status == 202
    answer = await raw(ada, "POST", url, {"csrf": csrf, "action": "approve"})
    assert answer.status_code == 200
    assert (await agent.poll(pending)).headers.get("aauth-access")


@pytest.mark.spec("#resource-managed-auth")
async def test_a_visit_to_one_interaction_decides_no_other(city: City) -> None:
    first, second = await city.newcomer(), await city.newcomer()
    pendings = [await agent.call("GET", f"{CALENDAR}/managed") for agent in (first, second)]
    urls = [requirement(pending).url or "" for pending in pendings]
    ada = city.browser()
    await ada.visit(f"{urls[0]}?code={requirement(pendings[0]).code}")
    form = {
        "csrf": csrf_of(ada.text),
        "code": requirement(pendings[0]).code or "",
        "username": "ada",
        "password": PASSWORD,
        "action": "sign-in",
    }
    assert (await raw(ada, "POST", urls[0], form)).status_code == 303
    await ada.visit(urls[0])
    answer = await raw(ada, "POST", urls[1], {"csrf": csrf_of(ada.text), "action": "approve"})
    assert answer.status_code == 403
    # The cookie under the name of the other interaction's.
    await ada.visit(urls[1])
    names = [cookie.name for cookie in ada._client.cookies.jar]
    value = next(cookie.value or "" for cookie in ada._client.cookies.jar)
    thief = city.browser()
    for name in names:
        thief._client.cookies.set(name, value, domain="calendar.example")
    await thief.visit(urls[1])
    answer = await raw(thief, "POST", urls[1], {"csrf": csrf_of(ada.text), "action": "approve"})
    assert answer.status_code in (403, 404)
    assert (await second.poll(pendings[1])).status == 202
