"""Whether a person server speaks for whoever arrived (#ps-as-trust-establishment, Interaction)."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from ...access.desk import BindingView
from ...errors import Gone
from ..pages import PageError
from .visit import Visit

__all__ = ["decide", "show"]


async def show(visit: Visit) -> Response:
    """GET /confirm/{handle}."""
    return _page(visit, await _view(visit))


async def _view(visit: Visit) -> BindingView:
    view = await visit.site.server.view(visit.request.path_params["handle"])
    if view.user != visit.belongs.person_id:
        raise Gone("Somebody else arrived for this request, or nobody.")
    return view


def _page(visit: Visit, view: BindingView, *, status: int = 200, error: str = "") -> Response:
    return visit.page("confirm.html", status=status, error=error, view=view, form_targets=(view.callback,))


async def decide(visit: Visit) -> Response:
    """POST /confirm/{handle}: `decision=confirm` or `decision=decline`."""
    view, person, decision = await _view(visit), visit.person, visit.form.get("decision")
    server = visit.site.server
    if decision == "confirm":
        await server.approve(view.handle, person.person_id, name=person.username)
        if view.callback is not None:
            return visit.redirect(view.callback)
        text = f"{_host(view)} can speak for you here now. You can close this page and go back to your agent."
        return visit.page("ended.html", title="Confirmed", text=text)
    if decision == "decline":
        await server.deny(view.handle, person.person_id, name=person.username)
        if view.callback is not None:
            return visit.redirect(_with_error(view.callback, "access_denied"))
        text = f"{_host(view)} does not speak for you here, and the agent gets no access."
        return visit.page("ended.html", title="Declined", text=text)
    if decision:
        raise PageError(400, "Not readable", "The form could not be read. Open the page again.")
    return _page(visit, view, status=400, error="Choose “Confirm” or “Decline”.")


def _host(view: BindingView) -> str:
    return view.person_server.partition("://")[2]


def _with_error(callback: str, error: str) -> str:
    """#interaction-callback-errors."""
    return f"{callback}{'&' if '?' in callback else '?'}{urlencode({'error': error})}"
