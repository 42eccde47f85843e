"""Missions in a real browser: deciding about one, following it, stopping it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from aauthlib.http import Response
from tests.web.person_pages.parties import page_url

from .conftest import Album, NewPage, World, set_up

pytestmark = pytest.mark.browser

PROPOSAL: dict[str, Any] = {
    "description": "# Plan a trip to Japan\n\nFind a week in May for two, about **$5000**.\n\n"
    "- Propose an itinerary\n- Book nothing before I agree",
    "tools": [
        {"name": "WebSearch", "description": "Search the web"},
        {"name": "BookFlight", "description": "Book flights, with your card"},
    ],
    "capabilities": ["interaction", "clarification"],
}


def propose(world: World, **changes: Any) -> Response:
    body = {**PROPOSAL, "resources": [world.parties.resource], **changes}
    return world.send(world.parties.signed("POST", f"{world.ps}/mission", body))


def approved(world: World, page: Page) -> str:
    """A mission approved on the page as it was proposed; its `s256`."""
    answer = propose(world)
    page.goto(page_url(answer))
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mission approved")
    s256: str = world.poll(answer).json()["s256"]
    return s256


@pytest.mark.spec("#mission-creation", "#mission-approval")
def test_the_person_narrows_a_proposal_and_the_agent_gets_that(ana: Page, world: World, album: Album) -> None:
    answer = propose(world)
    ana.goto(page_url(answer))
    album.take_view(ana, "mission-proposal")
    ana.get_by_role("checkbox", name="BookFlight").uncheck()
    ana.get_by_text("Change the wording").click()
    ana.get_by_label("The mission, as you approve it").fill("Only look for flights.")
    ana.get_by_label("How long it may run").select_option("One day")
    ana.get_by_role("button", name="Approve", exact=True).click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Mission approved")
    assert world.poll(answer).status == 200
    ana.get_by_role("link", name="Follow the mission").click()
    expect(ana.get_by_role("region", name="What you approved")).to_contain_text("Only look for flights.")
    expect(ana.get_by_role("region", name="What happened")).to_contain_text("You left out: BookFlight.")


@pytest.mark.spec("#mission-log", "#mission-management")
def test_a_mission_is_followed_and_stopped(ana: Page, world: World, album: Album) -> None:
    s256 = approved(world, ana)
    record = {
        "mission_s256": s256,
        "action": "WebSearch",
        "description": "Searched for flights to Tokyo.",
        "result": {"found": 12},
    }
    assert world.send(world.parties.signed("POST", f"{world.ps}/audit", record)).status == 201
    ana.goto(f"{world.ps}/missions")
    album.take(ana, "missions")
    ana.get_by_role("link", name="Plan a trip to Japan").click()
    album.take(ana, "mission")
    expect(ana.get_by_role("listitem").filter(has_text="The agent says it did WebSearch")).to_contain_text(
        "the agent’s words"
    )
    ana.get_by_text("Stop this mission").first.click()
    ana.get_by_label("A note for yourself (optional)").fill("We stay at home.")
    ana.get_by_role("button", name="Stop this mission").click()
    ana.goto(f"{world.ps}/missions/{s256}")
    expect(ana.get_by_role("heading", name="Stopped", exact=True)).to_be_visible()
    expect(ana.get_by_text("We stay at home.")).to_be_visible()
    refused = world.send(world.parties.signed("POST", f"{world.ps}/audit", {**record, "action": "Again"}))
    assert (refused.status, refused.json()["termination_reason"]) == (403, "revoked")


@pytest.mark.spec("#permission-response")
def test_a_permission_is_denied_with_a_reason(ana: Page, world: World, album: Album) -> None:
    s256 = approved(world, ana)
    body = {
        "action": "SendEmail",
        "description": "Send the itinerary to Bob.",
        "parameters": {"to": "bob@example.com", "subject": "Japan trip"},
        "mission_s256": s256,
    }
    answer = world.send(world.parties.signed("POST", f"{world.ps}/permission", body))
    ana.goto(page_url(answer))
    album.take(ana, "permission")
    ana.get_by_label("If you don’t allow it, why? (optional)").fill("Not to Bob.")
    ana.get_by_role("button", name="Don’t allow").click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Not allowed")
    assert world.poll(answer).json() == {"permission": "denied", "reason": "Not to Bob."}


@pytest.mark.spec("#mission-completion")
def test_a_completion_is_accepted(ana: Page, world: World, album: Album) -> None:
    s256 = approved(world, ana)
    body = {"action": "completion", "summary": "Flights and hotel found: **$4,180**."}
    answer = world.send(world.parties.signed("POST", f"{world.ps}/mission/{s256}", body))
    ana.goto(page_url(answer))
    album.take(ana, "mission-completion")
    ana.get_by_role("button", name="It is done").click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Finished")
    assert world.poll(answer).json()["termination_reason"] == "completed"


@pytest.mark.spec("#mission-approval")
def test_on_a_phone_in_the_dark_without_javascript(new_page: NewPage, world: World, album: Album) -> None:
    page = new_page(viewport={"width": 360, "height": 740}, color_scheme="dark", java_script_enabled=False)
    set_up(page, world)
    answer = propose(world)
    page.goto(page_url(answer))
    album.take_view(page, "mission-proposal-phone-dark", scripts=False)
    page.get_by_role("checkbox", name="WebSearch").uncheck()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mission approved")
    assert world.poll(answer).status == 200
    page.goto(f"{world.ps}/missions")
    page.get_by_role("link", name="Plan a trip to Japan").click()
    album.take_view(page, "mission-phone-dark", scripts=False)
    box = page.locator("main").bounding_box()
    assert box is not None
    assert box["width"] <= 360
