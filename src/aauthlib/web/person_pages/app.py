"""The routes of the person server's pages."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.routing import BaseRoute

from ...access.people import People
from ...accounts import Accounts
from ...effects import Clock
from ...notifying import Notifier
from ...person.consent import AgentOfAnotherPerson, NotWaiting, OtherOrganisation
from ...person.openid_sign_in import OpenIDSignIn
from ...person.organisations import AlreadyMember, NotAdministrator, Organisations
from ...person.server import PersonServer
from ...store.attempts import Attempts
from ..account_pages import ACCOUNT_PAGES, PageRoutes
from ..account_pages.routing import ErrorPage
from ..account_pages.site import SETUP_TRIES, SETUP_WINDOW_S
from ..pages import Pages
from . import approvals, audit, data, deciding, groups, home, joining, missions, organisation, providing
from .visit import Site, Visit, open_visit

__all__ = ["person_page_routes"]

_ERRORS: tuple[ErrorPage, ...] = (
    (
        AgentOfAnotherPerson,
        403,
        "This agent belongs to somebody else",
        "It acts for another person at this server, so you cannot decide for it.",
    ),
    (NotAdministrator, 403, "Not for you", "This page is for administrators of an organisation."),
    (
        AlreadyMember,
        409,
        "You belong to an organisation already",
        "An account belongs to one organisation at most. Open the invitation with another account, or a new one.",
    ),
    (
        OtherOrganisation,
        403,
        "Not with this account",
        "The agent asks for somebody of another organisation than yours. Sign in with an account there, or decline.",
    ),
    (NotWaiting, 410, "Over", "This request is not waiting for a decision any more."),
)


def person_page_routes(
    server: PersonServer,
    accounts: Accounts,
    organisations: Organisations,
    providers: OpenIDSignIn,
    notifier: Notifier,
    *,
    clock: Clock,
    dev: bool,
    setup_code: str | None,
    access_people: People | None = None,
) -> list[BaseRoute]:
    """Every page of a person server, with its static files.

    `access_people` are those of an access server that this server is too.

    `setup_code` is what whoever makes the first account must type; `None` asks for nothing, which suits only a server
    that nobody else can reach.
    """
    site = Site(
        server=server,
        accounts=accounts,
        pages=Pages(Path(__file__).parent, ACCOUNT_PAGES, issuer=server.issuer, clock=clock, dev=dev),
        session_cookie="aauth-person",
        organisations=organisations,
        providers=providers,
        notifier=notifier,
        access_people=access_people,
        setup_attempts=Attempts(limit=SETUP_TRIES, window_s=SETUP_WINDOW_S, clock=clock),
        setup_code=setup_code,
    )

    async def opened(request: Request) -> Visit:
        return await open_visit(site, request)

    def blank(request: Request) -> Visit:
        return Visit(site, request, secret="")

    routes = PageRoutes(site, opened, blank, errors=_ERRORS)
    page = routes.page
    return [
        page("/", get=home.show_home),
        *routes.accounts(),
        page("/sign-in/provider/{tenant}", post=providing.leave, public=True),
        page("/sign-in/provider/{tenant}/callback", get=providing.return_, public=True),
        page("/security/provider/link", post=providing.link),
        page("/security/provider/unlink", post=providing.unlink),
        page("/interaction/{handle}", get=deciding.arrive, post=deciding.type_code, public=True),
        page("/requests/{digest}", get=deciding.show_request, post=deciding.decide),
        page("/requests/{digest}/ask", post=deciding.ask),
        page("/requests/{digest}/answer", post=deciding.answer),
        page("/interaction-callback/{flow_id}", get=deciding.resource_returned),
        page("/agents/disconnect", post=home.disconnect),
        page("/agents/forget", post=home.forget),
        page("/missions", get=missions.show_missions),
        page("/missions/{s256}", get=missions.show_mission),
        page("/missions/{s256}/end", post=missions.end_mission),
        page("/log", get=audit.show_audit),
        page("/log/export", get=audit.export),
        page("/data", get=data.show_data),
        page("/data/export", post=data.export),
        page("/data/delete", post=data.delete),
        page("/approvals", get=approvals.show_inbox),
        page("/approvals/away", post=approvals.go_away),
        page("/approvals/back", post=approvals.come_back),
        page("/approvals/{id}", get=approvals.show, post=approvals.decide),
        page("/organisation", get=organisation.show_organisation),
        page("/organisation/groups", get=groups.show_groups),
        page("/organisation/groups/add", post=groups.add),
        page("/organisation/groups/remove", post=groups.remove),
        page("/organisation/role", post=organisation.set_role),
        page("/organisation/remove", post=organisation.remove),
        page("/organisation/disconnect", post=organisation.disconnect),
        page("/organisation/invite", post=organisation.invite),
        page("/organisation/withdraw", post=organisation.withdraw),
        page("/join/{secret}", get=joining.show_join, post=joining.join, public=True),
        *routes.notifications(),
        # A service worker governs what lies below its own address, and its update is looked for there.
        *routes.static(at_root=["notify.js"]),
        routes.rest(),
    ]
