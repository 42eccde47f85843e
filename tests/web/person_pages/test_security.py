"""How a person signs in, and where."""

from __future__ import annotations

import html
import json
import re

import pytest

from aauthlib.person.accounts import RECENT_S
from tests.person.authenticator import Authenticator

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
