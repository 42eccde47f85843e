"""Person servers as processes of their own, and agents that speak HTTP to them with as little of a client as will do.

The servers are `aauth serve person`, one or several on one database. What they look up of others is published by this
process, which is also the agents: a client library would take more of the machine than the servers that are measured.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
from sqlalchemy.engine import make_url

from aauthlib.cli.serving import free_port
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.parties import loopback_client
from aauthlib.http import Fields, Request
from aauthlib.httpsig import JWT, sign
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import PersonToken, VerificationPolicy, issue_agent_token, issue_resource_token
from aauthlib.tokens.profile import read

__all__ = [
    "Agent",
    "Answer",
    "Connection",
    "Others",
    "Servers",
    "databases",
    "encoded",
    "engines",
    "in_parallel",
    "person_servers",
]

_READY_S = 60.0
_POLICY = VerificationPolicy(dev=True)
_TICKS = os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------- HTTP


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Connection:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> Answer:
        """Send a request as `encoded`, and read the answer; once more where the server has closed the connection."""
        for last in (False, True):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            try:
                writer.write(request)
                return await _answer(reader)
            except (OSError, asyncio.IncompleteReadError):
                self.close()
                if last:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(head[0].split(" ", 2)[1]), headers, body)


def encoded(request: Request) -> bytes:
    """A request as it goes over the wire, for the server of its authority."""
    parts = urlsplit(request.url)
    lines = [f"{request.method} {request.target} HTTP/1.1", f"host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in request.headers if name != "host"]
    lines.append(f"content-length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


# ---------------------------------------------------------------- the others


@dataclass
class Others:
    """Agent providers and a resource: their keys and what they publish."""

    port: int = field(default_factory=free_port)
    keys: dict[str, SigningKey] = field(default_factory=dict)

    def issuer(self, name: str) -> str:
        issuer = f"http://{name}.localhost:{self.port}"
        self.keys.setdefault(issuer, SigningKey.generate())
        return issuer

    @asynccontextmanager
    async def published(self) -> AsyncIterator[None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                    path = head[0].split(" ")[1]
                    host = next(line.partition(":")[2].strip() for line in head if line.lower().startswith("host:"))
                    body = msgspec.json.encode(self._document(f"http://{host}", path))
                    lines = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: max-age=3600\r\n"
                    writer.write(f"{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
            except (OSError, asyncio.IncompleteReadError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()

    def _document(self, issuer: str, path: str) -> dict[str, Any]:
        if path == "/jwks.json":
            return dict(JWKS.of(self.keys[issuer]).to_document())
        document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json"}
        return document | ({"access_mode": "auth-token"} if path.endswith("aauth-resource.json") else {})


@dataclass
class Agent:
    """An agent of one of the providers."""

    others: Others
    provider: str
    name: str
    ps: str
    key: SigningKey = field(default_factory=SigningKey.generate)
    token: str = ""

    def __post_init__(self) -> None:
        issuer = self.others.issuer(self.provider)
        self.token = issue_agent_token(
            self.others.keys[issuer],
            iss=issuer,
            sub=f"aauth:{self.name}@{self.provider}.localhost",
            cnf=self.key.public,
            jti=secrets.token_hex(8),
            now=time.time(),
            ps=self.ps,
        )

    def request(self, method: str, url: str, body: Any = None, **headers: str) -> bytes:
        """A signed request as it goes over the wire."""
        content = b"" if body is None else msgspec.json.encode(body)
        if body is not None:
            headers["content-type"] = "application/json"
        plain = Request(method, url, Fields(headers), content)
        created = int(time.time())
        return encoded(sign(plain, self.key, JWT(self.token), created=created, nonce=secrets.token_hex(8)))

    def ask_person_token(self, resource: str) -> bytes:
        body = {"resource": self.others.issuer(resource), "capabilities": ["interaction"]}
        return self.request("POST", f"{self.ps}/person-token", body)

    def ask_auth_token(self, resource: str, presented: str, scope: str) -> bytes:
        """With a resource token of its own."""
        issuer, now = self.others.issuer(resource), time.time()
        resource_token = issue_resource_token(
            self.others.keys[issuer],
            iss=issuer,
            presented=read(presented, PersonToken, now=now, policy=_POLICY).token,
            jti=secrets.token_hex(8),
            now=now,
            scope=[scope],
        )
        body = {"resource_token": resource_token, "presented_token": presented, "capabilities": ["interaction"]}
        return self.request("POST", f"{self.ps}/auth-token", body)


# ---------------------------------------------------------------- the servers


@dataclass
class Servers:
    """Processes that serve one issuer."""

    issuer: str
    ports: list[int]
    pids: list[int]
    person: ScriptedPerson

    @property
    def resident_bytes(self) -> int:
        """The memory of all of them."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids)
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def processor_s(self) -> float:
        """The processor time they have used."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids]
        return sum(int(found[11]) + int(found[12]) for found in fields) / _TICKS

    async def welcome(self) -> None:
        """Ada makes her account."""
        await self.person.visit(self.issuer + "/")
        form = self.person.form_with("display_name", "username", "password")
        values = {"display_name": "Ada", "username": "ada", "password": secrets.token_urlsafe(18)}
        await self.person.submit(form, values)

    async def open_page(self, answer: Answer) -> None:
        """She opens the page that a `202` leads to."""
        asked = Requirement.parse(answer.headers["aauth-requirement"])
        await self.person.visit(f"{asked.url}?code={asked.code}")

    async def allow(self) -> None:
        """She says yes on the page that is open."""
        await self.person.submit(self.person.form_with("decision"), {}, button=("decision", "approve"))
        if self.person.status != 200:
            raise AssertionError(f"her decision was answered {self.person.status}")


@asynccontextmanager
async def person_servers(database: str, number: int = 1, *, port: int | None = None) -> AsyncIterator[Servers]:
    """So many processes on one database; the first listens at the issuer's own port, `port`."""
    first = port or free_port()
    ports = [first, *(free_port() for _ in range(number - 1))]
    issuer = f"http://person.localhost:{first}"
    async with AsyncExitStack() as stack:
        pids = [await stack.enter_async_context(_serving(issuer, database, each)) for each in ports]
        client = loopback_client()
        client.timeout = _READY_S
        person = ScriptedPerson(client)
        stack.push_async_callback(person.close)
        yield Servers(issuer, ports, pids, person)


