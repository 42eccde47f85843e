"""Sign-in at an organisation's OpenID Connect provider: there, back, and linking it to an account.

The browser leaves by a page with a link and a refresh: a form that ended up elsewhere would be refused by this server's
own Content-Security-Policy. Where the person was going waits in a cookie of this browser, tied to the `state`.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response

from ...accounts import Account, AccountTaken, SignInRefused
from ...base64url import b64url_decode, b64url_encode
from ...person.openid_sign_in import Begun, ProviderUnavailable, Returned, vouches_for_address
from ..account_pages.entering import Intent, ask_to_enter, enter, is_invitation
from ..pages import PageError
from .visit import Visit

__all__ = ["leave", "link", "return_", "unlink"]

_COOKIE = "aauth-provider"
_COOKIE_S = 600
_MAX_COOKIE = 3_800


class _Kept(msgspec.Struct, array_like=True):
    """What waits in the cookie: whose `state` it belongs to, and where the person was going."""

    state: str
    handle: str
    code: str
    callback: str
    next: str
    invitation: str


async def leave(visit: Visit) -> Response:
    """POST /sign-in/provider/{tenant}."""
    intent, invitation = Intent.of(visit), visit.form.get("invitation")
    tenant = visit.request.path_params["tenant"]
    try:
        begun = await visit.site.providers.begin(
            tenant,
            binder=visit.secret,
            fresh=visit.account is not None,
            login_hint=visit.form.get("login_hint")[:256] or None,
        )
    except ProviderUnavailable as error:
        return await ask_to_enter(visit, intent, status=502, error=f"{error.detail} Sign in another way, or try later.")
    return _leaving(visit, begun, intent, invitation if is_invitation(invitation) else "")


async def link(visit: Visit) -> Response:
    """POST /security/provider/link: the provider of the organisation the person belongs to."""
    if not visit.is_recent:
        return visit.sign_in_again("/security")
    tenant = visit.member.tenant if visit.member is not None else ""
    try:
        begun = await visit.site.providers.begin(tenant, binder=visit.secret, fresh=True, link=True)
    except ProviderUnavailable as error:
        raise PageError(502, "Not possible now", error.detail) from error
    return _leaving(visit, begun, Intent(next="/security"), "")


async def unlink(visit: Visit) -> Response:
    """POST /security/provider/unlink."""
    if not visit.is_recent:
        return visit.sign_in_again("/security")
    store = visit.site.organisations.store
    if not await store.unlink(visit.person.person_id, visit.form.get("iss"), visit.form.get("sub")):
        raise PageError(
            409, "Your only way to sign in", "Add a passkey or a password on the security page before you remove this."
        )
    return visit.redirect("/security?saved=unlinked")


def _leaving(visit: Visit, begun: Begun, intent: Intent, invitation: str) -> Response:
    kept = _Kept(_digest(begun.state), intent.handle, intent.code, intent.callback, intent.next, invitation)
    response = visit.page("leaving.html", url=begun.url, host=urlsplit(begun.url).netloc)
    value = b64url_encode(msgspec.json.encode(kept))
    if len(value) > _MAX_COOKIE:
        kept.callback = ""
        value = b64url_encode(msgspec.json.encode(kept))
    visit.site.pages.set_cookie(response, _COOKIE, value, max_age_s=_COOKIE_S)
    return response


async def return_(visit: Visit) -> Response:
    """GET /sign-in/provider/{tenant}/callback: back from the provider."""
    query, tenant = visit.request.query_params, visit.request.path_params["tenant"]
    intent, invitation = _kept(visit, query.get("state", ""))
    providers = visit.site.providers
    try:
        if visit.new_form_cookie:
            raise SignInRefused("This browser did not begin a sign-in. Begin it here.")
        returned = await providers.finish(tenant, dict(query), binder=visit.secret)
        if returned.link:
            return await _link(visit, returned)
        account = await providers.account_of(returned, invitation=invitation or None)
    except (SignInRefused, ProviderUnavailable) as error:
        return _without(await ask_to_enter(visit, intent, status=403, error=error.detail), visit)
    await _take_address(visit, returned, account)
    await enter(visit, account, method="provider", authenticated_at=returned.vouched.authenticated_at)
    return _without(await intent.follow(visit, account), visit)


async def _link(visit: Visit, returned: Returned) -> Response:
    if not visit.is_recent:
        return visit.sign_in_again("/security")
    try:
        await visit.site.providers.link(returned, visit.person)
    except AccountTaken as error:
        raise PageError(409, "Linked already", error.detail) from error
    await _take_address(visit, returned, visit.person)
    return _without(visit.redirect("/security?saved=linked"), visit)


async def _take_address(visit: Visit, returned: Returned, account: Account) -> None:
    """What the provider vouches for is shared as verified; nothing else ever is."""
    vouched, server = returned.vouched, visit.site.server
    if vouches_for_address(returned.organisation, vouched) and vouched.email is not None:
        await server.vouch_for_address(account.person_id, vouched.email, name=account.display_name)


def _kept(visit: Visit, state: str) -> tuple[Intent, str]:
    """Where the person was going when this `state` began; home when that is not known."""
    value = visit.request.cookies.get(visit.site.pages.cookie_name(_COOKIE), "")
    try:
        kept = msgspec.json.decode(b64url_decode(value[:_MAX_COOKIE]), type=_Kept)
    except (ValueError, msgspec.DecodeError):
        return Intent(), ""
    if not hmac.compare_digest(kept.state, _digest(state)):
        return Intent(), ""
    intent = Intent.checked(visit.site, handle=kept.handle, code=kept.code, callback=kept.callback, next_page=kept.next)
    return intent, kept.invitation if is_invitation(kept.invitation) else ""


def _without(response: Response, visit: Visit) -> Response:
    visit.site.pages.drop_cookie(response, _COOKIE)
    return response


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()
