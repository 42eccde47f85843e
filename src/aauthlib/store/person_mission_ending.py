"""Ending a mission, inside the caller's transaction (#mission-management).

Its open requests, the tokens issued under it and what was remembered for it go with it, in the transaction that says
why. The caller holds the lock of the agent's binding, which whoever issues a token or decides a request takes too.
"""

from __future__ import annotations

from sqlalchemy import and_, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .approval_deciding import withdraw_all
from .approval_tables import approvals
from .person_mission_log import add_entry, mission_of
from .person_mission_records import EXPIRED, LogEntry, Mission
from .person_mission_tables import mission_answers, mission_log, missions
from .person_records import AgentId, AuditRecord, IssuedToken
from .person_revoking import revoke_mission_tokens, revoke_requests
from .person_tables import consents, person_requests
from .person_tokens import add_audit, binding_of

__all__ = ["drop_ended", "end_agents_missions", "end_expired", "end_mission"]

#: How long an ended mission is kept with its log, in seconds.
_KEPT_S = 400 * 86_400.0


async def end_mission(
    connection: AsyncConnection,
    mission: Mission,
    reason: str,
    *,
    now: float,
    actor: str,
    note: str | None = None,
    keep: str | None = None,
) -> tuple[list[IssuedToken], int]:
    """End an active mission for good. `keep` is the digest of a request that goes on: the one that ends it.

    Returns the tokens whose recipients are to be told, and how many requests ended.
    """
    changed = await connection.execute(
        update(missions)
        .where(missions.c.s256 == mission.s256, missions.c.terminated_at.is_(None))
        .values(terminated_at=now, termination_reason=reason)
    )
    if changed.rowcount != 1:
        return [], 0
    content = {"reason": reason, **({"note": note} if note else {})}
    await add_entry(connection, mission.s256, LogEntry(at=now, kind="termination", actor=actor, content=content))
    concerned = person_requests.c.mission == mission.s256
    if keep is not None:
        concerned = and_(concerned, person_requests.c.digest != keep)
    ended = await revoke_requests(connection, concerned, detail="The mission this request belongs to has ended.")
    await withdraw_all(connection, approvals.c.mission == mission.s256, now=now)
    due, further = await revoke_mission_tokens(connection, mission.s256, now=now)
    for remembered in (consents, mission_answers):
        await connection.execute(delete(remembered).where(remembered.c.mission == mission.s256))
    await add_audit(
        connection,
        AuditRecord(
            at=now,
            person_id=mission.person_id,
            action="end mission",
            agent=mission.agent,
            result=reason,
            details={"mission_s256": mission.s256, "tokens": len(due)},
        ),
    )
    return due, ended + further


async def end_agents_missions(connection: AsyncConnection, agent: AgentId, reason: str, *, now: float) -> int:
    """End every active mission of an agent. Returns how many requests ended."""
    query = (
        select(missions)
        .where(missions.c.agent_iss == agent[0], missions.c.agent_sub == agent[1], missions.c.terminated_at.is_(None))
        .order_by(missions.c.key)
        .with_for_update()
    )
    requests = 0
    for row in (await connection.execute(query)).all():
        mission = mission_of(row)
        expired = mission.ended(now=now)
        _, ended = await end_mission(connection, mission, expired or reason, now=now, actor="person")
        requests += ended
    return requests


async def end_expired(connection: AsyncConnection, *, now: float, limit: int) -> None:
    """Write down what expired: every decision compares the clock anyway.

    Nobody has to be told of a token: none outlives its mission.
    """
    query = select(missions).where(missions.c.expires_at <= now, missions.c.terminated_at.is_(None)).limit(limit)
    for row in (await connection.execute(query)).all():
        mission = mission_of(row)
        await binding_of(connection, mission.agent, lock=True)
        await end_mission(connection, mission, EXPIRED, now=mission.expires_at or now, actor="server")


async def drop_ended(connection: AsyncConnection, *, now: float, limit: int) -> int:
    """Drop missions that ended long ago, with their logs. Returns how many."""
    query = select(missions.c.key).where(missions.c.terminated_at < now - _KEPT_S).limit(limit)
    keys = [row.key for row in await connection.execute(query)]
    await connection.execute(delete(mission_log).where(mission_log.c.mission.in_(keys)))
    await connection.execute(delete(missions).where(missions.c.key.in_(keys)))
    return len(keys)
