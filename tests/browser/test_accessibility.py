"""Pages that no other test takes a picture of are read by axe-core here, and axe-core itself is tried once."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import Album, NewPage, World, set_up
from .test_person_missions import approved

pytestmark = pytest.mark.browser

_PAGES = ("", "missions", "notifications", "security", "data", "nowhere")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_every_page_can_be_read_at_each_width_in_each_scheme(
    new_page: NewPage, world: World, album: Album, scheme: Any, width: int
) -> None:
    page = new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    set_up(page, world)
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")
    world.ask_auth_token(page)
    approved(world, page)
    for path in _PAGES:
        page.goto(f"{world.ps}/{path}")
        album.read(page, path or "home")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_every_page_can_be_used_from_right_to_left(new_page: NewPage, world: World, album: Album) -> None:
    page = new_page(viewport={"width": 360, "height": 800})
    set_up(page, world)
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")
    world.ask_auth_token(page)
    for path in _PAGES:
        page.goto(f"{world.ps}/{path}")
        page.evaluate("document.documentElement.dir = 'rtl'")
        album.read(page, path or "home")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_a_page_that_cannot_be_read_is_told(page: Page, album: Album) -> None:
    page.set_content("<!doctype html><html lang=en><title>x</title><main><h1>x</h1><img src=x><input></main>")
    with pytest.raises(AssertionError, match=r"image-alt[\s\S]*label"):
        album.read(page, "bad")
