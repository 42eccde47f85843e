"""An agent with nobody near, its servers on loopback, and hours that pass in a moment.

Sockets, HTTP and databases are real, time is not (`tests.failures.hosts`): whoever waits moves the clock, by half
an hour at least, and what was to happen meanwhile happens, such as that Alice looks at her phone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from aauthlib.access import Allow, CallablePolicy
from aauthlib.agent import AgentTokenSource, AsyncAgent, SelfIssued, enroll
from aauthlib.deferred.polling import PollPolicy
from aauthlib.discovery import Directory, TransportError
from aauthlib.effects import Direct, Report, Send
from aauthlib.http import Response
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.metadata import AgentProviderMetadata
from aauthlib.person.server import PersonServer
from aauthlib.provider import AgentProvider
from aauthlib.resource import MemoryResourceStore, Policy, Resource, Route, authorized, person
from aauthlib.store.database import Database
from aauthlib.store.notification_records import WEB_PUSH, Subscription
from aauthlib.store.provider import SQLProviderStore
from aauthlib.transport import AsyncWire
from aauthlib.web.access import build_access_app
from aauthlib.web.person import build_person_app
from aauthlib.web.provider import build_provider_app
from aauthlib.web.resource import AAuthMiddleware
from tests.failures.hosts import Clock, Host, Sender, Time, Waits

ALICE = "alice-id"
HOUR = 3600.0
STEP_S = 1800.0
_SCOPES = {"notes.read": "Read your notes.", "notes.write": "Write your notes."}

Happening = Callable[[], Awaitable[None]]


class Hours(Time):
    """Time that passes in long steps, with what happens in it."""

    def __init__(self) -> None:
        super().__init__()
        self.step_s = STEP_S
        self._due: list[tuple[float, Happening]] = []

    def later(self, seconds: float, happening: Happening) -> None:
        """It happens when `seconds` have passed."""
        self._due.append((self.now + seconds, happening))

    async def sleep(self, seconds: float) -> None:
        await super().sleep(max(seconds, self.step_s))
        for each in [each for each in self._due if each[0] <= self.now]:
            self._due.remove(each)
            await each[1]()


class Network(Sender):
    """The agent's way to its servers, which can be cut."""

    down: frozenset[str] = frozenset()

    async def send(self, effect: Send) -> Response:
        if effect.request.origin in self.down:
            raise TransportError(f"{effect.request.origin} could not be connected to.")
        return await super().send(effect)


@dataclass
class Headless:
    """Everybody."""

    time: Hours
    waits: Waits
    hosts: dict[str, Host]
    served: list[dict[str, Any]]
    """What the resources did: path and scope."""
    issuing: dict[str, SigningKey]
    reports: list[Report] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    _count: int = 0

    @property
    def server(self) -> PersonServer:
        found: PersonServer = self.hosts["person"].app.server
        return found

    def url(self, path: str = "/notes", host: str = "notes") -> str:
        return self.hosts[host].issuer + path

    def asked(self, what: str, host: str = "person") -> int:
        """How often a server got a request of this kind."""
        return sum(step.name == what for step in self.hosts[host].steps)

    # ------------------------------------------------------------------ the agent

    async def known(self, *, enrolled: bool = True) -> AgentTokenSource:
        """A new agent that acts for Alice, who can be told where she is. An enrolled one has a new key every hour."""
        clock = Clock(self.time)
        if enrolled:
            flow = enroll(
                self.hosts["agents"].issuer, SigningKey.generate(), clock=clock, ps=self.url("", "person"), dev=True
            )
            source: AgentTokenSource = (await self._wire().run(flow))[0]
        else:
            self._count += 1
            name = f"aauth:helper{self._count}@publisher.localhost"
            issuer = self.hosts["publisher"].issuer
            key = self.issuing["publisher"]
            source = SelfIssued(issuer, name, key, clock, ps=self.url("", "person"), dev=True)
        await self.agent(source, on_interaction=self.welcome).get(self.url("/me"))
        self.hosts["person"].steps.clear()
        return source

    def agent(self, source: AgentTokenSource, *, wait_s: float = 24 * HOUR, **options: Any) -> AsyncAgent:
        """The agent as a process that has just been started; nobody is near unless `options` say so."""
        settings: dict[str, Any] = {
            "clock": Clock(self.time),
            "dev": True,
            "on_interaction": None,
            "on_report": self.reports.append,
            "poll": PollPolicy(wait_s=0, deadline_s=wait_s),
        }
        return AsyncAgent(source, wire=self._wire(), **{**settings, **options})

    def _wire(self) -> AsyncWire:
        network = Network(self.time, self.waits)
        self.networks.append(network)
        made = AsyncWire(network, Directory(clock=Clock(self.time), dev=True), sleep=self.time.sleep)
        self.hosts["person"].closing(made.aclose)
        return made

    def cut(self, *hosts: str) -> None:
        """From now on these cannot be reached; the others can."""
        for network in self.networks:
            network.down = frozenset(self.hosts[host].issuer for host in hosts)

    # ------------------------------------------------------------------ Alice

    async def welcome(self, direct: Direct) -> None:
        """Alice meets the agent, and lets it act for her at this resource."""
        handle = direct.url.rpartition("/")[2]
        await self.server.approve(await self.server.arrive(handle, direct.code, person_id=ALICE), person_id=ALICE)

    async def decide(self, *, yes: bool = True, **choices: Any) -> None:
        """Alice decides about everything that waits for her."""
        for view in await self.server.pending_for(ALICE):
            if yes:
                await self.server.approve(view.digest, person_id=ALICE, **choices)
            else:
                await self.server.deny(view.digest, person_id=ALICE)

    def decides(self, *, after: float, yes: bool = True, **choices: Any) -> None:
        """Alice will decide when `after` seconds have passed."""
        self.time.later(after, lambda: self.decide(yes=yes, **choices))

    async def waiting(self) -> int:
        """How many requests wait for Alice."""
        return len(await self.server.pending_for(ALICE))


