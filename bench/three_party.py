"""The whole three-party exchange over real HTTP: person token, challenge, auth token, access.

Agent provider, person server (SQLite) and resource are Uvicorn servers on loopback ports, in one event loop with the
agent, so the figure is what one core does for all four. The person consents once beforehand, at the real pages; every
exchange is that of an agent which remembers nothing, so it asks for both tokens anew.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from aauthlib.agent import AsyncAgent, SelfIssued
from aauthlib.cli.serving import Running, free_port, serve_all
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.parties import loopback_client
from aauthlib.effects import Direct
from aauthlib.keys import SigningKey
from aauthlib.provider.selfpublished import publish
from aauthlib.resource import MemoryResourceStore, Policy, Resource, authorized
from aauthlib.resource import Route as AAuthRoute
from aauthlib.transport import AsyncWire
from aauthlib.web.person import build_person_app
from aauthlib.web.resource import AAuthMiddleware

ROUNDS = 7
BATCH = 15
SCOPES = {"calendar.read": "See the events in your calendar."}


def exchanges(*, rounds: int = ROUNDS, batch: int = BATCH) -> dict[str, float]:
    """Full exchanges per second, one after the other; median of `rounds`."""
    with tempfile.TemporaryDirectory(prefix="aauth-bench-") as directory:
        return asyncio.run(_measure(Path(directory), rounds, batch))


def describe(figures: dict[str, float]) -> str:
    return (
        f"Three-party exchange over HTTP: {figures['three_party_per_s']:.1f} per second, "
        f"{figures['three_party_requests']:.0f} signed requests each, everything on one core."
    )


async def _measure(directory: Path, rounds: int, batch: int) -> dict[str, float]:
    async with _parties(directory) as (resource, source):
        wire = AsyncWire.open(dev=True)
        try:
            counted = Counted(wire)
            await exchange(resource, source, counted)
            signed = counted.signed
            rates = []
            for number in range(rounds + 1):
                began = time.perf_counter()
                for _ in range(batch):
                    await exchange(resource, source, wire)
                if number:
                    rates.append(batch / (time.perf_counter() - began))
        finally:
            await wire.aclose()
    return {"three_party_per_s": round(statistics.median(rates), 1), "three_party_requests": signed}


async def exchange(resource: str, source: SelfIssued, wire: Any) -> None:
    """One exchange of an agent that remembers nothing."""
    agent = AsyncAgent(source, wire=wire, dev=True, on_interaction=None)
    response = await agent.get(f"{resource}/events")
    if response.status_code != 200 or not response.json()["events"]:
        raise AssertionError(f"the exchange ended in {response.status_code}")


class Counted:
    """A wire that counts the signed requests which cross it."""

    def __init__(self, wire: AsyncWire) -> None:
        self._wire, self.signed = wire, 0
        self.transport, self.directory = self, wire.directory

    async def run(self, flow: Any, **options: Any) -> Any:
        inner = AsyncWire(self, self._wire.directory)
        try:
            return await inner.run(flow, **options)
        finally:
            await inner.settle()

    async def send(self, effect: Any) -> Any:
        self.signed += "signature" in effect.request.headers
        return await self._wire.transport.send(effect)


@asynccontextmanager
async def _parties(directory: Path) -> AsyncIterator[tuple[str, SelfIssued]]:
    ports = [free_port() for _ in range(3)]
    provider, person, resource = (
        f"http://{name}.localhost:{port}" for name, port in zip(("agents", "person", "calendar"), ports, strict=True)
    )
    key = SigningKey.generate()
    publish(directory / "site", provider, [key], dev=True)
    person_app = await build_person_app(f"sqlite:///{directory / 'person.db'}", person, dev=True)
    wire = AsyncWire.open(dev=True)
    guard = Resource(
        issuer=resource,
        wire=wire,
        store=MemoryResourceStore(time.time),
        signing_key=SigningKey.generate(),
        dev=True,
        scopes=SCOPES,
    )

    async def events(request: Request) -> JSONResponse:
        return JSONResponse({"events": [request.scope["aauth"].person[1]]})

    policy = Policy([AAuthRoute("GET", "/events", authorized("calendar.read", limit="1000000/second"))])
    apps = (
        Starlette(routes=[Mount("/", StaticFiles(directory=directory / "site"))]),
        person_app,
        AAuthMiddleware(Starlette(routes=[Route("/events", events)]), guard, policy),
    )
    servers = await serve_all([Running(app, "127.0.0.1", port) for app, port in zip(apps, ports, strict=True)])
    source = SelfIssued(provider, f"aauth:bench@agents.localhost:{ports[0]}", key, time.time, ps=person, dev=True)
    try:
        await consent(source, f"{resource}/events")
        yield resource, source
    finally:
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in servers), return_exceptions=True)
        await wire.aclose()


async def consent(source: SelfIssued, url: str) -> None:
    """The one time the person is asked: they make an account and approve, twice, and it is remembered."""
    person = ScriptedPerson(loopback_client())
    visits: set[asyncio.Task[None]] = set()

    async def decide(direct: Direct) -> None:
        await person.visit(direct.person_url)
        if 'name="display_name"' in person.text:
            form = person.form_with("display_name", "username", "password")
            values = {"display_name": "Ada", "username": "ada", "password": secrets.token_urlsafe(18)}
            await person.submit(form, values)
        await person.submit(person.form_with("decision"), {}, button=("decision", "approve"))

    async def visit(direct: Direct) -> None:
        visits.add(asyncio.create_task(decide(direct)))

    wire = AsyncWire.open(dev=True)
    try:
        agent = AsyncAgent(source, wire=wire, dev=True, on_interaction=visit)
        response = await agent.get(url)
        await asyncio.gather(*visits)
        if response.status_code != 200:
            raise AssertionError(f"the first exchange ended in {response.status_code}")
    finally:
        await person.close()
        await wire.aclose()
