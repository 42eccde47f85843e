"""Real servers on loopback: provider, person server, access server, and services that call each other."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from aauthlib.access import Allow, CallablePolicy, Decision, Deny, Facts
from aauthlib.accounts.passwords import Passwords
from aauthlib.agent import AsyncAgent, enroll
from aauthlib.chaining import ChainPolicy, ChainStore, Intermediary
from aauthlib.cli.serving import Running, free_port, serve_all
from aauthlib.deferred.polling import PollPolicy
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.parties import loopback_client
from aauthlib.discovery import Directory
from aauthlib.effects import Answer, Direct, Send
from aauthlib.http import Request as WireRequest
from aauthlib.http import Response as WireResponse
from aauthlib.keys import SigningKey
from aauthlib.messages.metadata import AgentProviderMetadata
from aauthlib.provider import AgentProvider
from aauthlib.resource import MemoryResourceStore, Policy, Route, authorized, identified, person
from aauthlib.store.database import Database
from aauthlib.store.provider import SQLProviderStore
from aauthlib.transport import AsyncTransport, AsyncWire, SyncTransport, Wire
from aauthlib.web.access import build_access_app
from aauthlib.web.person import PersonApp, build_person_app
from aauthlib.web.provider import build_provider_app
from aauthlib.web.resource import AAuthMiddleware

_PASSWORD = "correct horse battery"
NAMES = ("agents", "person", "access", "a", "b", "c", "guarded")


def _allow(facts: Facts) -> Decision:
    """What the access server decides unless a test says otherwise."""
    return Allow() if facts.scope == ("read",) else Deny("Only reading is allowed.")


class Clock:
    """The machine's clock, which tests can put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


async def doze(seconds: float) -> None:
    """Whoever pauses between two polls here does so for a moment: nobody has to be spared."""
    await asyncio.sleep(min(seconds, 0.02))


class Tap:
    """A transport that keeps what it carried."""

    def __init__(self, inner: Any, carried: list[tuple[WireRequest, WireResponse]]) -> None:
        self._inner, self._carried = inner, carried

    async def send(self, effect: Send) -> WireResponse:
        response: WireResponse = await self._inner.send(effect)
        self._carried.append((effect.request, response))
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Parties:
    """Everybody, by name."""

    url: dict[str, str]
    clock: Clock
    person_app: PersonApp
    services: dict[str, Intermediary]
    carried: list[tuple[WireRequest, WireResponse]]
    """What the agent and the services sent, each with its answer."""
    agent: AsyncAgent = field(init=False)
    ada: ScriptedPerson = field(init=False)
    browser: httpx2.AsyncClient = field(init=False)
    """Hers."""
    decide: Callable[[Direct], Awaitable[None]] | None = None
    access: Any = None
    """The access server's app."""
    policy: Callable[[Facts], Decision] = _allow
    """What the access server decides."""
    wire: AsyncWire = field(init=False)
    """The agents'."""
    days: itertools.count[int] = field(default_factory=itertools.count)
    username: str = ""
    person_id: str = ""
    """Ada's, at her person server."""
    directed: list[Direct] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def begin(self) -> None:
        """A new day: nobody has asked anything yet of the Ada of this day, who has an agent that was never here."""
        await self.end()
        self.username = f"ada{next(self.days)}"
        account = await self.person_app.accounts.create(self.username, "Ada", password=_PASSWORD)
        self.person_id = account.person_id
        self.browser = loopback_client()
        self.ada = ScriptedPerson(self.browser)
        self.decide, self.policy = self.approve, _allow
        self.directed.clear()
        self.agent = await self.newcomer()
        self.carried.clear()

    async def end(self) -> None:
        """What a test left open is withdrawn."""
        for service in self.services.values():
            await service.invocations.aclose()
        await asyncio.gather(*self.tasks)
        if self.username:
            await self.ada.close()

    async def newcomer(self, **options: Any) -> AsyncAgent:
        """Another agent of Ada's."""
        source, _ = await self.wire.run(
            enroll(self.url["agents"], SigningKey.generate(), clock=self.clock, ps=self.url["person"], dev=True)
        )
        settings = {"on_interaction": self.direct, "poll": PollPolicy(wait_s=5, deadline_s=60), **options}
        return AsyncAgent(source, wire=self.wire, dev=True, clock=self.clock, **settings)

    def direct(self, direct: Direct) -> None:
        self.directed.append(direct)
        if self.decide is not None:
            task = asyncio.create_task(self.decide(direct))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def approve(self, direct: Direct) -> None:
        await self.visit(direct.person_url, "approve")

    async def deny(self, direct: Direct) -> None:
        await self.visit(direct.person_url, "deny")

    async def visit(self, url: str, decision: str) -> None:
        """What a person does: follow the link, sign in, decide, and go where the pages lead until they are done.

        Without a `decision` they stay on the page that asks for one.
        """
        await self.ada.visit(url)
        for _ in range(30):
            if 'name="password"' in self.ada.text:
                form = self.ada.form_with("username", "password")
                await self.ada.submit(form, {"username": self.username, "password": _PASSWORD})
            elif 'name="decision"' in self.ada.text and decision:
                await self.ada.submit(self.ada.form_with("decision"), {}, button=("decision", decision))
            elif "One moment" in self.ada.text:
                await self.ada.visit(self.ada.url)
            else:
                return

    async def until(self, true: Callable[[], bool]) -> None:
        """Return when it is so. Raises `TimeoutError`."""
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.02)

    def tokens(self, name: str) -> list[str]:
        """The values of one member in the bodies that were sent."""
        bodies = [msgspec.json.decode(request.body) for request, _ in self.carried if request.body.startswith(b"{")]
        return [body[name] for body in bodies if name in body]


