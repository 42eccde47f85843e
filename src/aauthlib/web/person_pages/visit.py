"""What the person server's pages stand on, and one request to them (#ps-approval-endpoint-auth)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from ...access.people import People
from ...accounts import Account
from ...accounts.networks import place_of
from ...notifying import Notifier
from ...person.consent import Hints
from ...person.openid_sign_in import OpenIDSignIn
from ...person.organisations import Member, Organisations
from ...person.policy import AskPerson
from ...person.server import PersonServer
from ...store.access_people_records import PERSON, AccessPerson
from ...store.approval_records import Origin
from .. import account_pages
from ..access_pages import ACCESS_BASE
from ..account_pages import AccountSite, OtherWay, WaysIn
from ..account_pages.browsers import browser_name
from ..account_pages.visit import open_visit as open_account_visit

__all__ = ["Handler", "Site", "Visit", "keep_profile", "open_visit"]

_PAGES = re.compile(
    r"/(?:security|notifications|organisation(?:/groups)?|approvals(?:/[0-9a-f]{64})?|data|log|join/[A-Za-z0-9_-]{43}|requests/[0-9a-f]{64}"
    r"|interaction-callback/[A-Za-z0-9_-]{1,128}(?:\?error=[a-z_]{1,64})?)?\Z"
)
#: A longer list of organisations would say more about a server's customers than a sign-in page should.
_MOST_ORGANISATIONS = 8
_MAX_LOGIN_HINT = 64


async def keep_profile(server: PersonServer, account: Account) -> None:
    """What a new person typed becomes what they can share with resources, each time only if they allow it."""
    claims = {"name": account.display_name, "preferred_username": account.username, "email": account.email or ""}
    await server.set_profile(account.person_id, claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(AccountSite):
    """What the pages stand on."""

    server: PersonServer
    organisations: Organisations
    providers: OpenIDSignIn
    notifier: Notifier
    access_people: People | None = None
    """Of the access server that this server is too."""

    @property
    def asks_approvers(self) -> bool:
        """Whether there is a policy that could ask others than the person."""
        return not isinstance(self.server.rules, AskPerson)

    def is_page(self, target: str) -> bool:
        return bool(_PAGES.match(target))

    async def arrive(self, handle: str, code: str, *, account: Account, callback: str | None) -> str:
        digest = await self.server.arrive(handle, code, person_id=account.person_id, callback=callback)
        return f"/requests/{digest}"

    async def check_code(self, handle: str, code: str) -> None:
        await self.server.check_code(handle, code)

    async def ways_in(self, handle: str, code: str) -> WaysIn:
        """Organisations with a provider of their own, or the one that the request's hints mean."""
        hints = await self.server.hints(handle) if handle and code else Hints()
        login_hint = hints.login_hint or ""
        meant = self.organisations.hinted(
            tenant=hints.tenant, domain_hint=hints.domain_hint, login_hint=hints.login_hint
        )
        offered = [each for each in self.organisations.with_sign_in() if meant in (None, each)]
        return WaysIn(
            username=login_hint if len(login_hint) <= _MAX_LOGIN_HINT else "",
            login_hint=login_hint,
            others=[OtherWay(f"/sign-in/provider/{each.tenant}", each.name) for each in offered]
            if len(offered) <= _MOST_ORGANISATIONS
            else (),
        )

    async def made(self, account: Account) -> None:
        await keep_profile(self.server, account)


@dataclass(slots=True)
class Visit(account_pages.Visit[Site]):
    """One request by a browser, and the cookies its answer sets."""

    member: Member | None = None
    """Where the person belongs, if to an organisation."""
    access_role: AccessPerson | None = None
    """Who they are at the access server that this server is too."""

    def frame(self) -> dict[str, object]:
        # Named, since a class with slots is made anew and `super()` would not find it.
        decides = self.access_role is not None and self.access_role.role != PERSON
        return {
            **account_pages.Visit.frame(self),
            "member": self.member,
            "access": ACCESS_BASE if decides else None,
            "approvals": self.site.asks_approvers,
        }

    @property
    def origin(self) -> Origin:
        """From where a decision is made, for the log: the network, never the address."""
        return Origin(
            network=place_of(self.address),
            browser=browser_name(self.request.headers.get("user-agent", "")),
            method=self.session.method if self.session is not None else "",
        )

    async def security_context(self) -> dict[str, object]:
        """The person's links to the provider of their organisation."""
        organisations = self.site.organisations
        organisation = organisations.organisation(self.member.tenant) if self.member is not None else None
        return {
            "provider": organisation
            if organisation is not None and organisation.settings.sign_in is not None
            else None,
            "identities": await organisations.store.identities_of(self.person.person_id),
        }


Handler: TypeAlias = Callable[[Visit], Awaitable[Response]]


async def open_visit(site: Site, request: Request) -> Visit:
    """Find out who this is. Writes nothing but when the session was last used."""
    visit = await open_account_visit(Visit, site, request)
    if visit.account is not None:
        visit.member = await site.organisations.membership(visit.account.person_id)
        if site.access_people is not None:
            visit.access_role = await site.access_people.person(visit.account.person_id)
    return visit
