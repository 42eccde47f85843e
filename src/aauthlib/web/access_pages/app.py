"""The routes of the access server's pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.routing import BaseRoute

from ...access.people import NotAllowed, OwnRequest, People
from ...access.server import AccessServer
from ...accounts import Account, Accounts, AccountTaken
from ...effects import Clock
from ...notifying import Notifier
from ...store.attempts import Attempts
from ..account_pages import ACCOUNT_PAGES, PageRoutes, arriving
from ..account_pages.routing import ErrorPage
from ..account_pages.site import SETUP_TRIES, SETUP_WINDOW_S
from ..pages import Pages
from . import approving, confirming, home, joining, people
from .visit import Site, Visit, open_visit

__all__ = ["access_page_routes"]

_ERRORS: tuple[ErrorPage, ...] = (
    (NotAllowed, 403, "Not for you", "This is for people with another role here. An administrator can give it to you."),
    (
        OwnRequest,
        403,
        "Not by you",
        "The request is made in your own name, so somebody else has to approve it. You can refuse it.",
    ),
    (AccountTaken, 409, "You belong here already", "Your account has a role here. An administrator can change it."),
)


def access_page_routes(
    server: AccessServer,
    accounts: Accounts,
    people_here: People,
    *,
    clock: Clock,
    dev: bool,
    setup_code: str | None,
    base: str = "",
    session_cookie: str = "aauth-access",
    notifier: Notifier | None = None,
    on_made: Callable[[Account], Awaitable[None]] | None = None,
) -> list[BaseRoute]:
    """Every page of an access server, with its static files, under the path `base`.

    `setup_code` is what whoever makes the first account, the first administrator, must type; `None` asks for nothing,
    which suits only a server that nobody else can reach. `notifier` tells people what waits for them.
    """
    site = Site(
        server=server,
        accounts=accounts,
        people=people_here,
        pages=Pages(Path(__file__).parent, ACCOUNT_PAGES, issuer=server.issuer, clock=clock, dev=dev, base=base),
        session_cookie=session_cookie,
        notifier=notifier,
        on_made=on_made,
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
        page("/interaction/{handle}", get=arriving.arrive, post=arriving.type_code, public=True),
        page("/confirm/{handle}", get=confirming.show, post=confirming.decide),
        page("/person-servers/take-back", post=home.take_back),
        page("/approvals/{id}", get=approving.show, post=approving.decide),
        *(routes.notifications() if notifier is not None else ()),
        page("/people", get=people.show_people),
        page("/people/role", post=people.set_role),
        page("/people/remove", post=people.remove),
        page("/people/invite", post=people.invite),
        page("/people/withdraw", post=people.withdraw),
        page("/join/{secret}", get=joining.show_join, post=joining.join, public=True),
        # A service worker governs what lies below its own address, and its update is looked for there.
        *routes.static(at_root=["notify.js"] if notifier is not None else ()),
        routes.rest(),
    ]
