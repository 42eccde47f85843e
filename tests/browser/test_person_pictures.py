"""Every page of the person server, as a picture.

`scripts/screenshots.py` keeps them in docs/pictures (AAUTHLIB_PICTURES); otherwise they are taken and thrown away, so
that they can always be taken.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.person_pages.parties import invitation, page_url

from .conftest import Album, NewPage, World, add_authenticator, set_up

pytestmark = pytest.mark.browser

#: The port in the pictures, when it is free.
_PORT = 4000
_DESKTOP: dict[str, Any] = {"viewport": {"width": 760, "height": 640}}
_PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1, "is_mobile": True}
_REASON = "Ana asked me to find a free hour for lunch next week.\n\nI only look, and **write nothing** without asking."


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "person.db", port=_free(_PORT))
    world.start()
    yield world
    world.stop()


def test_every_page_has_its_picture(new_page: NewPage, world: World, album: Album) -> None:
    page = new_page(**_DESKTOP)
    add_authenticator(page)
    page.goto(f"{world.ps}/setup")
    album.take(page, "person-first-run")
    set_up(page, world)
    page.goto(f"{world.ps}/security")
    page.get_by_label("Name of the new passkey (optional)").fill("Ana’s laptop")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("status").wait_for()
    album.take(page, "person-security")
    page.get_by_role("button", name="Make recovery codes").click()
    page.get_by_role("heading", name="Your recovery codes").wait_for()
    album.take(page, "person-recovery-codes")

    stranger = new_page(**_DESKTOP)
    first = world.ask_person_token(justification="To look into your calendar.", device="Ana’s laptop")
    stranger.goto(page_url(first))
    album.take(stranger, "person-sign-in")
    asked = invitation(first)
    page.goto(f"{asked.url}?code=0000-0000")
    album.take(page, "person-code")
    page.goto(page_url(first))
    album.take(page, "person-first-contact")
    page.get_by_role("button", name="Don’t allow").click()
    album.take(page, "person-denied")

    request = world.ask_auth_token(page, justification=_REASON, platform="desktop", device="Ana’s laptop")
    page.goto(page_url(request))
    album.take(page, "person-consent")
    state = page.context.storage_state()
    phone = new_page(**_PHONE, storage_state=state)
    phone.goto(page.url)
    album.take(phone, "person-consent-phone")
    dark = new_page(**_DESKTOP, color_scheme="dark", storage_state=state)
    dark.goto(page.url)
    album.take(dark, "person-consent-dark")
    page.goto(world.ps)
    album.take(page, "person-home")
    page.get_by_role("link", name="Review").click()
    page.get_by_role("button", name="Allow", exact=True).click()
    page.get_by_role("heading", name="Allowed").wait_for()
    album.take(page, "person-allowed")

    late = world.ask_auth_token(page, "calendar.read unknown.scope")
    address = page_url(late)
    page.goto(address)
    world.clock.ahead_s += 901
    page.reload()
    album.take(page, "person-expired")
    page.goto(f"{world.ps}/nowhere")
    album.take(page, "person-not-there")