@asynccontextmanager
async def _serving(issuer: str, database: str, port: int) -> AsyncIterator[int]:
    arguments = ["serve", "person", "--issuer", issuer, "--port", str(port), "--database", database, "--dev"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aauthlib", *arguments, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = b""
    reading: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(_READY_S):
            while b"Listening" not in said:
                line = await process.stderr.readline()
                if not line:
                    raise AssertionError(said.decode("utf-8", "replace"))
                said += line
        # What it says is read on: a full pipe would stop it, and hide its end from us.
        reading = asyncio.create_task(_last_words(process.stderr))
        yield process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        elif reading is not None:
            print((await reading).decode("utf-8", "replace"), file=sys.stderr)
        await process.wait()


async def _last_words(stream: asyncio.StreamReader) -> bytes:
    """The end of what is said until there is no more."""
    said = b""
    while part := await stream.read(65536):
        said = (said + part)[-4096:]
    return said


# ---------------------------------------------------------------- databases


def engines(postgres: str | None) -> list[tuple[str, str | None]]:
    """What there is to measure on: the name, and the server's URL."""
    return [("sqlite", None), *([("postgresql", postgres)] if postgres is not None else [])]


@asynccontextmanager
async def databases(server: str | None, number: int) -> AsyncIterator[list[str]]:
    """Databases of this run's own, gone at the end: files, or on the PostgreSQL server at `server`."""
    if server is None:
        with tempfile.TemporaryDirectory(prefix="aauth-bench-") as directory:
            yield [f"sqlite:///{directory}/{index}.db" for index in range(number)]
        return
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


async def in_parallel(number: int, at_once: int, ports: list[int], work: Callable[[int, Connection], Any]) -> None:
    """`work` on each of `number` things, `at_once` at a time, over connections that are kept open."""
    things = iter(range(number))

    async def worker(port: int) -> None:
        connection = Connection(port)
        try:
            for thing in things:
                await work(thing, connection)
        finally:
            connection.close()

    await asyncio.gather(*(worker(ports[index % len(ports)]) for index in range(at_once)))
