"""Every page of the access server against bad input, and the frame around them (#untrusted-input)."""

from __future__ import annotations

import pytest

from aauthlib.access import NeedInteraction
from tests.access.parties import AS, World

from .conftest import Office

pytestmark = pytest.mark.spec("#untrusted-input", "#ps-approval-endpoint-auth")

_PAGES = (
    "/",
    "/people",
    "/security",
    "/sign-in",
    "/setup",
    "/approvals/{}",
    "/confirm/{}",
    "/interaction/{}",
    "/join/{}",
)
_FORMS = (
    "/people/role",
    "/people/remove",
    "/people/invite",
    "/people/withdraw",
    "/person-servers/take-back",
    "/approvals/{}",
    "/confirm/{}",
    "/interaction/{}",
    "/join/{}",
)
_ODD = ("x", "0" * 64, "%00", "a" * 3000)


async def test_no_address_and_no_field_gets_a_server_error(office: Office) -> None:
    ana = await office.administrator()
    await ana.get("/people")
    token = ana.form("/sign-out")["csrf"]
    for path in _PAGES:
        for odd in _ODD if "{}" in path else ("",):
            response = await ana.get(path.format(odd) + "?code=%00&callback=%00&next=//evil.example&saved=x")
            assert response.status_code < 500, (path, odd)
    for path in _FORMS:
        for odd in _ODD:
            fields = dict.fromkeys(("person", "role", "approves", "note", "step", "decision", "code", "as"), odd)
            response = await ana.post(path.format(odd), fields | {"csrf": token})
            assert response.status_code < 500, (path, odd)


async def test_every_page_keeps_scripts_frames_and_caches_out(office: Office) -> None:
    ana = await office.administrator()
    for path in ("/", "/people", "/security", "/nothing"):
        headers = (await ana.get(path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


async def test_the_pages_are_for_who_is_signed_in(office: Office, world: World) -> None:
    await office.administrator()
    world.policy.decide = lambda facts: NeedInteraction()
    handle = office.page_of(await world.ask()).partition("?")[0].rpartition("/")[2]
    stranger = office.browser()
    for path in ("/", "/people", "/security", f"/confirm/{handle}"):
        assert (await stranger.get(path)).headers["location"].startswith("/sign-in")
    for path in ("/people/invite", "/people/role", "/person-servers/take-back", f"/confirm/{handle}"):
        assert (await stranger.post(path, {"csrf": "x"})).status_code == 403


async def test_the_protocol_endpoints_stand_beside_the_pages(office: Office, world: World) -> None:
    await office.administrator()
    browser = office.browser()
    assert (await browser.get("/.well-known/aauth-access.json")).json()["issuer"] == AS
    assert (await browser.get("/auth-token")).status_code == 405
    assert (await browser.get("/pending/x")).status_code == 401
