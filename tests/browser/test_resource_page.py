"""A resource's own interaction page, in a real browser."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Page, expect

from aauthlib.effects import Send
from aauthlib.http import Request, Response
from aauthlib.messages.requirement import Requirement
from aauthlib.transport import SyncTransport
from tests.resource.world import AP, Clock
from tests.resource.world import World as ResourceWorld

from .conftest import Album, NewPage

pytestmark = [pytest.mark.browser, pytest.mark.spec("#resource-managed-auth", "#user-interaction")]

PHONE = {"viewport": {"width": 360, "height": 640}}


class Site:
    """A resource on loopback, and an agent that calls it over real connections."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.issuer = f"http://api.localhost:{self._socket.getsockname()[1]}"
        clock = Clock()
        clock.now = time.time()
        self.world = ResourceWorld(issuer=self.issuer, dev=True, clock=clock)
        config = uvicorn.Config(self.world.asgi, interface="asgi3", log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._transport = SyncTransport(dev=True)
        self._thread.start()

    def send(self, request: Request) -> Response:
        return self._transport.send(Send(request))

    def get(self, target: str, *headers: tuple[str, str]) -> Response:
        return self.send(self.world.signed("GET", target, self.world.agent_token(), headers=headers))

    def ask(self) -> tuple[str, str, str]:
        """The pending target, the interaction URL and its code."""
        response = self.get("/managed")
        requirement = Requirement.parse(response.headers.get("aauth-requirement") or "")
        pending = (response.headers.get("location") or "").removeprefix(self.issuer)
        return pending, requirement.url or "", requirement.code or ""

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._transport.close()
        self._socket.close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.stop()


def sign_in(page: Page, password: str = "pass") -> None:
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Continue").click()


def test_a_person_approves_and_the_agent_is_served(page: Page, site: Site) -> None:
    pending, url, code = site.ask()
    page.goto(f"{url}?code={code}")
    expect(page.get_by_label("Code")).to_have_value(code)
    sign_in(page, "not it")
    expect(page.get_by_role("alert")).to_have_text("The user name or password is not right.")
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Give this agent access?")
    expect(page.get_by_text("aauth:assistant@ap.example")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Approved")
    token = site.get(pending).headers.get("aauth-access") or ""
    assert site.get("/managed", ("authorization", f"AAuth {token}")).body == b"served"


@pytest.mark.spec("#interaction-callback-errors")
def test_declining_leads_back_to_the_agents_provider(page: Page, site: Site) -> None:
    page.route(f"{AP}/**", lambda route: route.fulfill(body="<h1>Back at the agent</h1>", content_type="text/html"))
    pending, url, code = site.ask()
    page.goto(f"{url}?code={code}&callback={AP}/callback")
    sign_in(page)
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Back at the agent")
    assert page.url == f"{AP}/callback?error=access_denied"
    assert site.get(pending).status == 403


def test_its_page_has_its_picture(new_page: NewPage, site: Site, album: Album) -> None:
    page = new_page(viewport={"width": 760, "height": 640})
    _, url, code = site.ask()
    page.goto(f"{url}?code={code}")
    album.take(page, "resource-sign-in")
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Give this agent access?")
    album.take(page, "resource-consent")


def test_it_is_done_by_keyboard_alone_on_a_phone_without_scripts(new_page: NewPage, site: Site) -> None:
    page = new_page(java_script_enabled=False, **PHONE)
    pending, url, code = site.ask()
    page.goto(url)
    page.keyboard.press("Tab")
    for text in (code, "ada", "pass"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Give this agent access?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Approved")
    assert site.get(pending).status == 200


def test_nothing_is_wider_than_a_phone(new_page: NewPage, site: Site) -> None:
    page = new_page(**PHONE)
    _, url, code = site.ask()
    page.goto(f"{url}?code={code}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sign_in(page)
    page.get_by_role("button", name="Approve").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.spec("#interaction-code-format")
def test_another_browser_cannot_use_the_code_again(new_page: NewPage, site: Site) -> None:
    _, url, code = site.ask()
    first, second = new_page(), new_page()
    first.goto(f"{url}?code={code}")
    sign_in(first)
    first.get_by_role("button", name="Approve").wait_for()
    second.goto(f"{url}?code={code}")
    expect(second.get_by_role("heading", level=1)).to_have_text("This code was used already")
