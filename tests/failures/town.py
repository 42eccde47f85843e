"""An agent provider, a person server, an access server and two resources, each on its own port and database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import delete

from aauthlib.access import AccessServer, Allow, CallablePolicy, Decision, Facts, TestSettlement
from aauthlib.agent import AsyncAgent, enroll
from aauthlib.chaining import ChainPolicy, Intermediary
from aauthlib.chaining.visits import Onward
from aauthlib.deferred.polling import PollPolicy
from aauthlib.discovery import Directory
from aauthlib.effects import Direct, Flow, Report
from aauthlib.errors import AAuthError
from aauthlib.keys import SigningKey
from aauthlib.messages.metadata import AgentProviderMetadata
from aauthlib.person.federation import PaymentRequired
from aauthlib.person.server import PersonServer
from aauthlib.provider import AgentProvider
from aauthlib.resource import Policy, Resource, Route, authorized, person
from aauthlib.store import access_tables, person_tables
from aauthlib.store.database import Database
from aauthlib.store.provider import SQLProviderStore
from aauthlib.store.replay import SQLReplayCache
from aauthlib.store.resource import SQLResourceStore
from aauthlib.tokens import AgentToken
from aauthlib.transport import AsyncWire
from aauthlib.web.access import build_access_app
from aauthlib.web.person import build_person_app
from aauthlib.web.provider import build_provider_app
from aauthlib.web.resource import AAuthMiddleware

from .hosts import App, Clock, Host, Sender, Time, Waits, keep_account_of_tasks

ALICE = "alice-id"
SCOPES = {"reports.read": "Read reports.", "reports.write": "Write reports."}
AP, PS, AS, DIRECT, GUARDED, MIDDLE = "agents", "person", "access", "direct", "guarded", "middle"


@dataclass
class Demands:
    """The access server's policy: one demand after the other, then what `end` says."""

    demands: list[Decision] = field(default_factory=list)
    end: Decision = field(default_factory=Allow)
    met: Callable[[Facts, Decision], bool] = lambda facts, demand: False
    seen: list[Facts] = field(default_factory=list)

    def __call__(self, facts: Facts) -> Decision:
        self.seen.append(facts)
        for demand in self.demands:
            if not self.met(facts, demand):
                return demand
        return self.end


class Paying:
    """The person server's purse: it pays what is asked."""

    def __init__(self, settlement: TestSettlement) -> None:
        self._settlement = settlement

    def settle(self, required: PaymentRequired) -> Flow[bool]:
        yield from ()
        self._settlement.pay(msgspec.json.decode(required.body)["payment"]["id"])
        return True


@dataclass
class Onwards:
    """A page of the intermediary's that takes Alice on."""

    handle: str
    back: tuple[str, ...] = ()


