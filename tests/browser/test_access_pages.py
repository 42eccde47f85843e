"""The access server's pages in Chromium, between a real person server and an agent: confirming, approving, people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Page, expect

from aauthlib.access import (
    Allow,
    AskClaims,
    AskQuestion,
    CallablePolicy,
    Decision,
    Facts,
    NeedApproval,
    NeedInteraction,
)
from aauthlib.accounts.passwords import Passwords
from aauthlib.web.access import AccessApp, build_access_app
from tests.web.person_pages.parties import page_url

from .conftest import PASSWORD, Album, NewPage, World, add_authenticator, set_up

pytestmark = [pytest.mark.browser, pytest.mark.spec("#ps-as-trust-establishment", "#as-response")]


PROJECT = "Which **project** is this for?"


def decide(facts: Facts) -> Decision:
    """Who binds a person server, says what for, and whose request is approved by the owner, gets what was asked."""
    if facts.bound_user is None:
        return NeedInteraction()
    if PROJECT not in facts.answers:
        return AskQuestion(PROJECT, ("Apollo", "Gemini"))
    if "email" not in facts.claims_asked:
        return AskClaims(("email",))
    return Allow() if facts.approved_by else NeedApproval("owner")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "person.db")

    @asynccontextmanager
    async def opened() -> AsyncIterator[AccessApp]:
        app = await build_access_app(
            f"sqlite:///{tmp_path}/access.db",
            world.ps.replace("//person.", "//access."),
            CallablePolicy(decide),
            dev=True,
            clock=world.clock,
            accounts=True,
            passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)),
        )
        yield app
        await app.aclose()

    world.opened_hosts["access"] = opened
    world.start()
    yield world
    world.stop()


def make_account(page: Page, name: str, username: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create with a password").click()
    page.get_by_role("heading", name=f"Hello, {name}").wait_for()


def invite(page: Page, office: str, note: str, **role: str) -> str:
    """The link of an invitation that the administrator at `page` makes."""
    page.goto(f"{office}/people")
    form = page.locator("form[action='/people/invite']")
    form.get_by_label("Whom it is for (optional)").fill(note)
    form.get_by_label("Role").select_option(label=role.get("role", "Has agents act for them"))
    form.get_by_label("Whose approvals an approver gives (optional)").fill(role.get("approves", ""))
    form.get_by_role("button", name="Make an invitation").click()
    return page.get_by_label("Invitation link").input_value()


def test_a_person_confirms_their_person_server_and_the_owner_approves(
    new_page: NewPage, world: World, album: Album
) -> None:
    office = world.ps.replace("//person.", "//access.")
    boss = new_page(viewport={"width": 760, "height": 640})
    boss.goto(office)
    make_account(boss, "Cem Demir", "cem")
    for_ana = invite(boss, office, "Ana, from planning")
    for_olga = invite(boss, office, "Olga, owns the calendar", role="Approver", approves="owner")
    olga = new_page(viewport={"width": 390, "height": 844})
    olga.goto(for_olga)
    album.take(olga, "access-join")
    make_account(olga, "Olga Novak", "olga")

    # The person, on a phone.
    ana = new_page(viewport={"width": 390, "height": 844})
    set_up(ana, world)
    ana.goto(for_ana)
    make_account(ana, "Ana Example", "ana")
    ana.get_by_role("button", name="Sign out").click()
    answer = world.ask_auth_token(ana, "calendar.read email", access_server=office)
    ana.goto(page_url(answer))
    ana.get_by_role("button", name="Allow", exact=True).click()
    ana.get_by_role("link", name="Continue at access.localhost").click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Sign in")
    album.take(ana, "access-sign-in")
    ana.get_by_label("Username").fill("ana")
    ana.get_by_label("Password").fill(PASSWORD)
    ana.get_by_role("button", name="Sign in", exact=True).click()
    expect(ana.get_by_role("heading", level=1)).to_contain_text("speak for you?")
    album.take(ana, "access-confirm")
    ana.get_by_role("button", name="Confirm").click()
    # Back at the person server, which passes on what the policy asks.
    expect(ana.get_by_role("heading", level=1)).to_have_text("One more question")
    album.take(ana, "person-server-question")
    ana.get_by_label("Gemini").check()
    ana.get_by_role("button", name="Answer").click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Allowed")
    world.clock.ahead_s += 5
    assert world.poll(answer).status == 202

    # Who may approve sees it, and nobody else does.
    ana.goto(office)
    expect(ana.get_by_role("heading", name="Waiting for approval")).to_have_count(0)
    olga.goto(office)
    olga.get_by_role("link", name="Review the request for calendar.localhost").click()
    expect(olga.get_by_text("who confirmed here that")).to_contain_text("Ana Example")
    expect(olga.get_by_text("ana@example.com")).to_be_visible()
    expect(olga.get_by_text("Gemini")).to_be_visible()
    assert olga.evaluate("document.documentElement.scrollWidth") <= 390
    album.take(olga, "access-approval")
    olga.get_by_role("button", name="Approve").click()
    expect(olga.get_by_role("status")).to_contain_text("You approved the request.")
    expect(olga.get_by_text("olga approved")).to_be_visible()
    album.take(olga, "access-home")
    world.clock.ahead_s += 5
    assert world.poll(answer).status == 200

    boss.goto(f"{office}/people")
    expect(boss.get_by_text("Approver since")).to_contain_text("for owner")
    album.take(boss, "access-people")


def test_a_person_without_javascript_and_a_refusal_by_keyboard_in_the_dark(
    new_page: NewPage, world: World, album: Album
) -> None:
    office = world.ps.replace("//person.", "//access.")
    boss = new_page(color_scheme="dark", viewport={"width": 390, "height": 844})
    add_authenticator(boss)
    boss.goto(office)
    expect(boss.get_by_text("The account you make here administers it.")).to_be_visible()
    boss.get_by_label("Your name").fill("Cem Demir")
    boss.get_by_label("Username").fill("cem")
    boss.get_by_role("button", name="Create with a passkey").click()
    boss.get_by_role("heading", name="Hello, Cem Demir").wait_for()
    for_ana = invite(boss, office, "Ana")
    ana = new_page(java_script_enabled=False)
    set_up(ana, world)
    ana.goto(for_ana)
    make_account(ana, "Ana Example", "ana")
    answer = world.ask_auth_token(ana, access_server=office)
    ana.goto(page_url(answer))
    ana.get_by_role("button", name="Allow", exact=True).click()
    ana.get_by_role("link", name="Continue at access.localhost").click()
    ana.get_by_role("button", name="Confirm").click()
    ana.get_by_role("heading", name="One more question").wait_for()
    ana.get_by_label("Apollo").check()
    ana.get_by_role("button", name="Answer").click()
    ana.get_by_role("heading", name="Allowed").wait_for()
    world.clock.ahead_s += 5
    assert world.poll(answer).status == 202
    boss.goto(office)
    boss.get_by_role("link", name="Review the request").focus()
    boss.keyboard.press("Enter")
    boss.get_by_label("Reason, if you refuse (optional)").focus()
    boss.keyboard.type("Not before the audit.")
    album.take(boss, "access-approval-dark")
    boss.get_by_role("button", name="Refuse").focus()
    boss.keyboard.press("Enter")
    expect(boss.get_by_role("status")).to_have_text("You refused the request.")
    world.clock.ahead_s += 5
    denied = world.poll(answer)
    assert (denied.status, denied.json()["error"]) == (403, "denied")
    assert "Not before the audit." in denied.json()["detail"]