def service(url: dict[str, str], hold: list[Intermediary]) -> Starlette:
    """Calls on where it is told to by `to`, a list of names: the next one with the rest of it."""

    async def read(request: Request) -> Response:
        to = [name for name in request.query_params.get("to", "").split(",") if name]
        grant = request.scope["aauth"]
        seen = {"sub": grant.person[1] if grant.person else None, "mission": grant.mission_s256}
        if not to:
            return JSONResponse([seen])
        target, path = f"{url[to[0]]}{request.url.path}", {"to": ",".join(to[1:])}
        response = await hold[0].downstream(request).get(target, params=path)
        if response.status_code != 200:
            return JSONResponse({"below": response.status_code, "said": response.json()}, 502)
        return JSONResponse([seen, *response.json()])

    def blocking(request: Request) -> Response:
        response = hold[0].downstream_blocking(request).get(f"{url['c']}/read")
        return JSONResponse(response.json(), response.status_code)

    async def caught(request: Request) -> Response:
        try:
            await hold[0].downstream(request).get(f"{url['c']}/read")
        except Exception as error:
            return JSONResponse({"caught": type(error).__name__})
        return JSONResponse({"caught": None})

    async def post(request: Request) -> Response:
        response = await hold[0].downstream(request).get(f"{url['c']}/read")
        return JSONResponse({"status": response.status_code, "body": (await request.body()).decode()}, 201)

    async def both(request: Request) -> Response:
        first = await hold[0].downstream(request).get(f"{url['b']}/me", params={"to": "c"})
        second = await hold[0].downstream(request).get(f"{url['guarded']}/me")
        return JSONResponse([first.status_code, second.status_code])

    async def explained(request: Request) -> Response:
        async def explain(question: Answer) -> object:
            return "Apollo" if "project" in question.question else await client.ask_caller(question)

        client = hold[0].downstream(request, on_clarification=explain)
        response = await client.get(f"{url['guarded']}/read")
        return JSONResponse(response.json(), response.status_code)

    return Starlette(
        routes=[
            StarletteRoute("/both", both),
            StarletteRoute("/explained", explained),
            StarletteRoute("/read", read),
            StarletteRoute("/me", read),
            StarletteRoute("/agent", read),
            StarletteRoute("/blocking", blocking),
            StarletteRoute("/caught", caught),
            StarletteRoute("/post", post, methods=["POST"]),
        ]
    )


