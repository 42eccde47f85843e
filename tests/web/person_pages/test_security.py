"""How a person signs in, and where."""

from __future__ import annotations

import html
import json
import re

import pytest

from aauthlib.accounts.sessions import RECENT_S
from tests.accounts.authenticator import Authenticator

from .conftest import PASSWORD, Browser, Site

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")


async def _add_passkey(browser: Browser) -> Authenticator:
    authenticator = Authenticator("https://ps.example", "ps.example")
    await browser.get("/security")
    found = re.search(r'data-options="([^"]*)"', browser.page)
    assert found is not None
    made = authenticator.create(json.loads(html.unescape(found[1])))
    response = await browser.submit("/security/passkeys", credential=made, name="My key")
    assert response.headers["location"] == "/security?saved=passkey"
    return authenticator


async def test_a_passkey_is_added_shown_and_removed(browser: Browser) -> None:
    await _add_passkey(browser)
    await browser.get("/security?saved=passkey")
    assert "The passkey was added." in browser.text
    assert "My key" in browser.text
    response = await browser.submit("/security/passkeys/remove")
    assert response.status_code == 303
    await browser.get("/security")
    assert "You have no passkey" in browser.text


async def test_adding_a_passkey_takes_a_recent_sign_in(site: Site, browser: Browser) -> None:
    await browser.get("/security")
    fields = browser.form("/security/passkeys")
    site.clock.now += RECENT_S + 1
    response = await browser.post("/security/passkeys", fields)
    assert response.headers["location"] == "/sign-in?next=/security"
    await browser.get("/security")
    assert "data-options" not in browser.page
    await browser.get("/sign-in?next=/security")
    response = await browser.submit("/sign-in", username="ana", password=PASSWORD)
    assert response.headers["location"] == "/security"
    await browser.get("/security")
    assert "data-options" in browser.page


async def test_an_answer_that_is_no_passkey_is_refused_on_the_page(browser: Browser) -> None:
    await browser.get("/security")
    response = await browser.submit("/security/passkeys", credential="{}")
    assert response.status_code == 400
    assert "Try to create it again" in browser.text


async def test_the_password_is_changed_with_the_current_one_only(site: Site, browser: Browser) -> None:
    await browser.get("/security")
    refused = await browser.submit("/security/password", current="a wrong password", new="battery horse staple")
    assert refused.status_code == 400
    assert "The current password is wrong" in browser.text
    changed = await browser.submit("/security/password", current=PASSWORD, new="battery horse staple")
    assert changed.headers["location"] == "/security?saved=password"
    assert (await site.browser().sign_in()).status_code == 403
    assert (await site.browser().sign_in(password="battery horse staple")).status_code == 303


async def test_another_session_can_be_ended(site: Site, browser: Browser) -> None:
    other = site.browser()
    await other.sign_in()
    await browser.get("/security")
    sessions = re.findall(r'name="session" value="([0-9a-f]{64})"', browser.page)
    assert len(sessions) == 2
    mine = re.search(r"\(this one\).*?value=\"([0-9a-f]{64})\"", browser.page, re.DOTALL)
    assert mine is not None
    (theirs,) = [each for each in sessions if each != mine[1]]
    await browser.submit("/security/sessions/end", session=theirs)
    assert (await other.get("/")).headers["location"] == "/sign-in"
    assert (await browser.get("/")).status_code == 200


async def test_somebody_elses_session_and_passkey_are_out_of_reach(site: Site, browser: Browser) -> None:
    authenticator = await _add_passkey(browser)
    await browser.get("/security")
    session = browser.form("/security/sessions/end")["session"]
    await site.app.accounts.create("bo", "Bo", password="another good phrase")
    other = site.browser()
    await other.sign_in("bo", "another good phrase")
    await other.get("/security")
    csrf = other.form("/sign-out")["csrf"]
    await other.submit("/security/sessions/end", session=session)
    response = await other.post("/security/passkeys/remove", {"csrf": csrf, "id": authenticator.credential_id.hex()})
    assert response.status_code == 404
    assert (await browser.get("/security")).status_code == 200
    assert "My key" in browser.text


async def _recovery_codes(browser: Browser) -> list[str]:
    await browser.get("/security")
    response = await browser.submit("/security/recovery-codes")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    return re.findall(r"<code>([0-9A-Z-]{19})</code>", browser.page)


async def test_recovery_codes_are_shown_once_and_each_signs_in_once(site: Site, browser: Browser) -> None:
    codes = await _recovery_codes(browser)
    assert len(codes) == 10
    await browser.get("/security")
    assert "You have 10 unused codes" in browser.text
    assert not any(code in browser.page for code in codes)
    other = site.browser()
    await other.get("/sign-in")
    response = await other.submit("/sign-in", username="ana", recovery_code=codes[0], way="recovery")
    assert response.headers["location"] == "/"
    await other.get("/security")
    assert "by a recovery code" in other.text
    assert "You have 9 unused codes" in other.text
    third = site.browser()
    await third.get("/sign-in")
    response = await third.submit("/sign-in", username="ana", recovery_code=codes[0], way="recovery")
    assert response.status_code == 403
    assert "the code was used before" in third.text
    assert '<details class="other-way" open>' in third.page


async def test_what_lets_somebody_in_later_takes_a_recent_sign_in(site: Site, browser: Browser) -> None:
    authenticator = await _add_passkey(browser)
    await browser.get("/security")
    csrf = browser.form("/sign-out")["csrf"]
    site.clock.now += RECENT_S + 1
    fields = {"csrf": csrf, "id": authenticator.credential_id.hex()}
    for path in ("/security/recovery-codes", "/security/passkeys/remove", "/security/passkeys"):
        assert (await browser.post(path, fields)).headers["location"] == "/sign-in?next=/security"
    await browser.get("/security")
    assert "My key" in browser.text
    assert "/security/recovery-codes" not in browser.page


async def test_every_other_session_is_ended_at_once(site: Site, browser: Browser) -> None:
    others = [site.browser(), site.browser()]
    for other in others:
        await other.sign_in()
    await browser.get("/security")
    response = await browser.submit("/security/sessions/end-others")
    assert response.headers["location"] == "/security?saved=sessions"
    assert [(await other.get("/")).headers["location"] for other in others] == ["/sign-in", "/sign-in"]
    assert (await browser.get("/security")).status_code == 200
    assert "End all others" not in browser.text


async def test_a_session_known_before_a_sign_in_is_worth_nothing_after_it(site: Site, browser: Browser) -> None:
    """Fixation: whoever planted or saw the cookie of before has no part in the session of after."""
    before = dict(browser.client.cookies)["__Host-aauth-person"]
    await browser.get("/sign-in?again=1")
    await browser.submit("/sign-in", username="ana", password=PASSWORD)
    after = dict(browser.client.cookies)["__Host-aauth-person"]
    assert before != after
    assert await site.app.accounts.session(before) is None
    planted = site.browser()
    planted.client.cookies.set("__Host-aauth-person", "p" * 43, domain="ps.example")
    await planted.sign_in()
    assert await site.app.accounts.session("p" * 43) is None
