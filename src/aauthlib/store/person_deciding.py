"""One step each of deciding a request, inside the caller's transaction (#agent-person-binding).

Who may decide, whether there is still time, to whom the agent belongs, and what is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import Event, IllegalTransition, State
from ..deferred.pending import Pending
from ..errors import Expired, NotFound
from ..messages.requirement import APPROVAL
from .pending import advance, load, pending_table, touch
from .person_mission_records import LogEntry
from .person_mission_tables import missions
from .person_records import AgentOfAnotherPerson, AuditRecord, Decision, NotWaiting, PersonRequest
from .person_tables import bindings, consents, person_requests
from .person_tokens import add_audit, binding_of
from .rows import insert_once, key_of

__all__ = [
    "GRANT_HELD_S",
    "TIMED_OUT",
    "bind",
    "check_waiting",
    "consume",
    "decision_entry",
    "end",
    "expire",
    "lock_owner",
    "may_decide",
    "remember",
    "request_entry",
    "request_of",
    "visible",
]

#: How long a yes of somebody who was told is held for the agent at least, in seconds.
GRANT_HELD_S = 3600.0
TIMED_OUT = "The request timed out before it was completed."


async def request_of(connection: AsyncConnection, digest: str, *, lock: bool = False) -> PersonRequest:
    """The request with the person's side of it, its pending row locked when asked. Raises `NotFound`."""
    pending = await load(connection, digest, lock=lock)
    query = select(person_requests).where(person_requests.c.digest == digest)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no such request.")
    return PersonRequest(
        pending=pending,
        person_id=row.person_id,
        callback=row.callback,
        resource_done=bool(row.resource_done),
        acting_for=row.acting_for,
        approval=row.approval,
    )


async def lock_owner(connection: AsyncConnection, digest: str) -> None:
    """Of a request in a mission: lock the binding of the mission's agent, before the request and the mission."""
    owner = (
        await connection.execute(
            select(missions.c.agent_iss, missions.c.agent_sub)
            .join(person_requests, person_requests.c.mission == missions.c.s256)
            .where(person_requests.c.digest == digest)
        )
    ).one_or_none()
    if owner is not None:
        await binding_of(connection, (owner.agent_iss, owner.agent_sub), lock=True)


def request_entry(pending: Pending) -> LogEntry:
    """What a mission's log says of a request that waits for the person (#mission-log)."""
    asked, shown = pending.request, ("resource", "scope", "account", "justification", "permission", "text", "subagent")
    content = {name: asked[name] for name in shown if asked.get(name)}
    if asked.get("relay"):
        content["url"] = asked["relay"]["url"]
    return LogEntry(at=pending.created_at, kind="request", actor="agent", content={"asks": pending.kind, **content})


def decision_entry(
    request: PersonRequest, result: str, now: float, *, scopes: Sequence[str] = (), actor: str = "person"
) -> LogEntry:
    """What a mission's log says of a decision of the person's, or of others where a policy asks them (`server`)."""
    asked = request.pending.request
    content = {"asked": request.pending.kind, "result": result}
    if asked.get("resource"):
        content["resource"] = asked["resource"]
    granted = " ".join(scope for scope in scopes if scope)
    return LogEntry(
        at=now, kind="decision", actor=actor, content={**content, **({"scope": granted} if granted else {})}
    )


async def visible(connection: AsyncConnection, digest: str, person_id: str) -> PersonRequest:
    """The request, locked, if this person may decide it; else `NotFound`, as for one that does not exist."""
    found = await connection.scalar(
        select(person_requests.c.digest).where(person_requests.c.digest == digest, may_decide(person_id))
    )
    if found is None:
        raise NotFound("There is no such request.")
    return await request_of(connection, digest, lock=True)


