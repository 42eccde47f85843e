"""The demo as a person sees it: a real browser, an account made in the middle of a first contact, the story told."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from aauthlib.effects import Direct
from tests.cli.conftest import World, running_world

from .conftest import Album, NewPage

pytestmark = pytest.mark.browser


@pytest.fixture
def asked() -> queue.Queue[Direct]:
    return queue.Queue()


@pytest.fixture
def demo(tmp_path: Path, asked: queue.Queue[Direct]) -> Iterator[World]:
    with running_world(tmp_path / "data", tmp_path / "home", on_interaction=asked.put) as world:
        yield world


@pytest.mark.spec("#user-interaction", "#agent-person-binding", "#consent-presentation")
def test_a_first_contact_and_its_picture_in_a_real_browser_from_no_account_to_the_data(
    demo: World, asked: queue.Queue[Direct], new_page: NewPage, album: Album
) -> None:
    page = new_page(viewport={"width": 1180, "height": 900})
    calling = demo.begin(demo.parties.agent.get(f"{demo.parties.calendar}/events"))

    page.goto(asked.get(timeout=20).person_url)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Create with a password").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("act as you")
    page.get_by_role("button", name="Allow", exact=True).click()

    page.goto(asked.get(timeout=20).person_url)
    expect(page.get_by_text("See the events in your calendar.")).to_be_visible()
    page.get_by_role("button", name="Allow", exact=True).click()

    response = calling.result(30)
    assert response.status_code == 200
    assert [event["title"] for event in response.json()] == ["Dentist", "Lunch with Ada"]

    page.goto(demo.parties.page)
    expect(page.get_by_role("heading", level=1)).to_have_text("First contact, message by message")
    message = page.locator("li.message details").last
    message.locator("summary").click()
    expect(message.get_by_text("aa-auth+jwt", exact=True)).to_be_visible()
    message.locator("summary").click()
    page.evaluate("window.scrollTo(0, 0)")
    album.take_view(page, "demo-sequence")
