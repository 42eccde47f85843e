"""The routes of the person server's pages, and what an error looks like to a person (#untrusted-input).

Whatever a handler raises becomes a page; nothing that was sent is repeated in it, and nothing of the request but the
kind of an unexpected error is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from traceback import format_tb
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...accounts import Accounts
from ...effects import Clock
from ...errors import AAuthError, Expired, Gone, InvalidCode, NotFound, RateLimited
from ...person.consent import AgentOfAnotherPerson, NotWaiting, OtherOrganisation
from ...person.notifications import Notifier
from ...person.openid_sign_in import OpenIDSignIn
from ...person.organisations import AlreadyMember, NotAdministrator, Organisations
from ...person.server import PersonServer
from ...store.attempts import Attempts
from ..asgi import Receive, Scope, Send
from ..pages import PageError, Pages
from . import data, deciding, entering, home, joining, missions, notifying, organisation, providing, security
from .visit import Handler, Site, Visit, open_visit, read_post

__all__ = ["person_page_routes"]

_log = logging.getLogger("aauthlib.web")
_SETUP_TRIES = 10
_SETUP_WINDOW_S = 900

_ERRORS: tuple[tuple[type[AAuthError], int, str, str], ...] = (
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
    (NotFound, 404, "Not there", "There is nothing here for you. The address may be wrong, or its time is over."),
    (NotWaiting, 410, "Over", "This request is not waiting for a decision any more."),
    (Expired, 410, "Too late", "This request timed out. Ask the agent to start again."),
    (Gone, 410, "Over", "This request is not waiting for a decision any more."),
    (InvalidCode, 400, "The code does not work", "Open the address that your agent shows you again."),
    (RateLimited, 429, "Too many at once", "Wait a minute, then try again."),
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
) -> list[BaseRoute]:
    """Every page of a person server, with its static files.

    `setup_code` is what whoever makes the first account must type; `None` asks for nothing, which suits only a server
    that nobody else can reach.
    """
    pages = Pages(Path(__file__).parent, issuer=server.issuer, clock=clock, dev=dev)
    attempts = Attempts(limit=_SETUP_TRIES, window_s=_SETUP_WINDOW_S, clock=clock)
    site = Site(server, accounts, pages, organisations, providers, notifier, attempts, setup_code)

    def page(path: str, *, get: Handler | None = None, post: Handler | None = None, public: bool = False) -> Route:
        return Route(path, _Whole(_endpoint(site, get=get, post=post, public=public)))

    return [
        page("/", get=home.show_home),
        page("/setup", get=entering.show_set_up, post=entering.set_up, public=True),
        page("/sign-in", get=entering.show_sign_in, post=entering.sign_in, public=True),
        page("/sign-in/provider/{tenant}", post=providing.leave, public=True),
        page("/sign-in/provider/{tenant}/callback", get=providing.return_, public=True),
        page("/security/provider/link", post=providing.link),
        page("/security/provider/unlink", post=providing.unlink),
        page("/sign-out", post=entering.sign_out, public=True),
        page("/interaction/{handle}", get=deciding.arrive, post=deciding.type_code, public=True),
        page("/requests/{digest}", get=deciding.show_request, post=deciding.decide),
        page("/requests/{digest}/ask", post=deciding.ask),
        page("/interaction-callback/{flow_id}", get=deciding.resource_returned),
        page("/agents/disconnect", post=home.disconnect),
        page("/agents/forget", post=home.forget),
        page("/missions", get=missions.show_missions),
        page("/missions/{s256}", get=missions.show_mission),
        page("/missions/{s256}/end", post=missions.end_mission),
        page("/security", get=security.show_security),
        page("/security/passkeys", post=security.add_passkey),
        page("/security/passkeys/remove", post=security.remove_passkey),
        page("/security/password", post=security.change_password),
        page("/security/recovery-codes", post=security.renew_recovery_codes),
        page("/security/sessions/end", post=security.end_session),
        page("/security/sessions/end-others", post=security.end_other_sessions),
        page("/data", get=data.show_data),
        page("/data/export", post=data.export),
        page("/data/delete", post=data.delete),
        page("/organisation", get=organisation.show_organisation),
        page("/organisation/role", post=organisation.set_role),
        page("/organisation/remove", post=organisation.remove),
        page("/organisation/disconnect", post=organisation.disconnect),
        page("/organisation/invite", post=organisation.invite),
        page("/organisation/withdraw", post=organisation.withdraw),
        page("/join/{secret}", get=joining.show_join, post=joining.join, public=True),
        page("/notifications", get=notifying.show),
        page("/notifications/browser", post=notifying.subscribe_browser),
        page("/notifications/channel", post=notifying.subscribe),
        page("/notifications/confirm", post=notifying.confirm),
        page("/notifications/remove", post=notifying.remove),
        page("/notifications/test", post=notifying.send_test),
        page("/notifications/when", post=notifying.set_when),
        # A service worker governs what lies below its own address, and its update is looked for there.
        Route("/notify.js", _static(pages, "notify.js"), methods=["GET"]),
        Route("/static/{name}", _static(pages), methods=["GET"]),
        Route("/favicon.ico", _static(pages, "favicon.svg"), methods=["GET"]),
        page("/{rest:path}", get=_not_there, post=_not_there, public=True),
    ]


class _Whole:
    """An endpoint that gets every method: a router that chose by method would answer `405` without a page."""

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


async def _not_there(visit: Visit) -> Response:
    raise NotFound("There is no such page.")


def _static(pages: Pages, name: str | None = None) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        wanted = name or request.path_params["name"]
        found = pages.static(wanted, current=request.query_params.get("v"))
        if found is None:
            found = Response("Not found\n", 404, media_type="text/plain")
            pages.protect(found)
        return found

    return endpoint


def _endpoint(
    site: Site, *, get: Handler | None, post: Handler | None, public: bool
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        visit = None
        try:
            visit = await open_visit(site, request)
            response = await _answer(visit, get=get, post=post, public=public)
            return visit.finish(response)
        except AAuthError as error:
            status, title, detail = _explain(error)
        except Exception as error:
            # The last resort. Neither the path (it can hold a code) nor the message (it can quote data) is logged.
            _log.error("unexpected %s\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
            status, title, detail = 500, "Something went wrong", "The server met an error of its own. Try again later."
        if visit is None:
            visit = Visit(site, request, secret="")
        return visit.finish(visit.page("error.html", status=status, title=title, detail=detail))

    return endpoint


async def _answer(visit: Visit, *, get: Handler | None, post: Handler | None, public: bool) -> Response:
    if "\0" in visit.request.scope["path"]:
        raise NotFound("No page has a NUL in its address, and not every store can look for one.")
    if visit.request.method == "POST" and post is not None:
        await _read_post(visit, public=public)
        return await post(visit)
    if visit.request.method in ("GET", "HEAD") and get is not None:
        if not public and visit.account is None:
            return visit.redirect(_sign_in_at(visit))
        return await get(visit)
    raise PageError(405, "Not possible here", "This address does not take such a request.")


async def _read_post(visit: Visit, *, public: bool) -> None:
    if not public and visit.account is None:
        raise PageError(403, "You are not signed in", "Nothing was changed. Sign in and try again.")
    await read_post(visit)


def _sign_in_at(visit: Visit) -> str:
    path, error = visit.request.scope["path"], visit.request.query_params.get("error")
    target = f"{path}?error={error}" if error else path
    if target == "/" or not entering.is_page(target):
        return "/sign-in"
    return "/sign-in?" + urlencode({"next": target}, safe="/")


def _explain(error: AAuthError) -> tuple[int, str, str]:
    if isinstance(error, PageError):
        return error.status, error.title, error.detail
    for kind, status, title, detail in _ERRORS:
        if isinstance(error, kind):
            return status, title, detail
    return 400, "Not possible", "The server could not do this. Open the page again, or ask the agent to start again."
