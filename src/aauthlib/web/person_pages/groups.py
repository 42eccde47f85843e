"""Who is in which group of an organisation, for its administrators (#approval-pending).

Which groups there are follows from the operator's policy. Who approves is as good as what lets somebody in: changing it
takes a recent sign-in.
"""

from __future__ import annotations

from starlette.responses import Response

from .visit import Visit

__all__ = ["add", "remove", "show_groups"]

_HERE = "/organisation/groups"
_SAVED = {"added": "They were added to the group.", "removed": "They were removed from the group."}


async def show_groups(visit: Visit) -> Response:
    """GET /organisation/groups."""
    return visit.page(
        "groups.html",
        saved=_SAVED.get(visit.request.query_params.get("saved", "")),
        view=await visit.site.organisations.groups(visit.person.person_id),
        recent=visit.is_recent,
    )


async def add(visit: Visit) -> Response:
    """POST /organisation/groups/add."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    form = visit.form
    await visit.site.organisations.add_to_group(visit.person.person_id, form.get("person"), form.get("group"))
    return visit.redirect(f"{_HERE}?saved=added")


async def remove(visit: Visit) -> Response:
    """POST /organisation/groups/remove."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    form = visit.form
    await visit.site.organisations.remove_from_group(visit.person.person_id, form.get("person"), form.get("group"))
    return visit.redirect(f"{_HERE}?saved=removed")
