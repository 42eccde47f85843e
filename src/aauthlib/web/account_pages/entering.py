"""First run, sign-in and sign-out (#ps-approval-endpoint-auth, #interaction-code-format).

Where the person was going rides in hidden fields of the form, the interaction code among them: the code is consumed
only when somebody has signed in, so that a link preview cannot use it up.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from ...accounts import (
    Account,
    PasskeyRefused,
    SignInRefused,
    TooManyAttempts,
    UnsuitableDetails,
)
from ...accounts.networks import network_of
from ...errors import InvalidCode
from ...messages.codes import normalize_code
from .browsers import browser_name
from .making import NotMade, form_context, make_account
from .site import AccountSite
from .visit import Visit

__all__ = [
    "Intent",
    "ask_to_enter",
    "enter",
    "is_handle",
    "is_invitation",
    "set_up",
    "show_set_up",
    "show_sign_in",
    "sign_in",
    "sign_out",
]

_INVITATION = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_HANDLE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_MAX_CALLBACK = 2_048


def is_handle(text: str) -> bool:
    """Whether `text` can be the name of an interaction."""
    return bool(_HANDLE.match(text))


def is_invitation(text: str) -> bool:
    """Whether `text` can be the secret of an invitation."""
    return bool(_INVITATION.match(text))


@dataclass(frozen=True, slots=True)
class Intent:
    """Where the person was going before they had to sign in."""

    handle: str = ""
    code: str = field(default="", repr=False)
    callback: str = field(default="", repr=False)
    next: str = "/"

    @classmethod
    def of(cls, visit: Visit[AccountSite]) -> Intent:
        """The intent in the hidden fields of a form; what is not well-formed is dropped."""
        handle, code, callback, next_page = (visit.form.get(name) for name in ("handle", "code", "callback", "next"))
        return cls.checked(visit.site, handle=handle, code=code, callback=callback, next_page=next_page)

    @classmethod
    def checked(cls, site: AccountSite, *, handle: str, code: str, callback: str, next_page: str) -> Intent:
        """What is well-formed of it."""
        return cls(
            handle=handle if is_handle(handle) else "",
            code=code[:64],
            callback=callback if len(callback) <= _MAX_CALLBACK else "",
            next=next_page if site.is_page(next_page) else "/",
        )

    async def follow(self, visit: Visit[AccountSite], account: Account) -> Response:
        """Go there as `account`. Raises what `AccountSite.arrive` does."""
        if not self.handle or not self.code:
            return visit.redirect(self.next)
        page = await visit.site.arrive(self.handle, self.code, account=account, callback=self.callback or None)
        return visit.redirect(page)


async def ask_to_enter(visit: Visit[AccountSite], intent: Intent, *, status: int = 200, error: str = "") -> Response:
    """The page in the way of somebody who is not signed in."""
    if not error and await visit.site.accounts.first_run():
        return await _set_up_page(visit, intent)
    return await _sign_in_page(visit, intent, status=status, error=error)


# ---------------------------------------------------------------------- sign-in


async def show_sign_in(visit: Visit[AccountSite]) -> Response:
    """GET /sign-in."""
    wanted = visit.request.query_params.get("next", "/")
    intent = Intent(next=wanted if visit.site.is_page(wanted) else "/")
    anew = "again" in visit.request.query_params
    if visit.session is not None and visit.site.accounts.is_recent(visit.session) and not anew:
        return visit.redirect(intent.next)
    return await ask_to_enter(visit, intent)


async def _sign_in_page(
    visit: Visit[AccountSite], intent: Intent, *, status: int = 200, error: str = "", username: str = ""
) -> Response:
    accounts = visit.site.accounts
    options = None
    if await accounts.has_passkeys():
        options = await accounts.passkeys.authentication_options(binder=visit.secret)
    ways = await visit.site.ways_in(intent.handle, intent.code)
    if visit.account is not None:
        username = visit.account.username
    return visit.page(
        "sign_in.html",
        status=status,
        intent=intent,
        error=error,
        username=username or ways.username,
        again=visit.account is not None,
        ways=ways,
        recovering=visit.form.get("way") == "recovery",
        passkey_options=json.dumps(options) if options else None,
    )


async def sign_in(visit: Visit[AccountSite]) -> Response:
    """POST /sign-in."""
    accounts, form, intent = visit.site.accounts, visit.form, Intent.of(visit)
    credential, username = form.get("credential"), form.get("username")
    recovering = form.get("way") == "recovery"
    try:
        if credential:
            account = await accounts.passkeys.authenticate(credential, binder=visit.secret)
        elif recovering:
            code = form.get("recovery_code")
            account = await accounts.recovery.redeem(username, code, address=visit.address)
        else:
            account = await accounts.verify_password(username, form.get("password"), address=visit.address)
    except TooManyAttempts as error:
        return await _sign_in_page(visit, intent, status=429, error=error.detail, username=username)
    except (SignInRefused, PasskeyRefused) as error:
        return await _sign_in_page(visit, intent, status=403, error=error.detail, username=username)
    await enter(visit, account, method="passkey" if credential else "recovery" if recovering else "password")
    return await intent.follow(visit, account)


async def enter(
    visit: Visit[AccountSite], account: Account, *, method: str, authenticated_at: float | None = None
) -> None:
    """Begin a session with a new secret, and end the one this browser had."""
    if visit.session is not None:
        await visit.site.accounts.end_session(visit.session.digest, person_id=visit.session.person_id)
    browser = browser_name(visit.request.headers.get("user-agent", ""))
    visit.entered = await visit.site.accounts.start_session(
        account, method=method, browser=browser, address=visit.address, authenticated_at=authenticated_at
    )


async def sign_out(visit: Visit[AccountSite]) -> Response:
    """POST /sign-out."""
    if visit.session is not None:
        await visit.site.accounts.end_session(visit.session.digest, person_id=visit.session.person_id)
    visit.left = True
    return visit.redirect("/sign-in")


# ---------------------------------------------------------------------- first run


async def show_set_up(visit: Visit[AccountSite]) -> Response:
    """GET /setup: only while there is no account."""
    if not await visit.site.accounts.first_run():
        return visit.redirect("/sign-in")
    return await _set_up_page(visit, Intent())


async def _set_up_page(visit: Visit[AccountSite], intent: Intent, refused: NotMade | None = None) -> Response:
    context = await form_context(visit, refused)
    status = refused.status if refused is not None else 200
    needs_code = visit.site.setup_code is not None
    return visit.page("setup.html", status=status, intent=intent, needs_code=needs_code, **context)


async def set_up(visit: Visit[AccountSite]) -> Response:
    """POST /setup: make the first account and sign in."""
    accounts, intent = visit.site.accounts, Intent.of(visit)
    if not await accounts.first_run():
        return visit.redirect("/sign-in")

    async def create(*values: str, **more: Any) -> Account:
        _check_setup_code(visit)
        return await accounts.create(*values, **more, first=True)

    made = await make_account(visit, create)
    if isinstance(made, NotMade):
        if not await accounts.first_run():
            return visit.redirect("/sign-in")  # Somebody else was faster.
        return await _set_up_page(visit, intent, made)
    await visit.site.made(made)
    await enter(visit, made, method="passkey" if visit.form.get("credential") else "password")
    return await intent.follow(visit, made)


def _check_setup_code(visit: Visit[AccountSite]) -> None:
    """Only whoever started the server knows its setup code. Raises `UnsuitableDetails` or `TooManyAttempts`."""
    expected = visit.site.setup_code
    if expected is None:
        return
    attempts, network = visit.site.setup_attempts, network_of(visit.address) or "unknown"
    if (wait_s := attempts.wait_s(network)) > 0:
        raise TooManyAttempts(wait_s)
    attempts.count(network)
    try:
        typed = normalize_code(visit.form.get("setup_code"))
    except InvalidCode:
        typed = ""
    if not hmac.compare_digest(typed, normalize_code(expected)):
        raise UnsuitableDetails("setup_code", "This is not the setup code. The server prints it where it was started.")
    attempts.clear(network)
