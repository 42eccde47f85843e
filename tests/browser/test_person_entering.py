"""First run and sign-in, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.person_pages.parties import page_url

from .conftest import PASSWORD, NewPage, World, add_authenticator, set_up, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.spec("#ps-approval-endpoint-auth")]


def test_the_first_run_makes_an_account_with_a_password(page: Page, world: World) -> None:
    page.goto(world.ps)
    expect(page.get_by_role("heading", level=1)).to_have_text("Create your account")
    set_up(page, world)
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")


def test_signing_out_and_in_with_the_password(ana: Page, world: World) -> None:
    ana.get_by_role("button", name="Sign out").click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Sign in")
    sign_in(ana, "not my password")
    expect(ana.get_by_role("alert")).to_have_text("The username or the password is wrong.")
    sign_in(ana)
    expect(ana.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")


def test_the_first_run_and_sign_in_with_a_passkey(page: Page, world: World) -> None:
    add_authenticator(page)
    page.goto(f"{world.ps}/setup")
    page.get_by_label("Your name").fill("Ana Example")
    page.get_by_label("Username").fill("ana")
    page.get_by_role("button", name="Create with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")


def test_a_passkey_asks_for_the_names_first(page: Page, world: World) -> None:
    add_authenticator(page)
    page.goto(f"{world.ps}/setup")
    page.get_by_role("button", name="Create with a passkey").click()
    expect(page.get_by_label("Your name")).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("Create your account")


def test_a_passkey_is_added_and_removed_on_the_security_page(ana: Page, world: World) -> None:
    add_authenticator(ana)
    ana.get_by_role("link", name="Security").click()
    ana.get_by_label("Name of the new passkey (optional)").fill("My laptop")
    ana.get_by_role("button", name="Add a passkey").click()
    expect(ana.get_by_role("status")).to_have_text("The passkey was added.")
    expect(ana.locator("bdi", has_text="My laptop")).to_be_visible()
    ana.get_by_role("button", name="Add a passkey").click()
    expect(ana.get_by_role("alert")).to_have_text("This device has a passkey for this account already.")
    ana.get_by_role("button", name="Remove My laptop").click()
    expect(ana.get_by_role("status")).to_have_text("The passkey was removed.")


def test_a_device_without_the_passkey_says_what_to_do(new_page: NewPage, ana: Page, world: World) -> None:
    page = new_page()
    add_authenticator(page)
    add_authenticator(ana)
    ana.goto(f"{world.ps}/security")
    ana.get_by_role("button", name="Add a passkey").click()
    expect(ana.get_by_role("status")).to_be_visible()
    page.goto(f"{world.ps}/sign-in")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_have_text("No passkey was used. Try again, or choose another way.")
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")


@pytest.mark.spec("#interaction-code-format")
def test_sign_in_on_the_way_to_a_request_ends_at_the_request(ana: Page, world: World, new_page: NewPage) -> None:
    page = new_page()
    page.goto(page_url(world.ask_person_token()))
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("act as you")
    assert "code" not in page.url


@pytest.mark.spec("#interaction-code-format")
def test_sign_in_with_a_passkey_on_the_way_to_a_request(page: Page, world: World) -> None:
    add_authenticator(page)
    page.goto(page_url(world.ask_person_token()))
    page.get_by_label("Your name").fill("Ana Example")
    page.get_by_label("Username").fill("ana")
    page.get_by_role("button", name="Create with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("act as you")


def test_without_javascript_the_password_is_the_way_in(new_page: NewPage, world: World) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(f"{world.ps}/setup")
    expect(page.get_by_role("button", name="Create with a passkey")).to_be_hidden()
    set_up(page, world)
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")


def test_a_recovery_code_is_a_way_in_without_javascript(new_page: NewPage, world: World) -> None:
    page = new_page(java_script_enabled=False, viewport={"width": 360, "height": 740})
    set_up(page, world)
    page.goto(f"{world.ps}/security")
    page.get_by_role("button", name="Make recovery codes").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    code = page.locator("ol.codes code").first.inner_text()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("You have 10 unused codes")).to_be_visible()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_label("Username").fill("ana")
    page.get_by_text("No way in? Use a recovery code").click()
    page.get_by_label("Recovery code").fill(code.lower())
    page.get_by_role("button", name="Sign in with the code").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")
