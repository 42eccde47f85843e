"""Opening an invitation to an organisation: with the account one has, or with a new one.

Opening the link changes nothing, so that a link preview cannot use it up.
"""

from __future__ import annotations

import json

from starlette.responses import Response

from ...accounts import AccountTaken, PasskeyRefused, TooManyAttempts, UnsuitableDetails, UnsuitablePassword
from ...accounts.passwords import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from ...base64url import b64url_encode
from ..account_pages.entering import enter, read_user_handle
from ..pages import PageError
from .visit import Visit

__all__ = ["join", "show_join"]


async def show_join(visit: Visit) -> Response:
    """GET /join/{secret}."""
    return await _page(visit)


async def _page(visit: Visit, *, status: int = 200, field: str = "", error: str = "") -> Response:
    secret = visit.request.path_params["secret"]
    invitation, organisation = await visit.site.organisations.invited(secret)
    accounts = visit.site.accounts
    handle = accounts.new_user_handle()
    options = await accounts.passkeys.registration_options(
        user_handle=handle, username="name", display_name="Name", binder=visit.secret
    )
    return visit.page(
        "join.html",
        status=status,
        secret=secret,
        invitation=invitation,
        organisation=organisation,
        field=field,
        error=error,
        values={name: visit.form.get(name) for name in ("display_name", "username", "email")},
        user_handle=b64url_encode(handle),
        passkey_options=json.dumps(options),
        min_length=MIN_PASSWORD_LENGTH,
        max_length=MAX_PASSWORD_LENGTH,
    )


async def join(visit: Visit) -> Response:
    """POST /join/{secret}: as the account that is signed in, or as a new one."""
    secret, form = visit.request.path_params["secret"], visit.form
    if visit.account is not None:
        if form.get("as") != visit.account.person_id:
            raise PageError(409, "Another account", "You signed in elsewhere meanwhile. Open the invitation again.")
        await visit.site.organisations.join(secret, visit.account)
        return visit.redirect("/?saved=joined")
    credential = form.get("credential") or None
    try:
        account = await visit.site.organisations.create(
            secret,
            form.get("username"),
            form.get("display_name"),
            email=form.get("email"),
            password=None if credential else form.get("password"),
            credential=credential,
            user_handle=read_user_handle(form.get("user_handle")) if credential else None,
            binder=visit.secret,
        )
    except UnsuitableDetails as error:
        return await _page(visit, status=400, field=error.field, error=error.detail)
    except UnsuitablePassword as error:
        return await _page(visit, status=400, field="password", error=error.detail)
    except AccountTaken as error:
        return await _page(visit, status=409, field="username", error=error.detail)
    except (PasskeyRefused, TooManyAttempts) as error:
        return await _page(visit, status=400, field="form", error=error.detail)
    await visit.site.made(account)
    await enter(visit, account, method="passkey" if credential else "password")
    return visit.redirect("/?saved=joined")
