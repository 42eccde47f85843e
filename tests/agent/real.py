"""The real person server and a real resource over HTTP on loopback, for one agent and its person, Ada.

Ada decides in the agent's `on_interaction` hook, before the first poll, so nobody waits for anybody.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route as StarletteRoute

from aauthlib.agent import SelfIssued
from aauthlib.cli.serving import Running, free_port, serve_all
from aauthlib.deferred.polling import PollPolicy
from aauthlib.effects import Direct, Report
from aauthlib.keys import JWKS, SigningKey
from aauthlib.person.server import PersonServer
from aauthlib.resource import MemoryResourceStore, Policy, Resource, Route, authorized, person
from aauthlib.transport import AsyncWire
from aauthlib.web.person import PersonApp, build_person_app
from aauthlib.web.resource import AAuthMiddleware

T = TypeVar("T")

#: What Ada does about a request, given the person server and the request's digest.
Decide = Callable[[PersonServer, str], Coroutine[Any, Any, object]]

ADA = "ada-id"


@dataclass
class Real:
    """What runs, and what Ada does next."""

    loop: asyncio.AbstractEventLoop
    app: PersonApp
    calendar: str
    """The resource's identifier."""
    source: SelfIssued
    seen: list[dict[str, Any]] = field(default_factory=list)
    """What the resource saw: path, mission, scope, declared capabilities."""
    reports: list[Report] = field(default_factory=list)
    directed: list[Direct] = field(default_factory=list)
    decisions: list[Decide] = field(default_factory=list)
    """What Ada does, in order; afterwards she says yes."""

    @property
    def server(self) -> PersonServer:
        return self.app.server

    def begin(self) -> None:
        """Forget what was seen."""
        for kept in (self.seen, self.reports, self.directed, self.decisions):
            kept.clear()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def options(self, **options: Any) -> dict[str, Any]:
        return {
            "dev": True,
            "on_interaction": self.decide,
            "on_report": self.reports.append,
            "poll": PollPolicy(wait_s=5, deadline_s=20.0),
            **options,
        }

    def decide(self, direct: Direct) -> None:
        """Ada, at the page."""
        self.directed.append(direct)
        self.run(self.visit(direct))

    async def visit(self, direct: Direct) -> None:
        digest = await self.server.arrive(direct.url.rpartition("/")[2], direct.code, person_id=ADA)
        act = self.decisions.pop(0) if self.decisions else yes
        await act(self.server, digest)

    def log(self, s256: str) -> list[tuple[str, str]]:
        page = self.run(self.server.mission_page(s256, person_id=ADA))
        return [(entry.kind, entry.actor) for entry in page.log]

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the agent reported under a name."""
        return [dict(report.details) for report in list(self.reports) if report.event == name]


async def yes(server: PersonServer, digest: str, **choices: Any) -> None:
    """Ada agrees, whatever is asked."""
    request = await server.store.request_for(digest, person_id=ADA, now=time.time())
    match request.pending.request["kind"]:
        case "mission":
            await server.approve_mission(digest, person_id=ADA, **choices)
        case "mission_update" | "mission_completion" | "permission" | "interaction" | "payment" | "question":
            await server.answer_request(digest, person_id=ADA, yes=True, **choices)
        case _:
            await server.approve(digest, person_id=ADA, **choices)


def agreeing(**choices: Any) -> Decide:
    """Ada agrees, with these choices."""
    return lambda server, digest: yes(server, digest, **choices)


async def no(server: PersonServer, digest: str) -> None:
    await server.deny(digest, person_id=ADA)


@contextmanager
def real_parties(folder: Path) -> Iterator[Real]:
    """Everything, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stop = asyncio.Event()
    opened: list[Real] = []
    ready = threading.Event()

    async def serve() -> None:
        ports = [free_port() for _ in range(3)]
        ps, calendar, agent = (
            f"http://{name}.localhost:{port}" for name, port in zip(("ps", "calendar", "agent"), ports, strict=True)
        )
        app = await build_person_app(f"sqlite:///{folder}/ps.db", ps, dev=True)
        key = SigningKey.generate(kid="a1")
        source = SelfIssued(agent, "aauth:assistant@agent.localhost", key, time.time, ps=ps, dev=True)
        real = Real(loop, app, calendar, source)
        wire = AsyncWire.open(dev=True)
        apps = (app, _calendar(real, wire), _publisher(agent, key))
        servers = await serve_all([Running(each, "127.0.0.1", port) for each, port in zip(apps, ports, strict=True)])
        opened.append(real)
        ready.set()
        await stop.wait()
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in servers))
        await wire.aclose()

    serving = asyncio.run_coroutine_threadsafe(serve(), loop)
    try:
        assert ready.wait(20)
        yield opened[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        serving.result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _calendar(real: Real, wire: AsyncWire) -> Any:
    async def answer(request: Request) -> JSONResponse:
        grant = request.scope["aauth"]
        seen = {
            "path": request.url.path,
            "mission": grant.mission_s256,
            "scope": sorted(grant.scope),
            "capabilities": request.headers.get("aauth-capabilities"),
        }
        real.seen.append(seen)
        return JSONResponse(seen)

    resource = Resource(
        issuer=real.calendar,
        wire=wire,
        store=MemoryResourceStore(time.time),
        signing_key=SigningKey.generate(),
        dev=True,
        scopes={"calendar.read": "See your events."},
        name="Calendar",
        access_mode="auth-token",
    )
    policy = Policy([Route("GET", "/me", person()), Route("GET", "/events", authorized("calendar.read"))])
    routes = [StarletteRoute("/me", answer), StarletteRoute("/events", answer)]
    return AAuthMiddleware(Starlette(routes=routes), resource, policy)


def _publisher(issuer: str, key: SigningKey) -> Any:
    """The two documents of a self-published agent."""

    async def metadata(request: Request) -> JSONResponse:
        return JSONResponse({"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json", "name": "Helper"})

    async def jwks(request: Request) -> JSONResponse:
        return JSONResponse(JWKS.of(key).to_document())

    return Starlette(
        routes=[StarletteRoute("/.well-known/aauth-agent.json", metadata), StarletteRoute("/jwks.json", jwks)]
    )
