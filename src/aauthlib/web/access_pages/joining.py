"""Opening an invitation: with the account one has, or with a new one.

Opening the link changes nothing, so that a link preview cannot use it up.
"""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from ..account_pages.entering import enter
from ..account_pages.making import NotMade, form_context, make_account
from ..pages import PageError
from .visit import Visit

__all__ = ["join", "show_join"]


async def show_join(visit: Visit) -> Response:
    """GET /join/{secret}."""
    return await _page(visit)


async def _page(visit: Visit, refused: NotMade | None = None) -> Response:
    secret = visit.request.path_params["secret"]
    return visit.page(
        "join.html",
        status=refused.status if refused is not None else 200,
        secret=secret,
        invitation=await visit.site.people.invited(secret),
        **await form_context(visit, refused),
    )


async def join(visit: Visit) -> Response:
    """POST /join/{secret}: as the account that is signed in, or as a new one."""
    secret, people = visit.request.path_params["secret"], visit.site.people
    if visit.account is not None:
        if visit.form.get("as") != visit.account.person_id:
            raise PageError(409, "Another account", "You signed in elsewhere meanwhile. Open the invitation again.")
        await people.join(secret, visit.account)
        return visit.redirect("/?saved=joined")
    made = await make_account(visit, partial(people.create, secret))
    if isinstance(made, NotMade):
        return await _page(visit, made)
    await visit.site.made(made)
    await enter(visit, made, method="passkey" if visit.form.get("credential") else "password")
    return visit.redirect("/?saved=joined")
