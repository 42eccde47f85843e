"""The demo's chain: trips asks hotels, and hotels asks the calendar, each in its own name for the same person.

Neither has an account with the other. Each is its own agent provider (#call-chaining), shows the token it was called
with, and sends the person on when the person is needed (#interaction-chaining).
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from ..chaining import Intermediary
from ..resource import Policy, Route, authorized

__all__ = ["HOTELS_SCOPES", "TRIPS_SCOPES", "hotels_app", "hotels_policy", "trips_app", "trips_policy"]

TRIPS_SCOPES = {"trips.plan": "Plan trips for you."}
HOTELS_SCOPES = {"hotels.search": "Look for rooms on the nights you are free."}


def trips_policy() -> Policy:
    """Who may call what at trips."""
    return Policy([Route("GET", "/plan", authorized("trips.plan"))])


def trips_app(resource: Intermediary, hotels: str) -> Starlette:
    """Trips: plans around what `hotels` offers."""

    async def plan(request: Request) -> Response:
        offer = await resource.downstream(request).get(f"{hotels}/rooms")
        return JSONResponse({"room": offer.json(), "train": "09:04"}, offer.status_code)

    return Starlette(routes=[StarletteRoute("/plan", plan)])


def hotels_policy() -> Policy:
    """Who may call what at hotels."""
    return Policy([Route("GET", "/rooms", authorized("hotels.search"))])


def hotels_app(resource: Intermediary, calendar: str) -> Starlette:
    """Hotels: offers a room for a night on which nothing is in the person's `calendar`."""

    async def rooms(request: Request) -> Response:
        events = await resource.downstream(request).get(f"{calendar}/events")
        if events.status_code != 200:
            return JSONResponse({"detail": "The calendar did not answer."}, 502)
        busy = {event["date"] for event in events.json()}
        nights = [f"2026-12-{day:02d}" for day in range(1, 32)]
        return JSONResponse({"night": next(night for night in nights if night not in busy), "price": "84.00"})

    return Starlette(routes=[StarletteRoute("/rooms", rooms)])
