"""What a revocation costs that takes back 1, 100 and 10,000 tokens, at an access server and at a person server.

A person server revokes a person token at the access server, or an agent provider an agent token at the person server.
The tokens are for ten resources, which are told of each by a signed request over real HTTP on loopback. The resources
are one bare server that answers `200` and verifies nothing: what is measured is the server that tells, and it shares
one core with them. A cascade has ended when its answer is `200`; the tokens are in the database beforehand.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from limits import Commits, median, raw_sign_per_s, spread
from sqlalchemy import Table, func, insert, select

from aauthlib.access import AccessServer, Allow, CallablePolicy
from aauthlib.discovery import StaticDirectory
from aauthlib.effects import Send
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import JWKSURI, sign
from aauthlib.keys import JWKS, SigningKey
from aauthlib.person.server import PersonServer
from aauthlib.store import access_tables, person_tables
from aauthlib.store.access import SQLAccessStore
from aauthlib.store.database import Database
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.rows import token_key
from aauthlib.transport import AsyncWire

#: Tokens, and how many cascades of so many count. The smaller ones warm up for the larger.
SIZES = {1: 15, 100: 7, 10_000: 5}
RESOURCES = 10
REQUESTS = 400
_HOLD_S = 600.0
_PS, _AP = "https://ps.example", "https://ap.example"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Role:
    """A server that is asked to revoke."""

    fill: Callable[[int], Awaitable[str]]
    """Put tokens into the database; returns the `jti` of what is to be revoked."""
    revoke: Callable[[str], Awaitable[Response]]
    left: Callable[[], Awaitable[int]]
    """How many notices are still to be told."""


def figures(role: str, sizes: dict[int, int] | None = None) -> dict[str, Any]:
    """Milliseconds of a cascade at `role` by number of tokens, with the raw limits of the same run."""
    with tempfile.TemporaryDirectory(prefix="aauth-bench-") as directory:
        return {f"{role}_cascade": asyncio.run(_measure(role, Path(directory), sizes or SIZES))}


def describe(role: str, found: dict[str, Any]) -> str:
    cascade = found[f"{role}_cascade"]
    text = ", ".join(
        f"{int(size):,} tokens {row['ms']:,.0f} ms ({row['ms_per_token']:.2f} each, spread {row['spread']:.0%})"
        for size, row in cascade["tokens"].items()
    )
    return (
        f"Revocation cascade, {role.replace('_', ' ')}: {text}; raw: {cascade['raw_requests_per_s']:,} unsigned "
        f"requests to the same resources, {cascade['raw_sign_per_s']:,} signatures, "
        f"{cascade['raw_commits_per_s']:,} commits per second."
    )


async def _measure(role: str, directory: Path, sizes: dict[int, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    limits: dict[str, list[float]] = {"requests": [], "sign": [], "commits": []}
    async with _resources() as hosts, _roles(directory, hosts) as (roles, wire):
        commits = await Commits.of("sqlite:///", directory)
        server = roles[role]
        await server.revoke(await server.fill(1))
        for size, rounds in sizes.items():
            times = []
            for _ in range(rounds):
                jti = await server.fill(size)
                began = time.perf_counter()
                response = await server.revoke(jti)
                times.append(time.perf_counter() - began)
                left = await server.left()
                if response.status != 200 or left:
                    raise AssertionError(f"the cascade ended in {response.status} with {left} still to be told")
                limits["requests"].append(await _requests_per_s(wire, hosts))
                limits["sign"].append(raw_sign_per_s())
                limits["commits"].append(await commits.per_s())
            found[str(size)] = {
                "ms": round(median(times) * 1000, 2),
                "ms_per_token": round(median(times) * 1000 / size, 3),
                "spread": spread(times),
                "rounds": rounds,
            }
        await commits.close()
    return {"tokens": found, **{f"raw_{name}_per_s": round(median(rates)) for name, rates in limits.items()}}


async def _requests_per_s(wire: AsyncWire, hosts: list[str]) -> float:
    """As many at once as a cascade has under way, by the client it uses."""
    turns = asyncio.Semaphore(16)
    body = msgspec.json.encode({"jti": "x" * 22, "exp": 1_800_000_000})

    async def one(number: int) -> None:
        async with turns:
            headers = Fields({"content-type": "application/json"})
            await wire.transport.send(Send(Request("POST", f"{hosts[number % RESOURCES]}/revoke", headers, body)))

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(REQUESTS)))
    return REQUESTS / (time.perf_counter() - began)


@asynccontextmanager
async def _resources() -> AsyncIterator[list[str]]:
    """One server under ten names. It reads each request and says `200`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                await reader.readexactly(length)
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield [f"http://r{number}.localhost:{port}" for number in range(RESOURCES)]
    finally:
        server.close()


