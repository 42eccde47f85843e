"""What the resource middleware serves per second around an empty application, in process and end to end.

From the ASGI scope to the application's response: header fields decoded, the request built, the policy asked, the
signature verified, revocation and limits looked at, the grant made, the response sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from rounds import Subject
from world import RESOURCE, Published, World, signed

from aauthlib.discovery import Directory
from aauthlib.http import Request
from aauthlib.httpsig import JWT
from aauthlib.keys import JWKS
from aauthlib.resource import MemoryResourceStore, Policy, Resource, Route, identified
from aauthlib.transport import AsyncWire
from aauthlib.web.asgi import ASGIApp
from aauthlib.web.resource import AAuthMiddleware

_START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
_BODY = {"type": "http.response.body", "body": b""}
_EMPTY = {"type": "http.request", "body": b"", "more_body": False}


class _FromMemory:
    """As `Published`, for the event loop."""

    def __init__(self, keys: JWKS) -> None:
        self._published = Published(keys)

    async def send(self, effect: Any) -> Any:
        return self._published.send(effect)


async def _empty(scope: Any, receive: Any, send: Any) -> None:
    await send(dict(_START))
    await send(dict(_BODY))


def middleware(world: World) -> ASGIApp:
    """The middleware as a resource sets it up, with a limit on the route."""
    wire = AsyncWire(_FromMemory(JWKS.of(world.provider)), Directory(clock=time.time))
    resource = Resource(issuer=RESOURCE, wire=wire, store=MemoryResourceStore(clock=time.time))
    routes = [Route("GET", "/calendar/{month}/{day}", identified(limit="1000000/second"))]
    return AAuthMiddleware(_empty, resource, Policy(routes))


def scope_of(request: Request) -> dict[str, Any]:
    """The scope a server makes of `request`."""
    path, _, query = request.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "https",
        "method": request.method,
        "path": path,
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
        "client": ("192.0.2.1", 40_000),
        "server": ("192.0.2.2", 443),
        "state": {},
    }


async def _serve(app: ASGIApp, scopes: Iterable[dict[str, Any]]) -> int:
    count = 0
    status = 0

    async def receive() -> dict[str, Any]:
        return dict(_EMPTY)

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    for scope in scopes:
        await app(scope, receive, send)
        if status != 200:
            raise AssertionError(f"the request was answered {status}")
        count += 1
    return count


def subjects(world: World) -> list[Subject]:
    """The middleware, with a token seen before."""
    loop = asyncio.new_event_loop()
    app = middleware(world)

    def returning() -> list[dict[str, Any]]:
        return [scope_of(request) for request in signed(repeat((world.agent, JWT(world.token))))]

    loop.run_until_complete(_serve(app, returning()[:1]))

    def prepare() -> Callable[[], int]:
        scopes = returning()
        return lambda: loop.run_until_complete(_serve(app, scopes))

    return [Subject("asgi", prepare)]
