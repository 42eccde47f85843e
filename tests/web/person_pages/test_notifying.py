"""The page on which a person says where and when they are told."""

from __future__ import annotations

import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aauthlib.base64url import b64url_encode
from tests.person.test_notifications import Letterbox

from .conftest import Browser, MakeSite, Site


@pytest.fixture
def letterbox() -> Letterbox:
    return Letterbox()


@pytest.fixture
async def site(make_site: MakeSite, letterbox: Letterbox) -> Site:
    return await make_site(channels=[letterbox])


def subscription(endpoint: str = "https://push.example/a") -> dict[str, str]:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {"endpoint": endpoint, "p256dh": b64url_encode(raw), "auth": b64url_encode(os.urandom(16))}


async def test_a_browser_is_added_named_and_removed(browser: Browser) -> None:
    await browser.get("/notifications")
    answer = await browser.submit("/notifications/browser", **subscription())
    assert answer.headers["location"] == "/notifications?saved=browser"
    await browser.get("/notifications?saved=browser")
    assert "This browser will be told." in browser.text
    assert "Nowhere yet" not in browser.text
    await browser.submit("/notifications/remove")
    await browser.get("/notifications?saved=removed")
    assert "Nowhere yet" in browser.text


async def test_a_subscription_that_is_none_is_explained_on_the_page(browser: Browser) -> None:
    await browser.get("/notifications")
    answer = await browser.submit("/notifications/browser", **subscription("http://169.254.169.254/"))
    assert answer.status_code == 400
    assert "could not be read" in browser.text


async def test_an_address_is_confirmed_by_the_code_that_was_sent_there(browser: Browser, letterbox: Letterbox) -> None:
    await browser.get("/notifications")
    answer = await browser.submit("/notifications/channel", to="ana@example.org")
    assert answer.headers["location"] == "/notifications?saved=sent"
    await browser.get("/notifications?saved=sent")
    assert "Not confirmed yet" in browser.text
    wrong = await browser.submit("/notifications/confirm", code="AAAA-AAAA")
    assert wrong.status_code == 400
    assert "not the one that was sent" in browser.text
    right = await browser.submit("/notifications/confirm", code=letterbox.code.lower())
    assert right.headers["location"] == "/notifications?saved=confirmed"
    await browser.get("/notifications")
    assert "Not confirmed yet" not in browser.text
    assert (await browser.submit("/notifications/test")).headers["location"] == "/notifications?saved=test"
    assert len(letterbox.letters) == 2


async def test_a_wrong_address_stays_in_its_field(browser: Browser) -> None:
    await browser.get("/notifications")
    answer = await browser.submit("/notifications/channel", to="<b>nowhere")
    assert answer.status_code == 400
    assert 'value="&lt;b&gt;nowhere"' in browser.page
    assert 'aria-invalid="true"' in browser.page


async def test_a_channel_that_is_away_is_said_so(browser: Browser, letterbox: Letterbox) -> None:
    letterbox.closed = True
    await browser.get("/notifications")
    assert (await browser.submit("/notifications/channel", to="ana@example.org")).status_code == 400
    assert "Nowhere yet" in browser.text


async def test_quiet_hours_and_digests_are_kept(browser: Browser) -> None:
    await browser.get("/notifications")
    fields = {"quiet_from": "22:00", "quiet_until": "07:30", "zone": "Europe/Madrid", "digest": "60"}
    assert (await browser.submit("/notifications/when", **fields)).headers["location"] == "/notifications?saved=when"
    await browser.get("/notifications")
    assert 'value="22:00"' in browser.page
    assert 'value="07:30"' in browser.page
    assert "<option selected>Europe/Madrid</option>" in browser.page
    assert '<option value="60" selected>' in browser.page


@pytest.mark.parametrize(
    "fields",
    [
        {"quiet_from": "25:00", "quiet_until": "07:00"},
        {"quiet_from": "22:00", "quiet_until": ""},
        {"quiet_from": "aa", "quiet_until": "bb"},
        {"digest": "99999"},
        {"digest": "²"},
        {"zone": "Mars/Base"},
    ],
)
async def test_times_that_are_none_are_refused_on_the_page(browser: Browser, fields: dict[str, str]) -> None:
    await browser.get("/notifications")
    values = {"quiet_from": "22:00", "quiet_until": "07:00", "zone": "UTC", "digest": "0"} | fields
    assert (await browser.submit("/notifications/when", **values)).status_code == 400
    await browser.get("/notifications")
    assert 'value="22:00"' not in browser.page


async def test_adding_a_place_takes_a_recent_sign_in(site: Site, browser: Browser) -> None:
    await browser.get("/notifications")
    site.clock.now += 3600
    for action, fields in (
        ("/notifications/browser", subscription()),
        ("/notifications/channel", {"to": "ana@example.org"}),
    ):
        await browser.get("/notifications")
        answer = await browser.submit(action, **fields)
        assert answer.headers["location"] == "/sign-in?next=/notifications"
    await browser.get("/notifications")
    assert "Nowhere yet" in browser.text


@pytest.mark.parametrize("action", ["browser", "channel", "confirm", "remove", "test", "when"])
async def test_another_sites_form_changes_nothing(browser: Browser, action: str) -> None:
    await browser.get("/notifications")
    answer = await browser.post(f"/notifications/{action}", {"csrf": "x"}, sec_fetch_site="cross-site")
    assert answer.status_code == 403


async def test_who_is_not_signed_in_sees_nothing(site: Site) -> None:
    answer = await site.browser().get("/notifications")
    assert answer.headers["location"] == "/sign-in?next=/notifications"


async def test_the_service_worker_lies_where_it_governs_the_whole_site(site: Site) -> None:
    answer = await site.browser().get("/notify.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    assert "worker-src 'self'" in answer.headers["content-security-policy"]
    manifest: Any = (await site.browser().get("/static/person.webmanifest")).json()
    assert manifest["display"] == "standalone"


async def test_a_server_without_channels_says_what_there_is(make_site: MakeSite) -> None:
    site = await make_site()
    browser = site.browser()
    await browser.set_up()
    await browser.get("/notifications")
    assert "Messages to this browser need JavaScript" in browser.text
