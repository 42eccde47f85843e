"""The demo's parties, each a real server on its own loopback port, each with its own data.

They share a process for the convenience of one command, and nothing else: every word between them crosses HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as StarletteRoute

from ..agent import AsyncAgent, GrantPreferences, enroll
from ..chaining import Intermediary
from ..cli.exchanges import AsyncRecorder, Exchanges
from ..cli.serving import Running, free_port, serve_all
from ..deferred.polling import PollPolicy
from ..discovery import Directory
from ..effects import Direct
from ..keys import SigningKey
from ..messages.metadata import AgentProviderMetadata
from ..provider import AgentProvider
from ..resource import MemoryResourceStore, Resource
from ..store.database import Database
from ..store.provider import SQLProviderStore
from ..transport import AsyncTransport, AsyncWire
from ..web.access import build_access_app
from ..web.person import PersonApp, build_person_app
from ..web.provider import build_provider_app
from ..web.resource import AAuthMiddleware
from .calendar import SCOPES, Calendar, calendar_app, policy
from .organisation import EXPENSES_SCOPES, access_policy, expenses_app, expenses_policy
from .sequence import Lane, render_sequence
from .travel import HOTELS_SCOPES, TRIPS_SCOPES, hotels_app, hotels_policy, trips_app, trips_policy

__all__ = ["Parties", "open_parties"]

_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
AGENT, CALENDAR, PERSON, PROVIDER, THIEF = "agent", "calendar", "person server", "agent provider", "somebody else"
EXPENSES, ACCESS, TRIPS, HOTELS = "expenses", "access server", "trips", "hotels"


@dataclass(slots=True)
class Parties:
    """Everything that runs."""

    exchanges: Exchanges
    agent: AsyncAgent
    calendar: str
    """Origin of the calendar, its identifier."""
    expenses: str
    access: str
    trips: str
    """Origin of the resource that calls `hotels`, which calls the calendar."""
    hotels: str
    person: str
    provider: str
    page: str
    """URL of the sequence page."""
    person_app: PersonApp
    thief: AsyncWire
    _servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = field(default_factory=list)
    _wires: list[AsyncWire] = field(default_factory=list)
    _databases: list[Database] = field(default_factory=list)

    async def close(self) -> None:
        """Stop the servers and close what they hold."""
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self._servers), return_exceptions=True)
        for wire in self._wires:
            await wire.aclose()
        for database in self._databases:
            await database.close()


def lanes(parties: Parties) -> list[Lane]:
    """The columns of the sequence page."""
    return [
        Lane(THIEF, "Somebody else", "has stolen the agent's tokens"),
        Lane(AGENT, "Agent", "acts for a person"),
        Lane(TRIPS, "Trips", parties.trips),
        Lane(HOTELS, "Hotels", parties.hotels),
        Lane(CALENDAR, "Calendar", parties.calendar),
        Lane(EXPENSES, "Expenses", parties.expenses),
        Lane(PERSON, "Person server", parties.person),
        Lane(ACCESS, "Access server", parties.access),
        Lane(PROVIDER, "Agent provider", parties.provider),
    ]


async def open_parties(data: Path, *, on_interaction: Callable[[Direct], object], wait_s: float) -> Parties:
    """Start all servers in `data`, enrol the agent, and return when everything answers.

    `on_interaction` is called with a `Direct` when the person is needed; `wait_s` is how long the agent waits then.
    """
    exchanges = Exchanges(time.time)
    names = ("agents", "person", "calendar", "expenses", "access", "trips", "hotels", "demo")
    ports = [free_port() for _ in names]
    provider_url, person_url, calendar_url, expenses_url, access_url, trips_url, hotels_url, page_url = (
        f"http://{name}.localhost:{port}" for name, port in zip(names, ports, strict=True)
    )
    exchanges.names.update({provider_url: PROVIDER, person_url: PERSON, calendar_url: CALENDAR})
    exchanges.names.update({expenses_url: EXPENSES, access_url: ACCESS, trips_url: TRIPS, hotels_url: HOTELS})
    speakers = (AGENT, CALENDAR, EXPENSES, TRIPS, HOTELS, PERSON, ACCESS, PROVIDER, THIEF)
    wires = {name: _wire(exchanges, name) for name in speakers}

    database = await Database.open(f"sqlite:///{data / 'provider.db'}")
    provider = AgentProvider(
        provider_url,
        store=SQLProviderStore(database),
        wire=wires[PROVIDER],
        clock=time.time,
        dev=True,
        metadata=AgentProviderMetadata(issuer=provider_url, name="Demo Agents"),
    )
    person_app = await build_person_app(
        f"sqlite:///{data / 'person.db'}", person_url, dev=True, name="Your person server", wire=wires[PERSON]
    )
    resource = Resource(
        issuer=calendar_url,
        wire=wires[CALENDAR],
        store=MemoryResourceStore(time.time),
        signing_key=SigningKey.generate(),
        dev=True,
        scopes=SCOPES,
        name="Calendar",
        description="A small calendar that has never heard of this agent.",
        access_mode="auth-token",
    )
    calendar = AAuthMiddleware(calendar_app(Calendar(data / "calendar.db")), resource, policy())
    access = await build_access_app(
        f"sqlite:///{data / 'access.db'}", access_url, access_policy(), dev=True, wire=wires[ACCESS]
    )
    guarded = Resource(
        issuer=expenses_url,
        wire=wires[EXPENSES],
        store=MemoryResourceStore(time.time),
        signing_key=SigningKey.generate(),
        dev=True,
        scopes=EXPENSES_SCOPES,
        access_server=access_url,
        name="Expenses",
        description="The expense reports of an organisation with rules of its own.",
        access_mode="auth-token",
    )
    expenses = AAuthMiddleware(expenses_app(), guarded, expenses_policy())
    hotels = _intermediary(hotels_url, wires[HOTELS], HOTELS_SCOPES, "Hotels", "Rooms for the nights you are free.")
    trips = _intermediary(trips_url, wires[TRIPS], TRIPS_SCOPES, "Trips", "Plans trips, and asks hotels for rooms.")
    shown: list[Parties] = []
    apps = (
        build_provider_app(provider),
        person_app,
        calendar,
        expenses,
        access,
        AAuthMiddleware(trips_app(trips, hotels_url), trips, trips_policy()),
        AAuthMiddleware(hotels_app(hotels, calendar_url), hotels, hotels_policy()),
        _page(shown),
    )
    servers = await serve_all([Running(app, "127.0.0.1", port) for app, port in zip(apps, ports, strict=True)])
    exchanges.note("The agent enrols: it makes a key, the provider vouches for it", "step")
    source, _ = await wires[AGENT].run(
        enroll(provider_url, SigningKey.generate(), clock=time.time, ps=person_url, label="Demo agent", dev=True)
    )
    agent = AsyncAgent(
        source,
        wire=wires[AGENT],
        dev=True,
        opening="anonymous",
        on_interaction=on_interaction,
        preferences=GrantPreferences(justification="To keep your **calendar** up to date.", platform="desktop"),
        poll=PollPolicy(wait_s=20, deadline_s=wait_s),
    )
    parties = Parties(
        exchanges,
        agent,
        calendar_url,
        expenses_url,
        access_url,
        trips_url,
        hotels_url,
        person_url,
        provider_url,
        f"{page_url}/",
        person_app,
        wires[THIEF],
        servers,
        [wire for name, wire in wires.items() if name not in (PERSON, ACCESS)],
        [database],
    )
    shown.append(parties)
    return parties


def _intermediary(issuer: str, wire: AsyncWire, scopes: dict[str, str], name: str, description: str) -> Intermediary:
    return Intermediary(
        issuer=issuer,
        wire=wire,
        store=MemoryResourceStore(time.time),
        signing_key=SigningKey.generate(),
        dev=True,
        scopes=scopes,
        name=name,
        description=description,
        access_mode="auth-token",
    )


def _wire(exchanges: Exchanges, name: str) -> AsyncWire:
    return AsyncWire(AsyncRecorder(AsyncTransport(dev=True), exchanges, name), Directory(clock=time.time, dev=True))


def _page(shown: list[Parties]) -> Starlette:
    """The sequence page, drawn anew at each visit."""

    async def page(request: Request) -> Response:
        if not shown:
            return HTMLResponse("The demo is starting.", 503)
        html = render_sequence(shown[0].exchanges, lanes(shown[0]), title="First contact, message by message")
        policy = (
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(html, headers={"content-security-policy": policy, "cache-control": "no-store"})

    return Starlette(routes=[StarletteRoute("/", page)])


def loopback_client() -> httpx2.AsyncClient:
    """A client for the scripted person: `*.localhost` is this machine."""
    return httpx2.AsyncClient(transport=_Loopback(), follow_redirects=False, trust_env=False)


class _Loopback(httpx2.AsyncBaseTransport):
    """Connects every `*.localhost` to 127.0.0.1, as browsers do, and refuses everything else."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        if host != "localhost" and not host.endswith(".localhost"):
            raise httpx2.ConnectError(f"{host} is not on this machine")
        # A request of its own: cookies belong to the name the person sees, not to the address.
        reached = httpx2.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(reached)

    async def aclose(self) -> None:
        await self._inner.aclose()
