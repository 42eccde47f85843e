"""Every page with a form, against other sites, people who are not signed in, and forms that were made up.

The addresses are read from the apps, so that a page that is added is attacked too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aauthlib.demo.browser import ScriptedPerson

from .engines import Databases
from .house import HOUSE, OFFICE, House, exactly, open_house
from .realm import Realm
from .world import PASSWORD

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.spec("#ps-approval-endpoint-auth")]

both = pytest.mark.parametrize("site", [HOUSE, OFFICE])
#: What a browser says of a form of another site's, or of a page it was led to.
FOREIGN = [
    {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
    {"origin": "https://evil.example"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "none"},
]
#: Of pages there are at least so many with a form; else the sweep looks at nothing.
LEAST_FORMS = {HOUSE: 30, OFFICE: 14}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(realm: Realm, databases: Databases) -> AsyncIterator[House]:
    yield await open_house(realm, databases)


def csrf_of(browser: ScriptedPerson) -> str:
    return dict(browser.form_with("csrf").fields)["csrf"]


async def forms(house: House, site: str, browser: ScriptedPerson) -> list[str]:
    """The addresses that take a form, which refuse one that has no token."""
    found = []
    for path in house.pages(site):
        answer = await exactly(browser, "POST", site + path, {"csrf": "wrong"}, origin=site)
        if answer.headers.get("content-type", "").startswith("text/html") and answer.status_code != 405:
            found.append(path)
    return found


@both
async def test_no_form_does_anything_without_the_token_of_its_browser(house: House, site: str) -> None:
    ann, other, stranger = await house.signed_in(site, "ann"), await house.signed_in(site, "ann"), house.browser()
    await other.visit(f"{site}/security")
    await stranger.visit(f"{site}/sign-in")
    paths = await forms(house, site, ann)
    assert len(paths) >= LEAST_FORMS[site]
    for path in paths:
        for token in ("", "wrong", csrf_of(other), csrf_of(stranger)):
            answer = await exactly(ann, "POST", site + path, {"csrf": token}, origin=site, sec_fetch_site="same-origin")
            assert answer.status_code == 403, (path, token)
            assert "location" not in answer.headers


@both
async def test_no_form_of_another_site_does_anything(house: House, site: str) -> None:
    ann = await house.signed_in(site, "ann")
    await ann.visit(f"{site}/security")
    token = csrf_of(ann)
    for path in await forms(house, site, ann):
        for headers in FOREIGN:
            answer = await exactly(ann, "POST", site + path, {"csrf": token, "decision": "approve"}, **headers)
            assert answer.status_code == 403, (path, headers)


@both
async def test_no_form_is_for_somebody_who_is_not_signed_in(house: House, site: str) -> None:
    stranger, ann = house.browser(), await house.signed_in(site, "ann")
    await stranger.visit(f"{site}/sign-in")
    token, open_to_all = csrf_of(stranger), re.compile(r"(/access)?/(setup|sign-in.*|sign-out|interaction/.*|join/.*)")
    for path in await forms(house, site, ann):
        if open_to_all.fullmatch(path):
            continue
        answer = await exactly(stranger, "POST", site + path, {"csrf": token}, origin=site)
        assert answer.status_code == 403, path


@both
async def test_no_page_can_be_framed_kept_or_scripted(house: House, site: str) -> None:
    ann, looked = await house.signed_in(site, "ann"), 0
    for browser in (ann, house.browser()):
        for path in [*house.pages(site), "/no-such-page", "/static/no-such-file"]:
            answer = await exactly(browser, "GET", site + path)
            kind = answer.headers.get("content-type", "")
            if not kind.startswith("text/html") and answer.status_code != 303:
                continue
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "base-uri 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["referrer-policy"] == "no-referrer"
            location = answer.headers.get("location", "/")
            assert location.startswith("/"), location
            assert not location.startswith("//"), location
            looked += 1
    assert looked >= 30


@both
async def test_a_session_from_before_the_sign_in_is_worth_nothing_after_it(house: House, site: str) -> None:
    victim = house.browser()
    await victim.visit(f"{site}/sign-in")
    planted = {cookie.name: cookie.value or "" for cookie in victim._client.cookies.jar}
    await victim.submit(victim.form_with("username", "password"), {"username": "ann", "password": PASSWORD})
    after = {cookie.name: cookie.value or "" for cookie in victim._client.cookies.jar}
    assert not set(planted.values()) & set(after.values())
    attacker = house.browser()
    host = site.removeprefix("https://")
    for value in planted.values():
        for name in {*planted, *after}:
            attacker._client.cookies.set(name, value, domain=host)
    await attacker.visit(f"{site}/security")
    assert attacker.form_with("username", "password")
    for name, value in after.items():
        assert name.startswith("__Host-")
        assert len(value) >= 32


@both
async def test_a_session_of_one_server_is_none_at_another(house: House, site: str) -> None:
    ann = await house.signed_in(site, "ann")
    elsewhere = OFFICE if site == HOUSE else HOUSE
    thief = house.browser()
    for cookie in ann._client.cookies.jar:
        for name in (cookie.name, "__Host-aauth-person", "__Host-aauth-access"):
            thief._client.cookies.set(name, cookie.value or "", domain=elsewhere.removeprefix("https://"))
    await thief.visit(f"{elsewhere}/security")
    assert thief.form_with("username", "password")


@both
@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/join/../../evil",
        "javascript:alert(1)",
        "/sign-out",
    ],
)
async def test_a_sign_in_leads_nowhere_else(house: House, site: str, target: str) -> None:
    browser = house.browser()
    await browser.visit(f"{site}/sign-in")
    form = {"csrf": csrf_of(browser), "username": "ann", "password": PASSWORD, "next": target}
    answer = await exactly(browser, "POST", f"{site}/sign-in", form, origin=site)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