@asynccontextmanager
async def _roles(directory: Path, hosts: list[str]) -> AsyncIterator[tuple[dict[str, Role], AsyncWire]]:
    keys = {issuer: SigningKey.generate() for issuer in (_PS, _AP)}
    documents = {host: {"issuer": host, "revocation_endpoint": f"{host}/revoke"} for host in hosts}
    opened = AsyncWire.open(dev=True)
    known = StaticDirectory(metadata=documents, keys={issuer: JWKS.of(key) for issuer, key in keys.items()})
    wire = AsyncWire(opened.transport, known)
    access_database = await Database.open(f"sqlite:///{directory / 'access'}.db")
    person_database = await Database.open(f"sqlite:///{directory / 'person'}.db")
    access = await AccessServer.open(
        issuer="http://access.localhost",
        store=SQLAccessStore(access_database),
        wire=wire,
        policy=CallablePolicy(lambda facts: Allow()),
        dev=True,
        hold_s=_HOLD_S,
    )
    person = await PersonServer.open(
        issuer="http://person.localhost",
        store=SQLPersonStore(person_database),
        wire=wire,
        dev=True,
        revocation_hold_s=_HOLD_S,
    )

    def asked(issuer: str, dwk: str, url: str, jti: str) -> Request:
        body = msgspec.json.encode({"jti": jti, "exp": int(time.time()) + 3600})
        request = Request("POST", url, Fields({"content-type": "application/json"}), body)
        return sign(request, keys[issuer], JWKSURI(issuer, dwk, keys[issuer].kid), created=int(time.time()))

    try:
        yield (
            {
                "access_server": Role(
                    lambda size: _fill_access(access_database, hosts, size),
                    lambda jti: access.revoke(asked(_PS, "aauth-person.json", access.issuer + "/revocation", jti)),
                    lambda: _left(access_database, access_tables.untold),
                ),
                "person_server": Role(
                    lambda size: _fill_person(person_database, hosts, size),
                    lambda jti: person.revoke(asked(_AP, "aauth-agent.json", person.issuer + "/revocation", jti)),
                    lambda: _left(person_database, person_tables.untold),
                ),
            },
            opened,
        )
    finally:
        await access.aclose()
        await person.aclose()
        await opened.aclose()
        await access_database.close()
        await person_database.close()


async def _left(database: Database, table: Table) -> int:
    async with database.transaction() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


async def _fill_access(database: Database, hosts: list[str], size: int) -> str:
    """Auth tokens issued against one person token."""
    now, jti = time.time(), secrets.token_urlsafe(16)
    key = token_key(_PS, jti)
    rows = [
        {
            "jti": secrets.token_urlsafe(16),
            "ps": _PS,
            "aud": hosts[number % RESOURCES],
            "sub": "alice",
            "exp": now + 3600,
            "presented": key,
            "root": key,
            "root_iss": _PS,
            "root_jti": jti,
            "root_exp": now + 3600,
            "scope": "calendar.read",
            "issued_at": now,
        }
        for number in range(size)
    ]
    async with database.transaction() as connection:
        await connection.execute(insert(access_tables.grounds).values(key=key, iss=_PS, exp=now + 3600))
        await connection.execute(insert(access_tables.issued_tokens), rows)
    return jti


async def _fill_person(database: Database, hosts: list[str], size: int) -> str:
    """Person tokens issued to one agent."""
    now, jti = time.time(), secrets.token_urlsafe(16)
    agent = f"aauth:{secrets.token_hex(8)}@ap.example"
    rows = [
        {
            "jti": secrets.token_urlsafe(16),
            "kind": "person_token",
            "aud": hosts[number % RESOURCES],
            "exp": now + 3600,
            "agent_iss": _AP,
            "agent_sub": agent,
            "person_id": "alice",
            "sub": "alice",
            "issued_at": now,
        }
        for number in range(size)
    ]
    async with database.transaction() as connection:
        seen = insert(person_tables.seen_agent_tokens)
        await connection.execute(seen.values(key=token_key(_AP, jti), sub=agent, exp=now + 3600))
        await connection.execute(insert(person_tables.issued_tokens), rows)
    return jti
