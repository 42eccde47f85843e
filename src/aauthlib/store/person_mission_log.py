"""One mission's row and log, inside the caller's transaction (#mission-log).

Who writes to a log locks the mission's row first, so entries are numbered in the order in which they are committed and
nothing is written under a mission that has ended. Where the agent's binding is locked too, it is locked before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import MissionTerminated, RateLimited
from .person_mission_records import LogEntry, Mission
from .person_mission_tables import mission_log, missions
from .person_records import AgentId
from .rows import key_of

__all__ = ["active_mission", "add_entry", "log_entry", "mission_key", "mission_of", "terminated"]

#: Entries that an agent can cause in one log; what persons and the server add is not bounded by it.
MAX_ENTRIES = 10_000


def mission_key(agent: AgentId, s256: str) -> str:
    """What a mission is found by."""
    return key_of("mission", *agent, s256)


def mission_of(row: Any) -> Mission:
    """A row as a value."""
    return Mission(
        s256=row.s256,
        agent=(row.agent_iss, row.agent_sub),
        person_id=row.person_id,
        blob=bytes(row.blob),
        approved_at=row.approved_at,
        expires_at=row.expires_at,
        terminated_at=row.terminated_at,
        termination_reason=row.termination_reason,
    )


def terminated(reason: str) -> MissionTerminated:
    """The error for a mission that is over."""
    return MissionTerminated("This mission has ended. Stop acting on it; what is left takes a new one.", reason=reason)


async def active_mission(connection: AsyncConnection, s256: str, *, now: float) -> Mission:
    """The mission, its row locked, if it is active at `now`. Raises `MissionTerminated`.

    Of missions that are on record only: whether it is the caller's was looked at before.
    """
    query = select(missions).where(missions.c.s256 == s256).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise MissionTerminated("This mission has ended, and its record was dropped.")
    mission = mission_of(row)
    reason = mission.ended(now=now)
    if reason is not None:
        raise terminated(reason)
    return mission


async def add_entry(
    connection: AsyncConnection, s256: str, entry: LogEntry, *, content: bytes | None = None, by_agent: bool = False
) -> None:
    """Append to a mission's log. `content` are the bytes to keep, where they are not just the entry's JSON.

    Raises `RateLimited` when the agent has filled the log (`by_agent`).
    """
    query = select(missions.c.key, missions.c.entries).where(missions.c.s256 == s256).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return
    if by_agent and row.entries >= MAX_ENTRIES:
        raise RateLimited(f"The log of this mission holds the {MAX_ENTRIES} entries it takes.", retry_after_s=3600)
    await connection.execute(
        insert(mission_log).values(
            mission=row.key,
            number=row.entries + 1,
            at=entry.at,
            kind=entry.kind,
            actor=entry.actor,
            content=content if content is not None else msgspec.json.encode(dict(entry.content)),
            s256=entry.s256,
        )
    )
    await connection.execute(update(missions).where(missions.c.key == row.key).values(entries=row.entries + 1))


def log_entry(row: Any) -> LogEntry:
    """A row as a value."""
    content: Mapping[str, Any] = msgspec.json.decode(bytes(row.content))
    return LogEntry(at=row.at, kind=row.kind, actor=row.actor, content=content, s256=row.s256, number=row.number)
