"""The form that makes an account, on the first run and for an invitation (#ps-approval-endpoint-auth)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ...accounts import Account, AccountTaken, PasskeyRefused, TooManyAttempts, UnsuitableDetails, UnsuitablePassword
from ...accounts.passwords import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from ...base64url import b64url_decode, b64url_encode
from .site import AccountSite
from .visit import Visit

__all__ = ["NotMade", "form_context", "make_account"]


@dataclass(frozen=True, slots=True)
class NotMade:
    """Why no account was made: the page is shown again."""

    status: int = 200
    field: str = ""
    """Which field needs a change; `form` for none in particular."""
    error: str = ""


async def form_context(visit: Visit[AccountSite], refused: NotMade | None = None) -> dict[str, Any]:
    """What `account_fields.html` shows."""
    accounts, refused = visit.site.accounts, refused or NotMade()
    handle = accounts.new_user_handle()
    options = await accounts.passkeys.registration_options(
        user_handle=handle, username="name", display_name="Name", binder=visit.secret
    )
    return {
        "field": refused.field,
        "error": refused.error,
        "values": {name: visit.form.get(name) for name in ("display_name", "username", "email")},
        "user_handle": b64url_encode(handle),
        "passkey_options": json.dumps(options),
        "min_length": MIN_PASSWORD_LENGTH,
        "max_length": MAX_PASSWORD_LENGTH,
    }


async def make_account(visit: Visit[AccountSite], create: Callable[..., Awaitable[Account]]) -> Account | NotMade:
    """The account that the submitted form describes, made by `create` from what `Accounts.prepare` takes."""
    form = visit.form
    credential = form.get("credential") or None
    try:
        return await create(
            form.get("username"),
            form.get("display_name"),
            email=form.get("email"),
            password=None if credential else form.get("password"),
            credential=credential,
            user_handle=_user_handle(form.get("user_handle")) if credential else None,
            binder=visit.secret,
        )
    except UnsuitableDetails as error:
        return NotMade(400, error.field, error.detail)
    except UnsuitablePassword as error:
        return NotMade(400, "password", error.detail)
    except AccountTaken as error:
        return NotMade(409, "username", error.detail)
    except (PasskeyRefused, TooManyAttempts) as error:
        return NotMade(400, "form", error.detail)


def _user_handle(text: str) -> bytes:
    try:
        handle = b64url_decode(text)
    except ValueError:
        handle = b""
    if len(handle) != 32:
        raise PasskeyRefused("The page was changed. Open it again.")
    return handle
