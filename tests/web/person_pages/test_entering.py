"""First run, sign-in, sign-out."""

from __future__ import annotations

import html
import json
import re

import pytest

from aauthlib.accounts.guessing import FAILURES_BY_NAME
from tests.accounts.authenticator import Authenticator

from .conftest import PASSWORD, Browser, MakeSite, Site
from .parties import page_url

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")


def _options(browser: Browser) -> dict[str, object]:
    """The passkey options on the page."""
    found = re.search(r'data-options="([^"]*)"', browser.page)
    assert found is not None
    options: dict[str, object] = json.loads(html.unescape(found[1]))
    return options


async def test_a_new_server_asks_for_its_account_first(site: Site) -> None:
    browser = site.browser()
    assert (await browser.get("/")).headers["location"] == "/sign-in"
    await browser.get("/sign-in")
    assert "Create your account" in browser.text


async def test_making_the_account_signs_in(site: Site) -> None:
    browser = site.browser()
    response = await browser.set_up()
    assert response.headers["location"] == "/"
    await browser.get("/")
    assert "Hello, Ana Example" in browser.text


async def test_there_is_no_second_first_run(site: Site, browser: Browser) -> None:
    stranger = site.browser()
    assert (await stranger.get("/setup")).headers["location"] == "/sign-in"
    await stranger.get("/sign-in")
    csrf = stranger.form("/sign-in")["csrf"]
    fields = {"csrf": csrf, "display_name": "Eve", "username": "eve", "password": PASSWORD}
    assert (await stranger.post("/setup", fields)).headers["location"] == "/sign-in"
    assert (await stranger.sign_in("eve")).status_code == 403


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"username": "Ana Example"}, "letters a to z"),
        ({"display_name": " "}, "Enter your name"),
        ({"email": "not an address"}, "Enter an email address"),
        ({"password": "short"}, "at least 12 characters"),
    ],
)
async def test_what_cannot_be_used_is_said_beside_its_field(site: Site, changes: dict[str, str], said: str) -> None:
    browser = site.browser()
    assert (await browser.set_up(**changes)).status_code == 400
    assert said in browser.text
    (field,) = changes
    assert f'id="{field}-error"' in browser.page
    assert browser.form("/setup")["display_name"] == changes.get("display_name", "Ana Example")
    assert PASSWORD not in browser.page
    assert await site.app.accounts.first_run()


async def test_a_stranger_cannot_claim_a_server_that_others_can_reach(make_site: MakeSite) -> None:
    site = await make_site(setup_code_required=True)
    code = site.app.setup_code
    assert code is not None
    browser = site.browser()
    for wrong in ("", "0000", code[:-1] + ("2" if code[-1] == "1" else "1")):
        assert (await browser.set_up(setup_code=wrong)).status_code == 400
        assert "This is not the setup code" in browser.text
    assert await site.app.accounts.first_run()
    assert (await browser.set_up(setup_code=code.lower())).status_code == 303


async def test_guessing_the_setup_code_is_slowed_down(make_site: MakeSite) -> None:
    site = await make_site(setup_code_required=True)
    browser = site.browser()
    for _ in range(10):
        await browser.set_up(setup_code="0000-0000")
    await browser.set_up(setup_code=site.app.setup_code or "")
    assert "Too many attempts" in browser.text
    assert await site.app.accounts.first_run()


async def test_a_server_outside_the_development_profile_wants_a_setup_code(make_site: MakeSite) -> None:
    assert (await make_site(setup_code_required=None)).app.setup_code is not None


async def test_the_account_can_be_made_with_a_passkey_and_signed_in_with_it(site: Site) -> None:
    browser = site.browser()
    authenticator = Authenticator("https://ps.example", "ps.example")
    await browser.get("/setup")
    made = authenticator.create(_options(browser))
    response = await browser.submit("/setup", display_name="Ana", username="ana", credential=made)
    assert response.status_code == 303
    elsewhere = site.browser()
    await elsewhere.get("/sign-in")
    response = await elsewhere.submit("/sign-in", credential=authenticator.get(_options(elsewhere)))
    assert response.headers["location"] == "/"
    assert (await elsewhere.get("/")).status_code == 200


async def test_the_passkey_of_another_page_makes_no_account(site: Site) -> None:
    authenticator = Authenticator("https://ps.example", "ps.example")
    attacker, browser = site.browser(), site.browser()
    await attacker.get("/setup")
    made = authenticator.create(_options(attacker))
    handle = attacker.form("/setup")["user_handle"]
    await browser.get("/setup")
    response = await browser.submit("/setup", display_name="Ana", username="ana", credential=made, user_handle=handle)
    assert response.status_code == 400
    assert await site.app.accounts.first_run()


