"""How a person signs in, and where they are signed in (#ps-approval-endpoint-auth).

What would let somebody in later (a passkey, a first password, recovery codes), or keep somebody out, takes a recent
sign-in.
"""

from __future__ import annotations

import json

from starlette.responses import Response

from ...accounts import (
    AccountTaken,
    PasskeyRefused,
    Session,
    SignInRefused,
    TooManyAttempts,
    UnsuitableDetails,
    UnsuitablePassword,
)
from ...accounts.passwords import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from .browsers import browser_name
from .site import AccountSite
from .visit import Visit

__all__ = [
    "add_passkey",
    "change_password",
    "end_other_sessions",
    "end_session",
    "remove_passkey",
    "renew_recovery_codes",
    "show_security",
]

_SAVED = {
    "passkey": "The passkey was added.",
    "passkey-removed": "The passkey was removed.",
    "password": "The password was changed. Your other sessions were ended.",
    "linked": "You can sign in with your organisation from now on.",
    "unlinked": "The link was removed.",
    "session": "The session was ended.",
    "sessions": "Every other session was ended.",
}


async def show_security(visit: Visit[AccountSite]) -> Response:
    """GET /security."""
    return await _page(visit)


async def _page(visit: Visit[AccountSite], *, status: int = 200, field: str = "", error: str = "") -> Response:
    accounts, person, session = visit.site.accounts, visit.person, _session(visit)
    passkeys = await accounts.passkeys_of(person.person_id)
    recent = accounts.is_recent(session)
    options = None
    if recent:
        options = await accounts.passkeys.registration_options(
            user_handle=person.user_handle,
            username=person.username,
            display_name=person.display_name,
            binder=visit.secret,
            existing=passkeys,
        )
    return visit.page(
        "security.html",
        status=status,
        field=field,
        error=error,
        saved=_SAVED.get(visit.request.query_params.get("saved", "")) if not error else None,
        passkeys=[(passkey, passkey.credential_id.hex()) for passkey in passkeys],
        passkey_options=json.dumps(options) if options else None,
        recent=recent,
        has_password=person.password_hash is not None,
        recovery_codes=await accounts.recovery.left(person.person_id),
        sessions=await accounts.sessions(person.person_id),
        current=session.digest,
        min_length=MIN_PASSWORD_LENGTH,
        max_length=MAX_PASSWORD_LENGTH,
        more=await visit.security_context(),
    )


def _session(visit: Visit[AccountSite]) -> Session:
    assert visit.session is not None
    return visit.session


async def add_passkey(visit: Visit[AccountSite]) -> Response:
    """POST /security/passkeys."""
    person, session = visit.person, _session(visit)
    if not visit.site.accounts.is_recent(session):
        return visit.redirect("/sign-in?next=/security")
    name = visit.form.get("name") or f"Made in {browser_name(visit.request.headers.get('user-agent', ''))}"
    try:
        await visit.site.accounts.add_passkey(person, visit.form.get("credential"), binder=visit.secret, name=name)
    except (PasskeyRefused, AccountTaken) as error:
        return await _page(visit, status=400, field="passkey", error=error.detail)
    return visit.redirect("/security?saved=passkey")


async def remove_passkey(visit: Visit[AccountSite]) -> Response:
    """POST /security/passkeys/remove."""
    person = visit.person
    if not visit.site.accounts.is_recent(_session(visit)):
        return visit.redirect("/sign-in?next=/security")
    try:
        credential_id = bytes.fromhex(visit.form.get("id"))
    except ValueError:
        credential_id = b""
    try:
        await visit.site.accounts.remove_passkey(person.person_id, credential_id)
    except UnsuitableDetails as error:
        return await _page(visit, status=400, field="passkey", error=error.detail)
    return visit.redirect("/security?saved=passkey-removed")


async def change_password(visit: Visit[AccountSite]) -> Response:
    """POST /security/password."""
    person, session, form = visit.person, _session(visit), visit.form
    if person.password_hash is None and not visit.site.accounts.is_recent(session):
        return visit.redirect("/sign-in?next=/security")
    try:
        await visit.site.accounts.change_password(
            person, current=form.get("current"), new=form.get("new"), session=session
        )
    except (SignInRefused, TooManyAttempts) as error:
        return await _page(visit, status=400, field="current", error=error.detail)
    except UnsuitablePassword as error:
        return await _page(visit, status=400, field="new", error=error.detail)
    return visit.redirect("/security?saved=password")


async def end_session(visit: Visit[AccountSite]) -> Response:
    """POST /security/sessions/end."""
    await visit.site.accounts.end_session(visit.form.get("session"), person_id=visit.person.person_id)
    if visit.form.get("session") == _session(visit).digest:
        visit.left = True
        return visit.redirect("/sign-in")
    return visit.redirect("/security?saved=session")


async def end_other_sessions(visit: Visit[AccountSite]) -> Response:
    """POST /security/sessions/end-others."""
    await visit.site.accounts.end_other_sessions(_session(visit))
    return visit.redirect("/security?saved=sessions")


async def renew_recovery_codes(visit: Visit[AccountSite]) -> Response:
    """POST /security/recovery-codes: new ones, on this page and never again."""
    if not visit.site.accounts.is_recent(_session(visit)):
        return visit.redirect("/sign-in?next=/security")
    codes = await visit.site.accounts.recovery.renew(visit.person.person_id)
    return visit.page("recovery_codes.html", codes=codes)