@dataclass
class Town:
    """Everybody."""

    folder: Path
    time: Time
    waits: Waits
    hosts: dict[str, Host]
    policy: Demands
    settlement: TestSettlement
    decision: str = "approve"
    directed: list[str] = field(default_factory=list)
    onward: Onwards | None = None
    """Where Alice is to be taken on from, and asks whether she is needed again."""
    interrupt: tuple[str, Callable[[], Awaitable[None]]] | None = None
    """What happens, once, in place of the decision that is waited for at this host."""
    agent: AsyncAgent = field(init=False)
    agent_name: str = ""

    # ------------------------------------------------------------------ the parties

    @property
    def person_server(self) -> PersonServer:
        found: PersonServer = self.hosts[PS].app.server
        return found

    @property
    def access_server(self) -> AccessServer:
        found: AccessServer = self.hosts[AS].app.server
        return found

    @property
    def provider(self) -> AgentProvider:
        found: AgentProvider = self.hosts[AP].provider  # type: ignore[attr-defined]
        return found

    @property
    def provider_store(self) -> SQLProviderStore:
        return SQLProviderStore(self.hosts[AP].database)

    @property
    def intermediary(self) -> Intermediary:
        found: Intermediary = self.hosts[MIDDLE].made  # type: ignore[attr-defined]
        return found

    @property
    def reports(self) -> str:
        """What agents call that do not go by an intermediary."""
        return self.url(GUARDED, "/reports")

    def url(self, name: str, path: str) -> str:
        return self.hosts[name].issuer + path

    async def person(self, direct: Direct) -> None:
        """What Alice does when she is sent to a page, as far as its server can be reached."""
        self.directed.append(direct.url)
        if await self._interrupted(direct.url):
            return
        with suppress(AAuthError):  # Her page says so, and she closes it.
            await self._visit(direct.url, direct.code)

    async def _interrupted(self, url: str) -> bool:
        if self.interrupt is None or not url.startswith(self.hosts[self.interrupt[0]].issuer):
            return False
        (_, happen), self.interrupt = self.interrupt, None
        await happen()
        return True

    async def _visit(self, url: str, code: str) -> None:
        handle = url.rpartition("/")[2].partition("?")[0]
        if url.startswith(self.hosts[AS].issuer):
            if self.hosts[AS].reachable:
                await self.access_server.arrive(handle, code, "alice")
                await self.access_server.approve(handle, "alice")
            return
        if url.startswith(self.hosts[MIDDLE].issuer):
            if self.hosts[MIDDLE].reachable:
                self.onward = Onwards(handle)
                await self._go_on(await self.intermediary.invocations.visits.arrive(handle, code))
            return
        if not self.hosts[PS].reachable:
            return
        digest = await self.person_server.arrive(handle, code, person_id=ALICE)
        if self.decision != "approve":
            await self.person_server.deny(digest, person_id=ALICE)
            return
        await self.person_server.approve(digest, person_id=ALICE)
        onwards = (await self.person_server.consent(digest, person_id=ALICE)).access_interaction
        if onwards is not None:
            await self._visit(onwards.partition("?")[0], onwards.rpartition("code=")[2].partition("&")[0])

    async def _go_on(self, onward: Onward) -> None:
        """Alice is taken to where she is needed, and knows how to come back."""
        if onward.url is None or self.onward is None:
            return
        url, _, query = onward.url.partition("?")
        given = dict(parse_qsl(query))
        self.onward.back = tuple(given["callback"].rpartition("/")[2].split("."))
        await self._visit(url, given["code"])

    async def meanwhile(self, report: Report) -> None:
        """While the agent waits, whoever has to approve at the access server does, and Alice's page looks again."""
        if report.event != "waiting":
            return
        if self.onward is not None and self.onward.back and self.hosts[MIDDLE].reachable:
            handle, nonce, step = self.onward.back
            visits = self.intermediary.invocations.visits
            with suppress(AAuthError):
                await self._go_on(await visits.come_back(handle, nonce, int(step), wait_s=0))
        if self.hosts[AS].reachable:
            for approval in await self.access_server.approvals():
                if await self._interrupted(self.hosts[AS].issuer):
                    return
                await self.access_server.decide_approval(approval.id, by="the owner", approved=True)

    async def newcomer(self) -> AsyncAgent:
        """An agent that has enrolled, and knows nobody yet."""
        clock = Clock(self.time)

        def wire() -> AsyncWire:
            made = AsyncWire(Sender(self.time, self.waits), Directory(clock=clock, dev=True), sleep=self.time.sleep)
            self.hosts[AP].closing(made.aclose)
            return made

        flow = enroll(self.hosts[AP].issuer, SigningKey.generate(), clock=clock, ps=self.hosts[PS].issuer, dev=True)
        source, first = await wire().run(flow)
        assert isinstance(first.token, AgentToken)
        self.agent_name = first.token.sub
        return AsyncAgent(
            source,
            wire=wire(),
            clock=clock,
            dev=True,
            on_interaction=self.person,
            on_clarification=lambda question: "For the quarterly summary.",
            on_report=self.meanwhile,
            poll=PollPolicy(wait_s=0, deadline_s=300.0),
        )

    async def begin(self) -> None:
        """A new day: nothing is wrong, nobody knows anybody, and there is an agent that was never here."""
        for host in self.hosts.values():
            await host.heal()
            host.forget_everybody()
        self.time.now += 3600.0
        self.policy.demands, self.policy.end, self.decision = [], Allow(), "approve"
        self.directed.clear()
        self.onward = self.interrupt = None
        await self._forget_relations()
        self.agent = await self.newcomer()
        for host in self.hosts.values():
            host.steps.clear()

    async def _forget_relations(self) -> None:
        """What the access server binds once and is paid once for, and what Alice allowed an intermediary."""
        for name, tables in (
            (AS, (access_tables.bindings, access_tables.billing)),
            (PS, (person_tables.consents,)),
        ):
            async with self.hosts[name].database.transaction() as connection:
                for table in tables:
                    await connection.execute(delete(table))

    async def heal(self) -> None:
        """Everything works again, and has for long enough that nobody holds back any more."""
        # A minute, after which keys may be looked at again, and the longest pause after a failure.
        self.time.now += 90.0
        for host in self.hosts.values():
            await host.heal()
        # What nobody waits for any more would poll on, and move the one clock as it does.
        await self.intermediary.invocations.aclose()


async def _sign_in(username: str, password: str) -> str | None:
    return username


async def _reports(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"the reports"})


