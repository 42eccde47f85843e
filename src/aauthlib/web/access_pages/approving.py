"""One request that waits for an approval, and deciding it (#requirement-responses, Approval Pending)."""

from __future__ import annotations

from starlette.responses import Response

from ...access.desk import MAX_REASON
from ...access.people import NotAllowed
from ...errors import Expired, Gone
from ..pages import PageError
from .visit import Visit

__all__ = ["decide", "show"]

_MAX_STEP = 9


async def show(visit: Visit) -> Response:
    """GET /approvals/{digest}."""
    return await _page(visit)


async def _page(visit: Visit, *, status: int = 200, error: str = "") -> Response:
    view = await visit.site.server.approval(visit.request.path_params["digest"])
    if not visit.belongs.may_approve(view.by):
        raise NotAllowed("This approval is for somebody else to give.")
    bound = await visit.site.people.person(view.bound_user) if view.bound_user is not None else None
    return visit.page(
        "approval.html",
        status=status,
        error=error,
        view=view,
        bound=bound,
        own=view.bound_user == visit.person.person_id,
        max_reason=MAX_REASON,
    )


async def decide(visit: Visit) -> Response:
    """POST /approvals/{digest}: `decision=approve` or `decision=refuse`."""
    digest, form = visit.request.path_params["digest"], visit.form
    decision, step = form.get("decision"), form.get("step")
    if decision not in ("approve", "refuse"):
        return await _page(visit, status=400, error="Choose “Approve” or “Refuse”.")
    if not (step.isascii() and step.isdigit() and len(step) <= _MAX_STEP):
        raise PageError(400, "Not readable", "The form could not be read. Open the request again.")
    try:
        await visit.site.people.decide(
            visit.person.person_id,
            digest,
            step=int(step),
            approved=decision == "approve",
            reason=form.get("reason")[:MAX_REASON],
        )
    except (Gone, Expired):
        # A second click, or somebody else who was faster, or a request that changed: what was decided stands.
        try:
            text = "The request changed while you were looking. Nothing was decided: look at what it asks now."
            return await _page(visit, status=409, error=text)
        except (Gone, Expired):
            return visit.page("ended.html", status=410, title="Over", text="This request does not wait any more.")
    return visit.redirect("/?saved=approved" if decision == "approve" else "/?saved=refused")
