"""Ten thousand agents that wait for their person in one process: what each costs, and how soon it has its answer.

Each is an agent of its own with a request of its own, and holds a connection on which it polls (`Prefer: wait=50`,
the longest a server holds a poll), again and again. Ada decides about some of them, one after the other, while all
the others wait. A click is timed from the moment her browser sends the form to the moment the agent has read its
answer, with the token in it.
"""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from processes import Agent, Answer, Connection, Others, Servers, databases, engines, in_parallel, person_servers

AGENTS = 10_000
CLICKS = 300
_WAIT_S = 50
_PROVIDERS = 10
_AT_ONCE = 16
_SETTLE_S = 5.0
_WATCH_S = 20.0


@dataclass
class Waiter:
    """One agent, and what it waits for."""

    agent: Agent
    opened: Answer
    answered: asyncio.Future[tuple[float, Answer]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    polls: int = 0

    async def wait(self, port: int, delay_s: float) -> None:
        """Poll until there is an answer, from `delay_s` seconds on."""
        await asyncio.sleep(delay_s)
        connection = Connection(port)
        try:
            while True:
                poll = self.agent.request("GET", self.opened.headers["location"], prefer=f"wait={_WAIT_S}")
                self.polls += 1
                answer = await connection.send(poll)
                if answer.status != 202:
                    self.answered.set_result((time.perf_counter(), answer))
                    return
        except (OSError, asyncio.IncompleteReadError) as error:
            self.answered.set_exception(error)
        finally:
            connection.close()


def figures(postgres: str | None, *, agents: int = AGENTS, clicks: int = CLICKS) -> dict[str, Any]:
    """Memory of a waiting agent and time from click to answer, on SQLite and on the PostgreSQL server at `postgres`."""
    return {"waiters": {name: asyncio.run(_measure(url, agents, clicks)) for name, url in engines(postgres)}}


def describe(found: dict[str, Any]) -> str:
    lines = []
    for name, row in found["waiters"].items():
        click = row["click_to_answer_ms"]
        lines.append(
            f"{row['agents']:,} agents waiting in one process, {name}: {row['kib_per_waiter']:.1f} KiB each "
            f"({row['resident_mib']:.0f} MiB in all), {row['waiting_processor_share']:.0%} of a core for their "
            f"{row['polls_per_s']:.0f} polls per second; from the click to the agent's answer {click['median']:.1f} ms "
            f"(p99 {click['p99']:.1f}, most {click['most']:.1f}; {row['clicks']} clicks)."
        )
    return "\n".join(lines)


async def _measure(postgres: str | None, agents: int, clicks: int) -> dict[str, Any]:
    _allow_files(agents + 1000)
    others = Others()
    async with others.published(), databases(postgres, 1) as (url,), person_servers(url) as servers:
        await servers.welcome()
        waiters = await _opened(others, servers, agents)
        before = servers.resident_bytes
        # Over the time that a poll is held, so that they come back evenly, as they would.
        tasks = [
            asyncio.create_task(waiter.wait(servers.ports[0], _WAIT_S * index / agents))
            for index, waiter in enumerate(waiters)
        ]
        try:
            await asyncio.sleep(_WAIT_S + _SETTLE_S)
            watched = await _watched(waiters, servers)
            took = [await _click(waiter, servers) for waiter in random.Random(1).sample(waiters, clicks)]
            failed = sum(waiter.answered.done() and waiter.answered.exception() is not None for waiter in waiters)
            if failed:
                raise AssertionError(f"{failed} agents lost their server")
            resident = servers.resident_bytes
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "agents": agents,
        "kib_per_waiter": round((resident - before) / agents / 1024, 2),
        "resident_mib": round(resident / 2**20, 1),
        **watched,
        "clicks": clicks,
        "click_to_answer_ms": {
            "median": round(statistics.median(took) * 1000, 2),
            "p99": round(statistics.quantiles(took, n=100)[98] * 1000, 2),
            "most": round(max(took) * 1000, 2),
        },
    }


async def _opened(others: Others, servers: Servers, number: int) -> list[Waiter]:
    """That many agents that have asked, and were told to wait."""
    waiters: list[Waiter] = []

    async def ask(index: int, connection: Connection) -> None:
        agent = Agent(others, f"ap{index % _PROVIDERS}", f"agent-{index}", servers.issuer)
        answer = await connection.send(agent.ask_person_token("calendar"))
        if answer.status != 202:
            raise AssertionError(f"a request was answered {answer.status}: {answer.body!r}")
        waiters.append(Waiter(agent, answer))

    await in_parallel(number, _AT_ONCE, servers.ports, ask)
    return waiters


async def _watched(waiters: list[Waiter], servers: Servers) -> dict[str, float]:
    """What it takes that they only wait."""
    began, used, polls = time.perf_counter(), servers.processor_s, sum(waiter.polls for waiter in waiters)
    await asyncio.sleep(_WATCH_S)
    passed = time.perf_counter() - began
    return {
        "waiting_processor_share": round((servers.processor_s - used) / passed, 3),
        "polls_per_s": round((sum(waiter.polls for waiter in waiters) - polls) / passed, 1),
    }


async def _click(waiter: Waiter, servers: Servers) -> float:
    """Seconds from Ada's click to the agent's answer."""
    await servers.open_page(waiter.opened)
    began = time.perf_counter()
    clicking = asyncio.create_task(servers.allow())
    at, answer = await waiter.answered
    await clicking
    if answer.status != 200 or "person_token" not in answer.json():
        raise AssertionError(f"an agent was answered {answer.status}")
    return at - began


def _allow_files(number: int) -> None:
    """Let this process have so many connections; the server does so by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))
