"""The audit log in a real browser: searched with the keyboard, without JavaScript, on a phone, and as a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.web.person_pages.parties import page_url

from .conftest import Album, NewPage, World

pytestmark = [pytest.mark.browser, pytest.mark.spec("#ps-approval-endpoint-auth")]


def test_the_log_is_searched_and_exported(ana: Page, new_page: NewPage, world: World, album: Album) -> None:
    answer = world.send(world.parties.ask_person_token())
    ana.goto(page_url(answer))
    ana.get_by_role("button", name="Allow").first.click()
    ana.goto(f"{world.ps}/log")
    album.take(ana, "person-log")
    ana.emulate_media(color_scheme="dark")
    album.take(ana, "person-log-dark")
    ana.get_by_label("Words").fill("granted")
    ana.get_by_label("Words").press("Enter")
    expect(ana.get_by_role("heading", name="Found")).to_be_visible()
    expect(ana.get_by_role("region", name="Found")).to_contain_text("calendar-helper")
    with ana.expect_download() as download:
        ana.get_by_role("button", name="Export as CSV").click()
    assert "calendar-helper" in Path(download.value.path()).read_text()
    phone = new_page(
        storage_state=ana.context.storage_state(), viewport={"width": 360, "height": 740}, java_script_enabled=False
    )
    phone.goto(f"{world.ps}/log")
    album.take_view(phone, "person-log-phone", scripts=False)
    phone.get_by_label("Words").fill("nothing like it")
    phone.get_by_role("button", name="Search").click()
    expect(phone.get_by_text("Nothing was found here.")).to_be_visible()
