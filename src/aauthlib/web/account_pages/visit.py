"""One request by a browser: who it is, what it sent, and the answer's frame (#ps-approval-endpoint-auth).

A browser that is signed in has a session cookie; one that is not has a form cookie, so that the sign-in form too is
protected against other sites. The CSRF token of a page is made from whichever it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ...accounts import Account, Session, SignedIn, csrf_token
from ...accounts.networks import place_of
from ...accounts.sessions import SESSION_LIFETIME_S
from ...store.approval_records import Origin
from ..pages import Form, PageError, read_form
from .browsers import browser_name
from .site import AccountSite

__all__ = ["FORM_COOKIE", "AnySite", "Visit", "open_visit", "read_post"]

AnySite = TypeVar("AnySite", bound=AccountSite, covariant=True)
_V = TypeVar("_V", bound="Visit[Any]")

FORM_COOKIE = "aauth-form"
_MAX_COOKIE = 128


@dataclass(slots=True)
class Visit(Generic[AnySite]):
    """One request, and the cookies its answer sets."""

    site: AnySite
    request: Request
    secret: str = field(repr=False)
    """Of the session, or of the form cookie."""
    session: Session | None = None
    account: Account | None = None
    form: Form = field(default_factory=Form, repr=False)
    new_form_cookie: bool = False
    entered: SignedIn | None = field(default=None, repr=False)
    """The session that this request began."""
    left: bool = False
    """The session of this browser ended with this request."""

    @property
    def person(self) -> Account:
        """The account that is signed in. Routes for people who are signed in are reached by nobody else."""
        if self.account is None:
            raise PageError(403, "You are not signed in", "Nothing was changed. Sign in and try again.")
        return self.account

    @property
    def is_recent(self) -> bool:
        """Whether the person signed in recently enough for what matters."""
        return self.session is not None and self.site.accounts.is_recent(self.session)

    def sign_in_again(self, then: str) -> Response:
        """Nothing was changed; the person signs in once more and repeats it at `then`."""
        return self.redirect(f"/sign-in?next={then}")

    @property
    def csrf(self) -> str:
        return csrf_token(self.secret)

    @property
    def address(self) -> str | None:
        client = self.request.client
        return client.host if client is not None else None

    @property
    def origin(self) -> Origin:
        """From where a decision is made, as far as it is kept: of the address the network alone."""
        return Origin(
            network=place_of(self.address),
            browser=browser_name(self.request.headers.get("user-agent", "")),
            method=self.session.method if self.session is not None else "",
        )

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        images: Iterable[str | None] = (),
        form_targets: Iterable[str | None] = (),
        **context: object,
    ) -> Response:
        """A page with what every page shows; see `Pages.render`."""
        context = {**self.frame(), **context}
        return self.site.pages.render(template, status=status, images=images, form_targets=form_targets, **context)

    def frame(self) -> dict[str, object]:
        """What every page shows."""
        return {"csrf": self.csrf, "me": None if self.left else self.account}

    async def security_context(self) -> dict[str, object]:
        """What the role's own part of the security page shows."""
        return {}

    def redirect(self, target: str) -> Response:
        return self.site.pages.redirect(target)

    def finish(self, response: Response) -> Response:
        """Set the cookies that this visit calls for."""
        pages = self.site.pages
        if self.entered is not None:
            pages.set_cookie(response, self.site.session_cookie, self.entered.secret, max_age_s=SESSION_LIFETIME_S)
            pages.drop_cookie(response, FORM_COOKIE)
        elif self.left:
            pages.drop_cookie(response, self.site.session_cookie)
        elif self.new_form_cookie:
            pages.set_cookie(response, FORM_COOKIE, self.secret)
        return response


async def open_visit(kind: type[_V], site: AccountSite, request: Request) -> _V:
    """Find out who this is. Writes nothing but when the session was last used."""
    pages = site.pages
    secret = request.cookies.get(pages.cookie_name(site.session_cookie), "")
    if secret and len(secret) <= _MAX_COOKIE:
        found = await site.accounts.session(secret)
        if found is not None:
            return kind(site, request, secret, *found)
    form_secret = request.cookies.get(pages.cookie_name(FORM_COOKIE), "")
    known = 32 <= len(form_secret) <= _MAX_COOKIE
    return kind(site, request, form_secret if known else secrets.token_urlsafe(32), new_form_cookie=not known)


async def read_post(visit: Visit[AccountSite]) -> None:
    """Read the submitted form and refuse one that another site made. Raises `PageError`."""
    visit.form = await read_form(visit.request)
    visit.site.pages.check_post(visit.request, visit.form, expected_token=None if visit.new_form_cookie else visit.csrf)
