"""Approvers in Chromium: two people with different roles, a phone, no JavaScript (#approval-pending)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from aauthlib.person.organisation_settings import OrganisationSettings
from aauthlib.person.policy_rules import PersonRules
from tests.web.person_pages.parties import page_url

from .conftest import PASSWORD, Album, NewPage, World

pytestmark = [pytest.mark.browser, pytest.mark.spec("#approval-pending")]

_DESKTOP = {"viewport": {"width": 1024, "height": 800}}
_PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1, "is_mobile": True, "has_touch": True}
_POLICY = """
version = "2026-11"
[[rule]]
name = "two of finance see it"
decision = "approvers"
[rule.when]
tenant = "corp"
[[rule.step]]
groups = ["finance"]
needed = 2
deadline = "4h"
escalate = { groups = ["administrators"], deadline = "1d" }
"""
_REASON = "To find a **free afternoon** for your team before Friday."


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "person.db")
    world.app_options = {
        "organisations": {"corp": OrganisationSettings(name="Corp Ltd")},
        "policy": PersonRules.read(_POLICY),
    }
    world.start()
    yield world
    world.stop()


def _join(page: Page, link: str, name: str) -> None:
    page.goto(link)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Username").fill(name.split()[0].lower())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create with a password").click()
    expect(page.get_by_role("status")).to_have_text("You joined the organisation.")


def _administrator(page: Page, world: World) -> None:
    assert world.app is not None
    _join(page, f"{world.ps}/join/{world.app.invitations['corp']}", "Ana Example")


def _invite(page: Page, world: World) -> str:
    page.goto(f"{world.ps}/organisation")
    page.get_by_role("button", name="Make an invitation").click()
    return page.get_by_label("Invitation link").input_value()


def _fits(page: Page) -> None:
    """Nothing sticks out of the window."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def _add(page: Page, world: World, name: str) -> None:
    page.goto(f"{world.ps}/organisation/groups")
    group = page.get_by_role("region", name="finance")
    group.get_by_label("Add somebody").select_option(label=name)
    group.get_by_role("button", name="Add").click()
    expect(page.get_by_role("status")).to_have_text("They were added to the group.")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_an_administrators_agent_waits_for_members_who_decide_on_a_phone(
    new_page: NewPage, world: World, album: Album, scripts: bool
) -> None:
    ana = new_page(**_DESKTOP, java_script_enabled=scripts)
    _administrator(ana, world)
    people: dict[str, Page] = {}
    for name in ("Bo Berg", "Dee Diaz"):
        people[name] = new_page(**_PHONE, java_script_enabled=scripts)
        _join(people[name], _invite(ana, world), name)
        _add(ana, world, name)
    if scripts:
        album.take(ana, "person-groups")

    answer = world.ask_person_token(justification=_REASON, device="Ana’s laptop")
    ana.goto(page_url(answer))
    expect(ana.get_by_text("After you, others have to agree: 2 of finance.")).to_be_visible()
    ana.get_by_role("button", name="Allow", exact=True).click()
    expect(ana.get_by_text("Your agent asks, and others decide.")).to_be_visible()
    expect(ana.get_by_role("button", name="Approve")).to_have_count(0)

    bo = people["Bo Berg"]
    bo.goto(world.ps)
    bo.get_by_role("link", name="Review what").click()
    expect(bo.get_by_role("heading", level=1)).to_contain_text("act as Ana Example")
    if scripts:
        _fits(bo)
        album.take_view(bo, "person-approval-phone")
    bo.get_by_label("A comment, or why you decline").fill("We agreed on this in Monday’s call.")
    bo.get_by_role("button", name="Approve").click()
    expect(bo.get_by_role("status")).to_have_text("You approved it.")
    expect(bo.get_by_text("1 of 2", exact=True)).to_be_visible()
    # The way back leads to no form that has done its work: nothing of these pages is kept by a browser.
    bo.go_back()
    expect(bo.get_by_text("You have decided.")).to_be_visible()
    expect(bo.get_by_role("button", name="Approve")).to_have_count(0)
    expect(bo.get_by_text("1 of 2", exact=True)).to_be_visible()

    ana.goto(world.ps)
    expect(ana.get_by_text("Waits for 2 of finance")).to_be_visible()
    ana.get_by_role("link", name="Follow what").click()
    if scripts:
        album.take_view(ana, "person-approval-own")
    assert world.poll(answer).status == 202
    dee = people["Dee Diaz"]
    dee.goto(f"{world.ps}/approvals")
    if scripts:
        _fits(dee)
        album.take(dee, "person-approvals-phone")
    dee.get_by_role("link", name="Review what").click()
    dee.get_by_role("button", name="Approve").click()
    expect(dee.get_by_text("There is nothing left to decide.")).to_be_visible()
    assert world.poll(answer).status == 200
    ana.reload()
    expect(ana.get_by_text("Dee Diaz approved")).to_be_visible()
    if scripts:
        album.take_view(ana, "person-approval-done")


def test_somebody_who_goes_away_is_stood_in_for(new_page: NewPage, world: World, album: Album) -> None:
    ana, bo = new_page(**_DESKTOP), new_page(**_DESKTOP)
    _administrator(ana, world)
    _join(bo, _invite(ana, world), "Bo Berg")
    _add(ana, world, "Bo Berg")
    bo.goto(f"{world.ps}/approvals")
    bo.get_by_label("Who decides").select_option(label="Ana Example")
    bo.get_by_label("First day").fill("2020-01-01")
    bo.get_by_label("Last day").fill("2020-01-02")
    bo.get_by_role("button", name="Save").click()
    expect(bo.get_by_role("alert")).to_contain_text("last day that is to come")
    today = bo.evaluate("new Date().toISOString().slice(0, 10)")
    bo.get_by_label("First day").fill(today)
    bo.get_by_label("Last day").fill(today)
    bo.get_by_role("button", name="Save").click()
    expect(bo.get_by_text("decides in your place from")).to_be_visible()
    album.take(bo, "person-approvals")
    bo.get_by_role("button", name="I am back").click()
    expect(bo.get_by_role("status")).to_have_text("You decide yourself again.")


def test_a_no_with_a_reason_in_the_dark(new_page: NewPage, world: World, album: Album) -> None:
    ana, bo = new_page(**_DESKTOP), new_page(**_DESKTOP, color_scheme="dark")
    _administrator(ana, world)
    _join(bo, _invite(ana, world), "Bo Berg")
    _add(ana, world, "Bo Berg")
    answer = world.ask_person_token(justification=_REASON)
    ana.goto(page_url(answer))
    ana.get_by_role("button", name="Allow", exact=True).click()
    expect(ana.get_by_text("Your agent asks, and others decide.")).to_be_visible()
    bo.goto(f"{world.ps}/approvals")
    bo.get_by_role("link", name="Review what").click()
    album.take_view(bo, "person-approval-dark")
    bo.get_by_label("A comment, or why you decline").fill("Not before the audit.")
    bo.get_by_role("button", name="Decline").click()
    expect(bo.get_by_text("There is nothing left to decide.")).to_be_visible()
    denied = world.poll(answer)
    assert denied.status == 403
    assert denied.json()["detail"] == "Not before the audit."
