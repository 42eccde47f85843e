"""An access server's app with accounts, in this process, and browsers without a screen for its people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from aauthlib.access import CallablePolicy
from aauthlib.accounts.passwords import Passwords
from aauthlib.http import Response
from aauthlib.web.access import AccessApp, build_access_app
from tests.access.parties import AS, World, open_world, requirement_of
from tests.web.person_pages.conftest import Browser

PASSWORDS = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@dataclass
class Office:
    """The app, the parties around it, and the browsers of its people."""

    app: AccessApp
    world: World
    browsers: list[Browser] = field(default_factory=list)

    def browser(self, address: str = "127.0.0.1") -> Browser:
        browser = Browser(self.app, AS, address=address)  # type: ignore[arg-type]
        self.browsers.append(browser)
        return browser

    async def administrator(self) -> Browser:
        """Whoever made the first account."""
        browser = self.browser()
        assert (await browser.set_up()).status_code == 303
        return browser

    async def invite(self, role: str, approves: str = "") -> str:
        """The path of an invitation."""
        assert self.app.people is not None
        by = await self.person_id("ana")
        return "/join/" + await self.app.people.invite(by, role, approves.split(","))  # type: ignore[arg-type]

    async def join(self, name: str, role: str = "person", approves: str = "") -> Browser:
        """Somebody who was invited, and made an account."""
        path, browser = await self.invite(role, approves), self.browser()
        await browser.get(path)
        fields = {"display_name": name.title(), "username": name, "password": "correct horse battery", "email": ""}
        assert (await browser.submit(path, **fields)).status_code == 303
        return browser

    async def person_id(self, username: str) -> str:
        assert self.app.accounts is not None
        account = await self.app.accounts.verify_password(username, "correct horse battery")
        return account.person_id

    def page_of(self, answer: Response, **more: str) -> str:
        """Where the person is sent."""
        requirement = requirement_of(answer)
        query = "".join(f"&{name}={value}" for name, value in more.items())
        return f"{(requirement.url or '').removeprefix(AS)}?code={requirement.code}{query}"

    async def close(self) -> None:
        for browser in self.browsers:
            await browser.client.aclose()
        await self.app.server.aclose()
        await self.app.database.close()

    async def decided(self) -> list[tuple[str, str, float]]:
        """What people decided, who, and when, the latest first."""
        history = await self.app.server.store.history(by_people=True)
        return [(record.decision, record.decided_by, record.at) for record in history]


async def open_office(tmp_path: Path, world: World, **options: Any) -> Office:
    app = await build_access_app(
        f"sqlite:///{tmp_path}/office.db",
        AS,
        CallablePolicy(world.policy),
        wire=world.wire,
        clock=world.clock,
        accounts=True,
        passwords=PASSWORDS,
        **{"setup_code_required": False, **options},
    )
    world.server = app.server
    return Office(app, world)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(f"sqlite:///{tmp_path}/other.db") as opened:
        yield opened


@pytest.fixture
async def office(tmp_path: Path, world: World) -> AsyncIterator[Office]:
    office = await open_office(tmp_path, world)
    yield office
    await office.close()
