"""Chromium, and a real person server on loopback with an agent provider and a resource beside it.

One Uvicorn in a thread answers for all three names below localhost. The agent of the tests signs with the library and
sends over real connections.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from argon2 import PasswordHasher
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from aauthlib.accounts.passwords import Passwords
from aauthlib.effects import Send
from aauthlib.http import Request, Response
from aauthlib.keys import JWKS
from aauthlib.transport import SyncTransport
from aauthlib.web.person import PersonApp, build_person_app
from tests.conftest import NODE_PEERS
from tests.web.person_pages.parties import LOGO, Parties, page_url

PASSWORD = "correct horse battery"
_MAX_PICTURE_BYTES = 150_000
_START_S = 20.0


class ShiftedClock:
    """The real time, and what a test puts on top."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class _Server(uvicorn.Server):
    """Says when it has started."""

    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._has_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._has_started.set()


class World:
    """The servers, the agent, and what it does."""

    def __init__(self, database: Path, *, port: int = 0, resource_metadata: dict[str, Any] | None = None) -> None:
        self._database = database
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        port = self._socket.getsockname()[1]
        self.clock = ShiftedClock()
        self.ps = f"http://person.localhost:{port}"
        self.parties = Parties(
            self.ps,
            f"http://assistant.localhost:{port}",
            f"http://calendar.localhost:{port}",
            self.clock,
            resource_metadata=resource_metadata or {},
        )
        #: More of `build_person_app`, and apps of further hosts by the first label of their names.
        self.app_options: dict[str, Any] = {}
        self.hosts: dict[str, Any] = {}
        #: Such apps that are opened in the event loop that serves them.
        self.opened_hosts: dict[str, Callable[[], AbstractAsyncContextManager[Any]]] = {}
        self._documents = {url: msgspec.json.encode(each) for url, each in self.parties.documents().items()}
        self.app: PersonApp | None = None
        self._ready = threading.Event()
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=self._serve, name="servers under test")
        self._transport = SyncTransport(dev=True)
        self._person_token: str | None = None

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(_START_S), "the servers did not start"
        document = self.send(Request("GET", f"{self.ps}/.well-known/aauth-person.json")).json()
        keys = JWKS.parse(self.send(Request("GET", document["jwks_uri"])).json())
        self.parties.ps_jwks = lambda: keys

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(_START_S)
        self._transport.close()
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._serve_here())

    async def _serve_here(self) -> None:
        self.app = await build_person_app(
            f"sqlite:///{self._database}",
            self.ps,
            dev=True,
            clock=self.clock,
            passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)),
            **self.app_options,
        )
        config = uvicorn.Config(
            self._by_host, interface="asgi3", log_level="error", lifespan="on", timeout_graceful_shutdown=1
        )
        self._server = _Server(config, self._ready)
        async with AsyncExitStack() as open_apps:
            for label, opened in self.opened_hosts.items():
                self.hosts[label] = await open_apps.enter_async_context(opened())
            await self._server.serve(sockets=[self._socket])

    async def _by_host(self, scope: Any, receive: Any, send: Any) -> None:
        host = dict(scope.get("headers", ())).get(b"host", b"").decode()
        assert self.app is not None
        if scope["type"] != "http" or host.startswith("person."):
            await self.app(scope, receive, send)
            return
        if (app := self.hosts.get(host.partition(".")[0])) is not None:
            await app(scope, receive, send)
            return
        body, media_type, status = self._documents.get(f"http://{host}{scope['path']}"), b"application/json", 200
        if scope["path"] == "/logo.svg":
            body, media_type = LOGO % (b"#7a3ea8" if host.startswith("assistant.") else b"#1a7f5a"), b"image/svg+xml"
        elif scope["path"] == "/callback":
            body, media_type = b"<!doctype html><title>agent</title><h1>Back at the agent</h1>", b"text/html"
        elif body is None:
            body, status = b"{}", 404
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", media_type)]})
        await send({"type": "http.response.body", "body": body})

    # ------------------------------------------------------------------ the agent

    def send(self, request: Request) -> Response:
        return self._transport.send(Send(request))

    def ask_person_token(self, **body: Any) -> Response:
        answer = self.send(self.parties.ask_person_token(**body))
        assert answer.status == 202, answer.body
        return answer

    def poll(self, answer: Response) -> Response:
        return self.send(self.parties.poll(answer))

    def ask_auth_token(self, page: Page, scope: str = "calendar.read calendar.write", **body: Any) -> Response:
        """Ask for access. The person token before it is approved by the person who is signed in at `page`."""
        if self._person_token is None:
            answer = self.ask_person_token()
            page.goto(page_url(answer))
            page.get_by_role("button", name="Allow", exact=True).click()
            page.get_by_role("heading", name="Allowed").wait_for()
            self._person_token = self.poll(answer).json()["person_token"]
        answer = self.send(self.parties.ask_auth_token(self._person_token, scope, **body))
        assert answer.status == 202, answer.body
        return answer


