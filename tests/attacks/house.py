"""Servers with people: a person server that is an access server too, with two organisations, and one that is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.routing import Route

from aauthlib.access import CallablePolicy, Decision, Facts, NeedApproval
from aauthlib.accounts.passwords import Passwords
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.person.organisation_settings import OrganisationSettings
from aauthlib.web.access import AccessApp, build_access_app
from aauthlib.web.collapsing import AccessRole
from aauthlib.web.person import PersonApp, build_person_app

from .engines import Databases
from .realm import Realm
from .world import PASSWORD

HOUSE = "https://house.example"
OFFICE = "https://office.example"
GUARDED = "https://guarded.example"

_NO_PAGES = ("{rest:path}", "/static/", "/.well-known/")


@dataclass(repr=False)
class House:
    """`HOUSE` is a person server and an access server, `OFFICE` an access server; both with people of their own."""

    realm: Realm
    house: PersonApp
    office: AccessApp
    decision: Decision = field(default_factory=NeedApproval)

    def decide(self, facts: Facts) -> Decision:
        return self.decision

    @property
    def sites(self) -> dict[str, Any]:
        return {HOUSE: self.house, OFFICE: self.office}

    def browser(self) -> ScriptedPerson:
        return self.realm.city.browser()

    async def signed_in(self, site: str, username: str) -> ScriptedPerson:
        browser = self.browser()
        await browser.visit(f"{site}/sign-in")
        await browser.submit(browser.form_with("username", "password"), {"username": username, "password": PASSWORD})
        assert browser.status == 200, browser.text
        return browser

    async def join(self, url: str, username: str, display_name: str = "") -> ScriptedPerson:
        """Somebody opens an invitation and makes an account."""
        browser = self.browser()
        await browser.visit(url)
        fields = {"display_name": display_name or username, "username": username, "password": PASSWORD, "email": ""}
        await browser.submit(browser.form_with("username", "password"), fields)
        assert browser.status == 200, browser.text
        return browser

    async def invite_to_office(self, role: str = "person", approves: tuple[str, ...] = (), note: str = "") -> str:
        assert self.office.people is not None
        assert self.office.accounts is not None
        by = (await self.office.accounts.verify_password("ann", PASSWORD)).person_id
        return f"{OFFICE}/join/{await self.office.people.invite(by, role, approves, note)}"  # type: ignore[arg-type]

    def pages(self, site: str) -> list[str]:
        """The addresses of a server's pages, an unguessable name filled in where there is one."""
        asgi: Starlette = self.sites[site]._asgi
        paths = [route.path for route in asgi.routes if isinstance(route, Route)]
        names = {"digest": "0" * 64, "secret": "A" * 43, "s256": "A" * 43, "id": "00", "handle": "handle"}
        filled = []
        for path in paths:
            if path.endswith((".ico", ".js", ".webmanifest")) or any(part in path for part in _NO_PAGES):
                continue
            for name in ("digest", "secret", "s256", "id", "handle", "flow_id", "tenant", "pending_id"):
                path = path.replace("{" + name + "}", names.get(name, "name"))
            filled.append(path)
        return filled


async def open_house(realm: Realm, databases: Databases) -> House:
    """Open both; `ann` administers each."""
    city, holder = realm.city, list[House]()
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    common: dict[str, Any] = {"clock": city.clock, "passwords": passwords, "setup_code_required": False}
    policy = CallablePolicy(lambda facts: holder[0].decide(facts))
    house = await build_person_app(
        await databases.url("house"),
        HOUSE,
        wire=city.wire(),
        organisations={name: OrganisationSettings(name=name.title()) for name in ("north", "south")},
        access=AccessRole(policy=policy, resources=[GUARDED]),
        **common,
    )
    city._stack.push_async_callback(house.aclose)
    office = await build_access_app(
        await databases.url("office"), OFFICE, policy, wire=city.wire(), accounts=True, name="The office", **common
    )
    city._stack.push_async_callback(office.aclose)
    city.network.apps |= {HOUSE: house, OFFICE: office}
    made = House(realm, house, office)
    holder.append(made)
    for site in (HOUSE, OFFICE):
        browser = made.browser()
        await browser.visit(f"{site}/setup")
        fields = {"display_name": "Ann", "username": "ann", "password": PASSWORD, "email": ""}
        await browser.submit(browser.form_with("username", "password"), fields)
        assert browser.status == 200
    return made


async def exactly(
    browser: ScriptedPerson, method: str, url: str, fields: dict[str, str] | None = None, **headers: str
) -> httpx2.Response:
    """One request of a browser that follows nothing."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await browser._client.request(method, url, data=fields, headers=sent)
