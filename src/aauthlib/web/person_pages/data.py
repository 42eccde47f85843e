"""The person's own data: a copy of everything, and deleting it. Both take a recent sign-in."""

from __future__ import annotations

import hmac
import json

from starlette.responses import Response

from ...person.organisations import LastAdministrator
from .faces import places_told
from .visit import Visit

__all__ = ["delete", "export", "show_data"]

_HERE = "/data"


async def show_data(visit: Visit) -> Response:
    """GET /data."""
    return _page(visit)


def _page(visit: Visit, *, status: int = 200, error: str = "") -> Response:
    return visit.page("data.html", status=status, error=error, recent=visit.is_recent)


async def export(visit: Visit) -> Response:
    """POST /data/export: one JSON file."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    document = await visit.site.server.export(visit.person.person_id)
    response = Response(
        json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="my-data.json"'},
    )
    visit.site.pages.protect(response)
    return response


async def delete(visit: Visit) -> Response:
    """POST /data/delete: with the username typed, since it cannot be undone."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    typed = visit.form.get("username").strip().lower()
    if not hmac.compare_digest(typed.encode(), visit.person.username.encode()):
        return _page(visit, status=400, error="Type your username to delete your account. Nothing was deleted.")
    try:
        outcomes = await visit.site.server.delete_person(visit.person.person_id)
    except LastAdministrator as error:
        return _page(visit, status=409, error=f"{error.detail} Nothing was deleted.")
    visit.left = True
    untold = [] if all(outcome.complete for outcome in outcomes) else places_told(outcomes)
    return visit.page("deleted.html", places=untold)
