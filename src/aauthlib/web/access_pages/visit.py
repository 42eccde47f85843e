"""What the access server's pages stand on, and one request to them (#ps-as-trust-establishment)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from ...access.people import NotAllowed, People
from ...access.server import AccessServer
from ...accounts import Account
from ...store.access_people_records import AccessPerson
from .. import account_pages
from ..account_pages import AccountSite
from ..account_pages.visit import open_visit as open_account_visit

__all__ = ["Site", "Visit", "open_visit"]

_PAGES = re.compile(
    r"/(?:security|people|notifications|approvals/[0-9a-f]{64}|confirm/[A-Za-z0-9_-]{1,64}|join/[A-Za-z0-9_-]{43})?\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(AccountSite):
    """What the pages stand on."""

    server: AccessServer
    people: People
    on_made: Callable[[Account], Awaitable[None]] | None = None
    """Told of a new account; its role was made with it."""

    def is_page(self, target: str) -> bool:
        return bool(_PAGES.match(target))

    async def arrive(self, handle: str, code: str, *, account: Account, callback: str | None) -> str:
        await self.server.arrive(handle, code, account.person_id, callback=callback)
        return f"/confirm/{handle}"

    async def check_code(self, handle: str, code: str) -> None:
        await self.server.check_code(handle, code)

    async def made(self, account: Account) -> None:
        if self.on_made is not None:
            await self.on_made(account)


@dataclass(slots=True)
class Visit(account_pages.Visit[Site]):
    """One request by a browser, and the cookies its answer sets."""

    role: AccessPerson | None = None
    """Who the signed-in account is here."""

    def frame(self) -> dict[str, object]:
        # Named, since a class with slots is made anew and `super()` would not find it.
        notifies = self.site.notifier is not None
        return {**account_pages.Visit.frame(self), "role": self.role, "notifies": notifies}

    @property
    def belongs(self) -> AccessPerson:
        """Who is signed in and belongs here. Raises `NotAllowed`."""
        if self.role is None:
            raise NotAllowed("This account has no role here.")
        return self.role


async def open_visit(site: Site, request: Request) -> Visit:
    """Find out who this is. Writes nothing but when the session was last used."""
    visit = await open_account_visit(Visit, site, request)
    if visit.account is not None:
        visit.role = await site.people.person(visit.account.person_id)
    return visit