@pytest.fixture(scope="module")
def chromium(needs_chromium: str) -> Iterator[Browser]:
    """One browser for the tests of a module. While it is there the thread counts as running an event loop, which
    asynchronous tests could not share, so it does not outlive the module."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=needs_chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-lcd-text",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "person.db")
    world.start()
    yield world
    world.stop()


NewPage = Callable[..., Page]


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[NewPage]:
    """A page of a browser without cookies; options are those of a browser context. No script error goes unseen."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def make(**options: Any) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if _is_violation(message.text) else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert errors == []


def _is_violation(text: str) -> bool:
    """Whether the page broke its own Content-Security-Policy. Being kept out of a frame is no such thing."""
    return "Content Security" in text and not text.startswith("Framing")


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()


def set_up(page: Page, world: World) -> None:
    """Create with a password."""
    page.goto(f"{world.ps}/setup")
    page.get_by_label("Your name").fill("Ana Example")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Email (optional)").fill("ana@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create with a password").click()


def sign_in(page: Page, password: str = PASSWORD) -> None:
    """Fill in the sign-in form that is on the page."""
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


@pytest.fixture
def ana(page: Page, world: World) -> Page:
    """A page at which the person is signed in."""
    set_up(page, world)
    page.get_by_role("heading", name="Hello, Ana Example").wait_for()
    return page


def add_authenticator(page: Page) -> None:
    """A platform authenticator that says yes at once."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


class Album:
    """Where the pictures go. What has its picture taken is read by axe-core as well, as a screen reader would."""

    def __init__(self, directory: Path, axe: str) -> None:
        self._directory = directory
        self._axe = axe
        directory.mkdir(parents=True, exist_ok=True)

    def take(self, page: Page, name: str) -> None:
        self.read(page, name)
        path = self._directory / f"{name}.png"
        page.screenshot(path=path, full_page=True, animations="disabled", caret="hide")
        assert path.stat().st_size <= _MAX_PICTURE_BYTES, f"{name}.png is too large to keep"

    def take_view(self, page: Page, name: str, *, scripts: bool = True) -> None:
        """Only what fits the window: a page that goes on for long. Without `scripts` axe-core cannot run either."""
        if scripts:
            self.read(page, name)
        path = self._directory / f"{name}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        assert path.stat().st_size <= _MAX_PICTURE_BYTES, f"{name}.png is too large to keep"

    def read(self, page: Page, name: str) -> None:
        """Nothing that WCAG 2.2 (A and AA) or axe-core's best practices forbid is on the page."""
        page.evaluate(self._axe)
        rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = page.evaluate("tags => axe.run({runOnly: {type: 'tag', values: tags}})", rules)
        faults = [
            f"{fault['id']}: {node['html']} ({node['failureSummary']})"
            for fault in found["violations"]
            for node in fault["nodes"]
        ]
        assert faults == [], f"{name}: " + "\n".join(faults)
        assert found["passes"], f"axe-core looked at nothing on {name}"


@pytest.fixture
def album(tmp_path: Path, needs_node: str) -> Album:
    kept = os.environ.get("AAUTHLIB_PICTURES")
    axe = (NODE_PEERS / "node_modules" / "axe-core" / "axe.min.js").read_text()
    return Album(Path(kept) if kept else tmp_path / "pictures", axe)
