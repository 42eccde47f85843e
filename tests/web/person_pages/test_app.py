"""Every page: its headers, and what is said when something is wrong."""

from __future__ import annotations

import random
import re

import pytest

from .conftest import Browser, MakeSite, Site
from .parties import page_url

PAGES = ["/", "/security", "/sign-in?again=1", "/interaction/abcdefgh", "/nothing/here"]


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_the_security_headers(browser: Browser, path: str) -> None:
    headers = (await browser.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "worker-src": "'self'",
        "manifest-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.spec("#consent-presentation")
async def test_the_consent_page_loads_the_two_logos_and_nothing_else(site: Site, browser: Browser) -> None:
    path = (await browser.get(page_url(await site.ask_person_token()))).headers["location"]
    policy = (await browser.get(path)).headers["content-security-policy"]
    assert "img-src 'self' https://assistant.example https://calendar.example;" in policy
    assert 'src="https://assistant.example/logo.svg"' in browser.page


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_has_a_script_or_style_of_its_own(browser: Browser, path: str) -> None:
    await browser.get(path)
    assert re.search(r"<style|\sstyle=|\son[a-z]+=", browser.page) is None
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", browser.page))


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_one_heading_a_language_landmarks_and_a_skip_link(browser: Browser, path: str) -> None:
    await browser.get(path)
    assert len(re.findall(r"<h1[ >]", browser.page)) == 1
    assert browser.page.count("<main") == 1
    assert '<html lang="en">' in browser.page
    assert '<a class="skip" href="#main">' in browser.page
    labels = set(re.findall(r'<label for="([^"]+)"', browser.page))
    visible = re.findall(r'<input id="([^"]+)"', browser.page)
    assert set(visible) == labels


async def test_no_link_or_form_takes_the_host_that_the_request_names(site: Site, browser: Browser) -> None:
    for path in ("/", "/requests", "/security/", "/sign-in"):
        response = await site.browser().get(path, host="evil.example")
        assert "evil.example" not in response.text
        assert "evil.example" not in response.headers.get("location", "")


@pytest.mark.parametrize(
    "path",
    [
        "/requests/" + "0" * 64,
        "/requests/%00%ff",
        "/requests/x%0d%0ay",
        "/interaction-callback/unknown",
        "/interaction-callback/x?error=%0d%0a",
        "/nothing",
        "/interaction/%3Cscript%3E",
    ],
)
async def test_what_is_not_there_is_a_page_that_says_so(site: Site, browser: Browser, path: str) -> None:
    assert (await browser.get(path)).status_code == 404
    assert "Not there" in browser.text
    stranger = await site.browser().get(path)
    assert stranger.status_code in (303, 404)
    assert "\n" not in stranger.headers.get("location", "")


async def test_a_page_that_takes_no_such_request_says_so(browser: Browser) -> None:
    assert (await browser.client.put("/")).status_code == 405
    assert (await browser.get("/sign-out")).status_code == 405


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b'{"csrf": 1}', "application/json", 415),
        (b"csrf=%ff%fe", "application/x-www-form-urlencoded", 400),
        (b"\xff=1", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 200, "application/x-www-form-urlencoded", 400),
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"", "application/x-www-form-urlencoded", 403),
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/setup", "/security/password", "/interaction/abcdefgh"])
async def test_a_body_that_is_no_form_of_ours_is_refused_with_a_page(
    browser: Browser, path: str, content: bytes, media_type: str, status: int
) -> None:
    response = await browser.client.post(path, content=content, headers={"content-type": media_type})
    assert response.status_code == status
    assert "<h1>" in response.text


async def test_nothing_that_is_sent_makes_the_server_fail(site: Site, browser: Browser) -> None:
    await site.person_token()
    path = (await browser.get(page_url(await site.ask_auth_token()))).headers["location"]
    await browser.get(path)
    csrf = browser.form("/sign-out")["csrf"]
    others = "iss sub id session name credential user_handle setup_code username password new current handle code next"
    names = sorted({*re.findall(r'name="([a-z_]+)"', browser.page), *others.split(), "callback"})
    values = ["", "\x00", "\ufffd", "a" * 3_000, "-1", "%0d%0a", "{}", "null", "../..", "\u202e", "A1B2-C3D4", "é"]
    chance = random.Random(1)
    posts = ["/setup", "/sign-in", "/interaction/abcdefgh", path, "/agents/disconnect", "/agents/forget"]
    posts += ["/security/passkeys", "/security/passkeys/remove", "/security/password", "/security/sessions/end"]
    for _ in range(40):
        for address in posts:
            fields = {name: chance.choice(values) for name in chance.sample(names, 8)} | {"csrf": csrf}
            response = await browser.post(address, fields)
            assert response.status_code < 500, (address, fields)
        query = (
            f"code={chance.choice(values).encode('utf-8', 'replace').hex()}&callback={chance.choice(['x', 'https://'])}"
        )
        assert (await browser.get(f"/interaction/abcdefgh?{query}")).status_code < 500
        if (await browser.get("/")).status_code != 200:
            await browser.sign_in()
            await browser.get("/")
            csrf = browser.form("/sign-out")["csrf"]


async def test_static_files_are_kept_by_their_fingerprint(browser: Browser) -> None:
    await browser.get("/")
    (address,) = re.findall(r'href="(/static/pages\.css[^"]*)"', browser.page)
    kept = await browser.get(address)
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert kept.headers["content-type"] == "text/css; charset=utf-8"
    assert (await browser.get("/static/pages.css?v=other")).headers["cache-control"] == "no-cache"
    assert (await browser.get("/static/..%2fapp.py")).status_code == 404
    assert (await browser.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"


async def test_the_protocol_endpoints_are_beside_the_pages(site: Site) -> None:
    browser = site.browser()
    document = (await browser.get("/.well-known/aauth-person.json")).json()
    assert document["issuer"] == "https://ps.example"
    answer = await browser.client.post("/person-token", json={})
    assert answer.status_code == 401
    assert "signature-error" in answer.headers


async def test_an_error_of_the_server_is_a_page_without_detail(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = await make_site()
    browser = site.browser()
    await browser.set_up()

    said = "secret".upper()

    async def fail(person_id: str) -> list[object]:
        raise RuntimeError(said)

    monkeypatch.setattr(site.app.server, "pending_for", fail)
    assert (await browser.get("/")).status_code == 500
    assert "Something went wrong" in browser.text
    assert "RuntimeError" in caplog.text
    assert said not in browser.page + caplog.text
