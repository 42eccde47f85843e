"""The person's own page: requests that wait, and the agents that act for them (#agent-person-binding)."""

from __future__ import annotations

from starlette.responses import Response

from ..pages import PageError
from .approvals import step_words
from .faces import agent_cards, places_told, service_cards
from .visit import Visit

__all__ = ["disconnect", "forget", "show_home"]

_SAVED = {
    "disconnected": "The agent was disconnected. It acts for you no more.",
    "joined": "You joined the organisation.",
    "forgotten": "The permission was taken back. The agent has to ask you again.",
}


async def show_home(visit: Visit) -> Response:
    """GET /."""
    server, person_id = visit.site.server, visit.person.person_id
    grants = await server.grants(person_id)
    inbox = await server.inbox(person_id) if visit.site.asks_approvers else None
    return visit.page(
        "home.html",
        inbox=inbox,
        step_words=step_words,
        saved=_SAVED.get(visit.request.query_params.get("saved", "")),
        waiting=await server.pending_for(person_id),
        untold=await server.untold(person_id),
        cards=agent_cards(await server.agents(person_id), grants),
        services=service_cards(grants),
    )


async def disconnect(visit: Visit) -> Response:
    """POST /agents/disconnect: the agent acts for this person no more."""
    agent = (visit.form.get("iss"), visit.form.get("sub"))
    outcomes = await visit.site.server.disconnect(visit.person.person_id, agent)
    if all(outcome.complete for outcome in outcomes):
        return visit.redirect("/?saved=disconnected")
    return visit.page("disconnected.html", agent=agent, places=places_told(outcomes))


async def forget(visit: Visit) -> Response:
    """POST /agents/forget: take back one remembered permission."""
    person_id, form = visit.person.person_id, visit.form
    wanted = tuple(form.get(name) for name in ("iss", "sub", "resource", "scope", "account"))
    for grant in await visit.site.server.grants(person_id):
        if (grant.agent_iss, grant.agent_sub, grant.resource, grant.scope or "", grant.account or "") == wanted:
            await visit.site.server.forget(person_id, grant)
            return visit.redirect("/?saved=forgotten")
    raise PageError(404, "Not there", "This permission was taken back already.")
