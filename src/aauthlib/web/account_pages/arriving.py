"""Arriving with an interaction's code, in the address or typed (#user-interaction, #interaction-code-format)."""

from __future__ import annotations

from starlette.responses import Response

from ...errors import InvalidCode, NotFound
from ..asgi import is_ahead_of_time
from .entering import Intent, ask_to_enter, is_handle
from .site import AccountSite
from .visit import Visit

__all__ = ["arrive", "type_code"]


async def arrive(visit: Visit[AccountSite]) -> Response:
    """GET /interaction/{handle}?code=&callback=. Raises `Expired`, or what else the role refuses somebody for."""
    query = visit.request.query_params
    intent = Intent(
        handle=_handle(visit),
        code=query.get("code", "")[:64],
        callback=query.get("callback", "")[:2_048],
    )
    if not intent.code or is_ahead_of_time(visit.request.method, visit.request.headers):
        return _ask_code(visit, intent)
    return await _arrive(visit, intent)


async def type_code(visit: Visit[AccountSite]) -> Response:
    """POST /interaction/{handle}: a code that was typed. Raises as `arrive` does."""
    form = visit.form
    intent = Intent(handle=_handle(visit), code=form.get("code")[:64], callback=form.get("callback")[:2_048])
    if not intent.code.strip():
        return _ask_code(visit, intent, status=400, error="Type the code that your agent shows you.")
    return await _arrive(visit, intent)


def _handle(visit: Visit[AccountSite]) -> str:
    handle: str = visit.request.path_params["handle"]
    if not is_handle(handle):
        raise NotFound("There is no such request.")
    return handle


async def _arrive(visit: Visit[AccountSite], intent: Intent) -> Response:
    try:
        if visit.account is not None:
            return await intent.follow(visit, visit.account)
        await visit.site.check_code(intent.handle, intent.code)
    except InvalidCode as error:
        return _ask_code(visit, intent, status=400, error=error.detail)
    return await ask_to_enter(visit, intent)


def _ask_code(visit: Visit[AccountSite], intent: Intent, *, status: int = 200, error: str = "") -> Response:
    return visit.page("code.html", status=status, intent=intent, error=error)
