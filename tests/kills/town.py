"""A person server and an access server in processes that die, and everybody around them in the test's own process.

Agents, their providers and the resources sign for themselves and publish what others look up, on real sockets. Ada has
an account, is signed in, and can be told when something waits for her.
"""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Table, select

from aauthlib.cli.serving import free_port
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.parties import loopback_client
from aauthlib.discovery import Directory
from aauthlib.keys import JWKS, SigningKey
from aauthlib.store import access_tables, person_mission_tables, person_tables
from aauthlib.store.database import Database
from aauthlib.store.pending import pending_table
from aauthlib.transport import AsyncTransport, AsyncWire
from tests.processes.running import Nursery, Role

from .victim import Fuse

__all__ = ["ADDRESS", "AS", "PS", "SCOPES", "Books", "Keys", "Town", "World", "open_town"]

PS, AS = "person", "access"
ADDRESS = "ada@mail.example"
SCOPES = {"reports.read": "Read reports", "reports.write": "Write reports"}
_WAITING = ("pending", "interacting", "clarifying")
# Nothing here speaks TLS.
_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_PASSWORD = "correct horse battery staple"
_RULES = """
version = "test"

[[rule]]
name = "reports for everybody"
decision = "allow"
[rule.when]
scope = ["reports.read", "reports.write"]
"""

#: What is written down of one agent, by kind: how often each thing.
Books = Mapping[str, Counter[Any]]


class Keys(dict[str, SigningKey]):
    """A key for whoever is named."""

    def __missing__(self, issuer: str) -> SigningKey:
        return self.setdefault(issuer, SigningKey.generate())


class World:
    """What `tests.person.parties` asks of the world its agents sign in."""

    def __init__(self) -> None:
        self.server_keys = Keys()

    def clock(self) -> float:
        return time.time()

    def jti(self) -> str:
        return secrets.token_hex(8)


