"""The whole four-party exchange over real HTTP: person token, challenge, token request to the access server, access.

As `three_party`, with an access server beside the person server: five Uvicorn servers and the agent in one event loop.
The person consented once, the access server's policy is three rules in TOML, nobody is asked anything.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from limits import Commits, Writes, median, raw_verify_per_s, spread
from sqlalchemy.engine import make_url
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from three_party import SCOPES, Counted, consent, exchange

from aauthlib.access import RulesPolicy
from aauthlib.access.trust import Trust
from aauthlib.agent import SelfIssued
from aauthlib.cli.serving import Running, free_port, serve_all
from aauthlib.keys import SigningKey
from aauthlib.provider.selfpublished import publish
from aauthlib.resource import MemoryResourceStore, Policy, Resource, authorized
from aauthlib.resource import Route as AAuthRoute
from aauthlib.transport import AsyncWire
from aauthlib.web.access import build_access_app
from aauthlib.web.person import build_person_app
from aauthlib.web.resource import AAuthMiddleware

ROUNDS = 7
BATCH = 10
RULES = """
[[rule]]
name = "nobody deletes"
decision = "deny"
[rule.when]
scope = ["calendar.delete"]

[[rule]]
name = "people here, by agents of ours"
decision = "allow"
[rule.when]
person_server = ["https://ps.corp.example"]
tenant = ["corp"]

[[rule]]
name = "anybody reads what is theirs"
decision = "allow"
[rule.when]
scope = ["calendar.read"]
"""


def figures(postgres: str | None, *, rounds: int = ROUNDS, batch: int = BATCH) -> dict[str, Any]:
    """Full exchanges per second, one after the other, on SQLite and on the PostgreSQL server at `postgres`."""
    result: dict[str, Any] = {}
    for name, url in (("sqlite", None), ("postgresql", postgres)):
        if name == "sqlite" or url is not None:
            with tempfile.TemporaryDirectory(prefix="aauth-bench-") as directory:
                result[name] = asyncio.run(_measure(Path(directory), url, rounds, batch))
    return {"four_party_per_s": result["sqlite"]["per_s"], "four_party": result}


def describe(found: dict[str, Any]) -> str:
    lines = []
    for name, row in found["four_party"].items():
        lines.append(
            f"Four-party exchange over HTTP, {name}: {row['per_s']:.1f} per second (spread {row['spread']:.0%}), "
            f"{row['signed_requests']} signed requests and {row['write_transactions']} write transactions each, "
            f"everything on one core; raw: {row['raw_commits_per_s']:,} commits, {row['raw_verify_per_s']:,} "
            "verifications per second."
        )
    return "\n".join(lines)


async def _measure(directory: Path, postgres: str | None, rounds: int, batch: int) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        databases = (
            await stack.enter_async_context(_databases(postgres, 3))
            if postgres is not None
            else [f"sqlite:///{directory / name}.db" for name in ("person", "access", "commits")]
        )
        commits = await Commits.of(databases[2], directory)
        stack.push_async_callback(commits.close)
        resource, source = await stack.enter_async_context(_parties(directory, *databases[:2]))
        wire = AsyncWire.open(dev=True)
        stack.push_async_callback(wire.aclose)
        counted = Counted(wire)
        with Writes() as writes:
            await exchange(resource, source, counted)
        # Of these the agent sends all but the person server's own to the access server.
        signed = counted.signed + 1
        rates: list[float] = []
        raw_commits: list[float] = []
        raw_verify: list[float] = []
        for number in range(rounds + 1):
            turn_commits, turn_verify = await commits.per_s(), raw_verify_per_s()
            began = time.perf_counter()
            for _ in range(batch):
                await exchange(resource, source, wire)
            rate = batch / (time.perf_counter() - began)
            if number:
                rates.append(rate)
                raw_commits.append(turn_commits)
                raw_verify.append(turn_verify)
        return {
            "per_s": round(median(rates), 1),
            "spread": spread(rates),
            "signed_requests": signed,
            "write_transactions": writes.count,
            "raw_commits_per_s": round(median(raw_commits)),
            "raw_verify_per_s": round(median(raw_verify)),
            "rounds": rounds,
        }


@asynccontextmanager
async def _databases(server: str, number: int) -> AsyncIterator[list[str]]:
    """Databases of this run's own on a PostgreSQL server, dropped at the end."""
    plain = make_url(server).set(drivername="postgresql")
    names = [f"aauth_bench_{time.time_ns():x}_{index}" for index in range(number)]
    connection = await asyncpg.connect(plain.render_as_string(hide_password=False))
    try:
        for name in names:
            await connection.execute(f'CREATE DATABASE "{name}"')
        yield [plain.set(database=name).render_as_string(hide_password=False) for name in names]
    finally:
        for name in names:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.close()


@asynccontextmanager
async def _parties(directory: Path, person_url: str, access_url: str) -> AsyncIterator[tuple[str, SelfIssued]]:
    ports = [free_port() for _ in range(4)]
    provider, person, access, resource = (
        f"http://{name}.localhost:{port}"
        for name, port in zip(("agents", "person", "access", "calendar"), ports, strict=True)
    )
    key = SigningKey.generate()
    publish(directory / "site", provider, [key], dev=True)
    person_app = await build_person_app(person_url, person, dev=True)
    access_app = await build_access_app(
        access_url, access, RulesPolicy.read(RULES), dev=True, trust=Trust({person: None})
    )
    wire = AsyncWire.open(dev=True)
    guard = Resource(
        issuer=resource,
        wire=wire,
        store=MemoryResourceStore(time.time),
        signing_key=SigningKey.generate(),
        dev=True,
        scopes=SCOPES,
        access_server=access,
    )

    async def events(request: Request) -> JSONResponse:
        return JSONResponse({"events": [request.scope["aauth"].person[1]]})

    policy = Policy([AAuthRoute("GET", "/events", authorized("calendar.read", limit="1000000/second"))])
    apps = (
        Starlette(routes=[Mount("/", StaticFiles(directory=directory / "site"))]),
        person_app,
        access_app,
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
