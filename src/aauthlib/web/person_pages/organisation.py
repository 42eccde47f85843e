"""The page of an organisation's administrators: people, invitations, agents (#person-token-org-policy).

Whose organisation it is follows from who is signed in; no form says it. What lets somebody in, or takes something away,
needs a recent sign-in.
"""

from __future__ import annotations

from starlette.responses import Response

from ...person.organisations import ADMINISTRATOR, MEMBER, LastAdministrator
from ..pages import PageError
from .faces import places_told
from .visit import Visit

__all__ = ["disconnect", "invite", "remove", "set_role", "show_organisation", "withdraw"]

_SAVED = {
    "role": "The role was changed.",
    "removed": "The person was removed, and their agents were disconnected.",
    "disconnected": "The agent was disconnected.",
    "withdrawn": "The invitation was withdrawn.",
}
_HERE = "/organisation"


async def show_organisation(visit: Visit) -> Response:
    """GET /organisation."""
    return await _page(visit)


async def _page(visit: Visit, *, status: int = 200, error: str = "") -> Response:
    view = await visit.site.organisations.view(visit.person.person_id)
    return visit.page(
        "organisation.html",
        status=status,
        error=error,
        saved=None if error else _SAVED.get(visit.request.query_params.get("saved", "")),
        view=view,
        recent=visit.is_recent,
    )


async def set_role(visit: Visit) -> Response:
    """POST /organisation/role."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    role = next((each for each in (MEMBER, ADMINISTRATOR) if each == visit.form.get("role")), None)
    if role is None:
        raise PageError(400, "No such role", "People of an organisation are members or administrators.")
    try:
        await visit.site.organisations.set_role(visit.person.person_id, visit.form.get("person"), role)
    except LastAdministrator as error:
        return await _page(visit, status=409, error=error.detail)
    return visit.redirect(f"{_HERE}?saved=role" if _stays(visit, role != ADMINISTRATOR) else "/")


async def remove(visit: Visit) -> Response:
    """POST /organisation/remove."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    try:
        outcomes = await visit.site.organisations.remove(visit.person.person_id, visit.form.get("person"))
    except LastAdministrator as error:
        return await _page(visit, status=409, error=error.detail)
    if not _stays(visit, True):
        visit.left = True
        return visit.redirect("/sign-in")
    if all(outcome.complete for outcome in outcomes):
        return visit.redirect(f"{_HERE}?saved=removed")
    return visit.page("disconnected.html", agent=None, places=places_told(outcomes))


def _stays(visit: Visit, leaving: bool) -> bool:
    """Whether whoever acts can still see the page."""
    return not (leaving and visit.form.get("person") == visit.person.person_id)


async def disconnect(visit: Visit) -> Response:
    """POST /organisation/disconnect: an agent of one of its people."""
    agent = (visit.form.get("iss"), visit.form.get("sub"))
    by = visit.person.person_id
    outcomes = await visit.site.organisations.disconnect(by, visit.form.get("person"), agent)
    if all(outcome.complete for outcome in outcomes):
        return visit.redirect(f"{_HERE}?saved=disconnected")
    return visit.page("disconnected.html", agent=agent, places=places_told(outcomes))


async def invite(visit: Visit) -> Response:
    """POST /organisation/invite: a link, on this page and never again."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    role = ADMINISTRATOR if visit.form.get("role") == ADMINISTRATOR else MEMBER
    secret = await visit.site.organisations.invite(visit.person.person_id, role, visit.form.get("note"))
    return visit.page("invitation.html", link=f"{visit.site.server.issuer}/join/{secret}", role=role)


async def withdraw(visit: Visit) -> Response:
    """POST /organisation/withdraw."""
    await visit.site.organisations.withdraw(visit.person.person_id, visit.form.get("invitation"))
    return visit.redirect(f"{_HERE}?saved=withdrawn")