class Others:
    """Agent providers (`ap...`) and resources (any other name), and where messages to Ada arrive."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.received: list[tuple[str, str, dict[str, Any]]] = []
        """Host, path and body of every POST."""
        self._arrived = threading.Condition()
        self.port = free_port()

    def issuer(self, name: str) -> str:
        return f"http://{name}.localhost:{self.port}"

    def count(self, path: str, text: str) -> int:
        """How often something with this text arrived at a path."""
        return sum(to == path and text in json.dumps(body) for _, to, body in self.received)

    def await_arrival(self, path: str, text: str, within_s: float) -> bool:
        """Return when it has arrived, or after a while. Returns whether it has."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self.count(path, text) > 0, within_s)

    def document(self, host: str, path: str) -> dict[str, Any] | None:
        issuer = f"http://{host}"
        if path == "/jwks.json":
            return dict(JWKS.of(self.keys[issuer]).to_document())
        named = {"issuer": issuer, "jwks_uri": issuer + "/jwks.json", "name": host.partition(".")[0]}
        if path == "/.well-known/aauth-agent.json" and host.startswith("ap"):
            return named
        if path == "/.well-known/aauth-resource.json":
            more = {"scope_descriptions": SCOPES, "revocation_endpoint": issuer + "/revocation"}
            return {**named, "access_mode": "auth-token", **more}
        return None

    @contextmanager
    def listening(self) -> Any:
        others = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                document = others.document(self.headers["host"], self.path)
                self.answer(404 if document is None else 200, json.dumps(document or {}).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with others._arrived:
                    others.received.append((self.headers["host"], self.path, json.loads(body or b"{}")))
                    others._arrived.notify_all()
                self.answer(200, b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                if body:
                    self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)


@dataclass
class Town:
    """Everybody."""

    world: World
    others: Others
    roles: dict[str, Role]
    fuses: dict[str, Fuse]
    databases: dict[str, Database]
    settings: Mapping[str, float]
    client: httpx2.AsyncClient = field(default_factory=loopback_client)
    ada: ScriptedPerson = field(default_factory=lambda: ScriptedPerson(loopback_client()))
    scenes: int = 0
    known: AsyncWire = field(init=False)
    """A resource that has seen the servers' keys."""

    def __post_init__(self) -> None:
        self.known = self.reader()

    def issuer(self, name: str) -> str:
        """The identifier of a server that dies, or of anybody else."""
        return self.roles[name].issuer if name in self.roles else self.others.issuer(name)

    def start(self, name: str) -> None:
        self.roles[name].launch(settings=self.settings)
        self.roles[name].await_ready()

    def revive(self) -> bool:
        """Start again whoever has died by its fuse. Returns whether anybody had."""
        dead = [name for name, fuse in self.fuses.items() if fuse.burnt]
        for name in dead:
            self.roles[name].kill()
            self.fuses[name].put_out()
        for name in dead:
            self.roles[name].launch(settings=self.settings)
        for name in dead:
            self.roles[name].await_ready()
        return bool(dead)

    def reader(self) -> AsyncWire:
        """How a resource looks up keys, with nothing remembered."""
        return AsyncWire(AsyncTransport(dev=True, ssl_context=_PLAIN), Directory(clock=time.time, dev=True))

    async def welcome_ada(self) -> None:
        """She makes her account, and says where she can be told."""
        await self.ada.visit(self.issuer(PS) + "/")
        form = self.ada.form_with("display_name", "username", "password")
        await self.ada.submit(form, {"display_name": "Ada", "username": "ada", "password": _PASSWORD})
        await self.ada.visit(self.issuer(PS) + "/notifications")
        await self.ada.submit(self.ada.form_with("channel", "to"), {"to": ADDRESS})
        ((_, _, message),) = self.others.received
        code = message["message"].partition("The code is ")[2].split(".")[0]
        await self.ada.submit(self.ada.form_with("id", "code"), {"code": code})
        assert self.ada.status == 200, self.ada.text

    # ------------------------------------------------------------------ what is written down

    async def rows(self, name: str, table: Table, *where: Any) -> list[Any]:
        async with self.databases[name].reading() as connection:
            return list((await connection.execute(select(table).where(*where))).all())

    async def digest_of(self, handle: str) -> str:
        """What names the request of an interaction in Ada's inbox."""
        (row,) = await self.rows(PS, pending_table, pending_table.c.handle == handle)
        digest: str = row.digest
        return digest

    async def books(self, iss: str) -> Books:
        """What the servers hold of the agents of `iss`, but for requests that nobody has decided about."""
        books: dict[str, Counter[Any]] = {}
        tables, missions = person_tables, person_mission_tables

        def count(kind: str, things: Any) -> None:
            books[kind] = Counter(things)

        async def of(table: Table) -> list[Any]:
            return await self.rows(PS, table, table.c.agent_iss == iss)

        digests = [row.digest for row in await of(tables.person_requests)]
        pending = await self.rows(PS, pending_table, pending_table.c.digest.in_(digests))
        count("requests", ((row.kind, row.state) for row in pending if row.state not in _WAITING))
        count("bindings", (row.agent_sub.partition("@")[0] for row in await of(tables.bindings)))
        count("consents", ((r.resource, r.scope, r.mission is not None) for r in await of(tables.consents)))
        count("audit", ((row.action, row.result) for row in await of(tables.audit_log)))
        own = [(r.kind, r.aud, r.scope, r.revoked_at is not None) for r in await of(tables.issued_tokens)]
        passed_on = [("federated", r.aud, r.scope, r.revoked_at is not None) for r in await of(tables.federated_tokens)]
        count("tokens", [*own, *passed_on])
        held = await of(missions.missions)
        count("missions", (row.termination_reason for row in held))
        entries = await self.rows(PS, missions.mission_log, missions.mission_log.c.mission.in_([m.key for m in held]))
        count("log", ((row.kind, row.actor) for row in entries if row.kind != "request"))
        issued = access_tables.issued_tokens
        jtis = [row.jti for row in await of(tables.federated_tokens)]
        count("at access server", (r.scope for r in await self.rows(AS, issued, issued.c.jti.in_(jtis))))
        return books


@asynccontextmanager
async def open_town(folder: Path, nursery: Nursery, urls: Mapping[str, str]) -> AsyncIterator[Town]:
    """Everything, started; `urls` are the databases of the two servers."""
    world = World()
    others = Others(world.server_keys)
    rules, channels = folder / "rules.toml", folder / "channels.toml"
    rules.write_text(_RULES)
    channels.write_text(
        f'[[channel]]\nid = "hook"\nname = "Hook"\nurl = "json://127.0.0.1:{others.port}/told?:to={{to}}"\n'
    )
    arguments = {
        PS: ["serve", "person", "--channels", str(channels)],
        AS: ["serve", "access", "--policy", str(rules)],
    }
    roles = {
        name: Role(
            nursery,
            name,
            [str(folder / f"{name}.fuse"), *more, "--database", urls[name], "--dev"],
            "tests.kills.victim",
        )
        for name, more in arguments.items()
    }
    town = Town(
        world=world,
        others=others,
        roles=roles,
        fuses={name: Fuse(folder / f"{name}.fuse") for name in roles},
        databases={name: Database.connect(url) for name, url in urls.items()},
        settings={
            # Whoever is killed while it tells somebody holds a lease, which nobody waits for here.
            "aauthlib.notifying.notifier:_LEASE_S": 0.5,
            "aauthlib.person.federating:TURN_S": 0.6,
            "aauthlib.web.person:NOTIFY_EVERY_S": 0.1,
            "aauthlib.store.untold:_GRACE_S": 0.0,
            "aauthlib.store.keyring:_RELOAD_S": 0.0,
        },
    )
    with others.listening():
        try:
            for name in roles:
                town.start(name)
            await town.welcome_ada()
            yield town
        finally:
            for role in roles.values():
                role.kill()
            await town.ada.close()
            await town.client.aclose()
            await town.known.aclose()
            for database in town.databases.values():
                await database.close()
