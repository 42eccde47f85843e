"""What waits for whoever is signed in, what people decided lately, and the person servers they stand by."""

from __future__ import annotations

from starlette.responses import Response

from ...store.access_people_records import PERSON
from .visit import Visit

__all__ = ["show_home", "take_back"]

_SAVED = {
    "joined": "You belong here now.",
    "approved": "You approved the request. The policy decides what follows.",
    "counted": "You approved the request. Others still have to.",
    "refused": "You refused the request.",
    "taken-back": "That person server does not speak for you here any more.",
}
_DECISIONS_SHOWN = 20


async def show_home(visit: Visit) -> Response:
    """GET /."""
    server, role = visit.site.server, visit.role
    approves = role is not None and role.role != PERSON
    return visit.page(
        "home.html",
        saved=_SAVED.get(visit.request.query_params.get("saved", "")),
        approves=approves,
        waiting=await visit.site.people.approvals(role) if approves and role is not None else [],
        decided=await server.store.history(by_people=True, limit=_DECISIONS_SHOWN) if approves else [],
        confirmed=await server.confirmed_by(visit.person.person_id),
    )


async def take_back(visit: Visit) -> Response:
    """POST /person-servers/take-back: one's own confirmation of a person server."""
    await visit.site.server.take_back(visit.person.person_id, visit.form.get("person_server"))
    return visit.redirect("/?saved=taken-back")