def relaying(made: Intermediary, issuers: dict[str, str]) -> App:
    """Whatever is asked of it, it gets the reports of the resource that its path ends with."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        target = issuers.get(scope["path"].rpartition("/")[2])
        if target is None:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        response = await made.downstream(scope).get(f"{target}/reports")
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})

    return app


def routes() -> Policy:
    return Policy(
        [
            Route("GET", "/me", person()),
            Route("GET", "/for-person/{name}", person()),
            Route("GET", "/for-grant/{name}", authorized("reports.read")),
            Route("GET", "/reports", authorized("reports.read")),
            Route("POST", "/reports", authorized("reports.read", "reports.write")),
        ]
    )


@asynccontextmanager
async def open_town(folder: Path) -> AsyncIterator[Town]:
    """Everything, started. Alice has no account, since she decides without a browser here."""
    keep_account_of_tasks()
    time, waits, policy, settlement = Time(), Waits(), Demands(), TestSettlement()
    keys: dict[str, list[SigningKey]] = {name: [SigningKey.generate()] for name in (DIRECT, GUARDED, MIDDLE)}
    hosts: dict[str, Host] = {}

    async def database(host: Host) -> Database:
        opened = host.database = await Database.open(f"sqlite:///{folder / host.name}.db")
        host.closing(opened.close)
        return opened

    async def provider(host: Host) -> Any:
        opened = await database(host)
        made = AgentProvider(
            host.issuer,
            store=SQLProviderStore(opened),
            wire=host.wire(),
            clock=host.clock,
            dev=True,
            metadata=AgentProviderMetadata(issuer=host.issuer, name="Agents"),
            replay=SQLReplayCache(opened),
        )
        app = build_provider_app(made)
        host.provider = made  # type: ignore[attr-defined]
        return app

    async def rotate_provider(host: Host) -> None:
        await host.provider.rotate_keys(at_once=True)  # type: ignore[attr-defined]

    async def person_server(host: Host) -> Any:
        app = await build_person_app(
            f"sqlite:///{folder / host.name}.db",
            host.issuer,
            dev=True,
            clock=host.clock,
            wire=host.wire(),
            settlement=Paying(settlement),
        )
        host.database = app.database
        host.closing(app.database.close)
        return app

    async def access_server(host: Host) -> Any:
        app = await build_access_app(
            f"sqlite:///{folder / host.name}.db",
            host.issuer,
            CallablePolicy(policy),
            dev=True,
            clock=host.clock,
            wire=host.wire(),
            sign_in=_sign_in,
            settlement=settlement,
        )
        host.database = app.database
        host.closing(app.aclose)
        return app

    async def rotate_server(host: Host) -> None:
        await host.app.server.rotate_signing_key(at_once=True)

    def resource(access: str | None) -> Callable[[Host], Any]:
        async def opening(host: Host) -> Any:
            opened = await database(host)
            made = Resource(
                issuer=host.issuer,
                wire=host.wire(),
                store=SQLResourceStore(opened, host.clock),
                signing_key=keys[host.name][-1],
                further_keys=[key.public for key in keys[host.name][:-1]],
                clock=host.clock,
                dev=True,
                scopes=SCOPES,
                access_server=hosts[access].issuer if access else None,
            )
            return AAuthMiddleware(_reports, made, routes())

        return opening

    async def service(host: Host) -> Any:
        opened = await database(host)
        made = Intermediary(
            issuer=host.issuer,
            wire=host.wire(),
            store=SQLResourceStore(opened, host.clock),
            signing_key=keys[host.name][-1],
            further_keys=[key.public for key in keys[host.name][:-1]],
            clock=host.clock,
            dev=True,
            scopes=SCOPES,
            name="Middle",
            chain=ChainPolicy(poll_wait_s=0),
        )
        host.made = made  # type: ignore[attr-defined]
        host.process.stopping.append(made.aclose)
        host.closing(made.aclose)
        return AAuthMiddleware(relaying(made, {name: hosts[name].issuer for name in (DIRECT, GUARDED)}), made, routes())

    async def rotate_resource(host: Host) -> None:
        keys[host.name].append(SigningKey.generate())
        await host.replace_process()

    for name, opening, rotate in (
        (AP, provider, rotate_provider),
        (PS, person_server, rotate_server),
        (AS, access_server, rotate_server),
        (DIRECT, resource(None), rotate_resource),
        (GUARDED, resource(AS), rotate_resource),
        (MIDDLE, service, rotate_resource),
    ):
        hosts[name] = Host(name, time, waits, opening, rotate)
    town = Town(folder, time, waits, hosts, policy, settlement)
    for host in hosts.values():
        await host.start()
    try:
        yield town
    finally:
        for host in hosts.values():
            await host.close()


__all__ = ["ALICE", "AP", "AS", "DIRECT", "GUARDED", "MIDDLE", "PS", "Town", "open_town"]
