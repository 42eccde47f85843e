"""Token exchanges per second at a person server of one, two and four processes, beside the database's own commits.

One exchange is a request for an auth token that the person's consent answers at once: resource token, presented token
and signature verified, the token recorded, then issued. The requests are signed beforehand and sent over connections
that are kept open, so the agents take as little of the machine as they can. In every round the bare driver commits
one-row transactions first, over as many connections at once as there are processes, in a database of the same settings.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import asyncpg
from limits import spread
from processes import Agent, Connection, Others, Servers, databases, engines, in_parallel, person_servers
from sqlalchemy.engine import make_url

PROCESSES = (1, 2, 4)
ROUNDS = 7
BATCH = 400
_AGENTS = 32
_AT_ONCE = 8
_COMMITS = 300
_SCOPE = "calendar.read"


def figures(postgres: str | None, *, rounds: int = ROUNDS, batch: int = BATCH) -> dict[str, Any]:
    """Exchanges and commits per second by engine and number of processes."""
    return {"exchanges": {name: asyncio.run(_measure(url, rounds, batch)) for name, url in engines(postgres)}}


def describe(found: dict[str, Any]) -> str:
    lines = []
    for name, by_number in found["exchanges"].items():
        for number, row in by_number.items():
            lines.append(
                f"Token exchanges, {name}, {number} process{'es' if number != '1' else ''}: {row['per_s']:.0f} per "
                f"second (spread {row['spread']:.0%}); commits of the bare driver over as many connections: "
                f"{row['raw_commits_per_s']:,} (spread {row['raw_commits_spread']:.0%})."
            )
    return "\n".join(lines)


async def _measure(postgres: str | None, rounds: int, batch: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    others = Others()
    async with others.published(), databases(postgres, 2) as (url, raw):
        async with person_servers(url) as servers:
            port, (agents, tokens) = servers.ports[0], await _trusted(others, servers)
        with ProcessPoolExecutor(max(PROCESSES), mp_context=get_context("spawn")) as pool:
            await _commits(pool, raw, max(PROCESSES))
            for number in PROCESSES:
                async with person_servers(url, number, port=port) as servers:
                    result[str(number)] = await _rounds(pool, raw, servers, agents, tokens, rounds, batch)
    return result


async def _trusted(others: Others, servers: Servers) -> tuple[list[Agent], list[str]]:
    """Agents that Ada lets read, with their person tokens, which live for an hour."""
    await servers.welcome()
    connection = Connection(servers.ports[0])
    agents = [Agent(others, "ap", f"agent-{index}", servers.issuer) for index in range(_AGENTS)]
    tokens = []
    for agent in agents:
        tokens.append(await _allowed(servers, connection, agent, agent.ask_person_token("calendar"), "person_token"))
        request = agent.ask_auth_token("calendar", tokens[-1], _SCOPE)
        await _allowed(servers, connection, agent, request, "auth_token")
    connection.close()
    return agents, tokens


async def _allowed(servers: Servers, connection: Connection, agent: Agent, request: bytes, member: str) -> str:
    answer = await connection.send(request)
    await servers.open_page(answer)
    await servers.allow()
    granted = await connection.send(agent.request("GET", answer.headers["location"]))
    token: str = granted.json()[member]
    return token


async def _rounds(
    pool: ProcessPoolExecutor,
    raw: str,
    servers: Servers,
    agents: list[Agent],
    tokens: list[str],
    rounds: int,
    batch: int,
) -> dict[str, Any]:
    rates: list[float] = []
    commits: list[float] = []
    number = len(servers.ports)
    for turn in range(rounds + 1):
        committed = await _commits(pool, raw, number)
        requests = [
            agents[index % _AGENTS].ask_auth_token("calendar", tokens[index % _AGENTS], _SCOPE)
            for index in range(batch * number)
        ]

        async def exchange(index: int, connection: Connection, requests: list[bytes] = requests) -> None:
            answer = await connection.send(requests[index])
            if answer.status != 200:
                raise AssertionError(f"an exchange was answered {answer.status}: {answer.body!r}")

        began = time.perf_counter()
        await in_parallel(len(requests), _AT_ONCE * number, servers.ports, exchange)
        rate = len(requests) / (time.perf_counter() - began)
        if turn:
            rates.append(rate)
            commits.append(committed)
    return {
        "per_s": round(statistics.median(rates), 1),
        "spread": spread(rates),
        "raw_commits_per_s": round(statistics.median(commits)),
        "raw_commits_spread": spread(commits),
        "connections": _AT_ONCE * number,
        "rounds": rounds,
    }


async def _commits(pool: ProcessPoolExecutor, url: str, number: int) -> float:
    """One-row transactions per second over that many connections at once, each in a process of its own."""
    loop = asyncio.get_running_loop()
    spans = await asyncio.gather(*(loop.run_in_executor(pool, _commit, url) for _ in range(number)))
    return _COMMITS * number / (max(end for _, end in spans) - min(begin for begin, _ in spans))


def _commit(url: str) -> tuple[float, float]:
    """In a process of the pool: when it began and ended."""
    if make_url(url).get_backend_name() == "sqlite":
        return _commit_to_sqlite(str(make_url(url).database))
    return asyncio.run(_commit_to_postgresql(url))


def _commit_to_sqlite(path: str) -> tuple[float, float]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE IF NOT EXISTS commits (id INTEGER PRIMARY KEY, value TEXT)")
    began = time.time()
    for _ in range(_COMMITS):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO commits (value) VALUES (?)", ("v" * 200,))
        connection.execute("COMMIT")
    ended = time.time()
    connection.close()
    return began, ended


async def _commit_to_postgresql(url: str) -> tuple[float, float]:
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(1)")
        await connection.execute("CREATE TABLE IF NOT EXISTS commits (id BIGSERIAL PRIMARY KEY, value TEXT)")
    began = time.time()
    for _ in range(_COMMITS):
        async with connection.transaction():
            await connection.execute("INSERT INTO commits (value) VALUES ($1)", "v" * 200)
    ended = time.time()
    await connection.close()
    return began, ended