async def test_wrong_name_and_wrong_password_look_the_same(site: Site, browser: Browser) -> None:
    pages = []
    for username in ("ana", "eve"):
        stranger = site.browser()
        response = await stranger.sign_in(username, "a wrong password")
        assert response.status_code == 403
        pages.append(stranger.text)
    assert pages[0] == pages[1]


async def test_guessing_passwords_is_slowed_down(site: Site, browser: Browser) -> None:
    stranger = site.browser()
    for _ in range(FAILURES_BY_NAME):
        await stranger.sign_in("ana", "a wrong password")
    assert (await stranger.sign_in()).status_code == 429
    assert "Too many attempts" in stranger.text


async def test_the_session_is_a_new_one_at_each_sign_in(site: Site, browser: Browser) -> None:
    name = "__Host-aauth-person"
    first = browser.client.cookies[name]
    await browser.get("/sign-in?again=1")
    await browser.submit("/sign-in", username="ana", password=PASSWORD)
    second = browser.client.cookies[name]
    assert first != second
    thief = site.browser()
    assert (await thief.get("/", cookie=f"{name}={first}")).headers["location"] == "/sign-in"


async def test_a_session_chosen_by_somebody_else_is_not_taken_over(site: Site, browser: Browser) -> None:
    victim = site.browser()
    victim.client.cookies.set("__Host-aauth-person", "chosen-by-an-attacker-chosen-by-an-attacker", domain="ps.example")
    await victim.sign_in()
    assert victim.client.cookies.get("__Host-aauth-person", domain="ps.example", path="/") is not None
    thief = site.browser()
    response = await thief.get("/", cookie="__Host-aauth-person=chosen-by-an-attacker-chosen-by-an-attacker")
    assert response.headers["location"] == "/sign-in"


async def test_the_session_cookie_is_for_this_host_and_no_script(site: Site) -> None:
    browser = site.browser()
    response = await browser.set_up()
    (cookie,) = [each for each in response.headers.get_list("set-cookie") if "aauth-person=" in each]
    assert cookie.startswith("__Host-aauth-person=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_signing_out_ends_the_session_at_the_server(site: Site, browser: Browser) -> None:
    secret = browser.client.cookies["__Host-aauth-person"]
    await browser.get("/")
    assert (await browser.submit("/sign-out")).headers["location"] == "/sign-in"
    thief = site.browser()
    assert (await thief.get("/", cookie=f"__Host-aauth-person={secret}")).headers["location"] == "/sign-in"


async def test_signing_in_needs_the_token_of_the_page(site: Site, browser: Browser) -> None:
    stranger = site.browser()
    fields = {"username": "ana", "password": PASSWORD, "csrf": "x" * 43}
    assert (await stranger.post("/sign-in", fields)).status_code == 403
    await stranger.get("/sign-in")
    assert (await stranger.post("/sign-in", fields)).status_code == 403


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/security\r\nx: y",
        "/sign-out",
        "javascript:alert(1)",
    ],
)
async def test_sign_in_leads_to_pages_of_this_server_only(site: Site, browser: Browser, target: str) -> None:
    stranger = site.browser()
    await stranger.get("/sign-in")
    response = await stranger.submit("/sign-in", username="ana", password=PASSWORD, next=target)
    assert response.headers["location"] == "/"


async def test_the_page_wanted_is_reached_after_sign_in(site: Site, browser: Browser) -> None:
    stranger = site.browser()
    response = await stranger.get("/security")
    assert response.headers["location"] == "/sign-in?next=/security"
    await stranger.get(response.headers["location"])
    response = await stranger.submit("/sign-in", username="ana", password=PASSWORD)
    assert response.headers["location"] == "/security"


@pytest.mark.spec("#interaction-code-format")
async def test_the_first_account_can_be_made_on_the_way_to_a_request(site: Site) -> None:
    answer = await site.ask_person_token()
    browser = site.browser()
    await browser.get(page_url(answer))
    assert "Create your account" in browser.text
    response = await browser.submit("/setup", display_name="Ana", username="ana", password=PASSWORD)
    await browser.get(response.headers["location"])
    assert "act as you at calendar.example" in browser.text


@pytest.mark.spec("#scopes")
async def test_what_was_typed_at_first_run_is_the_profile_with_the_address_not_verified(site: Site) -> None:
    await site.browser().set_up(email="ana@example.com")
    profile = await site.app.server.profile(await site.person_id())
    assert (profile["name"], profile["email"], profile["email_verified"]) == ("Ana Example", "ana@example.com", False)