def may_decide(person_id: str) -> ColumnElement[bool]:
    """Who arrived with the code; while nobody has, the person the agent is bound to.

    Of a request down a chain it is the person the upstream token stands for, and nobody else.
    """
    bound = exists().where(
        bindings.c.agent_iss == person_requests.c.agent_iss,
        bindings.c.agent_sub == person_requests.c.agent_sub,
        bindings.c.person_id == person_id,
    )
    free = person_requests.c.acting_for.is_(None)
    return or_(
        person_requests.c.acting_for == person_id,
        and_(free, person_requests.c.person_id == person_id),
        and_(free, person_requests.c.person_id.is_(None), bound),
    )


async def expire(connection: AsyncConnection, request: PersonRequest, *, now: float) -> bool:
    """Expire a waiting request that is past its time. Returns whether it was."""
    pending = request.pending
    if not pending.waiting or pending.expires_at > now:
        return False
    await advance(connection, pending.digest, Event.EXPIRE, detail=TIMED_OUT)
    return True


def check_waiting(request: PersonRequest) -> None:
    """Raises `Expired` or `NotWaiting` for a request that is not to be decided any more."""
    if request.pending.state is State.EXPIRED:
        raise Expired(TIMED_OUT)
    if not request.pending.waiting:
        raise NotWaiting("This request was decided already, or was withdrawn.")


async def end(
    connection: AsyncConnection, digest: str, event: Event, *, decision: dict[str, object], detail: str = ""
) -> None:
    """Apply a decision. Raises `NotWaiting` when somebody was faster.

    Who was told may say yes in the last minute; the agent that waits for them still has time to come for it.
    """
    try:
        pending = await advance(connection, digest, event, detail=detail, decision=decision)
    except IllegalTransition as error:
        raise NotWaiting("This request cannot be decided any more.") from error
    held_until = float(str(decision.get("granted_at", 0.0))) + GRANT_HELD_S
    if event is Event.GRANT and pending.requirement == APPROVAL and pending.expires_at < held_until:
        await touch(connection, pending, expires_at=held_until)


async def consume(connection: AsyncConnection, digest: str, person_id: str) -> None:
    """A code is consumed by the decision, however the person came to make it (#interaction-code-format)."""
    await connection.execute(update(pending_table).where(pending_table.c.digest == digest).values(code_consumed=True))
    await connection.execute(
        update(person_requests).where(person_requests.c.digest == digest).values(person_id=person_id)
    )


async def bind(connection: AsyncConnection, decision: Decision, *, known: bool, now: float) -> None:
    """Bind the agent to the person, or see that it is. Raises `AgentOfAnotherPerson`."""
    agent = decision.agent
    inserted = not known and await insert_once(
        connection,
        bindings,
        agent_iss=agent[0],
        agent_sub=agent[1],
        person_id=decision.person_id,
        platform=decision.platform,
        device=decision.device,
        connected_at=now,
        last_used_at=now,
    )
    binding = await binding_of(connection, agent, lock=True)
    if binding is None or binding.person_id != decision.person_id:
        raise AgentOfAnotherPerson("This agent is connected to another account at this person server.")
    if inserted:
        await add_audit(
            connection,
            AuditRecord(
                at=now,
                person_id=decision.person_id,
                action="connect agent",
                agent=agent,
                result="connected",
                details={"platform": decision.platform, "device": decision.device},
            ),
        )
        return
    described = {name: value for name, value in (("platform", decision.platform), ("device", decision.device)) if value}
    if described:
        await connection.execute(
            update(bindings)
            .where(bindings.c.agent_iss == agent[0], bindings.c.agent_sub == agent[1])
            .values(**described)
        )


async def remember(connection: AsyncConnection, decision: Decision, scope: str, now: float) -> None:
    """Keep one consent; one that is kept already stays as it was."""
    await insert_once(
        connection,
        consents,
        key=key_of(
            decision.person_id,
            *decision.remembered_for,
            decision.resource,
            decision.account,
            scope,
            *([decision.mission] if decision.mission is not None else []),
        ),
        person_id=decision.person_id,
        agent_iss=decision.remembered_for[0],
        agent_sub=decision.remembered_for[1],
        resource=decision.resource,
        account=decision.account,
        scope=scope,
        mission=decision.mission,
        granted_at=now,
    )
