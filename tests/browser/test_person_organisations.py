"""Organisations in Chromium: invitation, sign-in at a provider on loopback, the administrators' page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from aauthlib.person.organisation_settings import OrganisationSettings, ProviderSettings
from tests.person.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider
from tests.web.person_pages.parties import page_url

from .conftest import PASSWORD, Album, NewPage, World

pytestmark = [pytest.mark.browser, pytest.mark.spec("#ps-approval-endpoint-auth")]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("OIDC_SECRET", CLIENT_SECRET)
    world = World(tmp_path / "person.db")
    issuer = world.ps.replace("//person.", "//login.")
    person = {"sub": "u-1", "email": "cem@corp.example", "email_verified": True, "name": "Cem Demir"}
    world.hosts["login"] = OpenIDProvider(issuer, world.clock, person).app
    sign_in = ProviderSettings(issuer=issuer, client_id=CLIENT_ID, client_secret_env="OIDC_SECRET", join=True)
    corp = OrganisationSettings(name="Corp Ltd", domains=("corp.example",), sign_in=sign_in)
    world.app_options = {"organisations": {"corp": corp}}
    world.start()
    yield world
    world.stop()


def _join(page: Page, world: World) -> None:
    assert world.app is not None
    page.goto(f"{world.ps}/join/{world.app.invitations['corp']}")
    page.get_by_label("Your name").fill("Ana Example")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create with a password").click()
    expect(page.get_by_role("status")).to_have_text("You joined the organisation.")


@pytest.mark.parametrize("scripts", [True, False])
def test_sign_in_at_the_provider_on_the_way_to_a_request(new_page: NewPage, world: World, scripts: bool) -> None:
    _join(new_page(), world)
    page = new_page(java_script_enabled=scripts)
    page.goto(page_url(world.ask_person_token(domain_hint="corp.example")))
    page.get_by_role("button", name="Sign in with Corp Ltd").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("act as you")
    assert page.url.startswith(f"{world.ps}/requests/")
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Allowed")


def test_an_administrator_on_a_phone(new_page: NewPage, world: World, album: Album) -> None:
    page = new_page(viewport={"width": 390, "height": 844})
    assert world.app is not None
    page.goto(f"{world.ps}/join/{world.app.invitations['corp']}")
    album.take(page, "person-join")
    _join(page, world)
    member = new_page()
    member.goto(f"{world.ps}/sign-in")
    album.take(member, "person-sign-in-organisation")
    member.get_by_role("button", name="Sign in with Corp Ltd").click()
    expect(member.get_by_role("heading", level=1)).to_have_text("Hello, Cem Demir")
    member.goto(page_url(world.ask_person_token()))
    member.get_by_role("button", name="Allow", exact=True).click()
    member.goto(f"{world.ps}/security")
    album.take(member, "person-security-organisation")
    page.goto(f"{world.ps}/organisation")
    page.get_by_label("Whom it is for (optional)").fill("For Bo, from accounting")
    page.get_by_role("button", name="Make an invitation").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The invitation")
    album.take(page, "person-invitation")
    page.get_by_role("link", name="Back to the organisation").click()
    expect(page.get_by_text("Acts for Cem Demir")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    album.take(page, "person-organisation")
    page.get_by_text("Remove Cem Demir", exact=True).click()
    page.get_by_role("button", name="Yes, remove Cem Demir").click()
    page.wait_for_load_state()
    page.goto(f"{world.ps}/organisation")
    expect(page.get_by_text("Acts for Cem Demir")).to_have_count(0)
    member.goto(f"{world.ps}/security")
    expect(member.get_by_role("heading", level=1)).to_have_text("Sign in")
