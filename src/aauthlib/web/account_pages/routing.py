"""Routes of pages, and what an error looks like to a person (#untrusted-input).

Whatever a handler raises becomes a page; nothing that was sent is repeated in it, and nothing of the request but the
kind of an unexpected error is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from traceback import format_tb
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...errors import AAuthError, Expired, Gone, InvalidCode, NotFound, RateLimited
from ..asgi import Receive, Scope, Send
from ..pages import PageError, Pages
from . import entering, notifying, security
from .site import AccountSite
from .visit import Visit, read_post

__all__ = ["ErrorPage", "PageRoutes"]

_log = logging.getLogger("aauthlib.web")
_V = TypeVar("_V", bound=Visit[Any])

#: Kind of error, status, title and text; the first that fits is shown.
ErrorPage: TypeAlias = tuple[type[AAuthError], int, str, str]

_ERRORS: tuple[ErrorPage, ...] = (
    (NotFound, 404, "Not there", "There is nothing here for you. The address may be wrong, or its time is over."),
    (Expired, 410, "Too late", "This request timed out. Ask the agent to start again."),
    (Gone, 410, "Over", "This request is not waiting for a decision any more."),
    (InvalidCode, 400, "The code does not work", "Open the address that your agent shows you again."),
    (RateLimited, 429, "Too many at once", "Wait a minute, then try again."),
)


class PageRoutes(Generic[_V]):
    """Makes the routes of one role's pages. `open_visit` finds out who is there, `errors` come before the common."""

    def __init__(
        self,
        site: AccountSite,
        open_visit: Callable[[Request], Awaitable[_V]],
        blank: Callable[[Request], _V],
        *,
        errors: Sequence[ErrorPage] = (),
    ) -> None:
        self._site, self._open, self._blank = site, open_visit, blank
        self._errors = (*errors, *_ERRORS)
        self._base = site.pages.base

    def page(
        self,
        path: str,
        *,
        get: Callable[[_V], Awaitable[Response]] | None = None,
        post: Callable[[_V], Awaitable[Response]] | None = None,
        public: bool = False,
    ) -> Route:
        """The route of one page; one that is not `public` is for people who are signed in."""

        async def endpoint(request: Request) -> Response:
            visit = None
            try:
                visit = await self._open(request)
                return visit.finish(await self._answer(visit, get=get, post=post, public=public))
            except AAuthError as error:
                status, title, detail = self._explain(error)
            except Exception as error:
                # The last resort. Neither the path (it can hold a code) nor the message (it can quote data) is logged.
                _log.error("unexpected %s\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
                status, title, detail = (
                    500,
                    "Something went wrong",
                    "The server met an error of its own. Try again later.",
                )
            if visit is None:
                visit = self._blank(request)
            return visit.finish(visit.page("error.html", status=status, title=title, detail=detail))

        return Route(self._base + path, _Whole(endpoint))

    def accounts(self) -> list[BaseRoute]:
        """The pages of `entering` and `security`."""
        return [
            self.page("/setup", get=entering.show_set_up, post=entering.set_up, public=True),
            self.page("/sign-in", get=entering.show_sign_in, post=entering.sign_in, public=True),
            self.page("/sign-out", post=entering.sign_out, public=True),
            self.page("/security", get=security.show_security),
            self.page("/security/passkeys", post=security.add_passkey),
            self.page("/security/passkeys/remove", post=security.remove_passkey),
            self.page("/security/password", post=security.change_password),
            self.page("/security/recovery-codes", post=security.renew_recovery_codes),
            self.page("/security/sessions/end", post=security.end_session),
            self.page("/security/sessions/end-others", post=security.end_other_sessions),
        ]

    def notifications(self) -> list[BaseRoute]:
        """The pages of `notifying`; `notify.js` is to be `at_root` of the static files then."""
        return [
            self.page("/notifications", get=notifying.show),
            self.page("/notifications/browser", post=notifying.subscribe_browser),
            self.page("/notifications/channel", post=notifying.subscribe),
            self.page("/notifications/confirm", post=notifying.confirm),
            self.page("/notifications/remove", post=notifying.remove),
            self.page("/notifications/test", post=notifying.send_test),
            self.page("/notifications/when", post=notifying.set_when),
        ]

    def static(self, *, at_root: Sequence[str] = ()) -> list[BaseRoute]:
        """Static files; those `at_root` have an address of their own besides."""
        pages = self._site.pages
        return [
            *(Route(f"{self._base}/{name}", _static(pages, name), methods=["GET"]) for name in at_root),
            Route(f"{self._base}/static/{{name}}", _static(pages), methods=["GET"]),
            Route(f"{self._base}/favicon.ico", _static(pages, "favicon.svg"), methods=["GET"]),
        ]

    def rest(self) -> BaseRoute:
        """A page for whatever is not there. The last route."""

        async def not_there(visit: _V) -> Response:
            raise NotFound("There is no such page.")

        return self.page("/{rest:path}", get=not_there, post=not_there, public=True)

    # ------------------------------------------------------------------ inside

    async def _answer(
        self,
        visit: _V,
        *,
        get: Callable[[_V], Awaitable[Response]] | None,
        post: Callable[[_V], Awaitable[Response]] | None,
        public: bool,
    ) -> Response:
        if "\0" in visit.request.scope["path"]:
            raise NotFound("No page has a NUL in its address, and not every store can look for one.")
        if visit.request.method == "POST" and post is not None:
            if not public and visit.account is None:
                raise PageError(403, "You are not signed in", "Nothing was changed. Sign in and try again.")
            await read_post(visit)
            return await post(visit)
        if visit.request.method in ("GET", "HEAD") and get is not None:
            if not public and visit.account is None:
                return visit.redirect(self._sign_in_at(visit))
            return await get(visit)
        raise PageError(405, "Not possible here", "This address does not take such a request.")

    def _sign_in_at(self, visit: _V) -> str:
        path, error = visit.request.scope["path"].removeprefix(self._base), visit.request.query_params.get("error")
        target = f"{path}?error={error}" if error else path
        if target == "/" or not self._site.is_page(target):
            return "/sign-in"
        return "/sign-in?" + urlencode({"next": target}, safe="/")

    def _explain(self, error: AAuthError) -> tuple[int, str, str]:
        if isinstance(error, PageError):
            return error.status, error.title, error.detail
        for kind, status, title, detail in self._errors:
            if isinstance(error, kind):
                return status, title, detail
        return (
            400,
            "Not possible",
            "The server could not do this. Open the page again, or ask the agent to start again.",
        )


class _Whole:
    """An endpoint that gets every method: a router that chose by method would answer `405` without a page."""

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def _static(pages: Pages, name: str | None = None) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        wanted = name or request.path_params["name"]
        found = pages.static(wanted, current=request.query_params.get("v"))
        if found is None:
            found = Response("Not found\n", 404, media_type="text/plain")
            pages.protect(found)
        return found

    return endpoint
