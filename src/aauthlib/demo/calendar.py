"""The demo's API: a small calendar with its own SQLite data, written as if AAuth did not exist.

The one thing it takes from AAuth is the grant the middleware leaves in the scope: whose calendar to open. Everything
about who may call what stands in `policy()`, one line a route.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from ..resource import Grant, Policy, Route, anonymous, authorized, identified, person

__all__ = ["SCOPES", "Calendar", "calendar_app", "policy"]

SCOPES = {
    "calendar.read": "See the events in your calendar.",
    "calendar.write": "Create events in your calendar, and change them.",
    "calendar.invite": "Create events and send invitations to them.",
    "calendar.delete": "**Delete** events from your calendar. This cannot be undone.",
}

_HOLIDAYS = (
    ("2026-12-25", "Christmas Day"),
    ("2026-12-26", "Boxing Day"),
    ("2027-01-01", "New Year's Day"),
)
_MAX_TITLE_LENGTH = 200
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
#: As SQLite can hold it: `isdigit` takes other scripts' digits too, and more of them than fit.
_EVENT_ID = re.compile(r"[0-9]{1,18}\Z")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, owner TEXT NOT NULL, date TEXT NOT NULL, title TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_owner ON events (owner, date);
"""

_T = TypeVar("_T")


def policy() -> Policy:
    """Who may call what."""
    return Policy(
        [
            Route("GET", "/holidays", anonymous(limit="3/minute")),
            Route("GET", "/agent", identified()),
            Route("GET", "/me", person()),
            Route("GET", "/events", authorized("calendar.read")),
            Route("POST", "/events", authorized("calendar.write")),
            Route("POST", "/invitations", authorized("calendar.invite", delivery="202")),
            Route("DELETE", "/events/{id}", authorized("calendar.delete")),
        ]
    )


class Calendar:
    """Events by owner, in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as connection:
            connection.executescript(_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, timeout=10)

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        def call() -> _T:
            with closing(self._connect()) as connection:
                return work(connection)

        return await asyncio.to_thread(call)

    async def events(self, owner: str) -> list[dict[str, Any]]:
        """The owner's events, by date. A first visit finds two, so that there is something to see."""

        def work(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            rows = connection.execute(
                "SELECT id, date, title FROM events WHERE owner = ? ORDER BY date, id", (owner,)
            ).fetchall()
            return [{"id": row[0], "date": row[1], "title": row[2]} for row in rows]

        found = await self._run(work)
        if found:
            return found
        await self.create(owner, "2026-12-01", "Dentist")
        await self.create(owner, "2026-12-04", "Lunch with Ada")
        return await self._run(work)

    async def create(self, owner: str, date: str, title: str) -> dict[str, Any]:
        """Add an event."""

        def work(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(
                "INSERT INTO events (owner, date, title) VALUES (?, ?, ?)", (owner, date, title)
            )
            return int(cursor.lastrowid or 0)

        return {"id": await self._run(work), "date": date, "title": title}

    async def delete(self, owner: str, event_id: int) -> bool:
        """Remove an event; whether there was one."""

        def work(connection: sqlite3.Connection) -> int:
            return connection.execute("DELETE FROM events WHERE owner = ? AND id = ?", (owner, event_id)).rowcount

        return await self._run(work) > 0


def _grant(request: Request) -> Grant:
    grant = request.scope["aauth"]
    assert isinstance(grant, Grant)
    return grant


def _owner(request: Request) -> str:
    grant = _grant(request)
    if grant.person is None:
        raise HTTPException(403, "This needs to know whose calendar to open.")
    issuer, subject = grant.person
    return f"{issuer} {subject}"


async def _event_from(request: Request) -> tuple[str, str]:
    try:
        body = await request.json()
        date, title = str(body["date"]), str(body["title"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HTTPException(400, "Send JSON with a date and a title.") from error
    if not 0 < len(title) <= _MAX_TITLE_LENGTH or not title.isprintable() or not _DATE.match(date):
        raise HTTPException(400, "The date is YYYY-MM-DD; the title has 1 to 200 printable characters.")
    return date, title


def calendar_app(calendar: Calendar) -> Starlette:
    """The API. Put `AAuthMiddleware` in front of it."""

    async def holidays(request: Request) -> Response:
        return JSONResponse([{"date": date, "title": title} for date, title in _HOLIDAYS])

    async def agent(request: Request) -> Response:
        _, identifier = _grant(request).agent or ("", "a server")
        return JSONResponse({"agent": identifier, "message": "Hello. I know which agent you are."})

    async def me(request: Request) -> Response:
        return JSONResponse({"account": _owner(request).rpartition(" ")[2], "message": "Welcome back."})

    async def list_events(request: Request) -> Response:
        return JSONResponse(await calendar.events(_owner(request)))

    async def create_event(request: Request) -> Response:
        return JSONResponse(await calendar.create(_owner(request), *await _event_from(request)), 201)

    async def delete_event(request: Request) -> Response:
        event_id = request.path_params["id"]
        if not _EVENT_ID.match(event_id) or not await calendar.delete(_owner(request), int(event_id)):
            raise HTTPException(404, "There is no such event.")
        return Response(status_code=204)

    async def invite(request: Request) -> Response:
        event = await calendar.create(_owner(request), *await _event_from(request))
        return JSONResponse({**event, "invited": True}, 201)

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"detail": error.detail}, error.status_code)

    return Starlette(
        routes=[
            StarletteRoute("/holidays", holidays),
            StarletteRoute("/agent", agent),
            StarletteRoute("/me", me),
            StarletteRoute("/events", list_events, methods=["GET"]),
            StarletteRoute("/events", create_event, methods=["POST"]),
            StarletteRoute("/events/{id}", delete_event, methods=["DELETE"]),
            StarletteRoute("/invitations", invite, methods=["POST"]),
        ],
        exception_handlers={HTTPException: problem},
    )
