"""The page of administrators: who belongs here, what they may approve, and invitations.

What lets somebody in, or takes something away, needs a recent sign-in.
"""

from __future__ import annotations

from starlette.responses import Response

from ...store.access_people_records import PERSON, ROLES, Role
from ...store.organisation_records import LastAdministrator
from ..pages import PageError
from .visit import Visit

__all__ = ["invite", "remove", "set_role", "show_people", "withdraw"]

_SAVED = {
    "role": "The role was changed.",
    "removed": "The account was removed, and what it confirmed was taken back.",
    "withdrawn": "The invitation was withdrawn.",
}
_HERE = "/people"


async def show_people(visit: Visit) -> Response:
    """GET /people."""
    return await _page(visit)


async def _page(visit: Visit, *, status: int = 200, error: str = "") -> Response:
    return visit.page(
        "people.html",
        status=status,
        error=error,
        saved=None if error else _SAVED.get(visit.request.query_params.get("saved", "")),
        view=await visit.site.people.view(visit.person.person_id),
        recent=visit.is_recent,
    )


async def set_role(visit: Visit) -> Response:
    """POST /people/role."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    by, person, role = visit.person.person_id, visit.form.get("person"), _role(visit)
    try:
        await visit.site.people.set_role(by, person, role, _approves(visit))
    except LastAdministrator as error:
        return await _page(visit, status=409, error=error.detail)
    return visit.redirect("/" if person == by else f"{_HERE}?saved=role")


async def remove(visit: Visit) -> Response:
    """POST /people/remove."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    by, person = visit.person.person_id, visit.form.get("person")
    try:
        await visit.site.people.remove(by, person)
    except LastAdministrator as error:
        return await _page(visit, status=409, error=error.detail)
    if person == by:
        visit.left = True
        return visit.redirect("/sign-in")
    return visit.redirect(f"{_HERE}?saved=removed")


async def invite(visit: Visit) -> Response:
    """POST /people/invite: the link is shown on this page and never again."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    role = _role(visit)
    secret = await visit.site.people.invite(
        visit.person.person_id, role, _approves(visit), note=visit.form.get("note")[:400]
    )
    return visit.page("invitation.html", link=f"{visit.site.server.root}/join/{secret}", invited_as=role)


async def withdraw(visit: Visit) -> Response:
    """POST /people/withdraw."""
    await visit.site.people.withdraw(visit.person.person_id, visit.form.get("invitation"))
    return visit.redirect(f"{_HERE}?saved=withdrawn")


def _role(visit: Visit) -> Role:
    wanted = visit.form.get("role") or PERSON
    role = next((each for each in ROLES if each == wanted), None)
    if role is None:
        raise PageError(400, "No such role", "Choose one of the roles on the page.")
    return role


def _approves(visit: Visit) -> list[str]:
    return visit.form.get("approves")[:4_000].split(",")
