"""One request that people approve, deciding it, and how it stands (#requirement-responses, Approval Pending)."""

from __future__ import annotations

from starlette.responses import Response

from ...access.desk import MAX_REASON
from ...errors import Gone
from ...policies.approvers import Step
from ...store.access_approval_records import ApprovalChanged
from ...store.approval_records import DecidedAlready
from ..pages import PageError
from .visit import Visit

__all__ = ["decide", "show"]

_MAX_ROUND = 9
_CHANGED = "The policy has changed while you were looking. Nothing was decided: look at what it wants now."
_TWICE = "You have decided about this request already. Your first decision stands."


async def show(visit: Visit) -> Response:
    """GET /approvals/{id}."""
    return await _page(visit)


async def _page(visit: Visit, *, status: int = 200, error: str = "") -> Response:
    people = visit.site.people
    view = await people.approval(visit.belongs, visit.request.path_params["id"])
    bound = await people.person(view.bound_user) if view.bound_user is not None else None
    return visit.page(
        "approval.html",
        status=status,
        error=error,
        view=view,
        bound=bound,
        own=view.is_own(visit.person.person_id),
        decides=view.is_for(visit.belongs),
        steps=[_named(step) for step in view.approval.approvers.steps],
        step_now=_named(view.approval.step),
        max_reason=MAX_REASON,
    )


def _named(step: Step) -> tuple[int, list[str], list[str]]:
    """How many of which groups and people."""
    return step.needed, list(step.groups), list(step.people)


async def decide(visit: Visit) -> Response:
    """POST /approvals/{id}: `decision=approve` or `decision=refuse`."""
    form = visit.form
    decision, shown = form.get("decision"), form.get("round")
    if decision not in ("approve", "refuse"):
        return await _page(visit, status=400, error="Choose “Approve” or “Refuse”.")
    if not (shown.isascii() and shown.isdigit() and len(shown) <= _MAX_ROUND):
        raise PageError(400, "Not readable", "The form could not be read. Open the request again.")
    try:
        waits = await visit.site.people.decide(
            visit.person.person_id,
            visit.request.path_params["id"],
            round=int(shown),
            approved=decision == "approve",
            reason=form.get("reason")[:MAX_REASON],
            origin=visit.origin,
        )
    except DecidedAlready:
        return await _page(visit, status=409, error=_TWICE)
    except ApprovalChanged:
        return await _page(visit, status=409, error=_CHANGED)
    except Gone:
        # A second click, or somebody else who was faster: what was decided stands, and the page says what.
        return await _page(visit, status=410, error="This request was decided or withdrawn already.")
    if decision == "refuse":
        return visit.redirect("/?saved=refused")
    return visit.redirect("/?saved=counted" if waits else "/?saved=approved")
