"""Missions in a database (#missions): looking for one, deciding about one, its log.

A decision, what it causes and its log entry are one transaction. Locks are taken in one order: the agent's binding, the
request, the mission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import floor

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import Event, State
from ..errors import Expired, NotFound
from ..messages.missions import mission_blob, s256_of
from .approval_deciding import join_approval
from .approval_records import Opening
from .database import Database
from .pending import advance
from .person_conversations import turn_entry, turns_of
from .person_deciding import (
    TIMED_OUT,
    bind,
    check_waiting,
    consume,
    decision_entry,
    end,
    expire,
    remember,
    request_of,
    visible,
)
from .person_mission_ending import end_mission
from .person_mission_log import active_mission, add_entry, log_entry, mission_key, mission_of, terminated
from .person_mission_records import COMPLETED, SUPERSEDED, Approval, LogEntry, Mission, Verdict
from .person_mission_tables import mission_log, missions
from .person_records import (
    NAMING,
    AgentId,
    AgentOfAnotherPerson,
    AuditRecord,
    Decision,
    IssuedToken,
    PersonRequest,
)
from .person_tokens import add_audit, binding_of
from .rows import insert_once

__all__ = ["SQLMissions"]

#: Identical approvals in one microsecond get the next one: `s256` is unique (#mission-approval).
_TRIES = 16
_MICROSECOND = 1e-6


class SQLMissions:
    """The part of a person server's store that is about missions."""

    database: Database

    # ------------------------------------------------------------------ looking

    async def mission(self, agent: AgentId, s256: str) -> Mission | None:
        """The agent's mission. One look by one key, whether there is none or it is another agent's."""
        query = select(missions).where(missions.c.key == mission_key(agent, s256))
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return mission_of(row) if row is not None else None

    async def persons_mission(self, s256: str, *, person_id: str) -> Mission:
        """A mission this person approved. Raises `NotFound`."""
        query = select(missions).where(missions.c.s256 == s256, missions.c.person_id == person_id)
        async with self.database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("There is no such mission.")
        return mission_of(row)

    async def missions_of(self, person_id: str, *, limit: int = 200) -> list[Mission]:
        """The missions this person approved, the newest first."""
        query = select(missions).where(missions.c.person_id == person_id).order_by(missions.c.approved_at.desc())
        async with self.database.transaction() as connection:
            return [mission_of(row) for row in await connection.execute(query.limit(limit))]

    async def mission_log(
        self, s256: str, *, person_id: str, before: int | None = None, limit: int = 100
    ) -> list[LogEntry]:
        """The last `limit` entries of a mission's log, those before number `before`, oldest first."""
        query = (
            select(mission_log)
            .join(missions, missions.c.key == mission_log.c.mission)
            .where(missions.c.s256 == s256, missions.c.person_id == person_id)
            .order_by(mission_log.c.number.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(mission_log.c.number < before)
        async with self.database.transaction() as connection:
            rows = (await connection.execute(query)).all()
        return [log_entry(row) for row in reversed(rows)]

    async def capabilities_at_approval(self, s256: str) -> list[str] | None:
        """What the agent said it can do when it proposed the mission, with which its log begins; `None`: nothing."""
        query = (
            select(mission_log)
            .join(missions, missions.c.key == mission_log.c.mission)
            .where(missions.c.s256 == s256, mission_log.c.kind == "proposal")
            .order_by(mission_log.c.number)
            .limit(1)
        )
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        said = log_entry(row).content.get("capabilities") if row is not None else None
        return [str(value) for value in said] if isinstance(said, list) else None

    # ------------------------------------------------------------------ the agent writes

    async def append_to_log(self, mission: Mission, entry: LogEntry) -> None:
        """Append what the agent reports, or was told at once. Raises `MissionTerminated` or `RateLimited`."""
        async with self.database.transaction() as connection:
            await active_mission(connection, mission.s256, now=entry.at)
            await add_entry(connection, mission.s256, entry, by_agent=True)

    # ------------------------------------------------------------------ the person decides

    async def approve_mission(
        self, digest: str, approval: Approval, *, now: float
    ) -> tuple[PersonRequest, list[IssuedToken]]:
        """Approve a proposal: binding, blob, consents and log in one transaction. Repeating it changes nothing.

        Returns the request, and the tokens to be told of where the mission replaces another one. Raises `NotFound`,
        `NotWaiting`, `Expired`, `AgentOfAnotherPerson` or, for a mission to replace that is over, `MissionTerminated`.
        """
        agent, person_id = approval.agent, approval.person_id
        due = list[IssuedToken]()
        async with self.database.transaction() as connection:
            binding = await binding_of(connection, agent, lock=True)
            request = await visible(connection, digest, person_id)
            if request.pending.decision.get("granted_by") == person_id:
                return request, []
            timed_out = await expire(connection, request, now=now)
            if not timed_out:
                check_waiting(request)
                decision = Decision(person_id=person_id, agent=agent, resource="", scopes=())
                await bind(connection, decision, known=binding is not None, now=now)
                mission = await _insert(connection, approval, now=now)
                if approval.replaces is not None:
                    old = await active_mission(connection, approval.replaces, now=now)
                    if old.agent != agent or old.person_id != person_id:
                        raise AgentOfAnotherPerson("The mission to replace is not one of this agent's for you.")
                    due, _ = await end_mission(connection, old, SUPERSEDED, now=now, actor="person")
                await end(
                    connection,
                    digest,
                    Event.GRANT,
                    decision={
                        "granted_by": person_id,
                        "granted_at": now,
                        "scopes": [],
                        "mission_s256": mission.s256,
                        "resources": list(approval.resources),
                    },
                )
                await consume(connection, digest, person_id)
                for resource in approval.resources:
                    consent = replace(decision, resource=resource, mission=mission.s256)
                    await remember(connection, consent, NAMING, now)
                proposal = request.pending.request["proposal"]
                proposed = LogEntry(at=request.pending.created_at, kind="proposal", actor="agent", content=proposal)
                await add_entry(connection, mission.s256, proposed)
                for turn in await turns_of(connection, digest):
                    await add_entry(connection, mission.s256, turn_entry(turn))
                changed = {
                    "changed": approval.description != proposal["description"],
                    "tools_refused": _names(proposal, "tools", {tool.name for tool in approval.tools}),
                    "resources_refused": _names(proposal, "resources", set(approval.resources)),
                    "replaces": approval.replaces,
                }
                await add_entry(
                    connection, mission.s256, LogEntry(at=now, kind="approval", actor="person", content=changed)
                )
                await _audit(connection, mission, "approve mission", "granted", because=approval.because, now=now)
            request = await request_of(connection, digest)
        if timed_out:
            raise Expired(TIMED_OUT)
        return request, due

    async def decide_in_mission(
        self, digest: str, verdict: Verdict, *, now: float, opening: Opening | None = None
    ) -> tuple[PersonRequest, list[IssuedToken]]:
        """Answer anything but a request for a token or a proposal. Repeating it changes nothing.

        A permission that is denied is an answer, too; other refusals are `refuse`. With `opening` others have to agree
        to a permission too: it waits for that approval, or ends as that was decided. Returns the request, and the
        tokens to be told of where a mission ended. Raises `NotFound`, `NotWaiting`, `Expired`, `AgentOfAnotherPerson`
        or `MissionTerminated`.
        """
        due = list[IssuedToken]()
        async with self.database.transaction() as connection:
            binding = await binding_of(connection, verdict.agent, lock=True)
            request = await visible(connection, digest, verdict.person_id)
            agreed = request.approval is not None and request.pending.waiting
            if request.pending.decision.get("granted_by") == verdict.person_id or agreed:
                return request, []
            timed_out = await expire(connection, request, now=now)
            waits = False
            if not timed_out:
                check_waiting(request)
                who = Decision(person_id=verdict.person_id, agent=verdict.agent, resource="", scopes=())
                if verdict.yes or binding is not None:
                    await bind(connection, who, known=binding is not None, now=now)
                s256 = request.pending.request.get("mission_s256")
                mission = await active_mission(connection, s256, now=now) if s256 is not None else None
                if opening is not None:
                    if request.pending.state is State.PENDING:
                        await advance(connection, digest, Event.ARRIVE)
                    waits = (await join_approval(connection, digest, opening, now=now)).waiting
                    if mission is not None:
                        entry = decision_entry(request, "agreed", now)
                        await add_entry(connection, mission.s256, entry)
                else:
                    outcome: dict[str, object] = {"granted_by": verdict.person_id, "granted_at": now, "scopes": []}
                    outcome |= await _apply(connection, request, verdict, mission, now=now)
                    await end(connection, digest, Event.GRANT, decision={**outcome, **verdict.because})
                await consume(connection, digest, verdict.person_id)
                if mission is not None and verdict.remember_action is not None and not waits:
                    await remember(connection, replace(who, mission=mission.s256), verdict.remember_action, now)
                if mission is not None and verdict.kind == "mission_completion":
                    due, _ = await end_mission(connection, mission, COMPLETED, now=now, actor="person", keep=digest)
                await add_audit(
                    connection,
                    AuditRecord(
                        at=now,
                        person_id=verdict.person_id,
                        action=f"answer {verdict.kind}",
                        agent=verdict.agent,
                        result="agreed" if waits else "granted" if verdict.yes else "denied",
                        details={**verdict.because, **({"mission_s256": s256} if s256 is not None else {})},
                    ),
                )
            request = await request_of(connection, digest)
        if timed_out:
            raise Expired(TIMED_OUT)
        return request, due

    async def terminate_mission(
        self, s256: str, *, person_id: str, reason: str, note: str | None, now: float
    ) -> list[IssuedToken]:
        """End a mission for the person. Returns the tokens whose recipients are to be told.

        Raises `NotFound`, or `MissionTerminated` for one that is over.
        """
        found = await self.persons_mission(s256, person_id=person_id)
        async with self.database.transaction() as connection:
            await binding_of(connection, found.agent, lock=True)
            mission = await active_mission(connection, s256, now=now)
            due, _ = await end_mission(connection, mission, reason, now=now, actor="person", note=note)
        return due


async def _insert(connection: AsyncConnection, approval: Approval, *, now: float) -> Mission:
    """Make the blob and keep it. The times are those that the blob says, to the microsecond."""
    # A mission is over no later than its blob says, so its end is rounded down.
    expires_at = float(floor(approval.expires_at)) if approval.expires_at is not None else None
    for step in range(_TRIES):
        approved_at = now + step * _MICROSECOND
        blob = mission_blob(
            agent=approval.agent[1],
            approved_at=approved_at,
            description=approval.description,
            expires_at=expires_at,
            tools=approval.tools,
            resources=approval.resources,
        )
        mission = Mission(
            s256=s256_of(blob),
            agent=approval.agent,
            person_id=approval.person_id,
            blob=blob,
            approved_at=approved_at,
            expires_at=expires_at,
        )
        if await insert_once(
            connection,
            missions,
            key=mission_key(mission.agent, mission.s256),
            s256=mission.s256,
            person_id=mission.person_id,
            agent_iss=mission.agent[0],
            agent_sub=mission.agent[1],
            blob=blob,
            approved_at=approved_at,
            expires_at=expires_at,
            entries=0,
        ):
            return mission
    raise terminated(SUPERSEDED)


async def _apply(
    connection: AsyncConnection, request: PersonRequest, verdict: Verdict, mission: Mission | None, *, now: float
) -> dict[str, object]:
    """Write a verdict to the mission's log. Returns what of it the agent is told."""
    asked = request.pending.request
    if verdict.kind == "permission":
        answer = {"permission": "granted" if verdict.yes else "denied", "reason": verdict.reason}
        if mission is not None:
            content = {"action": asked["permission"]["action"], **{k: v for k, v in answer.items() if v is not None}}
            entry = LogEntry(at=now, kind="decision", actor="person", content=content)
            await add_entry(connection, mission.s256, entry)
        return dict(answer)
    if verdict.kind in ("question", "interaction", "payment"):
        told = {"answer": verdict.answer} if verdict.kind == "question" else {}
        if mission is not None:
            content = {"asked": verdict.kind, "result": "granted", **told}
            await add_entry(
                connection, mission.s256, LogEntry(at=now, kind="decision", actor="person", content=content)
            )
        return dict(told)
    if mission is None:
        raise NotFound("There is no such mission.")
    if verdict.kind == "mission_update":
        entry = LogEntry(at=now, kind="update", actor="agent", content={"description": asked["text"]})
        content_bytes = update_bytes(str(asked["text"]))
        entry = replace(entry, s256=s256_of(content_bytes))
        await add_entry(connection, mission.s256, entry, content=content_bytes)
        return {"s256": entry.s256}
    entry = LogEntry(at=now, kind="decision", actor="person", content={"completed": True})
    await add_entry(connection, mission.s256, entry)
    return {}


def update_bytes(description: str) -> bytes:
    """An accepted update as it is persisted: what its `s256` is the digest of (#mission-update)."""
    return msgspec.json.encode({"description": description})


def _names(proposal: object, member: str, kept: set[str]) -> list[str]:
    """What of a proposal's list was not approved."""
    listed = proposal.get(member, ()) if isinstance(proposal, dict) else ()
    names = [entry["name"] if isinstance(entry, dict) else entry for entry in listed]
    return [name for name in names if name not in kept]


async def _audit(
    connection: AsyncConnection,
    mission: Mission,
    action: str,
    result: str,
    *,
    because: Mapping[str, str],
    now: float,
) -> None:
    await add_audit(
        connection,
        AuditRecord(
            at=now,
            person_id=mission.person_id,
            action=action,
            agent=mission.agent,
            result=result,
            details={**because, "mission_s256": mission.s256},
        ),
    )
