"""A person server's app in this process, and a browser without a screen that keeps cookies and reads forms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pytest
from argon2 import PasswordHasher

from aauthlib.accounts.passwords import Passwords
from aauthlib.discovery import StaticDirectory
from aauthlib.http import Response
from aauthlib.keys import JWKS
from aauthlib.transport import AsyncTransport, AsyncWire
from aauthlib.web.person import PersonApp, build_person_app

from .parties import Parties, page_url

PASSWORD = "correct horse battery"


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def _is_checkbox(attributes: Mapping[str, str]) -> bool:
    return attributes.get("type") == "checkbox"


class _Forms(HTMLParser):
    """The forms of a page: action, fields as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((values.get("action", ""), {}))
        elif tag == "input" and self.forms and "name" in values and ("checked" in values or not _is_checkbox(values)):
            self.forms[-1][1][values["name"]] = values.get("value", "")


class Browser:
    """Follows no redirect, keeps cookies, sends what a browser sends."""

    def __init__(self, app: PersonApp, origin: str, *, address: str = "127.0.0.1") -> None:
        self.origin = origin
        transport = httpx2.ASGITransport(app=app, client=(address, 123))
        self.client = httpx2.AsyncClient(transport=transport, base_url=origin)
        self.page = ""

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        path = path.removeprefix(self.origin)
        response = await self.client.get(path, headers=headers)
        self.page = response.text
        return response

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> httpx2.Response:
        sent = {"origin": "null", "sec-fetch-site": "same-origin"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        response = await self.client.post(path, data=dict(fields), headers=sent)
        self.page = response.text
        return response

    def form(self, action: str) -> dict[str, str]:
        """The fields of the last form of the page with this action."""
        parser = _Forms()
        parser.feed(self.page)
        return next(dict(fields) for found, fields in reversed(parser.forms) if found == action)

    async def submit(self, action: str, **changes: str) -> httpx2.Response:
        """Submit the form with this action, some fields filled in."""
        return await self.post(action, self.form(action) | changes)

    @property
    def text(self) -> str:
        """What is read on the page."""
        body = self.page.partition("<main")[2]
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

    async def set_up(self, **changes: str) -> httpx2.Response:
        await self.get("/setup")
        fields = {"display_name": "Ana Example", "username": "ana", "password": PASSWORD, "email": ""} | changes
        return await self.submit("/setup", **fields)

    async def sign_in(self, username: str = "ana", password: str = PASSWORD) -> httpx2.Response:
        await self.get("/sign-in")
        return await self.submit("/sign-in", username=username, password=password)


@dataclass
class Site:
    """The app, the parties around it, and a browser."""

    app: PersonApp
    parties: Parties
    clock: Clock
    browsers: list[Browser] = field(default_factory=list)

    def browser(self) -> Browser:
        browser = Browser(self.app, self.parties.ps)
        self.browsers.append(browser)
        return browser

    async def person_id(self) -> str:
        account = await self.app.accounts.verify_password("ana", PASSWORD)
        return account.person_id

    async def ask_person_token(self, **body: Any) -> Response:
        return await self.app.server.person_token(self.parties.ask_person_token(**body))

    async def person_token(self) -> str:
        """A person token, approved behind the pages."""
        answer = await self.ask_person_token()
        if answer.status == 202:
            handle, _, code = page_url(answer).rpartition("/")[2].partition("?code=")
            person_id = await self.person_id()
            digest = await self.app.server.arrive(handle, code, person_id=person_id)
            await self.app.server.approve(digest, person_id=person_id)
            answer = await self.poll(answer)
        token: str = answer.json()["person_token"]
        return token

    async def ask_auth_token(self, scope: str = "calendar.read calendar.write", **body: Any) -> Response:
        request = self.parties.ask_auth_token(await self.person_token(), scope, **body)
        return await self.app.server.auth_token(request)

    async def poll(self, answer: Response) -> Response:
        request = self.parties.poll(answer)
        return await self.app.server.poll(request, request.url.rpartition("/")[2])


MakeSite = Callable[..., Awaitable[Site]]


@pytest.fixture
async def make_site(tmp_path: Path) -> AsyncIterator[MakeSite]:
    made: list[Site] = []

    async def make(*, resource_metadata: Mapping[str, Any] | None = None, **options: Any) -> Site:
        clock = Clock()
        parties = Parties(
            "https://ps.example",
            "https://assistant.example",
            "https://calendar.example",
            clock,
            resource_metadata=dict(resource_metadata or {}),
        )
        documents = parties.documents()
        directory = StaticDirectory(
            metadata={
                parties.ap: documents[f"{parties.ap}/.well-known/aauth-agent.json"],
                parties.resource: documents[f"{parties.resource}/.well-known/aauth-resource.json"],
            },
            keys={parties.ap: JWKS.of(parties.ap_key), parties.resource: JWKS.of(parties.resource_key)},
        )
        app = await build_person_app(
            options.pop("database_url", f"sqlite:///{tmp_path}/{len(made)}.db"),
            parties.ps,
            clock=clock,
            wire=AsyncWire(options.pop("sender", None) or AsyncTransport(), directory),
            passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)),
            **({"setup_code_required": False} | options),
        )
        parties.ps_jwks = app.server.jwks
        made.append(Site(app, parties, clock))
        return made[-1]

    yield make
    for site in made:
        for browser in site.browsers:
            await browser.client.aclose()
        await site.app.aclose()


@pytest.fixture
async def site(make_site: MakeSite) -> Site:
    return await make_site()


@pytest.fixture
async def browser(site: Site) -> Browser:
    """A browser that has set up the account and is signed in."""
    browser = site.browser()
    assert (await browser.set_up()).status_code == 303
    return browser
