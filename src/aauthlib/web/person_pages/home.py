"""The person's own page: requests that wait, and the agents that act for them (#agent-person-binding)."""

from __future__ import annotations

from starlette.responses import Response

from ..pages import PageError
from .faces import agent_cards
from .visit import Visit

__all__ = ["disconnect", "forget", "show_home"]


async def show_home(visit: Visit) -> Response:
    """GET /."""
    server, person_id = visit.site.server, visit.person.person_id
    return visit.page(
        "home.html",
        waiting=await server.pending_for(person_id),
        cards=agent_cards(await server.agents(person_id), await server.grants(person_id)),
    )


async def disconnect(visit: Visit) -> Response:
    """POST /agents/disconnect: the agent acts for this person no more."""
    agent = (visit.form.get("iss"), visit.form.get("sub"))
    await visit.site.server.disconnect(visit.person.person_id, agent)
    return visit.redirect("/")


async def forget(visit: Visit) -> Response:
    """POST /agents/forget: take back one remembered permission."""
    person_id, form = visit.person.person_id, visit.form
    wanted = tuple(form.get(name) for name in ("iss", "sub", "resource", "scope", "account"))
    for grant in await visit.site.server.grants(person_id):
        if (grant.agent_iss, grant.agent_sub, grant.resource, grant.scope or "", grant.account or "") == wanted:
            await visit.site.server.forget(person_id, grant)
            return visit.redirect("/")
    raise PageError(404, "Not there", "This permission was taken back already.")