async def _notes(served: list[dict[str, Any]], scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    grant = scope["aauth"]
    served.append({"path": scope["path"], "method": scope["method"], "scope": sorted(grant.scope), "body": body})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"the notes"})


def _routes() -> Policy:
    return Policy(
        [
            Route("GET", "/me", person()),
            Route("GET", "/notes", authorized("notes.read")),
            Route("POST", "/notes", authorized("notes.write")),
            Route("POST", "/held", authorized("notes.write", delivery="202")),
        ]
    )


@asynccontextmanager
async def open_headless(folder: Path, database_url: str) -> AsyncIterator[Headless]:
    """Everything, started; the person server on `database_url`."""
    time, waits = Hours(), Waits()
    served: list[dict[str, Any]] = []
    hosts: dict[str, Host] = {}
    publisher = SigningKey.generate(kid="a1")

    async def provider(host: Host) -> Any:
        opened = await Database.open(f"sqlite:///{folder / host.name}.db")
        host.closing(opened.close)
        made = AgentProvider(
            host.issuer,
            store=SQLProviderStore(opened),
            wire=host.wire(),
            clock=host.clock,
            dev=True,
            token_lifetime_s=3600,
            metadata=AgentProviderMetadata(issuer=host.issuer, name="Agents"),
        )
        return build_provider_app(made)

    async def person_server(host: Host) -> Any:
        app = await build_person_app(database_url, host.issuer, dev=True, clock=host.clock, wire=host.wire())
        host.closing(app.database.close)
        return app

    async def access_server(host: Host) -> Any:
        app = await build_access_app(
            f"sqlite:///{folder / host.name}.db",
            host.issuer,
            CallablePolicy(lambda facts: Allow()),
            dev=True,
            clock=host.clock,
            wire=host.wire(),
        )
        host.closing(app.aclose)
        return app

    def resource(access: str | None) -> Callable[[Host], Any]:
        async def opening(host: Host) -> Any:
            made = Resource(
                issuer=host.issuer,
                wire=host.wire(),
                store=MemoryResourceStore(host.clock),
                signing_key=SigningKey.generate(),
                clock=host.clock,
                dev=True,
                scopes=_SCOPES,
                access_server=hosts[access].issuer if access else None,
            )

            async def app(scope: Any, receive: Any, send: Any) -> None:
                await _notes(served, scope, receive, send)

            return AAuthMiddleware(app, made, _routes())

        return opening

    async def publishing(host: Host) -> Any:
        documents = {
            "/.well-known/aauth-agent.json": {"issuer": host.issuer, "jwks_uri": f"{host.issuer}/jwks.json"},
            "/jwks.json": JWKS.of(publisher).to_document(),
        }
        return _Static(documents)

    async def nothing(host: Host) -> None:
        raise AssertionError("no key is rotated here")

    for name, opening in (
        ("agents", provider),
        ("publisher", publishing),
        ("person", person_server),
        ("access", access_server),
        ("notes", resource(None)),
        ("guarded", resource("access")),
    ):
        hosts[name] = Host(name, time, waits, opening, nothing)
    for host in hosts.values():
        await host.start()
    made = Headless(time, waits, hosts, served, {"publisher": publisher})
    target = {"endpoint": "https://push.example/x", "p256dh": "k", "auth": "a"}
    await made.server.store.subscribe(  # type: ignore[attr-defined]
        Subscription(
            id="phone", person_id=ALICE, channel=WEB_PUSH, target=target, name="A phone", created_at=0.0, confirmed=True
        )
    )
    try:
        yield made
    finally:
        for host in hosts.values():
            await host.close()


class _Static:
    """Serves documents."""

    def __init__(self, documents: dict[str, Any]) -> None:
        self._documents = documents

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = self._documents.get(scope["path"])
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": msgspec.json.encode(found or {})})
