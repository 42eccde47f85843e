"""The whole way in of a resource: from an ASGI scope to a response, through the middleware and every kind of route.

A target of its own module, since it needs the server extra and an event loop.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any
from urllib.parse import unquote

from aauthlib.resource import (
    MemoryResourceStore,
    Policy,
    Resource,
    Route,
    anonymous,
    authorized,
    identified,
    managed,
    person,
    pseudonym,
)
from aauthlib.transport import AsyncWire
from aauthlib.web.asgi import ASGIApp
from aauthlib.web.resource import AAuthMiddleware

from .parties import DIRECTORY, ISSUER_KEY, NOW, PROVIDER, RESOURCE

__all__ = ["middleware"]

#: Inputs after which the resource is made anew: limits and held invocations would leave ever less to reach.
_AS_NEW_AFTER = 100

_loop = asyncio.new_event_loop()
_app: ASGIApp | None = None
_served = count()


class _NoNetwork:
    async def send(self, effect: object) -> Any:
        raise AssertionError("the middleware went to the network")


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"served"})


def _made() -> ASGIApp:
    resource = Resource(
        issuer=RESOURCE,
        wire=AsyncWire(_NoNetwork(), DIRECTORY),
        store=MemoryResourceStore(clock=lambda: float(NOW)),
        signing_key=ISSUER_KEY,
        clock=lambda: float(NOW),
        scopes={"events.read": "See your **events**."},
        sign_in=_nobody,
        random_bytes=bytes,
    )
    rules = {
        "/open": anonymous(limit="50/minute"),
        "/hello": pseudonym(),
        "/events/{number}": identified(allow=[PROVIDER]),
        "/person": person(),
        "/auth/*": authorized("events.read"),
        "/held": authorized("events.read", delivery="202"),
        "/managed": managed("events.read"),
    }
    return AAuthMiddleware(_application, resource, Policy(Route("*", path, rule) for path, rule in rules.items()))


async def _nobody(*_: object) -> None:
    return None


def middleware(data: bytes) -> None:
    """`METHOD target`, field lines, and after a blank line the body. Whatever it is, the answer is never a 5xx."""
    global _app
    if _app is None or next(_served) % _AS_NEW_AFTER == 0:
        _app = _made()
    head, _, body = data.partition(b"\n\n")
    line, *fields = head.split(b"\n")
    method, _, target = line.partition(b" ")
    raw_path, _, query = target.partition(b"?")
    scope = {
        "type": "http",
        "method": method.decode("latin-1"),
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "scheme": "https",
        "headers": [(name, value.strip()) for name, _, value in (field.partition(b":") for field in fields)],
        "client": ("192.0.2.1", 4711),
    }
    statuses = _loop.run_until_complete(_answered(_app, scope, body))
    assert len(statuses) == 1 and statuses[0] < 500, f"answered {statuses}"


async def _answered(app: ASGIApp, scope: dict[str, Any], body: bytes) -> list[int]:
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            for name, value in message["headers"]:
                assert b"\r" not in name + value and b"\n" not in name + value

    await app(scope, receive, send)
    return statuses
