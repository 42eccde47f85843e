"""Three parties, of which some are ours and some somebody else's, under `https` names on one machine.

Most peers take only `https` identifiers without a port. Every server here listens on plain loopback HTTP under the name
it was configured with; whoever calls it has a transport that changes where the connection goes and nothing else, so
that URL, `Host` and signature are those of the name. Needs to know nothing of any particular peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute
from starlette.staticfiles import StaticFiles

from aauthlib.access import CallablePolicy, Decision, Facts
from aauthlib.agent import AsyncAgent, SelfIssued
from aauthlib.cli.serving import Running, free_port, serve_all
from aauthlib.discovery import Directory, TransportError
from aauthlib.effects import Direct, Flow, Send
from aauthlib.http import Request, Response, split_url
from aauthlib.httpsig import JWT, sign
from aauthlib.keys import SigningKey
from aauthlib.provider.selfpublished import publish
from aauthlib.resource import MemoryResourceStore, Policy, Resource, Route, authorized, person
from aauthlib.transport import AsyncTransport, AsyncWire
from aauthlib.web.access import AccessApp, build_access_app
from aauthlib.web.resource import AAuthMiddleware

AP = "https://ap.example"
RS = "https://rs.example"
PS = "https://ps.example"
AS = "https://as.example"
AGENT = "aauth:Helper@ap.example"
SCOPES = {"data.read": "Read the data.", "data.write": "Change the data."}

_START_S = 30.0


@dataclass
class Names:
    """Which loopback port stands for which name."""

    ports: dict[str, int] = field(default_factory=dict)

    def port(self, identifier: str) -> int:
        """The port of `identifier`, chosen when first asked for."""
        return self.ports.setdefault(identifier, free_port())

    def by_host(self) -> dict[str, int]:
        return {identifier.removeprefix("https://"): port for identifier, port in self.ports.items()}

    def by_url(self) -> dict[str, str]:
        return {identifier: f"http://127.0.0.1:{port}" for identifier, port in self.ports.items()}


@dataclass(frozen=True)
class Exchange:
    """One request and its response, as they went over the wire."""

    request: Request
    response: Response

    @property
    def line(self) -> tuple[str, str, int]:
        """Method, URL without query, status."""
        return self.request.method, self.request.url.partition("?")[0], self.response.status


@dataclass
class Mapped:
    """A transport for `names` and nothing else; `change` alters a request last, where a peer's bug must be undone."""

    names: Names
    change: Callable[[Request], Request] = lambda request: request
    seen: list[Exchange] = field(default_factory=list)
    inner: AsyncTransport = field(default_factory=lambda: AsyncTransport(dev=True))

    async def send(self, effect: Send) -> Response:
        request = effect.request
        port = self.names.ports.get(request.origin)
        if port is None:
            raise TransportError(f"{request.origin} is not part of this test.")
        signed = self.change(request).with_headers(host=split_url(request.url)[1])
        moved = Request(signed.method, f"http://localhost:{port}{signed.target}", signed.headers, signed.body)
        response = await self.inner.send(Send(moved, timeout_s=effect.timeout_s, max_body_bytes=effect.max_body_bytes))
        self.seen.append(Exchange(request, response))
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


async def _soon(seconds: float) -> None:
    """A peer's Retry-After is for people who take their time."""
    await anyio.sleep(min(seconds, 0.05))


async def deliver(wire: AsyncWire, request: Request) -> Response:
    """Send one request as it is."""

    def flow() -> Flow[Response]:
        response: Response = yield Send(request)
        return response

    return await wire.run(flow())