def policy() -> Policy:
    return Policy(
        [
            Route("GET", "/read", authorized("read")),
            Route("GET", "/me", person()),
            Route("GET", "/agent", identified()),
            Route("GET", "/blocking", authorized("read")),
            Route("GET", "/caught", person()),
            Route("GET", "/both", person()),
            Route("GET", "/explained", person()),
            Route("POST", "/post", person()),
        ]
    )


@asynccontextmanager
async def open_parties(
    folder: Path,
    *,
    chain: ChainPolicy | None = None,
    store: Callable[[str, Clock], ChainStore] = lambda _, clock: MemoryResourceStore(clock),
) -> AsyncIterator[Parties]:
    """Start them all; `store` gives the one of a service by its name."""
    opened: list[Parties] = []
    clock, carried = Clock(), []  # type: ignore[var-annotated]
    ports = {name: free_port() for name in NAMES}
    url = {name: f"http://{name}.localhost:{port}" for name, port in ports.items()}
    async with AsyncExitStack() as stack:

        def wire() -> AsyncWire:
            own = AsyncWire(Tap(AsyncTransport(dev=True), carried), Directory(clock=clock, dev=True), sleep=doze)
            stack.push_async_callback(own.aclose)
            return own

        database = await Database.open(f"sqlite:///{folder / 'provider.db'}")
        stack.push_async_callback(database.close)
        provider = AgentProvider(
            url["agents"],
            store=SQLProviderStore(database),
            wire=wire(),
            clock=clock,
            dev=True,
            metadata=AgentProviderMetadata(issuer=url["agents"], name="Agents"),
        )
        person_app = await build_person_app(
            f"sqlite:///{folder / 'person.db'}",
            url["person"],
            dev=True,
            clock=clock,
            wire=wire(),
            passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)),
        )
        access = await build_access_app(
            f"sqlite:///{folder / 'access.db'}",
            url["access"],
            CallablePolicy(lambda facts: opened[0].policy(facts)),
            dev=True,
            clock=clock,
            wire=wire(),
        )
        apps: dict[str, Any] = {"agents": build_provider_app(provider), "person": person_app, "access": access}
        services: dict[str, Intermediary] = {}
        blocking = Wire(SyncTransport(dev=True), Directory(clock=clock, dev=True), sleep=lambda _: time.sleep(0.02))
        stack.callback(blocking.close)
        for name in ("a", "b", "c", "guarded"):
            hold: list[Intermediary] = []
            services[name] = Intermediary(
                issuer=url[name],
                wire=wire(),
                store=store(name, clock),
                signing_key=SigningKey.generate(),
                clock=clock,
                dev=True,
                scopes={"read": "Read."},
                access_server=url["access"] if name == "guarded" else None,
                name=name,
                chain=chain or ChainPolicy(poll_wait_s=5),
                blocking_wire=blocking,
            )
            hold.append(services[name])
            apps[name] = AAuthMiddleware(service(url, hold), services[name], policy())
        servers = await serve_all([Running(apps[name], "127.0.0.1", ports[name]) for name in NAMES])

        async def stop() -> None:
            # Whoever calls first, whoever is called last: what is under way is withdrawn where it waits.
            for half in (servers[3:], servers[:3]):
                for server, _ in half:
                    server.should_exit = True
                await asyncio.gather(*(task for _, task in half))

        stack.push_async_callback(stop)
        parties = Parties(url, clock, person_app, services, carried, access=access)
        opened.append(parties)
        parties.wire = wire()
        try:
            yield parties
        finally:
            await parties.end()