@dataclass
class World:
    """Our side: a self-published agent provider, an agent, a resource."""

    names: Names
    stack: AsyncExitStack
    directory: Path
    agent_key: SigningKey = field(default_factory=SigningKey.generate)
    directed: list[Direct] = field(default_factory=list)

    def wire(self) -> AsyncWire:
        """A wire of its own, with its own caches, for one party."""
        transport = Mapped(self.names)
        self.stack.push_async_callback(transport.aclose)
        wire = AsyncWire(transport, Directory(clock=time.time), sleep=_soon)
        self.stack.push_async_callback(wire.settle)
        return wire

    async def serve(self, identifier: str, app: Any) -> None:
        """Serve `app` under a name until the test ends."""
        (started,) = await serve_all([Running(app, "127.0.0.1", self.names.port(identifier))])
        self.stack.push_async_callback(_stop, *started)

    async def serve_provider(self) -> None:
        """The agent provider: the two files a self-published agent puts on a web host, and a web host."""
        publish(self.directory, AP, [self.agent_key], name="Interop Agents")
        await self.serve(AP, Starlette(routes=[Mount("/", StaticFiles(directory=self.directory))]))

    async def serve_resource(self, **options: Any) -> Resource:
        """Our resource: `/me` asks for a person, `/data` for `data.read`, and to change it for `data.write`.

        A POST to `/data` is held until there is a grant for `data.read`.
        """
        resource = Resource(
            issuer=RS,
            wire=self.wire(),
            store=MemoryResourceStore(time.time),
            signing_key=SigningKey.generate(),
            scopes=SCOPES,
            name="Data",
            **options,
        )
        policy = Policy(
            [
                Route("GET", "/me", person()),
                Route("GET", "/data", authorized("data.read")),
                Route("PUT", "/data", authorized("data.write")),
                Route("GET", "/mail", authorized("data.read", "email")),
                Route("POST", "/data", authorized("data.read", delivery="202")),
            ]
        )
        await self.serve(RS, AAuthMiddleware(_data(), resource, policy))
        return resource

    async def serve_access_server(self, policy: Callable[[Facts], Decision], **options: Any) -> AccessApp:
        """Our access server, whose person there is who types their name."""

        async def sign_in(username: str, password: str) -> str | None:
            return username or None

        app = await build_access_app(
            f"sqlite:///{self.directory / 'access.db'}",
            AS,
            CallablePolicy(policy),
            wire=self.wire(),
            sign_in=sign_in,
            **options,
        )
        self.stack.push_async_callback(app.aclose)
        await self.serve(AS, app)
        return app

    def agent(self, *, ps: str | None = PS, **options: Any) -> AsyncAgent:
        """Our agent. Whom it would direct where is kept in `directed`, unless `on_interaction` is given."""
        options.setdefault("on_interaction", self.directed.append)
        source = SelfIssued(AP, AGENT, self.agent_key, time.time, ps=ps)
        return AsyncAgent(source, wire=self.wire(), **options)

    async def signed(
        self, agent: AsyncAgent, method: str, url: str, document: bytes = b"", *, token: str | None = None
    ) -> Response:
        """A request that the agent signs, outside of its own flows: with its agent token, or with `token`."""
        if token is None:
            token = (await agent.agent_token()).raw
        headers = {"content-type": "application/json"} if document else {}
        request = Request(method, url, body=document).with_headers(**headers)
        return await deliver(agent.wire, sign(request, self.agent_key, JWT(token), created=int(time.time())))


def exchanges(agent: AsyncAgent) -> list[Exchange]:
    """What the agent sent and what came back."""
    transport = agent.wire.transport
    assert isinstance(transport, Mapped)
    return transport.seen


def signed_lines(agent: AsyncAgent) -> list[tuple[str, str, int]]:
    """Method, URL and status of what the agent sent, but for looking up metadata and keys."""
    return [exchange.line for exchange in exchanges(agent) if "signature-key" in exchange.request.headers]


@asynccontextmanager
async def open_world(directory: Path) -> AsyncIterator[World]:
    """Our agent provider, running; everything else as tests ask for it."""
    async with AsyncExitStack() as stack:
        world = World(Names(), stack, directory)
        for identifier in (AP, RS, PS, AS):
            world.names.port(identifier)
        await world.serve_provider()
        yield world


@asynccontextmanager
async def process(*command: str, ready: str, env: Mapping[str, str], cwd: Path | None = None) -> AsyncIterator[None]:
    """A server of somebody else's, running; it is up when a line of its output has `ready` in it."""
    started = await asyncio.create_subprocess_exec(
        *command, env=dict(env), cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert started.stdout is not None
    said: list[str] = []

    async def listen() -> None:
        async for line in started.stdout or ():
            said.append(line.decode("utf-8", "replace"))
            if ready in said[-1]:
                up.set()
        up.set()

    up = asyncio.Event()
    listening = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(_START_S):
            await up.wait()
        assert said and ready in said[-1], f"{command[0]} did not start:\n{''.join(said)}"
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.terminate()
        await started.wait()
        # What it said is read to the end, so that the pipe is closed with the process.
        await listening


async def _stop(server: Any, task: asyncio.Task[None]) -> None:
    server.should_exit = True
    await task


def _data() -> Starlette:
    """The application behind our resource."""

    async def who(request: StarletteRequest) -> StarletteResponse:
        issuer, subject = request.scope["aauth"].person
        return JSONResponse({"iss": issuer, "sub": subject})

    async def data(request: StarletteRequest) -> StarletteResponse:
        grant = request.scope["aauth"]
        return JSONResponse({"sub": grant.person[1], "scope": sorted(grant.scope), "email": grant.claims.get("email")})

    return Starlette(
        routes=[
            StarletteRoute("/me", who),
            StarletteRoute("/data", data, methods=["GET", "PUT", "POST"]),
            StarletteRoute("/mail", data),
        ]
    )
